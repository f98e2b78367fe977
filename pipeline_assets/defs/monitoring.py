"""Monitoring: how good the decisions were, and how well the pipeline itself ran."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from pipeline_assets.adapters.stages import monitoring as stages
from pipeline_assets.adapters.stages.models import MODEL, RELEASE
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    MODEL_EVALUATION,
    PERFORMANCE,
    SCORES,
    SERVICE_LEVELS,
    TRAINING_SET,
    TRANSACTIONS,
)
from pipeline_assets.core.service_levels import StepRecord, measure_service_levels
from pipeline_assets.defs.partitions import Calendar, trailing_days
from pipeline_assets.defs.reporting import describe_columns, report
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource

_GROUP: Final = "monitoring"
_RUNS_READ: Final = 500  # the latest runs; a day's runs are among them unless it was made long ago
# A check's step is named after its asset.
_WEEKLY_STEPS: Final = (TRAINING_SET.name, MODEL, MODEL_EVALUATION.name, RELEASE)
_RANGE_START: Final = "dagster/asset_partition_range_start"
_RANGE_END: Final = "dagster/asset_partition_range_end"


def build(calendar: Calendar, days_back: int) -> dg.Definitions:
    """The two monitoring assets; ``days_back`` is how many days back the performance of a day looks."""
    window = trailing_days(days_back)
    daily: dict[str, Any] = {
        "partitions_def": calendar.daily,
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "group_name": _GROUP,
        "owners": OWNERS,
        "code_version": "1",
    }

    @dg.asset(
        name=PERFORMANCE.name,
        deps=[dg.AssetDep(t.name, partition_mapping=window) for t in (SCORES, TRANSACTIONS, CHARGEBACKS)],
        kinds={"scikitlearn", "parquet"},
        description=PERFORMANCE.description,
        metadata=describe_columns(PERFORMANCE),
        **daily,
    )
    def performance(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> dg.MaterializeResult[None]:
        days = calendar.days(list(context.partition_keys))
        made = stages.measure_performance(stores, params.performance, params.evaluation.top_cards, days)
        return report(context, PERFORMANCE.name, made)

    @dg.asset(
        name=SERVICE_LEVELS.name,
        deps=[SCORES.name, PERFORMANCE.name],
        kinds={"parquet"},
        description=f"{SERVICE_LEVELS.description} Kept with the reports: clocks are in it, so no two are alike.",
        metadata=describe_columns(SERVICE_LEVELS),
        **daily,
    )
    def service_levels(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        records = list(_read_records(context.instance, calendar))
        frames = {
            day: measure_service_levels((record for keys, record in records if day.isoformat() in keys), day)
            for day in calendar.days(list(context.partition_keys))
        }
        return report(context, SERVICE_LEVELS.name, stages.write_reports(stores, SERVICE_LEVELS, frames))

    return dg.Definitions(assets=[performance, service_levels])


def _read_records(instance: dg.DagsterInstance, calendar: Calendar) -> Iterator[tuple[set[str], StepRecord]]:
    """The steps of the latest runs, each with the keys of the partitions that it worked on."""
    for run in instance.get_runs(limit=_RUNS_READ):
        start = run.tags.get(_RANGE_START) or run.tags.get("dagster/partition")
        end = run.tags.get(_RANGE_END) or start
        if start is None or end is None:
            continue
        for step in instance.get_run_step_stats(run.run_id):
            if step.start_time is None or step.end_time is None or step.status is None:
                continue
            partitions = calendar.weekly if step.step_key.startswith(_WEEKLY_STEPS) else calendar.daily
            keys = {key for key in partitions.get_partition_keys() if start <= key <= end}
            started, ended = (datetime.fromtimestamp(moment, UTC) for moment in (step.start_time, step.end_time))
            yield keys, StepRecord(step.step_key, step.status.value == "SUCCESS", started, ended, len(keys))
