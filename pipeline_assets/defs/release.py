"""Release: which model is champion and which is backup, from when, and why: an append-only log."""

import dagster as dg

from pipeline_assets.adapters.stages.models import MODEL, RELEASE, release_models
from pipeline_assets.contracts.tables import MODEL_EVALUATION
from pipeline_assets.defs.partitions import Calendar, weeks_before
from pipeline_assets.defs.reporting import report
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource


def build(calendar: Calendar) -> dg.Definitions:
    """The weekly decision on the release log."""

    @dg.asset(
        name=RELEASE,
        deps=[MODEL, MODEL_EVALUATION.name, dg.AssetDep(RELEASE, partition_mapping=weeks_before(1))],
        partitions_def=calendar.weekly,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="release",
        owners=OWNERS,
        kinds={"json"},
        code_version="1",
        description="Champion and backup from this day on, decided by evidence. Entries are added, never changed.",
    )
    def release(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> dg.MaterializeResult[None]:
        weeks = calendar.days(list(context.partition_keys))
        return report(context, RELEASE, release_models(stores, params.release, weeks))

    return dg.Definitions(assets=[release])
