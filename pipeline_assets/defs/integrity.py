"""Integrity: the bytes of partitions and models are the recorded ones; what is not is restored or made again."""

from collections.abc import Iterator

import dagster as dg

from pipeline_assets.adapters.leftovers import sweep_leftovers
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.stages import integrity as stages
from pipeline_assets.contracts.tables import INTEGRITY, PERFORMANCE
from pipeline_assets.core.integrity import IntegrityParams
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar
from pipeline_assets.defs.reporting import describe_columns, report, report_check
from pipeline_assets.defs.resources import OWNERS, StoresResource


class IntegrityConfig(dg.Config):
    """How much is read: a share by turns, or everything."""

    full: bool = False


def build(calendar: Calendar, params: IntegrityParams, replicas: list[Replica]) -> dg.Definitions:
    """The asset ``integrity`` and its check ``lake_is_intact``."""

    @dg.asset(
        name=INTEGRITY.name,
        deps=[PERFORMANCE.name],  # to come last in the daily chain: it reads what was written before
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        group_name="monitoring",
        owners=OWNERS,
        kinds={"parquet"},
        code_version="1",
        description=f"{INTEGRITY.description} Each partition is read once in {params.full_every_days} days, or all of "
        "them on demand (config: full). Sound bytes are copied to the replicas, damaged ones restored from them. What "
        "killed writers left behind is removed.",
        metadata=describe_columns(INTEGRITY),
    )
    @names_failures({})  # it is made from no recipe
    def integrity(
        context: dg.AssetExecutionContext, stores: StoresResource, config: IntegrityConfig
    ) -> Iterator[dg.MaterializeResult[None]]:
        swept = sweep_leftovers([stores.root, *(replica.storage for replica in replicas)])
        if swept:
            context.log.info(f"{len(swept)} temporary files and folders of killed processes removed")
        days = calendar.days(list(context.partition_keys))
        yield from report(
            context, INTEGRITY.name, stages.watch_bytes(stores, params, replicas, days, is_full=config.full)
        )

    @dg.asset_check(
        asset=INTEGRITY.name,
        partitions_def=calendar.daily,
        description="No file that was read had other bytes than were recorded, or it was restored.",
    )
    @names_failures({})
    def lake_is_intact(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        return report_check(context, stores, {day: stages.find_lost_bytes(stores, day) for day in days})

    return dg.Definitions(assets=[integrity], asset_checks=[lake_is_intact])
