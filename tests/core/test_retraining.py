"""Retraining: which weeks are due stays so whatever comes after, and a model on demand knows no day to come."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.core.retraining import RetrainingParams, choose_week, is_due, list_due_weeks

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
FIRST = date(2026, 2, 3)  # a Tuesday: weeks begin on any day
WEEKS = [FIRST + number * WEEK for number in range(60)]
EVERY = RetrainingParams(every_weeks=1)

lengths = st.integers(1, 13)


def due(every_weeks: int, weeks: list[date] = WEEKS) -> list[date]:
    return list_due_weeks(weeks, RetrainingParams(every_weeks=every_weeks))


def test_by_default_every_fourth_week_is_due_counted_from_the_first() -> None:
    assert list_due_weeks(WEEKS, RetrainingParams())[:3] == [FIRST, FIRST + 28 * DAY, FIRST + 56 * DAY]


def test_every_week_is_due_where_it_is_wanted() -> None:
    assert list_due_weeks(WEEKS, EVERY) == WEEKS


def test_a_calendar_without_weeks_owes_none() -> None:
    assert due(4, []) == []


@pytest.mark.parametrize("every_weeks", [0, -1, 14])
def test_a_distance_that_makes_no_sense_is_refused(every_weeks: int) -> None:
    with pytest.raises(ValidationError, match="every_weeks"):
        RetrainingParams(every_weeks=every_weeks)


@given(lengths)
def test_due_weeks_begin_with_the_first_and_lie_as_far_apart_as_stated(every_weeks: int) -> None:
    found = due(every_weeks)
    assert found[0] == FIRST
    assert {later - one for one, later in pairwise(found)} == {every_weeks * WEEK}
    assert WEEKS[-1] - found[-1] < every_weeks * WEEK


@given(lengths, st.integers(0, len(WEEKS)))
def test_weeks_to_come_never_change_which_weeks_were_due(every_weeks: int, n_weeks: int) -> None:
    assert due(every_weeks, WEEKS[:n_weeks]) == [week for week in due(every_weeks) if week in WEEKS[:n_weeks]]


@given(st.integers(1, 6), st.integers(1, 2))
def test_a_week_that_is_due_stays_so_when_models_are_to_come_more_often(every_weeks: int, factor: int) -> None:
    assert set(due(every_weeks * factor)) <= set(due(every_weeks))


@given(lengths, st.integers(-400, 400))
def test_no_day_but_the_first_of_a_week_is_due_and_none_before_the_first_week(every_weeks: int, n_days: int) -> None:
    day = FIRST + n_days * DAY
    assert is_due(day, FIRST, RetrainingParams(every_weeks=every_weeks)) == (day in due(every_weeks))


# ---- On demand -------------------------------------------------------------------------------------------------------


def test_on_demand_it_is_the_newest_week_that_has_begun_whether_it_is_due_or_not() -> None:
    today = WEEKS[5] + 3 * DAY
    assert choose_week(WEEKS, today - DAY, today) == WEEKS[5]
    assert choose_week(WEEKS, today - DAY, today, WEEKS[2]) == WEEKS[2]


@pytest.mark.parametrize(("landed", "week"), [(-2, 4), (-1, 5), (0, 5)])
def test_a_week_begins_when_the_day_before_it_has_landed(landed: int, week: int) -> None:
    assert choose_week(WEEKS, WEEKS[5] + landed * DAY, WEEKS[6]) == WEEKS[week]


def test_a_week_begins_by_the_clock_although_files_of_days_to_come_have_landed() -> None:
    assert choose_week(WEEKS, WEEKS[9], WEEKS[5] - DAY) == WEEKS[4]
    assert choose_week(WEEKS, WEEKS[9], WEEKS[5]) == WEEKS[5]


@pytest.mark.parametrize(
    ("wanted", "near"),
    [(WEEKS[6], WEEKS[5]), (WEEKS[4] + DAY, WEEKS[4]), (FIRST - DAY, FIRST), (WEEKS[5] + DAY, WEEKS[5])],
)
def test_a_day_that_begins_no_week_up_to_now_is_refused_and_the_nearest_one_named(wanted: date, near: date) -> None:
    with pytest.raises(ValueError, match=f"from {FIRST} to {WEEKS[5]}, found {wanted}; the nearest one is {near}"):
        choose_week(WEEKS, WEEKS[5], WEEKS[5], wanted)


def test_before_the_first_week_there_is_nothing_to_train_on() -> None:
    with pytest.raises(ValueError, match=f"the first one begins on {FIRST}, payments have landed up to 2026-02-01"):
        choose_week(WEEKS, FIRST - 2 * DAY, FIRST)
    with pytest.raises(ValueError, match="there is none up to now"):
        choose_week([], FIRST - 2 * DAY, FIRST)
    with pytest.raises(ValueError, match="no payments have landed"):
        choose_week(WEEKS, None, FIRST)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_training_set_on_demand_lacks_no_day_before_its_week(landed: int, today: int) -> None:
    newest, now = FIRST + landed * DAY, FIRST + today * DAY
    chosen = choose_week(WEEKS, newest, now)
    assert chosen - DAY <= newest
    assert chosen <= now
    later = chosen + WEEK
    assert later not in WEEKS or later > now or later - DAY > newest
