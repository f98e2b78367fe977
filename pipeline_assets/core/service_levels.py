"""Service levels of the pipeline itself: how long each step of a day took, how often it failed, how late it was."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipeline_assets.contracts.tables import SERVICE_LEVELS

_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class StepRecord:
    """One step of one run that worked on a day, as the run recorded it.

    Attributes:
        step: Name of the step.
        succeeded: Whether it ended well.
        started_at: When it began, UTC.
        ended_at: When it ended, UTC.
        n_partitions: How many partitions it made together.
    """

    step: str
    succeeded: bool
    started_at: datetime
    ended_at: datetime
    n_partitions: int


def measure_service_levels(records: Iterable[StepRecord], day: date) -> pl.DataFrame:
    """The table ``service_levels`` of one day: one row a step, from the records of all runs that worked on the day.

    ``seconds`` is the duration of the latest success; ``hours_after_day`` runs from the end of the day to the end of
    the first success, which is when its results could be used.
    """
    closed = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    by_step: dict[str, list[StepRecord]] = {}
    for record in records:
        by_step.setdefault(record.step, []).append(record)
    rows = []
    for step, attempts in by_step.items():
        good = sorted((a for a in attempts if a.succeeded), key=lambda a: a.ended_at)
        rows.append(
            {
                "step": step,
                "n_attempts": len(attempts),
                "n_failures": len(attempts) - len(good),
                "seconds": (good[-1].ended_at - good[-1].started_at).total_seconds() if good else None,
                "n_partitions": good[-1].n_partitions if good else 0,
                "hours_after_day": (good[0].ended_at - closed).total_seconds() / _SECONDS_AN_HOUR if good else None,
            }
        )
    return pl.DataFrame(rows, schema=SERVICE_LEVELS.empty().schema)
