"""Decisions by hand and at once: from what is in force now, for models that answer now, kept until something else."""

import dataclasses
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline_assets.adapters.holds import PartitionHeldError
from pipeline_assets.adapters.release_log import ReleaseLogError
from pipeline_assets.adapters.releasing import (
    ReleaseRefusedError,
    find_newest_evidence,
    release_by_hand,
    watch_champion_now,
)
from pipeline_assets.adapters.stages.release import release_models
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import MODEL_HEALTH, TRAINING_SET
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.fraud_model import Floats, FraudModel
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.states import State, read_state
from pipeline_assets.core.release.watch import AccuracyParams
from pipeline_assets.core.serving import ServingParams
from tests.adapters.stages.releases import put_health, train_models
from tests.core.release.signals import DAY, PARAMS, begin

WEEKS = [date(2026, 3, 1) + number * 7 * DAY for number in range(3)]
TODAY = date(2026, 3, 20)
NOW = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)
PROMOTE, HOLD, ROLL_BACK = ReleaseAction.PROMOTE, ReleaseAction.HOLD, ReleaseAction.ROLL_BACK


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, make_training_set: Callable[[int], pl.DataFrame]) -> Path:
    """A data root with three models that answer, each with its training set."""
    root = tmp_path_factory.mktemp("trained")
    train_models(root, make_training_set(1500), WEEKS)
    return root


@pytest.fixture
def stores(trained: Path, tmp_path: Path) -> Stores:
    """A copy that a test may break."""
    return open_stores(str(shutil.copytree(trained, tmp_path / "data")))


@pytest.fixture
def models(stores: Stores) -> tuple[str, str, str]:
    """Their versions, in order."""
    a, b, c = (stores.models.find(week).version for week in WEEKS)
    return a, b, c


def set_up(stores: Stores, state: State, day: date = TODAY - DAY) -> ReleaseEntry:
    """Put a state in force from the beginning of a day on."""
    return stores.release_log.append(ReleaseEntry(day, begin(day), HOLD, "set up", **dataclasses.asdict(state)))


def decide(stores: Stores, action: ReleaseAction, model: str, because: str = "I say so", **of: Any) -> ReleaseEntry:
    entry = release_by_hand(stores, PARAMS, action, model, because, of.pop("now", NOW), **of)
    assert entry is not None
    return entry


def find_state(stores: Stores, moment: datetime = NOW) -> State:
    return read_state(find_entry_in_force(stores.release_log.entries(), moment))


def break_model(stores: Stores, version: str) -> None:
    path = Path(stores.models.root) / MODEL / version[:10] / version[-12:] / "model.txt"
    path.write_bytes(path.read_bytes()[:-20])


# --- what a person may say


def test_a_model_that_is_promoted_by_hand_is_champion_from_now_on(stores: Stores, models: tuple[str, str, str]) -> None:
    a, b, _ = models
    before = set_up(stores, State(a))
    entry = decide(stores, PROMOTE, b, "the bank asked for it")
    assert (entry.action, entry.champion, entry.backup) == (PROMOTE, b, a)
    assert (entry.effective_from, entry.as_of) == (NOW, TODAY)
    assert (entry.decided_by, entry.reason) == (DecidedBy.PERSON, "the bank asked for it")
    assert entry.evidence == {b: {"n_payments": 1000, "n_invalid": 0}}
    assert stores.release_log.entries() == [before, entry]
    assert find_state(stores, NOW - timedelta(microseconds=1)) == State(a)


@pytest.mark.parametrize(("word", "place"), [("2026-03-08", 1), ("2026-03-15-", 2), ("canary", 2), ("backup", 1)])
def test_a_model_is_named_by_the_beginning_of_its_version_or_by_its_part(
    stores: Stores, models: tuple[str, str, str], word: str, place: int
) -> None:
    a, b, c = models
    set_up(stores, State(a, b, canary=c, canary_share=0.05, trial_since=TODAY, stage_since=TODAY))
    assert decide(stores, PROMOTE, word).champion == models[place]


