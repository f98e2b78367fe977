"""The breaker, rule by rule: waits, grace, alerts, cursor and clock."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.core.healing.breaker import (
    BREAKER_ALERT,
    SUMMARY_ALERT,
    Candidate,
    HealingParams,
    Status,
    decide,
)
from pipeline_assets.core.healing.memory import HealingState, read_state

START = datetime(2026, 3, 1, 5, tzinfo=UTC)
TICK = timedelta(seconds=30)
DAY_OF_TICKS = 2880
PARAMS = HealingParams()


def failing(key: str = "a", fingerprint: str = "v0", reason: str | None = None) -> Candidate:
    return Candidate(key, Status.FAILING, fingerprint, reason)


def started() -> HealingState:
    """A state that has seen a tick, with nothing wrong."""
    return decide(HealingState(), [], START - TICK, PARAMS).state


def test_the_waits_double_up_to_the_longest() -> None:
    params = HealingParams(max_attempts=6, failures_to_open=100, first_delay_seconds=100, max_delay_seconds=500)
    state, clock, asked = started(), START, []
    for _ in range(2000):
        decision = decide(state, [failing()], clock, params)
        state = decision.state
        if decision.requests:
            asked.append(clock)
            clock += timedelta(seconds=1)
            state = decide(state, [Candidate("a", Status.IN_PROGRESS, "v0")], clock, params).state
        clock += timedelta(seconds=1)
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(asked)]
    assert len(gaps) == 5
    for gap, full in zip(gaps, (100, 200, 400, 500, 500), strict=True):
        assert 0.8 * full <= gap <= full + 3


def test_partitions_that_failed_together_are_not_tried_again_together() -> None:
    params = HealingParams(failures_to_open=100, max_requests_a_tick=20, first_delay_seconds=1000)
    state, clock, ticks = started(), START, Counter[datetime]()
    for _ in range(100):
        decision = decide(state, [failing(f"k{number}") for number in range(20)], clock, params)
        state, ticks[clock] = decision.state, len(decision.requests)
        clock += timedelta(seconds=15)
    assert ticks[START] == 20
    assert max(n for moment, n in ticks.items() if moment > START) < 8


def test_a_fingerprint_that_never_stays_the_same_is_tried_no_faster_than_the_first_wait_allows() -> None:
    params = HealingParams(failures_to_open=10_000)
    state, n_requests = started(), 0
    for number in range(DAY_OF_TICKS):
        decision = decide(state, [failing(fingerprint=str(number))], START + number * TICK, params)
        state, n_requests = decision.state, n_requests + len(decision.requests)
    assert n_requests <= DAY_OF_TICKS / 5  # 90 s to see that it failed, and the wait of a minute


def test_a_run_that_is_not_seen_at_once_is_not_asked_for_twice() -> None:
    params = HealingParams(first_delay_seconds=0)
    state, asked = started(), []
    for seconds in (0, 30, 60, 90, 700, 730, 760):
        decision = decide(state, [failing()], START + timedelta(seconds=seconds), params)
        state = decision.state
        asked.append(len(decision.requests))
    assert asked == [1, 0, 0, 1, 0, 0, 1]  # until 90 s and two ticks have passed, the run may still come


def test_a_reason_that_becomes_known_at_the_next_tick_is_told_at_that_tick() -> None:
    asked = decide(started(), [failing()], START, PARAMS)
    told = decide(asked.state, [failing(reason="bad data")], START + TICK, PARAMS)
    assert [alert.key for alert in told.opened] == ["healing/partition/a"]
    assert told.state.circuit.n_failures == 1


@pytest.mark.parametrize("n", [4, 5])
def test_the_breaker_opens_at_the_stated_number_of_failures_and_not_before(n: int) -> None:
    candidates = [failing(f"k{number}") for number in range(n)]
    asked = decide(started(), candidates, START, PARAMS)
    assert len(asked.requests) == n
    running = decide(asked.state, [replace(one, status=Status.IN_PROGRESS) for one in candidates], START + TICK, PARAMS)
    failed = decide(running.state, candidates, START + 2 * TICK, PARAMS)
    assert [alert.key for alert in failed.opened] == ([BREAKER_ALERT] if n == 5 else [])


def test_what_fails_beside_the_probe_does_not_lengthen_the_cool_down() -> None:
    params = HealingParams(failures_to_open=1)
    asked = decide(started(), [failing("a"), failing("b")], START, params)
    b_runs = Candidate("b", Status.IN_PROGRESS, "v0")
    running = decide(asked.state, [replace(b_runs, key="a"), b_runs], START + TICK, params)
    opened = decide(running.state, [failing("a"), b_runs], START + 2 * TICK, params)
    after = decide(opened.state, [failing("a"), failing("b")], START + 3 * TICK, params)
    assert after.state.circuit == opened.state.circuit
    assert after.state.circuit.cool_down_seconds == params.cool_down_seconds


def test_a_failed_attempt_is_counted_once_however_long_the_partition_stays_failing() -> None:
    params = HealingParams(max_attempts=1)
    state = started()
    for number in range(50):
        state = decide(state, [failing()], START + number * TICK, params).state
    assert state.circuit.n_failures == 1


def test_the_oldest_partitions_come_first_and_no_more_than_a_tick_allows() -> None:
    keys = [f"k{number}" for number in (5, 3, 9, 1, 7, 0, 2, 8)]
    decision = decide(started(), [failing(key) for key in keys], START, HealingParams(max_requests_a_tick=3))
    assert decision.requests == ("k5", "k3", "k9")


def test_many_partitions_that_used_up_their_attempts_give_one_alert_too() -> None:
    params = HealingParams(max_attempts=1, failures_to_open=1000, max_requests_a_tick=12)
    state, opened = started(), []
    for number in range(10):
        decision = decide(state, [failing(f"k{key}") for key in range(12)], START + number * TICK, params)
        state = decision.state
        opened += [alert.key for alert in decision.opened]
    assert opened == [SUMMARY_ALERT]


def test_nothing_is_remembered_of_what_was_not_tried() -> None:
    candidates = [Candidate(f"k{number}", Status.IN_PROGRESS, "v0") for number in range(300)]
    assert decide(started(), candidates, START, PARAMS).state.attempts == {}


@pytest.mark.parametrize("n", [10, 11, 300])
def test_many_permanent_failures_give_one_alert_not_a_storm(n: int) -> None:
    candidates = [failing(f"k{number}", reason="bad data") for number in range(n)]
    decision = decide(started(), candidates, START, PARAMS)
    opened = [alert.key for alert in decision.opened]
    assert opened == ([SUMMARY_ALERT] if n > 10 else [f"healing/partition/k{number}" for number in range(n)])
    later = decide(decision.state, candidates, START + TICK, PARAMS)
    assert (later.opened, later.resolved) == ((), ())


def test_alerts_that_stand_stay_when_many_more_come_and_the_summary_ends_with_the_many() -> None:
    candidates = [failing(f"k{number:02d}", reason="bad data") for number in range(15)]
    few = decide(started(), candidates[:8], START, PARAMS)
    many = decide(few.state, candidates, START + TICK, PARAMS)
    assert ([alert.key for alert in many.opened], many.resolved) == ([SUMMARY_ALERT], ())
    assert "15 partitions" in many.opened[0].what
    fewer = decide(many.state, candidates[6:], START + 2 * TICK, PARAMS)
    assert [alert.key for alert in fewer.opened] == [f"healing/partition/k{number:02d}" for number in range(8, 15)]
    assert fewer.resolved == (*(f"healing/partition/k{number:02d}" for number in range(6)), SUMMARY_ALERT)
    none = decide(fewer.state, [], START + 3 * TICK, PARAMS)
    assert len(none.resolved) == 9
    assert none.state.attempts == {}


# ---- Cursor and clock ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "",
        "2026-03-01",
        "{",
        "[]",
        '{"tried": {}}',
        '{"ticked_at": "2026-03-01T05:00:00"}',
        '{"attempts": {"a": {"fingerprint": "v0", "n_requests": -1}}}',
        '{"ticked_at": "2026-03-01T05:00:00Z", "circuit": {"cool_down_seconds": Infinity}}',
    ],
)
def test_a_cursor_that_cannot_be_read_starts_anew_and_the_first_tick_only_looks(cursor: str | None) -> None:
    state = read_state(cursor)
    assert state == HealingState()
    first = decide(state, [failing(), failing("b", reason="bad data")], START, PARAMS)
    assert first.requests == ()
    assert [alert.key for alert in first.opened] == ["healing/partition/b"]
    assert decide(first.state, [failing()], START + TICK, PARAMS).requests == ("a",)


def test_a_cursor_that_is_lost_at_every_tick_is_no_loop() -> None:
    for number in range(100):
        assert decide(read_state("lost"), [failing()], START + number * TICK, PARAMS).requests == ()


def test_a_clock_set_back_before_the_run_was_seen_does_not_make_its_grace_endless() -> None:
    decision = decide(started(), [failing()], START, PARAMS)
    n_requests = 0
    for number in range(10):
        decision = decide(decision.state, [failing()], START - timedelta(days=3650) + number * TICK, PARAMS)
        n_requests += len(decision.requests)
    assert n_requests == 1


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"max_delay_seconds": float("inf")}, {"retries": 3}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        HealingParams(**wrong)  # type: ignore[arg-type]


@given(
    statuses=st.lists(st.lists(st.sampled_from([None, *Status]), min_size=4, max_size=4), max_size=60),
    seconds=st.lists(st.integers(-(10**9), 10**9), min_size=60, max_size=60),
)
@settings(deadline=None)
def test_any_sequence_of_statuses_and_clocks_costs_at_most_the_attempts_between_two_successes(
    statuses: list[list[Status | None]], seconds: list[int]
) -> None:
    state, n_requests = HealingState(), Counter[str]()
    for row, second in zip(statuses, seconds, strict=False):
        candidates = [Candidate(f"k{place}", one, "v0") for place, one in enumerate(row) if one is not None]
        decision = decide(state, candidates, START + timedelta(seconds=second), PARAMS)
        n_requests = Counter({one.key: n_requests[one.key] for one in candidates})
        n_requests.update(decision.requests)
        assert max(n_requests.values(), default=0) <= PARAMS.max_attempts
        state = read_state(decision.state.to_cursor())
