"""The breaker in a simulated pipeline that nobody watches: whatever breaks, the number of requests stays bounded."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pipeline_assets.core.checks import Level
from pipeline_assets.core.healing.breaker import (
    BREAKER_ALERT,
    KEY_ALERT_PREFIX,
    SUMMARY_ALERT,
    Candidate,
    Decision,
    HealingParams,
    Status,
    decide,
)
from pipeline_assets.core.healing.memory import HealingState, read_state

START = datetime(2026, 3, 1, 5, tzinfo=UTC)
TICK = timedelta(seconds=30)
DAY_OF_TICKS = 2880
PARAMS = HealingParams()


class Cause(Enum):
    """Why a run of a partition fails."""

    TRANSIENT = auto()  # until it passes
    KNOWN = auto()  # until the fingerprint changes; the reason is known as soon as a run failed
    UNKNOWN = auto()  # the same, but nobody can tell


@dataclass
class Run:
    """A run that is shown after ``lag`` ticks, and ends ``length`` ticks later."""

    lag: int
    length: int
    is_ours: bool


@dataclass
class Partition:
    is_well: bool = True
    has_failed: bool = False
    cause: Cause | None = None
    version: int = 0
    reason: str | None = None
    run: Run | None = None


@dataclass
class Pipeline:
    """Partitions that fail for causes, and a database that they all need."""

    partitions: dict[str, Partition]
    is_down: bool = False
    clock: datetime = START
    ended_badly: list[tuple[str, datetime]] = field(default_factory=list)  # runs of ours

    def list_candidates(self) -> list[Candidate]:
        return [
            Candidate(key, self._find_status(one), f"v{one.version}", one.reason)
            for key, one in self.partitions.items()
            if not one.is_well or one.run is not None
        ]

    def start(self, key: str, lag: int = 0, length: int = 1, is_ours: bool = True) -> None:
        assert self.partitions[key].run is None, "two runs of one partition at once"
        self.partitions[key].run = Run(lag, length, is_ours)

    def advance(self, seconds: float) -> None:
        """Let the time between two ticks pass."""
        self.clock += timedelta(seconds=seconds)
        for key, one in self.partitions.items():
            run = one.run
            if run is None:
                continue
            if run.lag > 0:
                run.lag -= 1
            elif run.length > 0:
                run.length -= 1
            else:
                self._end(key, one, run)

    def _end(self, key: str, one: Partition, run: Run) -> None:
        one.run = None
        one.is_well = not self.is_down and one.cause is None
        one.has_failed = not one.is_well
        if not one.is_well and one.cause is Cause.KNOWN:
            one.reason = "bad data: amount_cents"
        if not one.is_well and run.is_ours:
            self.ended_badly.append((key, self.clock))

    def _find_status(self, one: Partition) -> Status:
        if one.run is not None and one.run.lag == 0:
            return Status.IN_PROGRESS
        return Status.FAILING if one.has_failed else Status.MISSING


def make_pipeline(n: int, cause: Cause | None = None) -> Pipeline:
    keys = [f"scores|2026-01-{day + 1:02d}" for day in range(n)]
    return Pipeline({key: Partition(is_well=False, has_failed=True, cause=cause) for key in keys})


def run_ticks(
    pipeline: Pipeline, n_ticks: int, state: HealingState | None = None, params: HealingParams = PARAMS
) -> tuple[list[Decision], HealingState]:
    """Let the sensor tick every 30 s; each run it asks for is seen at the next tick and ends at the one after."""
    state = state or HealingState()
    decisions = []
    for _ in range(n_ticks):
        decision = decide(state, pipeline.list_candidates(), pipeline.clock, params)
        for key in decision.requests:
            pipeline.start(key)
        decisions.append(decision)
        state = decision.state
        pipeline.advance(TICK.total_seconds())
    return decisions, state


def list_requests(decisions: Iterable[Decision]) -> list[str]:
    return [key for decision in decisions for key in decision.requests]


def list_opened(decisions: Iterable[Decision]) -> list[str]:
    return [alert.key for decision in decisions for alert in decision.opened]


def list_resolved(decisions: Iterable[Decision]) -> list[str]:
    return [key for decision in decisions for key in decision.resolved]


# ---- What a day of failure costs -------------------------------------------------------------------------------------


def test_a_known_permanent_failure_costs_no_request_in_a_day_and_one_alert() -> None:
    pipeline = make_pipeline(1, Cause.KNOWN)
    pipeline.partitions["scores|2026-01-01"].reason = "bad data: amount_cents"
    decisions, _ = run_ticks(pipeline, DAY_OF_TICKS)
    assert list_requests(decisions) == []
    assert list_opened(decisions) == ["healing/partition/scores|2026-01-01"]
    (alert,) = decisions[0].opened
    assert "would fail again: bad data: amount_cents" in alert.what
    assert "materialize it" in alert.next_step
    assert (alert.where, alert.since, alert.level) == ("scores|2026-01-01", START, Level.ERROR)


def test_a_permanent_failure_that_becomes_known_by_its_first_retry_costs_that_one() -> None:
    decisions, _ = run_ticks(make_pipeline(1, Cause.KNOWN), DAY_OF_TICKS)
    assert len(list_requests(decisions)) == 1
    assert list_opened(decisions) == ["healing/partition/scores|2026-01-01"]


def test_what_fails_for_ever_for_no_known_reason_costs_its_attempts_and_one_alert() -> None:
    decisions, state = run_ticks(make_pipeline(1, Cause.UNKNOWN), DAY_OF_TICKS)
    assert len(list_requests(decisions)) == PARAMS.max_attempts
    assert list_opened(decisions) == ["healing/partition/scores|2026-01-01"]
    assert list_resolved(decisions) == []
    (alert,) = (alert for decision in decisions for alert in decision.opened)
    assert "tried 3 times with the same inputs, code and parameters" in alert.what
    assert len(state.to_cursor()) < 400


def test_a_database_that_is_down_for_a_day_costs_a_handful_of_runs_and_one_alert_and_recovery_closes() -> None:
    pipeline = make_pipeline(31)
    pipeline.is_down = True
    decisions, state = run_ticks(pipeline, DAY_OF_TICKS)
    n_probes = 9  # after 15, 30, 60, 120 minutes, and then every 240: that many fit into the day
    assert len(list_requests(decisions)) == PARAMS.max_requests_a_tick + n_probes
    assert list_opened(decisions) == [BREAKER_ALERT]
    assert list_resolved(decisions) == []
    assert max(Counter(list_requests(decisions)).values()) == 1  # the probe goes around
    pipeline.is_down = False
    decisions, state = run_ticks(pipeline, DAY_OF_TICKS // 5, state)
    assert pipeline.list_candidates() == []
    assert list_opened(decisions) == []
    assert list_resolved(decisions) == [BREAKER_ALERT]
    assert not state.attempts
    assert state.circuit.opened_at is None


def test_slow_runs_do_not_let_more_out_before_the_breaker_opens() -> None:
    pipeline, state, n_requests = make_pipeline(31), HealingState(), 0
    pipeline.is_down = True
    for _ in range(40):
        decision = decide(state, pipeline.list_candidates(), pipeline.clock, PARAMS)
        for key in decision.requests:
            pipeline.start(key, length=20)
        n_requests, state = n_requests + len(decision.requests), decision.state
        pipeline.advance(30)
    assert n_requests == PARAMS.max_requests_a_tick


def test_a_short_trouble_heals_without_an_alert() -> None:
    pipeline = make_pipeline(3)
    pipeline.is_down = True
    _, state = run_ticks(pipeline, 4)
    pipeline.is_down = False
    decisions, state = run_ticks(pipeline, 20, state)
    assert pipeline.list_candidates() == []
    assert list_opened(decisions) == []
    assert state.attempts == {}


def test_a_new_fingerprint_starts_the_count_anew_and_the_alert_stands_until_the_partition_is_well() -> None:
    pipeline = make_pipeline(1, Cause.UNKNOWN)
    (partition,) = pipeline.partitions.values()
    decisions, state = run_ticks(pipeline, 100)
    partition.version += 1
    again, state = run_ticks(pipeline, 100, state)
    assert (len(list_requests(decisions)), len(list_requests(again))) == (3, 3)
    assert list_opened(again) == [BREAKER_ALERT]
    partition.version, partition.cause = 2, None
    last, state = run_ticks(pipeline, 100, state)
    assert len(list_requests(last)) == 1
    assert sorted(list_resolved(last)) == [BREAKER_ALERT, "healing/partition/scores|2026-01-01"]
    assert state.attempts == {}


def test_one_success_among_failures_keeps_the_breaker_closed() -> None:
    pipeline = make_pipeline(7, Cause.UNKNOWN)
    pipeline.partitions["scores|2026-01-04"].cause = None
    decisions, state = run_ticks(pipeline, 4)
    assert len(list_requests(decisions)) == 7
    assert list_opened(decisions) == []
    assert state.circuit.n_failures == 0


def test_a_partition_made_by_hand_closes_the_breaker_at_once() -> None:
    pipeline = make_pipeline(10)
    pipeline.is_down = True
    decisions, state = run_ticks(pipeline, 10)
    assert list_opened(decisions) == [BREAKER_ALERT]
    pipeline.is_down = False
    pipeline.partitions["scores|2026-01-01"].is_well = True
    decisions, _ = run_ticks(pipeline, 1, state)
    assert decisions[0].resolved == (BREAKER_ALERT,)
    assert list_requests(decisions) == [f"scores|2026-01-{day:02d}" for day in range(2, 9)]


def test_a_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    pipeline = make_pipeline(31)
    pipeline.is_down = True
    decisions, _ = run_ticks(pipeline, DAY_OF_TICKS)
    asked = [number for number, decision in enumerate(decisions) if decision.requests][1:]
    waits = [(after - before) / 2 for before, after in itertools.pairwise(asked)]  # minutes
    for wait, cool_down in zip(waits, (30, 60, 120, 240, 240, 240, 240, 240), strict=True):
        assert cool_down <= wait <= cool_down + 2


def test_a_clock_set_back_by_years_makes_no_wait_longer_than_it_was() -> None:
    pipeline = make_pipeline(8)
    pipeline.is_down = True
    _, state = run_ticks(pipeline, 10)
    pipeline.is_down = False
    pipeline.clock -= timedelta(days=3650)
    run_ticks(pipeline, 2 * 15 + 10, state)  # one cool-down and what the runs take
    assert pipeline.list_candidates() == []


def test_a_clock_far_ahead_gives_one_probe_and_no_burst() -> None:
    pipeline = make_pipeline(31)
    pipeline.is_down = True
    _, state = run_ticks(pipeline, 10)
    pipeline.clock = datetime(9999, 12, 31, tzinfo=UTC)
    decisions, _ = run_ticks(pipeline, 20, state)
    assert len(list_requests(decisions)) == 1


# ---- Laws ------------------------------------------------------------------------------------------------------------

_KEYS = tuple(f"k{number:02d}" for number in range(14))
_TIGHT = HealingParams(
    max_attempts=3,
    first_delay_seconds=60,
    max_delay_seconds=150,
    failures_to_open=4,
    cool_down_seconds=600,
    max_cool_down_seconds=2000,
    max_requests_a_tick=3,
)


class UnattendedPipeline(RuleBasedStateMachine):
    """Whatever happens to the pipeline and to its clock, the laws of :func:`decide` hold at every tick."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline({key: Partition() for key in _KEYS})
        self.cursor: str | None = None
        self.n_requests: Counter[tuple[str, int]] = Counter()  # of partitions that are not well, by fingerprint
        self.ended: dict[str, datetime] = {}
        self.n_failures = 0  # in a row
        self.alerts: set[str] = set()
        self.probe_not_before: datetime | None = None
        self.n_probes = 0

    @initialize()
    def look_first(self) -> None:
        self.tick(30, 0, 1)

    @rule(keys=st.sets(st.sampled_from(_KEYS), min_size=1), cause=st.sampled_from([None, *Cause]))
    def break_partitions(self, keys: set[str], cause: Cause | None) -> None:
        for key in keys:
            if self.pipeline.partitions[key].run is None:
                self.pipeline.partitions[key].is_well = False
            self.pipeline.partitions[key].cause = cause

    @rule(key=st.sampled_from(_KEYS))
    def change_fingerprint(self, key: str) -> None:
        one = self.pipeline.partitions[key]
        one.version, one.reason = one.version + 1, None

    @rule(is_down=st.booleans())
    def lose_or_regain_the_database(self, is_down: bool) -> None:
        self.pipeline.is_down = is_down

    @rule(key=st.sampled_from(_KEYS), length=st.integers(0, 5))
    def run_by_hand(self, key: str, length: int) -> None:
        if self.pipeline.partitions[key].run is None:
            self.pipeline.start(key, 0, length, is_ours=False)

    @rule(days=st.sampled_from([-3650, -1, 1, 3650]), minutes=st.integers(-90, 90))
    def set_the_clock(self, days: int, minutes: int) -> None:
        self.pipeline.clock += timedelta(days=days, minutes=minutes)
        self.ended.clear()
        self.probe_not_before = None

    @rule()
    def lose_the_cursor(self) -> None:
        self.cursor = None
        self.n_requests.clear()
        self.ended.clear()
        self.alerts.clear()
        self.probe_not_before = None
        for one in self.pipeline.partitions.values():
            if one.run is not None:
                # Only its memory bridges the time in which a run is not shown yet, and tells which runs it asked for.
                one.run.lag, one.run.is_ours = 0, False

    @rule(seconds=st.sampled_from([30, 30, 30, 100, 700]), lag=st.integers(0, 2), length=st.integers(0, 4))
    def tick(self, seconds: int, lag: int, length: int) -> None:
        self.pipeline.advance(seconds)
        state, candidates = read_state(self.cursor), self.pipeline.list_candidates()
        decision = decide(state, candidates, self.pipeline.clock, _TIGHT)
        self.cursor = decision.state.to_cursor()
        assert read_state(self.cursor) == decision.state
        assert decision.state.attempts.keys() <= {one.key for one in candidates}
        self._hold_against_the_world(state, {one.key: one for one in candidates}, decision)
        for key in decision.requests:
            self.pipeline.start(key, lag, length)
        assert sum(one.run is not None and one.run.is_ours for one in self.pipeline.partitions.values()) <= 3

    @rule(n=st.integers(5, 40))
    def tick_on(self, n: int) -> None:
        for _ in range(n):
            self.tick(60, 0, 1)

    def _hold_against_the_world(
        self, before: HealingState, candidates: dict[str, Candidate], decision: Decision
    ) -> None:
        for key, moment in self.pipeline.ended_badly:
            self.ended[key] = moment
            self.n_failures += 1
        self.pipeline.ended_badly.clear()
        if any(one.requested_at is not None and key not in candidates for key, one in before.attempts.items()):
            self.n_failures = 0
        for counted in list(self.n_requests):
            if counted[0] not in candidates:
                del self.n_requests[counted]
        self._check_alerts(candidates, decision)
        self._check_requests(candidates, decision)
        self._check_breaker(decision)

    def _check_requests(self, candidates: dict[str, Candidate], decision: Decision) -> None:
        order = list(candidates)
        assert list(decision.requests) == sorted(set(decision.requests), key=order.index)
        assert len(decision.requests) <= _TIGHT.max_requests_a_tick
        for key in decision.requests:
            assert candidates[key].status != Status.IN_PROGRESS
            assert candidates[key].permanent_reason is None
            counted = (key, self.pipeline.partitions[key].version)
            if key in self.ended and self.n_requests[counted]:
                full = min(60 * 2 ** (self.n_requests[counted] - 1), 150)
                assert (self.pipeline.clock - self.ended[key]).total_seconds() >= 0.8 * full
            self.n_requests[counted] += 1
            assert self.n_requests[counted] <= _TIGHT.max_attempts

    def _check_breaker(self, decision: Decision) -> None:
        clock = self.pipeline.clock
        if BREAKER_ALERT in {alert.key for alert in decision.opened}:
            assert self.n_failures >= _TIGHT.failures_to_open
            assert decision.requests == ()
            self.n_probes, self.probe_not_before = 0, clock + timedelta(seconds=600)
        if BREAKER_ALERT not in self.alerts or not decision.requests:
            return
        assert len(decision.requests) == 1
        if self.probe_not_before is not None:
            assert clock >= self.probe_not_before
        self.n_probes += 1
        self.probe_not_before = clock + timedelta(seconds=min(600 * 2**self.n_probes, 2000))

    def _check_alerts(self, candidates: dict[str, Candidate], decision: Decision) -> None:
        for alert in decision.opened:
            assert alert.key not in self.alerts
            self.alerts.add(alert.key)
            if alert.key.startswith(KEY_ALERT_PREFIX):
                key = alert.key.removeprefix(KEY_ALERT_PREFIX)
                n_requests = self.n_requests[key, self.pipeline.partitions[key].version]
                assert candidates[key].permanent_reason is not None or n_requests == _TIGHT.max_attempts
        for resolved in decision.resolved:
            self.alerts.remove(resolved)
        own = {alert.removeprefix(KEY_ALERT_PREFIX) for alert in self.alerts if alert.startswith(KEY_ALERT_PREFIX)}
        assert own <= candidates.keys()
        assert len(own) <= 10
        stuck = {key for key, one in candidates.items() if one.permanent_reason and one.status != Status.IN_PROGRESS}
        grace = {key for key, one in decision.state.attempts.items() if one.phase != "settled"}
        assert stuck - grace <= own or SUMMARY_ALERT in self.alerts

    def teardown(self) -> None:
        """When all causes have passed, everything heals but what only a person can mend; then nothing is left."""
        self.pipeline.is_down = False
        for one in self.pipeline.partitions.values():
            one.cause = None
        for _ in range(60):
            self.tick(700, 0, 0)
        for candidate in self.pipeline.list_candidates():
            n_requests = self.n_requests[candidate.key, self.pipeline.partitions[candidate.key].version]
            assert candidate.permanent_reason is not None or n_requests == _TIGHT.max_attempts
            assert {KEY_ALERT_PREFIX + candidate.key, SUMMARY_ALERT} & self.alerts
        for partition in self.pipeline.partitions.values():
            partition.is_well = True
        self.tick(30, 0, 0)
        assert self.alerts == set()
        assert json.loads(self.cursor or "").keys() <= {"ticked_at", "circuit"}
        assert read_state(self.cursor).circuit.opened_at is None


TestUnattendedPipeline = UnattendedPipeline.TestCase
TestUnattendedPipeline.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