@pytest.mark.parametrize("word", ["2026-03", "2025", "", "shadow", "champion of the world", "2026-03-08-0000"])
def test_a_word_that_stands_for_no_model_or_for_several_is_refused_with_what_there_is(
    stores: Stores, models: tuple[str, str, str], word: str
) -> None:
    set_up(stores, State(models[0]))
    with pytest.raises(ReleaseRefusedError, match=f"2026-03-15|in force is champion {models[0]}"):
        decide(stores, PROMOTE, word)
    assert len(stores.release_log.entries()) == 1


def test_where_there_is_no_model_at_all_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefusedError, match="there are none: train one"):
        decide(open_stores(str(tmp_path)), PROMOTE, "2026")
    with pytest.raises(ReleaseRefusedError, match="there is no champion; in force is no model: the rules decide"):
        decide(open_stores(str(tmp_path)), HOLD, "champion")


def test_a_version_is_itself_although_another_one_begins_so(stores: Stores, models: tuple[str, str, str]) -> None:
    set_up(stores, State(models[0], f"{models[1]}0"))
    assert decide(stores, PROMOTE, models[1]).champion == models[1]


@pytest.mark.parametrize("because", ["", "  \n"])
def test_without_a_reason_nothing_is_decided(stores: Stores, models: tuple[str, str, str], because: str) -> None:
    with pytest.raises(ReleaseRefusedError, match="and a reason"):
        decide(stores, PROMOTE, models[0], because)


def test_what_the_pipeline_decides_is_not_decided_by_hand(stores: Stores, models: tuple[str, str, str]) -> None:
    with pytest.raises(ReleaseRefusedError, match="expected one of promote, hold, roll_back"):
        decide(stores, ReleaseAction.START_CANARY, models[0])


