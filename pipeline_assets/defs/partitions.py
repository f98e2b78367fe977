"""Which partitions there are, and which of them each asset reads: the calendar of the pipeline."""

from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.recipes import LANDING, WEEKLY_ASSETS, Reads, Recipe


@dataclass(frozen=True)
class Calendar:
    """The daily partitions (the day on which rows arrived) and the weekly ones (the as-of day T of a model).

    A weekly partition is keyed by its first day T: what is known before T makes the model in force in [T, T + 7 d).
    """

    daily: dg.DailyPartitionsDefinition
    weekly: dg.WeeklyPartitionsDefinition
    end: date | None = None  # the last day of a history that is closed

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
            end,
        )

    def days(self, keys: list[str]) -> list[date]:
        """The days of some partition keys, in order."""
        return sorted(date.fromisoformat(key) for key in keys)


def map_reads(reads: Reads, cadence: Cadence) -> dg.TimeWindowPartitionMapping:
    """What a recipe of some cadence reads, as Dagster's mapping; its offsets count partitions of the reader."""
    if cadence is Cadence.WEEKLY:
        return dg.TimeWindowPartitionMapping(start_offset=reads.first // 7, end_offset=reads.last // 7)
    if reads.upstream in WEEKLY_ASSETS:
        # Days that overlap a week find it: so the window begins with the last day of the first week.
        return dg.TimeWindowPartitionMapping(start_offset=reads.first + 6, end_offset=reads.last)
    return dg.TimeWindowPartitionMapping(start_offset=reads.first, end_offset=reads.last)


def list_deps(recipe: Recipe) -> list[dg.AssetDep]:
    """The dependencies of an asset; the landing zone is none, because files are no asset."""
    return [
        dg.AssetDep(reads.upstream, partition_mapping=map_reads(reads, recipe.cadence))
        for reads in recipe.reads
        if reads.upstream != LANDING
    ]
