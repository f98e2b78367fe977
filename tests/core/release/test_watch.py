"""Between the daily decisions: at once what the next would say, never against a person, never by old evidence."""

import dataclasses
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.policy import decide_day
from pipeline_assets.core.release.situation import Candidate
from pipeline_assets.core.release.states import read_state
from pipeline_assets.core.release.watch import (
    AccuracyParams,
    fail_over_at_once,
    is_recent,
    look_at,
    measure_accuracy,
)
from tests.core.release.signals import (
    BROKEN,
    DAY,
    PARAMS,
    START,
    Kinds,
    begin,
    histories,
    make_entry,
    make_health,
    make_signals,
    measure,
    stay_well,
)

EVIDENCE = START + 20 * DAY
NOW = begin(EVIDENCE + DAY) + timedelta(hours=5)
USUAL = stay_well(START, 20, "a", "b")


def watch(kinds: Kinds, *entries: ReleaseEntry, now: datetime = NOW) -> ReleaseEntry | None:
    at = look_at(entries, EVIDENCE, now, make_health(kinds), [], PARAMS)
    return fail_over_at_once(entries, at, now)


def decide_by_hand(action: ReleaseAction, hours: float, **of: Any) -> ReleaseEntry:
    """A decision of a person so many hours after the evidence was complete."""
    moment = begin(EVIDENCE + DAY) + timedelta(hours=hours)
    of = {"champion": "a", "backup": "b", "sequence": 9, **of}
    return make_entry(moment.date(), action=action, effective_from=moment, decided_by=DecidedBy.PERSON, **of)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_champion_is_failed_over_from_now_on_and_no_second_time(kind: str) -> None:
    kinds, before = {**USUAL, EVIDENCE: {"a": kind, "b": "well"}}, make_entry(EVIDENCE, "a", "b")
    entry = watch(kinds, before)
    assert entry is not None
    assert (entry.action, entry.effective_from, entry.as_of) == (ReleaseAction.FAIL_OVER, NOW, EVIDENCE + DAY)
    assert (entry.failed_over_since, entry.decided_by) == (EVIDENCE + DAY, DecidedBy.PIPELINE)
    assert entry.reason
    assert entry.evidence["a"]["n_payments"] == 1000
    assert watch(kinds, before, dataclasses.replace(entry, sequence=1)) is None


@settings(max_examples=40, deadline=None)
@given(histories(("a", "b"), 21))
def test_it_is_what_the_daily_decision_says_when_it_comes_and_that_one_changes_nothing(kinds: Kinds) -> None:
    before = make_entry(START, "a", "b")
    at_once = watch(kinds, before)
    daily = decide_day([before], EVIDENCE + DAY, make_health(kinds), [], PARAMS)
    assert (at_once is not None) == (daily.action is ReleaseAction.FAIL_OVER)
    if at_once is None:
        return
    assert read_state(at_once) == read_state(daily)
    log = [before, dataclasses.replace(at_once, sequence=1)]
    late = decide_day(log, EVIDENCE + DAY, make_health(kinds), [], PARAMS)
    assert late == daily
    log.append(dataclasses.replace(late, sequence=2))
    assert find_entry_in_force(log, NOW) == log[1]
    following = decide_day(log, EVIDENCE + 2 * DAY, make_health(kinds), [], PARAMS)
    assert following.failed_over_since == EVIDENCE + DAY


def test_a_champion_that_is_well_or_unknown_or_none_stays() -> None:
    before = make_entry(EVIDENCE, "a", "b")
    for kind in ("well", "absent", "unavailable", "empty", "better"):
        assert watch({**USUAL, EVIDENCE: {"a": kind, "b": "well"}}, before) is None
    assert watch({**USUAL, EVIDENCE: {"a": "invalid", "b": "well"}}, make_entry(EVIDENCE, None)) is None
    assert watch({**USUAL, EVIDENCE: {"a": "invalid", "b": "well"}}) is None


def test_evidence_of_later_days_and_entries_of_later_times_are_not_known() -> None:
    kinds = {**USUAL, EVIDENCE: {"a": "well", "b": "well"}, EVIDENCE + DAY: {"a": "invalid", "b": "well"}}
    later = make_entry(EVIDENCE + 2 * DAY, "b", sequence=1)
    assert watch(kinds, make_entry(EVIDENCE, "a", "b"), later) is None
    broken = {**USUAL, EVIDENCE: {"a": "invalid", "b": "well"}}
    entry = watch(broken, make_entry(EVIDENCE, "a", "b"), later)
    assert entry is not None
    assert entry.champion == "a"


