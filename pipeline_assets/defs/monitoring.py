"""Monitoring: how good the decisions were, and how well the pipeline itself ran."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from pipeline_assets.adapters.stages import monitoring as stages
from pipeline_assets.contracts.tables import (
    DRIFT,
    DRIFT_REFERENCE,
    MODEL_EVALUATION,
    PERFORMANCE,
    SCORES,
    SERVICE_LEVELS,
    TRAINING_SET,
)
from pipeline_assets.core.lineage.recipes import MODEL, Recipe
from pipeline_assets.core.service_levels import StepRecord, measure_service_levels
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.instance import list_run_partitions
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource

_GROUP: Final = "monitoring"
_RUNS_READ: Final = 500  # the latest runs; a day's runs are among them unless it was made long ago
# A check's step is named after its asset.
_WEEKLY_STEPS: Final = (TRAINING_SET.name, MODEL, MODEL_EVALUATION.name, DRIFT_REFERENCE.name)


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The two monitoring assets."""
    daily: dict[str, Any] = {
        "partitions_def": calendar.daily,
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "retry_policy": RETRY,
        "group_name": _GROUP,
        "owners": OWNERS,
    }

    @dg.asset(
        name=PERFORMANCE.name,
        deps=list_deps(recipes[PERFORMANCE.name]),
        code_version=recipes[PERFORMANCE.name].code_version,
        kinds={"scikitlearn", "parquet"},
        description=PERFORMANCE.description,
        metadata=describe_columns(PERFORMANCE),
        **daily,
    )
    @names_failures(recipes)
    def performance(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        made = stages.measure_performance(stores, params.performance, params.evaluation.top_cards, days)
        yield from report(context, PERFORMANCE.name, made)

    @dg.asset(
        name=SERVICE_LEVELS.name,
        deps=[SCORES.name, PERFORMANCE.name, DRIFT.name],  # to come last: it measures the runs, not these tables
        code_version="1",
        kinds={"parquet"},
        description=f"{SERVICE_LEVELS.description} Kept with the reports: clocks are in it, so no two are alike.",
        metadata=describe_columns(SERVICE_LEVELS),
        **daily,
    )
    @names_failures(recipes)
    def service_levels(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        records = list(_read_records(context.instance, calendar))
        frames = {
            day: measure_service_levels((record for keys, record in records if day.isoformat() in keys), day)
            for day in calendar.days(list(context.partition_keys))
        }
        yield from report(context, SERVICE_LEVELS.name, stages.write_reports(stores, SERVICE_LEVELS, frames))

    return dg.Definitions(assets=[performance, service_levels])


def _read_records(instance: dg.DagsterInstance, calendar: Calendar) -> Iterator[tuple[set[str], StepRecord]]:
    """The steps of the latest runs, each with the keys of the partitions that it worked on."""
    for run in instance.get_runs(limit=_RUNS_READ):
        for step in instance.get_run_step_stats(run.run_id):
            if step.start_time is None or step.end_time is None or step.status is None:
                continue
            partitions = calendar.weekly if step.step_key.startswith(_WEEKLY_STEPS) else calendar.daily
            keys = set(list_run_partitions(run, partitions.get_partition_keys()))
            started, ended = (datetime.fromtimestamp(moment, UTC) for moment in (step.start_time, step.end_time))
            yield keys, StepRecord(step.step_key, step.status.value == "SUCCESS", started, ended, len(keys))
