"""The answer to drift: a model is asked for when it can help, once, and for no other reason than lasting drift."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core.drift import DriftParams, Response, Verdicts, decide_response

LAW = settings(deadline=None)
DAY = timedelta(days=1)
START = date(2026, 3, 1)
WEEKS = [START + number * 7 * DAY for number in range(20)]
SINCE = START + 30 * DAY
PARAMS = DriftParams()
TRAINED = [START, START + 28 * DAY]
DRIFTED: Verdicts = {"amount_cents": True, "is_night": False}
CALM: Verdicts = {"amount_cents": False, "is_night": False}
NO_EVIDENCE: Verdicts = {}


def live(n_days: int, since: date = SINCE, **special: Verdicts) -> dict[date, Verdicts]:
    """The tables of the first ``n_days``; some days, by number, are special."""
    days = [START + number * DAY for number in range(n_days)]
    table = {day: DRIFTED if day >= since else CALM for day in days}
    return table | {START + int(number.removeprefix("on_")) * DAY: verdicts for number, verdicts in special.items()}


def decide(
    verdicts: Mapping[date, Verdicts],
    trained: list[date] = TRAINED,
    requested: date | None = None,
    every_weeks: int = 4,
    params: DriftParams = PARAMS,
) -> Response:
    return decide_response(verdicts, WEEKS, trained, requested, every_weeks, params)


def find_requests(last: int, trains: bool = True) -> dict[date, date]:
    """Day by day, as the sensor does it: which weeks were asked for, by the day on which that was."""
    found: dict[date, date] = {}
    requested, trained = None, list(TRAINED)
    for number in range(1, last):
        day = START + (number - 1) * DAY
        known = [week for week in trained if week <= day]
        week = decide(live(number), known, requested).week
        if week:
            found[day], requested = week, week
            trained += [week] if trains else []
    return found


def test_nothing_is_asked_for_while_nothing_is_drifted() -> None:
    response = decide(live(30))
    assert (response.week, response.since, response.subjects, response.is_over) == (None, None, (), True)


def test_drift_is_answered_when_enough_of_its_days_have_labels() -> None:
    helpful = SINCE + (LABEL_DELAY_DAYS + PARAMS.min_drifted_days) * DAY
    first = min(week for week in WEEKS if week >= helpful)
    days = (first - START).days
    before, then = decide(live(days - 1)), decide(live(days))
    assert before.week is None
    assert f"from the as-of day {helpful} on" in before.reason
    assert then.week == first
    assert (then.subjects, then.since) == (("amount_cents",), SINCE)


@pytest.mark.parametrize("trains", [True, False])
def test_it_is_asked_for_once_and_again_only_after_the_cool_down(trains: bool) -> None:
    asked = list(find_requests(80, trains).values())
    assert asked[0] == START + 49 * DAY
    assert len(asked) > 1
    assert {later - one for one, later in pairwise(asked)} == {14 * DAY}


def test_a_model_that_was_just_trained_on_schedule_is_not_followed_by_another() -> None:
    response = decide(live(49), [*TRAINED, START + 42 * DAY])
    assert response.week is None
    assert "14 days lie between" in response.reason


def test_a_model_that_is_there_is_not_asked_for() -> None:
    response = decide(live(49), [*TRAINED, START + 49 * DAY])
    assert response.week is None
    assert f"waits for the week of {START + 56 * DAY}" in response.reason


def test_where_every_week_has_its_model_there_is_nothing_to_ask_for() -> None:
    response = decide(live(60), every_weeks=1)
    assert response.week is None
    assert "the model of every week is trained anyway" in response.reason
    assert response.since == SINCE


@pytest.mark.parametrize("n_days", range(1, 6))
def test_drift_counts_when_it_lasts(n_days: int) -> None:
    subjects = decide(live(30 + n_days)).subjects
    assert subjects == (("amount_cents",) if n_days >= PARAMS.persistent_days else ())


def test_drift_of_one_feature_after_another_is_not_drift_that_lasts() -> None:
    other: Verdicts = {"amount_cents": False, "is_night": True}
    response = decide(live(33, on_31=other))
    assert (response.subjects, response.is_over) == ((), False)


def test_a_day_without_evidence_is_neither_drift_nor_its_end() -> None:
    response = decide(live(60, on_59=NO_EVIDENCE))
    assert (response.subjects, response.is_over, response.week) == ((), False, None)
    assert decide(live(60, on_40=NO_EVIDENCE)).since == SINCE


def test_a_day_on_which_it_is_not_drifted_begins_it_anew() -> None:
    assert decide(live(60, on_40=CALM)).since == START + 41 * DAY


def test_drift_is_over_when_there_is_evidence() -> None:
    assert decide(live(60, on_59=CALM)).is_over
    assert not decide({}).is_over


def test_before_the_first_week_there_is_nothing_to_train_for() -> None:
    early = {START - number * DAY: DRIFTED for number in range(3, 30)}
    response = decide(early, [])
    assert response.week is None
    assert "no week has begun" in response.reason


def test_a_week_that_was_asked_for_and_has_not_begun_is_none() -> None:
    assert decide(live(49), requested=date(2099, 1, 1)).week == START + 49 * DAY


@LAW
@given(st.lists(st.sampled_from([DRIFTED, CALM, NO_EVIDENCE]), max_size=70), st.integers(0, 14), st.booleans())
def test_a_week_that_is_asked_for_has_begun_has_no_model_and_comes_after_the_cool_down(
    tables: list[Verdicts], cool_down: int, is_requested: bool
) -> None:
    params = replace(PARAMS, cool_down_days=cool_down)
    verdicts = {START + number * DAY: table for number, table in enumerate(tables)}
    requested = START + 35 * DAY if is_requested else None
    response = decide(verdicts, requested=requested, params=params)
    assert response.reason
    if response.week is not None:
        assert response.since is not None
        assert response.week in WEEKS
        assert response.week <= max(verdicts) + DAY
        earlier = [*TRAINED, *([requested] if requested else [])]
        assert all(response.week != week for week in earlier)
        assert all(response.week - week >= cool_down * DAY for week in earlier if week < response.week)
        assert response.week >= response.since + (LABEL_DELAY_DAYS + params.min_drifted_days) * DAY