@pytest.mark.parametrize("kind", BROKEN)
def test_a_champion_that_a_person_confirmed_after_the_evidence_stays_until_there_is_newer_evidence(kind: str) -> None:
    kinds, before = {**USUAL, EVIDENCE: {"a": kind, "b": "well"}}, make_entry(EVIDENCE, "a", "b")
    confirmed = decide_by_hand(ReleaseAction.PROMOTE, 2)
    assert watch(kinds, before, confirmed) is None
    assert watch(kinds, before, confirmed, decide_by_hand(ReleaseAction.HOLD, 3, is_held=True, sequence=10)) is None
    earlier = decide_by_hand(ReleaseAction.PROMOTE, -2)
    assert watch(kinds, before, earlier) is not None
    tomorrow = NOW + timedelta(days=1)
    still = make_health({**kinds, EVIDENCE + DAY: {"a": kind, "b": "well"}})
    newer = look_at([before, confirmed], EVIDENCE + DAY, tomorrow, still, [], PARAMS)
    assert fail_over_at_once([before, confirmed], newer, tomorrow) is not None


@pytest.mark.parametrize(
    "by_hand",
    [
        decide_by_hand(ReleaseAction.HOLD, 2, is_held=True),
        decide_by_hand(ReleaseAction.ROLL_BACK, 2),
        decide_by_hand(ReleaseAction.PROMOTE, 7),
    ],
    ids=["a hold", "a rollback of a canary", "a promotion that is still to come"],
)
def test_what_else_a_person_decided_does_not_keep_a_broken_champion(by_hand: ReleaseEntry) -> None:
    kinds = {**USUAL, EVIDENCE: {"a": "invalid", "b": "well"}}
    entry = watch(kinds, make_entry(EVIDENCE, "a", "b"), by_hand)
    assert entry is not None
    assert entry.is_held == (by_hand.action is ReleaseAction.HOLD)


@given(st.integers(-3, 10), st.times())
def test_only_evidence_of_the_last_days_says_something_of_now(n_days: int, clock: time) -> None:
    now = begin(EVIDENCE + n_days * DAY) + timedelta(hours=clock.hour, minutes=clock.minute)
    assert is_recent(EVIDENCE, now) == (n_days <= 2)


# --- a champion that is weak


def measure_drop(kinds: Kinds, *candidates: Candidate, champion: str | None = "a", n_days: int = 14) -> float | None:
    at = look_at([make_entry(START, champion)], EVIDENCE, NOW, make_health(kinds), candidates, PARAMS)
    found = measure_accuracy(at, AccuracyParams(window_days=n_days))
    return None if found is None else found.drop


GOOD = Candidate(START, "a", {"candidate": measure(0.7)})


def test_the_accuracy_of_the_champion_is_measured_against_its_own_evaluation() -> None:
    days = {START + n * DAY: {"a": "worse" if n > 13 else "well"} for n in range(21)}
    assert measure_drop(days, GOOD) == pytest.approx(0.15)
    assert measure_drop(days, GOOD, n_days=7) == pytest.approx(0.3)
    assert measure_drop(days, Candidate(START, "b", {"candidate": measure(0.1)}), GOOD) == pytest.approx(0.15)


def test_days_with_more_frauds_count_for_more_and_days_with_few_frauds_in_all_for_nothing() -> None:
    def measure_days(*frauds: tuple[str, float]) -> float | None:
        days = {
            EVIDENCE - n * DAY: {"a": make_signals(kind, n_frauds=number)} for n, (kind, number) in enumerate(frauds)
        }
        at = look_at([make_entry(START, "a")], EVIDENCE, NOW, Health(days), [GOOD], PARAMS)
        found = measure_accuracy(at, AccuracyParams())
        return None if found is None else found.drop

    assert measure_days(("worse", 30.0), ("well", 10.0)) == pytest.approx(0.225)
    assert measure_days(("worse", 10.0), ("well", 10.0)) == pytest.approx(0.15)
    assert measure_days(("worse", 10.0), ("well", 9.0)) is None  # 20 are needed


@pytest.mark.parametrize(
    ("kinds", "candidates", "champion"),
    [
        ({}, [GOOD], "a"),
        ({EVIDENCE: {"a": "unavailable"}}, [GOOD], "a"),
        ({EVIDENCE: {"a": "empty"}}, [GOOD], "a"),
        (stay_well(START, 5, "a"), [GOOD], "a"),
        (stay_well(START, 21, "a"), [], "a"),
        (stay_well(START, 21, "a"), [Candidate(START, "a", {"rules": measure(0.7)})], "a"),
        (stay_well(START, 21, "a"), [Candidate(START, "a", {"candidate": {"n_rows": 1.0}})], "a"),
        (stay_well(START, 21, "a"), [GOOD], None),
    ],
)
def test_where_too_little_is_known_there_is_no_accuracy(
    kinds: Kinds, candidates: list[Candidate], champion: str | None
) -> None:
    assert measure_drop(kinds, *candidates, champion=champion) is None


@pytest.mark.parametrize("recovery", [0.2, 0.3])
def test_an_alert_is_over_only_where_it_is_better_than_where_it_began(recovery: float) -> None:
    with pytest.raises(ValidationError, match="alert_recovery: expected less than alert_drop"):
        AccuracyParams(alert_drop=0.2, alert_recovery=recovery)
