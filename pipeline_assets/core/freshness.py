"""Freshness: whether what the business days owe is there in time, and whether the clock that says so can be trusted.

A partition is late by its own day, not by when its table was last written: making old days again makes nothing fresh.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.checks import Finding, Level

_STRICT: Final = ConfigDict(extra="forbid")
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)  # that much a clock is set back when it is corrected
_MAX_NAMED: Final = 5  # partitions that an explanation names; the facts count all


@validated(frozen=True, config=_STRICT)
class FreshnessParams:
    """When a partition is due, how long it is watched, and when the clock is doubted.

    Attributes:
        daily_deadline_hours: After the end of the day; the daily schedule runs five hours after it.
        weekly_deadline_hours: After the beginning of the as-of day; the weekly schedule runs six hours after it.
        max_clock_gap_days: How far the clock may be beyond the newest day that has landed or was scored.
        watched_days: How long after its deadline a partition is asked for.
    """

    daily_deadline_hours: float = Field(default=7.0, ge=0, le=24 * 7)
    weekly_deadline_hours: float = Field(default=9.0, ge=0, le=24 * 7)
    max_clock_gap_days: int = Field(default=31, ge=1, le=3650)
    watched_days: int = Field(default=31, ge=1, le=3650)


@dataclass(frozen=True)
class Freshness:
    """What an asset owed at a moment, and what of it was not there.

    Attributes:
        asset: Name of the asset.
        watched_days: How far back was looked.
        n_due: Partitions whose deadline passed within that time.
        latest_due: The latest of them, if any.
        late: Those that are absent and not in progress although their input is there, in order.
        input_missing: Those that are absent and not in progress and whose input is not there either, in order.
        n_in_progress: Those that are absent and in progress.
        hours_late: Since the deadline of the oldest of ``late`` and ``input_missing``; 0 where there is none.
    """

    asset: str
    watched_days: int
    n_due: int
    latest_due: date | None
    late: tuple[date, ...]
    input_missing: tuple[date, ...]
    n_in_progress: int
    hours_late: float

    @property
    def is_fresh(self) -> bool:
        """Whether every partition that is due is there or in progress."""
        return not self.late and not self.input_missing

    def to_finding(self) -> Finding:
        """The same as a check's answer; a warning, as the last good data goes on to be used."""
        return Finding(
            passed=self.is_fresh,
            level=Level.WARN,
            explanation=_explain(self),
            facts={
                "due_partitions": self.n_due,
                "late_partitions": len(self.late),
                "partitions_without_input": len(self.input_missing),
                "partitions_in_progress": self.n_in_progress,
                "hours_late": round(self.hours_late, 2),
            },
        )


def find_deadline(partition: date, cadence: Cadence, params: FreshnessParams) -> datetime:
    """The moment, UTC, from which on a partition is late; a later partition never has an earlier one."""
    if cadence == Cadence.DAILY:
        return _begin(partition) + _DAY + timedelta(hours=params.daily_deadline_hours)
    return _begin(partition) + timedelta(hours=params.weekly_deadline_hours)


def judge_freshness(
    asset: str,
    cadence: Cadence,
    partitions: Sequence[date],
    present: Collection[date],
    in_progress: Collection[date],
    has_input: Callable[[date], bool],
    now: datetime,
    params: FreshnessParams,
) -> Freshness:
    """What an asset owes, of the partitions whose deadline was within the ``watched_days`` up to ``now``.

    A history that ended before them owes nothing: a replay of old days is never late, and neither is its backfill.

    Args:
        asset: Its name.
        cadence: Of its partitions.
        partitions: All of its calendar, in any order.
        present: Those that were materialized, ever.
        in_progress: Those that a run is making.
        has_input: Whether what a partition is made from is there; asked only where the partition is due and absent.
        now: With time zone.
        params: See there.
    """
    begin = now - timedelta(days=params.watched_days)
    due = sorted({day for day in partitions if begin <= find_deadline(day, cadence, params) <= now})
    absent = set(due) - set(present)
    owed = sorted(absent - set(in_progress))
    late = tuple(day for day in owed if has_input(day))
    return Freshness(
        asset=asset,
        watched_days=params.watched_days,
        n_due=len(due),
        latest_due=due[-1] if due else None,
        late=late,
        input_missing=tuple(day for day in owed if day not in late),
        n_in_progress=len(absent) - len(owed),
        hours_late=(now - find_deadline(owed[0], cadence, params)) / _HOUR if owed else 0.0,
    )


def find_clock_doubt(
    now: datetime,
    newest_evidence: date | None,
    previous_tick: datetime | None,
    params: FreshnessParams,
    history_end: date | None = None,
) -> str | None:
    """Why the clock is not to be trusted; None where nothing speaks against it.

    Args:
        now: What the clock says, with time zone.
        newest_evidence: The newest day that has landed or was scored, if any.
        previous_tick: What the clock said the last time, if it did.
        params: See there.
        history_end: The last day of the calendar, if it has one. Once that is over, no newer evidence can come, and its
            age says nothing of the clock.
    """
    if previous_tick is not None and previous_tick - now > _CLOCK_TOLERANCE:
        return (
            f"the clock was set back: expected a time not before {_show(previous_tick)}, when it was read last, found "
            f"{_show(now)}; correct the clock of this machine"
        )
    if newest_evidence is None:
        return None
    if _begin(newest_evidence) - now > _DAY:
        return (
            f"the clock is behind the data: expected the newest day at most a day ahead of {_show(now)}, found "
            f"{newest_evidence}; correct the clock of this machine, or take that day out of the landing zone"
        )
    is_over = history_end is not None and now >= _begin(history_end) + _DAY
    gap = now - (_begin(newest_evidence) + _DAY)
    if not is_over and gap > timedelta(days=params.max_clock_gap_days):
        return (
            f"the clock is far ahead of the data: expected {_show(now)} to be at most {params.max_clock_gap_days} days "
            f"after the newest day, found {newest_evidence}, {gap / _DAY:.0f} days before; correct the clock of this "
            "machine; if it is right, let the missing days land, or set history_end where no more will come"
        )
    return None


def _explain(one: Freshness) -> str:
    watched = f"due in the last {one.watched_days} days"
    if one.latest_due is None:
        return f"{one.asset}: no partition was {watched}"
    expected = f"{one.asset}: expected each of {one.n_due} partitions {watched} to be there or in progress"
    if one.is_fresh:
        return f"{expected}, found them so, up to {one.latest_due}; {one.n_in_progress} in progress"
    found, steps = [], []
    if one.late:
        found.append(f"{len(one.late)} late ({_name(one.late)})")
        steps.append("materialize the late ones and see why their latest runs failed or were not made")
    if one.input_missing:
        found.append(f"{len(one.input_missing)} without input ({_name(one.input_missing)})")
        steps.append("ask the source for the input that has not landed, or see what is wrong upstream")
    return f"{expected}, found {' and '.join(found)}, the oldest by {one.hours_late:.1f} h; {'; '.join(steps)}"


def _name(days: Sequence[date]) -> str:
    named = ", ".join(day.isoformat() for day in days[:_MAX_NAMED])
    return f"{named} and {len(days) - _MAX_NAMED} more" if len(days) > _MAX_NAMED else named


def _show(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _begin(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
