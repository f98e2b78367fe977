"""Which partitions there are, and which of them each asset reads: the calendar of the pipeline."""

from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from pipeline_assets.contracts.features import HISTORY_DAYS, MAX_LATENESS_DAYS

FEATURE_WINDOW_DAYS = HISTORY_DAYS + MAX_LATENESS_DAYS  # days before a day whose rows its features can see


@dataclass(frozen=True)
class Calendar:
    """The daily partitions (the day on which rows arrived) and the weekly ones (the as-of day T of a model).

    A weekly partition is keyed by its first day T: what is known before T makes the model in force in [T, T + 7 d).
    """

    daily: dg.DailyPartitionsDefinition
    weekly: dg.WeeklyPartitionsDefinition

    @classmethod
    def between(cls, start: date, end: date | None, first_model_after_days: int) -> "Calendar":
        """The calendar from ``start`` to ``end`` (inclusive; open where None).

        The first model comes on the first day of a week that has ``first_model_after_days`` of history before it;
        weeks begin on the weekday of ``start``.
        """
        until = None if end is None else (end + timedelta(days=1)).isoformat()
        weeks = -(-first_model_after_days // 7)
        first = start + timedelta(weeks=weeks)
        # Dagster lists a week only when it is over, but a model is due when its week begins: hence end_offset=1.
        last = None if end is None else (end + timedelta(days=7 - (end - first).days % 7)).isoformat()
        return cls(
            dg.DailyPartitionsDefinition(start.isoformat(), end_date=until),
            dg.WeeklyPartitionsDefinition(
                first.isoformat(), end_date=last, day_offset=first.isoweekday() % 7, end_offset=0 if last else 1
            ),
        )

    def days(self, keys: list[str]) -> list[date]:
        """The days of some partition keys, in order."""
        return sorted(date.fromisoformat(key) for key in keys)


def trailing_days(count: int) -> dg.TimeWindowPartitionMapping:
    """The partition itself and ``count`` days before it, as far as history reaches."""
    return dg.TimeWindowPartitionMapping(start_offset=-count)


def days_before(count: int) -> dg.TimeWindowPartitionMapping:
    """The ``count`` days before the partition, as far as history reaches."""
    return dg.TimeWindowPartitionMapping(start_offset=-count, end_offset=-1)


def weeks_before(count: int) -> dg.TimeWindowPartitionMapping:
    """The ``count`` weeks before a weekly partition: its as-of day itself is not known yet."""
    return dg.TimeWindowPartitionMapping(start_offset=-count, end_offset=-1)
