"""What is done about drift: training anew, once it can help, and not too often."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core.drift.measure import Verdicts
from pipeline_assets.core.drift.params import DriftParams

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Response:
    """What is to be done about drift.

    Attributes:
        subjects: What is drifted for long enough, in order.
        since: The first day of it.
        is_over: Whether there is evidence that nothing is.
        week: The as-of day to train for now, if any.
        reason: Why, or why not, for a person.
    """

    subjects: tuple[str, ...]
    since: date | None
    is_over: bool
    week: date | None
    reason: str


def decide_response(
    verdicts: Mapping[date, Verdicts],
    weeks: Collection[date],
    trained: Collection[date],
    requested: date | None,
    every_weeks: int,
    params: DriftParams,
) -> Response:
    """Whether to train anew because of drift.

    A training helps when its set holds ``min_drifted_days`` days since the drift began, and those are the days whose
    labels are mature by its as-of day: before, it would learn what it knows.

    Args:
        verdicts: Of the latest days, those that there are.
        weeks: The as-of days that the calendar has.
        trained: Those of which there is a model.
        requested: The as-of day that was asked for last, if any.
        every_weeks: How many weeks apart models are trained anyway.
        params: See there.
    """
    days = sorted(verdicts)
    subjects = _find_persistent([verdicts[day] for day in days], params.persistent_days)
    if not subjects:
        # No evidence is no all-clear.
        is_over = bool(days) and bool(verdicts[days[-1]]) and not any(verdicts[days[-1]].values())
        return Response((), None, is_over, None, _explain_calm(days, params))
    since = min(_find_beginning(verdicts, days, subject) for subject in subjects)
    week, reason = _choose_week(days[-1], since, weeks, trained, requested, every_weeks, params)
    return Response(subjects, since, False, week, f"{', '.join(subjects)} drifted since {since}: {reason}")


def _choose_week(
    latest: date,
    since: date,
    weeks: Collection[date],
    trained: Collection[date],
    requested: date | None,
    every_weeks: int,
    params: DriftParams,
) -> tuple[date | None, str]:
    """The as-of day to train for, or None, and why."""
    if every_weeks == 1:
        return None, "the model of every week is trained anyway, so there is nothing to ask for"
    begun = [week for week in weeks if week <= latest + timedelta(days=1)]
    if not begun:
        return None, "no week has begun yet for which a model could be trained"
    week = max(begun)
    helpful = since + timedelta(days=LABEL_DELAY_DAYS + params.min_drifted_days)
    if week < helpful:
        return None, (
            f"from the as-of day {helpful} on, {params.min_drifted_days} days since then have mature labels; the week "
            f"of {week} has them not yet, so it waits"
        )
    last = max((one for one in (*trained, requested) if one is not None and one <= week), default=None)
    if last == week:
        return None, f"the model of {last} is there or asked for; it waits for the week of {week + _WEEK}"
    if last is not None and (week - last).days < params.cool_down_days:
        return None, f"{last} was trained or asked for, {params.cool_down_days} days lie between two trainings"
    return week, f"the model of {week} is asked for"


def _find_persistent(latest: Sequence[Verdicts], n_days: int) -> tuple[str, ...]:
    """The subjects that are drifted on each of the last ``n_days`` days that there are."""
    if len(latest) < n_days:
        return ()
    return tuple(subject for subject in sorted(latest[-1]) if all(day.get(subject, False) for day in latest[-n_days:]))


def _find_beginning(verdicts: Mapping[date, Verdicts], days: Sequence[date], subject: str) -> date:
    """The first day of the drift that goes on; days without evidence do not end it."""
    first = days[-1]
    for day in reversed(days):
        verdict = verdicts[day].get(subject)
        if verdict is False:
            break
        first = day if verdict else first
    return first


def _explain_calm(days: Sequence[date], params: DriftParams) -> str:
    if not days:
        return "no day has been compared with a reference yet"
    return f"nothing is drifted on {params.persistent_days} days in a row up to {days[-1]}"
