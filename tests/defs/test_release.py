"""The sensor on the champion: it acts once on new evidence of now, tells what happened, and does nothing else."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.releasing import release_by_hand
from pipeline_assets.adapters.stages.release import release_models
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.freshness import FreshnessParams
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.alerts import TAMPERED_ALERT
from pipeline_assets.core.release.states import State, read_state
from pipeline_assets.core.release.watch import AccuracyParams
from pipeline_assets.defs import release
from pipeline_assets.defs.partitions import Calendar
from tests.adapters.stages.releases import FIRST, SECOND, A, B, open_lake, put_health
from tests.core.release.signals import DAY, PARAMS, begin
from tests.defs.conftest import LAST, CopyWorld

EVIDENCE = FIRST + 20 * DAY
MORNING = begin(EVIDENCE + DAY) + timedelta(hours=5)  # when the evidence of a day comes


class Watch:
    """A data root with a clock, on which the sensor ticks; its cursor is kept."""

    def __init__(self, root: Path, end: date | None = None) -> None:
        self.stores: Stores = open_lake(root)
        self.alerts = Alerts(within(self.stores.root, "alerts"), ())
        self.now = MORNING
        self.cursor: str | None = None
        self.root = root
        calendar = Calendar.between(FIRST - 30 * DAY, end, 14)
        definitions = release.watch(
            calendar, PARAMS, AccuracyParams(window_days=7), FreshnessParams(), lambda: self.now
        )
        (self.sensor,) = definitions.sensors or ()
        assert isinstance(self.sensor, dg.SensorDefinition)
        self.set_up(State(A, B))
        for number in range(20):
            self.see(FIRST + number * DAY)
        self.land(EVIDENCE)

    def set_up(
        self, state: State, day: date = FIRST, action: ReleaseAction = ReleaseAction.HOLD, reason: str = ""
    ) -> None:
        self.stores.release_log.append(ReleaseEntry(day, begin(day), action, reason, **asdict(state)))

    def see(self, day: date, **kinds: str) -> None:
        """Evidence of a day; both models are well where nothing else is said."""
        put_health(self.stores, day, {A: kinds.get("a", "well"), B: kinds.get("b", "well")})

    def land(self, day: date) -> None:
        path = self.root / "landing" / "transactions" / f"{day}" / "payments.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")

    def tick(self) -> Any:
        context = dg.build_sensor_context(cursor=self.cursor, resources={"stores": self.stores, "alerts": self.alerts})
        result = self.sensor.evaluate_tick(context)
        assert not result.run_requests
        self.cursor = result.cursor
        self.now += timedelta(minutes=1)
        return result

    def list_actions(self) -> list[ReleaseAction]:
        """What the log has beyond what was set up."""
        return [entry.action for entry in self.stores.release_log.entries()[1:]]

    def list_open(self) -> list[str]:
        return [incident.alert.key for incident in self.alerts.list_open()]

    def find_state(self) -> State:
        return read_state(find_entry_in_force(self.stores.release_log.entries(), self.now))


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def read_metadata(event: Any) -> Mapping[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def test_it_runs_unattended_every_minute(watch: Watch) -> None:
    assert watch.sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert watch.sensor.minimum_interval_seconds == 60


# --- new evidence


@pytest.mark.parametrize("kind", ["invalid", "timed_out", "flags", "moved"])
def test_a_champion_that_broke_is_failed_over_at_once_shown_and_told(watch: Watch, kind: str) -> None:
    watch.see(EVIDENCE, a=kind)
    (event,) = watch.tick().asset_events
    entry = watch.stores.release_log.entries()[-1]
    assert (entry.action, entry.effective_from, entry.as_of) == (ReleaseAction.FAIL_OVER, MORNING, EVIDENCE + DAY)
    assert watch.find_state() == State(A, B, failed_over_since=EVIDENCE + DAY)
    assert isinstance(event, dg.AssetObservation)
    assert (event.asset_key, event.partition) == (dg.AssetKey("release"), f"{EVIDENCE + DAY}")
    assert read_metadata(event)["reason"] == entry.reason
    assert read_metadata(event)["evidence"] == entry.evidence
    assert watch.list_open() == [f"release/log/failed_over/{A}"]


def test_evidence_that_was_seen_is_not_looked_at_again(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.see(EVIDENCE, a="invalid")
    watch.tick()

    def look(*_: object) -> None:
        raise AssertionError("it was looked at again")

    monkeypatch.setattr(release, "watch_champion_now", look)
    for _ in range(3):
        assert "nothing new since the evidence of" in str(watch.tick().skip_message)
    assert watch.list_actions() == [ReleaseAction.FAIL_OVER]
    assert len(watch.alerts.list_history()) == 1


@pytest.mark.parametrize("kind", ["well", "unavailable", "empty", "better"])
def test_new_evidence_of_a_champion_that_is_well_changes_nothing(watch: Watch, kind: str) -> None:
    watch.tick()
    watch.see(EVIDENCE, a=kind)
    assert "is no reason to fail over" in str(watch.tick().skip_message)
    assert (watch.list_actions(), watch.list_open()) == ([], [])


def test_evidence_of_a_day_that_is_made_again_is_new(watch: Watch) -> None:
    watch.see(EVIDENCE)
    watch.tick()
    watch.see(EVIDENCE, a="timed_out")
    watch.tick()
    assert watch.list_actions() == [ReleaseAction.FAIL_OVER]


@pytest.mark.parametrize(
    "cursor", ["no json", "[1]", "7", '{"tick": "never", "evidence": []}', '{"tick": null}', '{"evidence": ["x"]}']
)
def test_a_broken_cursor_starts_anew_and_nothing_happens_twice(watch: Watch, cursor: str) -> None:
    watch.see(EVIDENCE, a="invalid")
    watch.tick()
    for broken in (cursor, None):
        watch.cursor = broken
        assert not watch.tick().asset_events
        assert watch.cursor is not None
        assert json.loads(watch.cursor)["evidence"][0] == f"{EVIDENCE}"
    assert watch.list_actions() == [ReleaseAction.FAIL_OVER]
    assert len(watch.alerts.list_history()) == 1


def test_where_nothing_is_known_nothing_is_done(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.stores = open_stores(str(tmp_path / "empty"))
    assert "nothing is known of any model yet" in str(watch.tick().skip_message)


# --- what is not of now


def test_old_days_that_are_made_again_cause_nothing(watch: Watch) -> None:
    watch.now = begin(EVIDENCE + 3 * DAY)
    watch.see(EVIDENCE, a="invalid")
    assert "says nothing of now" in str(watch.tick().skip_message)
    watch.see(EVIDENCE - 5 * DAY, a="invalid")
    watch.tick()
    assert (watch.list_actions(), watch.list_open()) == ([], [])


def test_a_replay_of_a_history_that_is_over_causes_nothing(tmp_path: Path) -> None:
    watch = Watch(tmp_path, end=EVIDENCE)
    watch.now = begin(EVIDENCE + 300 * DAY)
    for number in range(3):
        watch.see(EVIDENCE + (number - 2) * DAY, a="invalid")
        list(release_models(watch.stores, PARAMS, [EVIDENCE + (number - 2) * DAY]))
        watch.tick()
    assert watch.list_open() == []
    assert all(entry.effective_from < MORNING for entry in watch.stores.release_log.entries())


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (MORNING - timedelta(days=5), "the clock is behind the data"),
        (MORNING + timedelta(days=90), "the clock is far ahead of the data"),
    ],
)
def test_while_the_clock_is_in_doubt_nothing_is_decided_and_the_evidence_stays_new(
    watch: Watch, moment: datetime, why: str
) -> None:
    watch.see(EVIDENCE, a="invalid")
    watch.now = moment
    assert why in str(watch.tick().skip_message)
    assert watch.list_actions() == []
    watch.now = MORNING
    watch.tick()
    assert watch.list_actions() == [ReleaseAction.FAIL_OVER]


def test_a_clock_that_was_set_back_is_doubted_once(watch: Watch) -> None:
    watch.tick()
    watch.see(EVIDENCE, a="invalid")
    watch.now = MORNING - timedelta(hours=1)
    assert "the clock was set back" in str(watch.tick().skip_message)
    watch.tick()
    assert watch.list_actions() == [ReleaseAction.FAIL_OVER]


# --- a person, and the daily decision


def test_what_a_person_confirmed_since_stays_until_there_is_newer_evidence(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.see(EVIDENCE, a="invalid")
    watch.tick()
    monkeypatch.setattr("pipeline_assets.adapters.releasing._Prober._ask_now", lambda *_: ({"n_payments": 9.0}, None))
    release_by_hand(watch.stores, PARAMS, ReleaseAction.PROMOTE, A, "it is a false alarm", watch.now)
    watch.cursor = None
    watch.tick()
    assert watch.find_state() == State(A, B)
    assert watch.list_open() == []
    list(release_models(watch.stores, PARAMS, [EVIDENCE + DAY]))  # it comes into force before the person's decision
    assert watch.find_state() == State(A, B)
    watch.now += DAY
    watch.see(EVIDENCE + DAY, a="invalid")
    watch.tick()
    assert watch.find_state().failed_over_since == EVIDENCE + 2 * DAY


def test_the_alert_ends_when_the_daily_decision_lets_the_champion_back(watch: Watch) -> None:
    watch.see(EVIDENCE, a="invalid")
    watch.tick()
    for number in range(1, PARAMS.recovery_days + 2):
        day = EVIDENCE + number * DAY
        list(release_models(watch.stores, PARAMS, [day]))
        watch.see(day)
        watch.land(day)
        watch.now = begin(day + DAY) + timedelta(hours=5)
        watch.tick()
    assert watch.find_state() == State(A, B)
    assert watch.list_open() == []
    (incident,) = watch.alerts.list_history()
    assert incident.resolved_at is not None


# --- what people are told


def test_a_promotion_and_a_rollback_are_told_once_and_are_news_for_three_days(watch: Watch) -> None:
    watch.set_up(State(B, A), EVIDENCE, ReleaseAction.PROMOTE, "it was proved")
    told = [f"release/log/promoted/{B}"]
    for _ in range(3):
        watch.tick()
        assert watch.list_open() == told
    watch.set_up(State(B), EVIDENCE + DAY, ReleaseAction.ROLL_BACK, "it lost")
    watch.tick()
    assert watch.list_open() == [*told, f"release/log/rolled_back/{A}"]
    watch.set_up(State(B), EVIDENCE + 4 * DAY)
    watch.now = begin(EVIDENCE + 4 * DAY) + timedelta(minutes=1)
    watch.tick()
    assert watch.list_open() == []
    assert len(watch.alerts.list_history()) == 2


def weaken(watch: Watch, first: int, last: int, kind: str) -> None:
    """What both models are like on some days, counted from the evidence on; then a tick."""
    for number in range(first, last + 1):
        watch.see(EVIDENCE + number * DAY, a=kind, b=kind)
    watch.land(EVIDENCE + last * DAY)
    watch.now = MORNING + last * DAY
    watch.tick()


def test_a_champion_that_became_weak_with_nobody_better_is_told_until_it_is_clearly_better(watch: Watch) -> None:
    weak = [f"release/weak/{A}"]
    weaken(watch, -3, 0, "worse")  # 4 of 7 days: 0.17 below, not yet
    assert watch.list_open() == []
    weaken(watch, 1, 1, "worse")  # 5 of 7 days: 0.21 below
    assert watch.list_open() == weak
    weaken(watch, 2, 4, "well")  # the worst days leave the window one by one
    weaken(watch, 5, 5, "well")
    assert watch.list_open() == weak, "in between it stays"
    weaken(watch, 6, 6, "well")
    assert watch.list_open() == []
    assert watch.list_actions() == []
    (incident,) = watch.alerts.list_history()
    assert "is not clearly better" in incident.alert.what


def test_a_weak_champion_that_is_replaced_is_no_concern_any_more(watch: Watch) -> None:
    weaken(watch, -6, 0, "worse")
    assert watch.list_open() == [f"release/weak/{A}"]
    watch.set_up(State(B, A), EVIDENCE + DAY, ReleaseAction.PROMOTE)
    weaken(watch, 1, 1, "well")
    assert f"release/weak/{A}" not in watch.list_open()


def test_a_weak_champion_that_has_failed_over_is_one_concern_and_not_two(watch: Watch) -> None:
    weaken(watch, -6, 0, "worse")
    assert watch.list_open() == [f"release/weak/{A}"]
    watch.see(EVIDENCE + DAY, a="invalid", b="worse")
    watch.now = MORNING + DAY
    watch.tick()
    assert watch.list_open() == [f"release/log/failed_over/{A}"]


def test_where_nothing_new_comes_what_was_told_stays_and_what_others_told_is_theirs(watch: Watch) -> None:
    other = Alert("freshness/late", "something else", "elsewhere", watch.now, "nothing", Level.WARN)
    watch.alerts.open(other, watch.now)
    watch.see(EVIDENCE, a="invalid")
    watch.tick()
    told = ["freshness/late", f"release/log/failed_over/{A}"]
    assert watch.list_open() == told
    watch.now += 10 * DAY  # the log is as old
    watch.tick()
    assert watch.list_open() == told


def test_where_too_few_frauds_are_known_nothing_is_told(watch: Watch) -> None:
    for number in range(-30, 1):
        put_health(watch.stores, EVIDENCE + number * DAY, {A: "empty"})
    watch.tick()
    assert watch.list_open() == []


def test_a_log_that_was_changed_is_told_once_and_nothing_is_decided_from_it_until_it_is_restored(watch: Watch) -> None:
    watch.set_up(State(A), SECOND)
    path = watch.root / "release" / "entries" / "00000000.json"
    written = path.read_bytes()
    path.write_bytes(written.replace(b"hold", b"promote"))
    cursor = watch.cursor
    for _ in range(2):
        result = watch.tick()
        assert "was changed after it was written" in str(result.skip_message)
        assert watch.cursor == cursor
        (incident,) = watch.alerts.list_open()
        assert (incident.alert.key, incident.alert.level) == (TAMPERED_ALERT, Level.ERROR)
        assert "pipeline-assets restore release" in incident.alert.what
    path.write_bytes(written)
    watch.tick()
    assert TAMPERED_ALERT not in {incident.alert.key for incident in watch.alerts.list_open()}


def test_an_observation_says_who_decided(watch: Watch) -> None:
    entry = ReleaseEntry(EVIDENCE, MORNING, ReleaseAction.HOLD, "why", A, None, decided_by=DecidedBy.PERSON)
    event = release.observe(entry)
    assert event.description == f"hold by person, in force from {MORNING:%Y-%m-%d %H:%M:%S} UTC on"
    assert read_metadata(event)["decided_by"] == "person"


def test_in_a_real_pipeline_it_reads_the_evidence_of_the_last_day(copy_world: CopyWorld) -> None:
    world = copy_world()
    assert world.tick("accuracy_dropped") == []
    cursor = json.loads(str(world.cursors["accuracy_dropped"]))
    assert cursor["evidence"][0] == f"{LAST}"
    assert "nothing new since" in str(world.evaluate("accuracy_dropped").skip_message)