def test_what_the_state_machine_does_not_allow_is_refused_with_what_is_in_force(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    a, b, c = models
    set_up(stores, State(a, b))
    with pytest.raises(ReleaseRefusedError, match=f"is not allowed: .*found {c}; in force is champion {a}, backup {b}"):
        decide(stores, ROLL_BACK, c)
    assert len(stores.release_log.entries()) == 1


def test_holding_leaves_all_traffic_as_it_is(stores: Stores, models: tuple[str, str, str]) -> None:
    state = State(models[0], canary=models[1], canary_share=0.05, trial_since=TODAY, stage_since=TODAY)
    set_up(stores, state)
    decide(stores, HOLD, "canary")
    assert find_state(stores) == dataclasses.replace(state, is_held=True)
    decide(stores, PROMOTE, "champion", now=NOW + timedelta(minutes=1))
    assert find_state(stores, NOW + timedelta(minutes=1)) == state


# --- what a model must be able to


def test_a_model_that_does_not_load_is_not_promoted(stores: Stores, models: tuple[str, str, str]) -> None:
    set_up(stores, State(models[0]))
    break_model(stores, models[1])
    with pytest.raises(
        ReleaseRefusedError, match=rf"(?s){models[1]} gets no traffic: .* is damaged: .*pipeline-assets heal"
    ):
        decide(stores, PROMOTE, models[1])
    assert find_state(stores) == State(models[0])


def test_a_model_that_gives_no_probabilities_is_not_promoted(
    stores: Stores, models: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(_: FraudModel, inputs: Floats) -> Floats:
        return np.where(np.arange(len(inputs)) < 3, np.nan, 0.5)

    set_up(stores, State(models[0]))
    monkeypatch.setattr(FraudModel, "predict", predict)
    with pytest.raises(ReleaseRefusedError, match="found 3 of 1000 that were no probabilities"):
        decide(stores, PROMOTE, models[1])


def test_a_model_that_does_not_answer_is_not_promoted(
    stores: Stores, models: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()

    def predict(_: FraudModel, inputs: Floats) -> Floats:
        is_over.wait(20)
        return np.full(len(inputs), 0.5)

    set_up(stores, State(models[0]))
    monkeypatch.setattr(FraudModel, "predict", predict)
    impatient = ServingParams(min_timeout_seconds=0.05, timeout_microseconds_a_row=1)
    with pytest.raises(ReleaseRefusedError, match=r"found model .*none within"):
        decide(stores, PROMOTE, models[1], serving=impatient)
    is_over.set()


def test_a_model_without_payments_to_ask_it_for_is_not_promoted(stores: Stores, models: tuple[str, str, str]) -> None:
    stores.records.delete(Key(TRAINING_SET.name, WEEKS[1]))
    with pytest.raises(ReleaseRefusedError, match="materialize training_set for 2026-03-08 first"):
        decide(stores, PROMOTE, models[1])


def test_a_model_that_is_held_is_not_promoted(stores: Stores, models: tuple[str, str, str]) -> None:
    stores.holds.hold(Key(MODEL, WEEKS[1]), "model_loads", "it did not", "1", NOW)
    with pytest.raises(
        PartitionHeldError, match="release of 2026-03-08 needs fraud_model of 2026-03-08, which is held"
    ):
        decide(stores, PROMOTE, models[1])


def test_a_model_that_is_broken_can_be_taken_out_of_all_traffic(stores: Stores, models: tuple[str, str, str]) -> None:
    a, b, c = models
    set_up(stores, State(a, b, canary=c, canary_share=0.05, trial_since=TODAY, stage_since=TODAY))
    break_model(stores, c)
    break_model(stores, a)
    decide(stores, ROLL_BACK, "canary")
    assert find_state(stores) == State(a, b)
    decide(stores, ROLL_BACK, "champion", now=NOW + timedelta(minutes=1))
    assert find_state(stores, NOW + timedelta(minutes=1)) == State(b)


def test_where_the_reserve_of_a_champion_that_is_rolled_back_is_broken_the_rules_decide(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    set_up(stores, State(models[0], models[1]))
    break_model(stores, models[1])
    decide(stores, ROLL_BACK, "champion")
    assert find_state(stores) == State()


# --- how long it stays


def test_a_promotion_by_hand_outlives_the_daily_decisions_before_and_after_it(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    """The decision for a day is often made on the next one; it is in force from the day's beginning only."""
    a, b, c = models
    set_up(stores, State(a, canary=c, canary_share=0.05, trial_since=TODAY - 9 * DAY, stage_since=TODAY - DAY))
    for number in range(-10, 4):
        put_health(stores, TODAY + number * DAY, {a: "well", b: "well"})
    decide(stores, PROMOTE, b)
    list(release_models(stores, PARAMS, [TODAY]))
    assert find_state(stores).champion == b
    assert find_state(stores, begin(TODAY)).champion == a
    list(release_models(stores, PARAMS, [TODAY + number * DAY for number in range(1, 4)]))
    later = find_state(stores, begin(TODAY + 3 * DAY))
    assert (later.champion, later.backup, later.challenger) == (b, a, c)


def test_a_rollback_by_hand_is_not_undone_by_the_decision_for_its_own_day(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    a, _, c = models
    set_up(stores, State(a, canary=c, canary_share=0.05, trial_since=TODAY - 9 * DAY, stage_since=TODAY - 3 * DAY))
    for number in range(-10, 6):
        put_health(stores, TODAY + number * DAY, dict.fromkeys(models, "well"))
    decide(stores, ROLL_BACK, "canary")
    list(release_models(stores, PARAMS, [TODAY + number * DAY for number in range(6)]))
    assert find_state(stores, begin(TODAY) + timedelta(hours=1)).canary == c
    for number in range(6):
        later = find_state(stores, begin(TODAY + number * DAY) + timedelta(hours=23))
        assert later == State(a)


def test_a_decision_by_hand_before_the_decision_of_the_day_before_was_made_stays(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    a, b, _ = models
    set_up(stores, State(a), TODAY - 2 * DAY)
    early = begin(TODAY) + timedelta(hours=1)
    decide(stores, PROMOTE, b, now=early)
    list(release_models(stores, PARAMS, [TODAY - DAY, TODAY]))
    assert find_state(stores, early) == State(b, a)


def test_what_comes_into_force_while_a_person_decides_is_what_it_is_decided_from(
    stores: Stores, models: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = models
    set_up(stores, State(a, b, canary=c, canary_share=0.05, trial_since=TODAY, stage_since=TODAY))
    append_after, others = (
        type(stores.release_log).append_after,
        [
            ReleaseEntry(
                TODAY, NOW - timedelta(seconds=1), ReleaseAction.FAIL_OVER, "meanwhile", a, b, failed_over_since=TODAY
            )
        ],
    )

    def race(log: Any, entries: Any, draft: ReleaseEntry) -> ReleaseEntry | None:
        while others:
            assert append_after(log, entries, others.pop()) is not None
        return append_after(log, entries, draft)

    monkeypatch.setattr(type(stores.release_log), "append_after", race)
    entry = decide(stores, HOLD, "champion")
    assert (entry.sequence, entry.is_held, entry.failed_over_since) == (2, True, TODAY)
    assert [one.reason for one in stores.release_log.entries()] == ["set up", "meanwhile", "I say so"]


# --- at once


def break_champion(stores: Stores, models: tuple[str, str, str], last: date) -> None:
    a, b, _ = models
    for number in range(12):
        put_health(stores, last - number * DAY, {a: "well" if number else "invalid", b: "well"})


def test_the_newest_evidence_is_that_of_the_latest_day_that_is_not_held(stores: Stores) -> None:
    assert find_newest_evidence(stores) is None
    for day in (TODAY, TODAY - DAY):
        put_health(stores, day, {"a": "well"})
    found = find_newest_evidence(stores)
    assert found is not None
    assert found[0] == TODAY
    stores.holds.hold(Key(MODEL_HEALTH.name, TODAY), "a check", "it failed", "1", NOW)
    again = find_newest_evidence(stores)
    assert again is not None
    assert again[0] == TODAY - DAY


def test_a_champion_that_is_broken_is_failed_over_now_and_once(stores: Stores, models: tuple[str, str, str]) -> None:
    a, b, _ = models
    set_up(stores, State(a, b))
    break_champion(stores, models, TODAY - DAY)
    watched = watch_champion_now(stores, PARAMS, AccuracyParams(), TODAY - DAY, NOW)
    assert watched.entry is not None
    assert watched.entry.action is ReleaseAction.FAIL_OVER
    assert watched.state == State(a, b, failed_over_since=TODAY) == find_state(stores)
    again = watch_champion_now(stores, PARAMS, AccuracyParams(), TODAY - DAY, NOW + timedelta(minutes=1))
    assert again.entry is None
    assert again.state == watched.state
    list(release_models(stores, PARAMS, [TODAY]))
    assert find_state(stores) == watched.state


def test_a_champion_that_was_failed_over_at_once_stays_so_although_the_entry_is_taken_away(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    set_up(stores, State(models[0], models[1]))
    break_champion(stores, models, TODAY - DAY)
    entry = watch_champion_now(stores, PARAMS, AccuracyParams(), TODAY - DAY, NOW).entry
    assert entry is not None
    (Path(stores.release_log.root) / "entries" / f"{entry.sequence:08d}.json").unlink()
    with pytest.raises(ReleaseLogError, match="known by the head written with decision 1"):
        find_state(stores)


def test_a_decision_stands_where_its_head_cannot_be_written(
    stores: Stores, models: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    set_up(stores, State(models[0]))
    (Path(stores.root.root) / "heads").write_text("in the way")
    entry = decide(stores, HOLD, "champion")
    assert stores.release_log.entries()[-1] == entry
    assert "entry 1 is in force, but until the next daily decision or snapshot nobody else knows of it" in caplog.text


def test_a_champion_that_a_person_confirmed_since_is_left_to_the_person(
    stores: Stores, models: tuple[str, str, str]
) -> None:
    set_up(stores, State(models[0], models[1]))
    break_champion(stores, models, TODAY - DAY)
    assert watch_champion_now(stores, PARAMS, AccuracyParams(), TODAY - DAY, NOW - timedelta(hours=2)).entry
    decide(stores, PROMOTE, "champion", now=NOW - timedelta(hours=1))
    watched = watch_champion_now(stores, PARAMS, AccuracyParams(), TODAY - DAY, NOW)
    assert watched.entry is None
    assert watched.state.failed_over_since is None
