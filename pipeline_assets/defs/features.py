"""Features: what the histories of the customer and the terminal said at the moment of each payment."""

from collections.abc import Iterator, Mapping

import dagster as dg

from pipeline_assets.adapters.stages import features as stages
from pipeline_assets.contracts.tables import Table
from pipeline_assets.core.lineage.recipes import BUILD_FEATURES, Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report_check, report_tables, select_tables
from pipeline_assets.defs.resources import OWNERS, StoresResource


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The two feature assets, computed in one pass, each with the check that no payment is left out."""

    @dg.multi_asset(
        name=BUILD_FEATURES,
        specs=[
            dg.AssetSpec(
                table.name,
                deps=list_deps(recipes[table.name]),
                group_name="features",
                owners=OWNERS,
                description=table.description,
                kinds={"polars", "numba", "parquet"},
                code_version=recipes[table.name].code_version,
                metadata=describe_columns(table),
            )
            for table in stages.FEATURE_TABLES
        ],
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        can_subset=True,
    )
    @names_failures(recipes)
    def build_features(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        tables = select_tables(context, stages.FEATURE_TABLES)
        days = calendar.days(list(context.partition_keys))
        yield from report_tables(context, tables, stages.build_features(stores, days, tables))

    checks = [_every_payment_has_features(calendar, recipes, table) for table in stages.FEATURE_TABLES]
    return dg.Definitions(assets=[build_features], asset_checks=checks)


def _every_payment_has_features(
    calendar: Calendar, recipes: Mapping[str, Recipe], table: Table
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.name,
        name="every_payment_has_features",
        blocking=True,
        partitions_def=calendar.daily,
        description="The features of a day describe exactly the payments that arrived on it, each once.",
    )
    @names_failures(recipes)
    def every_payment_has_features(
        context: dg.AssetCheckExecutionContext, stores: StoresResource
    ) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {day: stages.find_payments_without_features(stores, table, day) for day in days}
        return report_check(context, stores, findings, is_blocking=True)

    return every_payment_has_features
