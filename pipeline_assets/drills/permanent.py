"""What no retry can mend, left alone for a day: a bug in a step, a poisoned file, a file that never comes.

A pipeline that heals itself must not run for ever on what stays broken: each of the three days has at most two runs,
people are told, and the days after them stay current. Then the causes are removed.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any, Final
from unittest.mock import patch

from pipeline_assets.adapters.stages import features
from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, SCORES, TERMINAL_FEATURES_TABLE
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.drills.data_faults import lose_amounts, spoil_file
from pipeline_assets.drills.drill import Drill, Journal
from pipeline_assets.drills.histories import (
    MOST_DAYS,
    detect,
    find_moment,
    land_day,
    list_last_days,
    live_day,
    note_runs,
    note_signs,
    open_history,
    verify,
)
from pipeline_assets.drills.unattended import Unattended
from pipeline_assets.drills.world import World

_NOON: Final = 12.0
_LANDING_HOUR: Final = 1.0
_HOURS_ALONE: Final = 24.0  # 2,880 ticks
_MAX_RUNS: Final = 2  # of each broken day: one by the file or the schedule, one by the sensor that heals


def run_permanent(world: World, journal: Journal) -> None:
    """See the module."""
    with_bug, poisoned, absent, current = days = list_last_days(world, MOST_DAYS)
    with open_history(world, MOST_DAYS, "permanent") as pipeline:

        def land_for_bug() -> None:
            land_day(world, pipeline, with_bug)
            detect(pipeline, journal, "bug in a step")

        def land_poison() -> None:
            land_day(world, pipeline, poisoned)
            spoil_file(world, pipeline, poisoned, lose_amounts)
            detect(pipeline, journal, "poisoned day")

        with patch.object(features, "build_features", _break_for(with_bug, features.build_features)):
            live_day(world, pipeline, with_bug, land_for_bug)
            live_day(world, pipeline, poisoned, land_poison)
            known, began = pipeline.find_signs(), time.monotonic()
            live_day(world, pipeline, absent, lambda: None)
            note_signs(journal, pipeline, known, began, "absent input")
            for kind in ("bug in a step", "poisoned day", "absent input"):
                journal.broke(kind)
            pipeline.now = find_moment(absent, _NOON)
            _leave_alone(world, pipeline, journal, current)
        _judge(pipeline, journal, days)
        note_runs(journal, pipeline)
        began = time.monotonic()
        land_day(world, pipeline, poisoned)
        land_day(world, pipeline, absent)
        made = [CUSTOMER_FEATURES_TABLE.name, TERMINAL_FEATURES_TABLE.name, SCORES.name]
        pipeline.execute(Cadence.DAILY, with_bug, made)
        pipeline.settle()
        journal.recovered(time.monotonic() - began)
        verify(world, pipeline, journal, "after the causes were removed")


def _break_for(day: date, build: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The stage with a bug that only this day meets."""

    def build_features(stores: Any, days: Any, *tables: Any) -> Iterator[Any]:
        if day in days:
            raise ZeroDivisionError("a bug of the drill")
        yield from build(stores, days, *tables)

    return build_features


def _leave_alone(world: World, pipeline: Unattended, journal: Journal, current: date) -> None:
    """A day passes, in whose night the next day's files land."""
    n_ticks, n_runs, began = pipeline.n_ticks, len(pipeline.asked), time.monotonic()
    landing = find_moment(current, _LANDING_HOUR)
    hours = (landing - pipeline.now) / timedelta(hours=1)
    pipeline.leave_alone(hours)
    land_day(world, pipeline, current)
    pipeline.leave_alone(_HOURS_ALONE - hours)
    n_ticks, seconds = pipeline.n_ticks - n_ticks, time.monotonic() - began
    journal.count("ticks while left alone", n_ticks)
    journal.count("runs while left alone", len(pipeline.asked) - n_runs)
    journal.note(f"left alone for {n_ticks} ticks, {seconds / n_ticks * 1000:.0f} ms each, runs included")


def _judge(pipeline: Unattended, journal: Journal, days: list[date]) -> None:
    """How often each day was tried, whether people were told, and whether the last day is there."""
    with_bug, poisoned, absent, current = days
    for day, kind, alert in (
        (with_bug, "bug in a step", f"alert healing/partition/daily@{with_bug}"),
        (poisoned, "poisoned day", f"alert held/transactions@{poisoned}"),
        (absent, "absent input", "alert freshness/input_missing"),
    ):
        runs = [asked for asked in pipeline.asked if asked.covers(day)]
        journal.count(f"runs of the day with {kind}", len(runs))
        if len(runs) > _MAX_RUNS:
            journal.fail(f"{kind}: expected at most {_MAX_RUNS} runs of {day}, found {'; '.join(map(str, runs))}")
        if alert not in pipeline.find_signs():
            journal.fail(f"{kind}: expected {alert}, found {sorted(pipeline.find_signs())}")
    weekly = [asked for asked in pipeline.asked if asked.job == Cadence.WEEKLY]
    journal.count("runs of the week", len(weekly))
    if len(weekly) > _MAX_RUNS:
        journal.fail(f"expected at most {_MAX_RUNS} runs of the week, found {'; '.join(map(str, weekly))}")
    if pipeline.stores.records.find(Key(SCORES.name, current)) is None:
        journal.fail(f"expected {current} to be made while the days before it are broken, found no scores of it")
    journal.note(f"signs: {', '.join(sorted(pipeline.find_signs()))}")


PERMANENT: Final = Drill("permanent_failure", "a bug, a poisoned day and an absent one, left alone", run_permanent)
