"""Retraining: which weeks get a model without anybody asking, and for which one it may be asked.

Every week of the calendar can have a model. Due are only some, because a challenger needs about three weeks of payments
with mature labels before it can be judged: the next one would come before anything is known of the last.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

_STRICT: Final = ConfigDict(extra="forbid")
_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)


@validated(frozen=True, config=_STRICT)
class RetrainingParams:
    """How often a model is trained on schedule; on drift or on demand it is trained between.

    Attributes:
        every_weeks: From one model to the next; 1 for one every week. At most a quarter of a year: the fraud of half a
            year ago is another one, and champion and backup are both to be younger.
    """

    every_weeks: int = Field(default=4, ge=1, le=13)


def is_due(week: date, first_week: date, params: RetrainingParams) -> bool:
    """Whether a week gets a model on schedule.

    Args:
        week: The first day of a week of the calendar.
        first_week: The first day of the calendar's first week, which is due.
        params: See there.
    """
    return week >= first_week and (week - first_week) % (params.every_weeks * _WEEK) == timedelta()


def list_due_weeks(weeks: Sequence[date], params: RetrainingParams) -> list[date]:
    """Those of ``weeks``, all of a calendar from its first one on and in order, that get a model on schedule."""
    return [week for week in weeks if is_due(week, weeks[0], params)]


def choose_week(weeks: Sequence[date], newest_landed: date | None, today: date, wanted: date | None = None) -> date:
    """The week that a model is trained for on demand.

    It is the newest one that has begun, by the clock and by what has landed: a week begins with what is known by the
    end of the day before. A training set beyond that would lack days that are still to come.

    Args:
        weeks: All of the calendar, in order.
        newest_landed: The newest day on which payments landed, if any.
        today: By the clock, UTC.
        wanted: The week that is asked for by name, if one is.

    Raises:
        ValueError: No week has begun, or ``wanted`` is none of those that have.
    """
    if newest_landed is None:
        raise ValueError("no payments have landed, so that there is nothing to train on; see: pipeline-assets simulate")
    begun = [week for week in weeks if week <= min(today, newest_landed + _DAY)]
    if not begun:
        first = f"the first one begins on {weeks[0]}" if weeks else "there is none up to now"
        raise ValueError(
            f"no week that can have a model has begun: {first}, payments have landed up to {newest_landed}; wait for "
            "more history, or lower first_model_after_days"
        )
    if wanted is None:
        return begun[-1]
    if wanted not in begun:
        near = max((week for week in begun if week <= wanted), default=begun[0])
        raise ValueError(
            f"expected the first day of a week that has begun, from {begun[0]} to {begun[-1]}, found {wanted}; the "
            f"nearest one is {near}"
        )
    return wanted
