"""Freshness: lateness is a matter of business days, and a clock that contradicts the data is not believed."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.checks import Level
from pipeline_assets.core.freshness import (
    Freshness,
    FreshnessParams,
    find_clock_doubt,
    find_deadline,
    judge_freshness,
)

PARAMS = FreshnessParams()
FIRST = date(2026, 1, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(90)]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)  # 28 February is due, 1 March is not


def judge(
    present: Collection[date],
    in_progress: Collection[date] = (),
    without_input: Collection[date] = (),
    now: datetime = NOON,
    cadence: Cadence = Cadence.DAILY,
) -> Freshness:
    days = DAYS if cadence == Cadence.DAILY else DAYS[::7]
    return judge_freshness(
        "scores", cadence, days, present, in_progress, lambda day: day not in without_input, now, PARAMS
    )


def all_but(*absent: date) -> set[date]:
    return set(DAYS) - set(absent)


# ---- Deadlines -------------------------------------------------------------------------------------------------------


def test_a_day_is_due_seven_hours_after_its_end_and_a_week_nine_hours_after_its_beginning() -> None:
    assert find_deadline(date(2026, 2, 28), Cadence.DAILY, PARAMS) == datetime(2026, 3, 1, 7, tzinfo=UTC)
    assert find_deadline(date(2026, 3, 1), Cadence.WEEKLY, PARAMS) == datetime(2026, 3, 1, 9, tzinfo=UTC)


@given(st.dates(date(1970, 1, 1), date(2200, 1, 1)), st.integers(1, 10_000), st.sampled_from(Cadence))
def test_a_later_partition_has_a_later_deadline(day: date, n_days: int, cadence: Cadence) -> None:
    later = find_deadline(day + timedelta(days=n_days), cadence, PARAMS)
    assert later - find_deadline(day, cadence, PARAMS) == timedelta(days=n_days)


# ---- Lateness --------------------------------------------------------------------------------------------------------


def test_all_that_is_due_is_there() -> None:
    freshness = judge([day for day in DAYS if day < date(2026, 3, 1)])
    assert freshness.is_fresh
    assert freshness.latest_due == date(2026, 2, 28)
    assert (freshness.late, freshness.input_missing, freshness.hours_late) == ((), (), 0)
    finding = freshness.to_finding()
    assert (finding.passed, finding.level) == (True, Level.WARN)
    assert finding.facts["due_partitions"] == 31


def test_a_partition_is_late_from_its_deadline_on() -> None:
    yesterday, deadline = date(2026, 2, 28), datetime(2026, 3, 1, 7, tzinfo=UTC)
    assert judge(all_but(yesterday), now=deadline - timedelta(microseconds=1)).is_fresh
    assert judge(all_but(yesterday), now=deadline).late == (yesterday,)
    freshness = judge(all_but(yesterday), now=deadline + timedelta(hours=1, minutes=30))
    assert freshness.hours_late == 1.5
    assert freshness.to_finding().explanation == (
        "scores: expected each of 31 partitions due in the last 31 days to be there or in progress, found 1 late "
        "(2026-02-28), the oldest by 1.5 h; materialize the late ones and see why their latest runs failed or were not "
        "made"
    )


def test_a_week_is_late_on_its_first_day() -> None:
    as_of = DAYS[56]
    assert as_of == date(2026, 2, 26)
    present = set(DAYS[::7]) - {as_of}
    assert judge(present, now=datetime(2026, 2, 26, 8, 59, tzinfo=UTC), cadence=Cadence.WEEKLY).is_fresh
    assert judge(present, now=datetime(2026, 2, 26, 9, tzinfo=UTC), cadence=Cadence.WEEKLY).late == (as_of,)


def test_the_newest_day_does_not_hide_a_gap_before_it() -> None:
    gap = date(2026, 2, 10)
    freshness = judge(all_but(gap))
    assert freshness.late == (gap,)
    assert freshness.hours_late == pytest.approx((18 * 24) + 5)


def test_without_input_it_is_the_input_that_is_missing() -> None:
    first, second = date(2026, 2, 20), date(2026, 2, 28)
    freshness = judge(all_but(first, second), without_input=[first])
    assert (freshness.late, freshness.input_missing) == ((second,), (first,))
    finding = freshness.to_finding()
    assert not finding.passed
    assert "1 late (2026-02-28) and 1 without input (2026-02-20), the oldest by 197.0 h" in finding.explanation
    assert "ask the source" in finding.explanation
    assert finding.facts == {
        "due_partitions": 31,
        "late_partitions": 1,
        "partitions_without_input": 1,
        "partitions_in_progress": 0,
        "hours_late": 197.0,
    }


def test_the_input_is_asked_for_only_where_a_due_partition_is_absent() -> None:
    asked: list[date] = []

    def has_input(day: date) -> bool:
        asked.append(day)
        return True

    present, running = all_but(date(2026, 2, 27), date(2026, 2, 28)), [date(2026, 2, 27)]
    judge_freshness("scores", Cadence.DAILY, DAYS, present, running, has_input, NOON, PARAMS)
    assert asked == [date(2026, 2, 28)]


def test_an_explanation_names_a_few_partitions_and_counts_the_rest() -> None:
    explanation = judge([]).to_finding().explanation
    assert "31 late (2026-01-29, 2026-01-30, 2026-01-31, 2026-02-01, 2026-02-02 and 26 more)" in explanation


def test_a_history_that_ended_long_ago_is_never_late() -> None:
    freshness = judge([], now=datetime(2033, 1, 1, tzinfo=UTC))
    assert freshness.is_fresh
    assert freshness.latest_due is None
    assert freshness.to_finding().explanation == "scores: no partition was due in the last 31 days"


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="watched_days"):
        FreshnessParams(watched_days=0)


# ---- Laws ------------------------------------------------------------------------------------------------------------

some_days = st.sets(st.sampled_from(DAYS))
moments = st.datetimes(datetime(2025, 12, 1), datetime(2026, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001
cadences = st.sampled_from(Cadence)


def watched(now: datetime, cadence: Cadence) -> set[date]:
    days = DAYS if cadence == Cadence.DAILY else DAYS[::7]
    ages = {day: now - find_deadline(day, cadence, PARAMS) for day in days}
    return {day for day, age in ages.items() if timedelta() <= age <= timedelta(days=31)}


@given(some_days, some_days, some_days, moments, cadences)
def test_each_due_partition_is_there_or_in_progress_or_late_or_without_input(
    present: set[date], running: set[date], without_input: set[date], now: datetime, cadence: Cadence
) -> None:
    one = judge(present, running, without_input, now, cadence)
    owed = watched(now, cadence) - present - running
    assert one.late == tuple(sorted(owed - without_input))
    assert one.input_missing == tuple(sorted(owed & without_input))
    assert one.n_in_progress == len(watched(now, cadence) & running - present)
    assert one.is_fresh == one.to_finding().passed == (not owed)
    assert one.latest_due == max(watched(now, cadence), default=None)
    assert one.hours_late >= 0


@given(some_days, some_days, moments, st.data())
def test_making_old_partitions_again_changes_nothing(
    present: set[date], without_input: set[date], now: datetime, data: st.DataObject
) -> None:
    old = {day for day in DAYS if day < now.date()} - watched(now, Cadence.DAILY)
    again = data.draw(st.lists(st.sampled_from(sorted(present | old) or [FIRST - timedelta(days=1)])))
    before, after = judge(present, (), without_input, now), judge([*present, *again], (), without_input, now)
    assert after == before
    assert judge(present, again, without_input, now) == before  # nor while they are being made


@given(some_days, some_days, moments, st.timedeltas(timedelta(), timedelta(days=60)), cadences)
def test_what_is_late_stays_late_as_long_as_it_is_watched(
    present: set[date], without_input: set[date], now: datetime, wait: timedelta, cadence: Cadence
) -> None:
    before = judge(present, (), without_input, now, cadence)
    after = judge(present, (), without_input, now + wait, cadence)
    assert set(before.late) & watched(now + wait, cadence) <= set(after.late)
    assert set(before.input_missing) & watched(now + wait, cadence) <= set(after.input_missing)


@given(some_days, some_days, some_days, moments, cadences)
def test_a_backfill_in_progress_takes_its_own_partitions_off_the_list_and_no_others(
    present: set[date], running: set[date], without_input: set[date], now: datetime, cadence: Cadence
) -> None:
    idle = judge(present, (), without_input, now, cadence)
    busy = judge(present, running, without_input, now, cadence)
    assert busy.late == tuple(day for day in idle.late if day not in running)
    assert busy.input_missing == tuple(day for day in idle.input_missing if day not in running)


# ---- The clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "previous", "history_end", "doubt"),
    [
        (None, None, None, None),
        (date(2026, 2, 28), NOON - timedelta(seconds=30), None, None),
        (date(2026, 3, 2), None, None, None),  # begins in twelve hours
        (date(2026, 3, 3), None, None, "behind the data"),
        (date(2026, 3, 3), None, date(2026, 2, 1), "behind the data"),
        (date(2026, 1, 29), None, None, None),  # ended 30.5 days ago
        (date(2026, 1, 28), None, None, "far ahead of the data"),
        (date(2018, 4, 30), None, date(2018, 9, 30), None),  # a replay
        (date(2026, 1, 28), None, date(2026, 3, 1), "far ahead of the data"),  # the last day is not over
        (date(2026, 1, 28), None, date(2026, 2, 28), None),
        (date(2026, 2, 28), NOON + timedelta(minutes=5), None, None),
        (date(2026, 2, 28), NOON + timedelta(minutes=6), None, "set back"),
        (None, NOON + timedelta(days=1), date(2018, 9, 30), "set back"),
    ],
)
def test_the_clock_is_doubted_where_the_data_or_its_own_past_contradict_it(
    newest: date | None, previous: datetime | None, history_end: date | None, doubt: str | None
) -> None:
    found = find_clock_doubt(NOON, newest, previous, PARAMS, history_end)
    if doubt is None:
        assert found is None
    else:
        assert found is not None
        assert doubt in found
        assert "2026-03-01 12:00 UTC" in found
        assert "correct the clock" in found


@given(moments, st.floats(0, 31))
def test_a_clock_that_follows_its_evidence_is_not_doubted(now: datetime, days: float) -> None:
    evidence = (now - timedelta(days=days)).date()
    assert find_clock_doubt(now, evidence, now - timedelta(seconds=30), PARAMS) is None


@given(moments, st.integers(33, 10_000))
def test_a_clock_that_jumped_further_than_allowed_is_doubted_in_both_directions(now: datetime, days: int) -> None:
    assert find_clock_doubt(now + timedelta(days=days), now.date(), None, PARAMS) is not None
    assert find_clock_doubt(now - timedelta(days=days), now.date(), None, PARAMS) is not None
