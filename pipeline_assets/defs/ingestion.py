"""Ingestion: landed files become validated rows, all of them accounted for."""

from collections.abc import Iterator, Mapping
from datetime import date

import dagster as dg

from pipeline_assets.adapters.stages import ingestion as stages
from pipeline_assets.contracts.tables import CHARGEBACKS, TRANSACTIONS
from pipeline_assets.core.lineage.recipes import INGEST, Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report_check, report_tables, select_tables
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource

_GROUP = "ingestion"


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The ingestion assets and their checks."""
    # A row that repeats one of an earlier day is recognised there. Only the two feeds declare it: a dependency of the
    # other two tables on them would make Dagster backfill each in a run of its own.
    past = {table.name: list_deps(recipes[table.name]) for table in (TRANSACTIONS, CHARGEBACKS)}

    @dg.multi_asset(
        name=INGEST,
        specs=[
            dg.AssetSpec(
                table.name,
                deps=past.get(table.name, []),
                group_name=_GROUP,
                owners=OWNERS,
                description=table.description,
                kinds={"polars", "parquet"},
                code_version=recipes[table.name].code_version,
                metadata=describe_columns(table),
            )
            for table in stages.INGESTED
        ],
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        can_subset=True,
    )
    @names_failures(recipes)
    def ingest(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        tables = select_tables(context, stages.INGESTED)
        yield from report_tables(context, tables, stages.ingest(stores, params.ingestion, days, tables))

    # Both blocking checks are claims on transactions, because what is to be held is what is made from them.
    @dg.asset_check(
        asset=TRANSACTIONS.name,
        blocking=True,
        partitions_def=calendar.daily,
        description="Recounted from the files: each row is in its table, in quarantine, or a counted duplicate.",
    )
    @names_failures(recipes)
    def rows_are_conserved(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        findings = {day: stages.find_lost_rows(stores, day) for day in _days(calendar, context)}
        return report_check(context, stores, findings, is_blocking=True)

    @dg.asset_check(
        asset=TRANSACTIONS.name,
        blocking=True,
        partitions_def=calendar.daily,
        description="Few rows are malformed: a warning below the stated share, above it the partition is held.",
    )
    @names_failures(recipes)
    def quarantine_share_is_low(
        context: dg.AssetCheckExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> dg.AssetCheckResult:
        findings = {
            day: stages.find_quarantine_share(stores, params.ingestion, day) for day in _days(calendar, context)
        }
        return report_check(context, stores, findings, is_blocking=True)

    @dg.asset_check(
        asset=TRANSACTIONS.name,
        partitions_def=calendar.daily,
        description="Files arrived on this day. A day without any is no error: the pipeline goes on with what it has.",
    )
    @names_failures(recipes)
    def files_arrived(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        findings = {day: stages.find_absent_input(stores, day) for day in _days(calendar, context)}
        return report_check(context, stores, findings)

    return dg.Definitions(assets=[ingest], asset_checks=[rows_are_conserved, quarantine_share_is_low, files_arrived])


def _days(calendar: Calendar, context: dg.AssetCheckExecutionContext) -> list[date]:
    return calendar.days(list(context.op_execution_context.partition_keys))
