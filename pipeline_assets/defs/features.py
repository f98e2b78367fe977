"""Features: what the histories of the customer and the terminal said at the moment of each payment."""

import dagster as dg

from pipeline_assets.adapters import stages
from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.defs.partitions import FEATURE_WINDOW_DAYS, Calendar, trailing_days
from pipeline_assets.defs.reporting import describe_columns, report, report_check
from pipeline_assets.defs.resources import OWNERS, StoresResource

_CODE_VERSION = "1"  # raise it when a feature's value changes for the same rows


def build(calendar: Calendar) -> dg.Definitions:
    """The two feature assets, each with the check that no payment is left out."""
    tables = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)
    return dg.Definitions(
        assets=[_features(calendar, table) for table in tables],
        asset_checks=[_every_payment_has_features(calendar, table) for table in tables],
    )


def _features(calendar: Calendar, table: Table) -> dg.AssetsDefinition:
    window = trailing_days(FEATURE_WINDOW_DAYS)

    @dg.asset(
        name=table.name,
        deps=[dg.AssetDep(source.name, partition_mapping=window) for source in (TRANSACTIONS, CHARGEBACKS)],
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="features",
        owners=OWNERS,
        kinds={"polars", "numba", "parquet"},
        code_version=_CODE_VERSION,
        description=f"{table.description} Fraud counts only as reported by then; labels ripen after {LABEL_DELAY_DAYS} d.",
        metadata=describe_columns(table),
    )
    def build_features(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        days = calendar.days(list(context.partition_keys))
        return report(context, table.name, stages.build_features(stores, table, days))

    return build_features


def _every_payment_has_features(calendar: Calendar, table: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.name,
        name="every_payment_has_features",
        blocking=True,
        partitions_def=calendar.daily,
        description="The features of a day describe exactly the payments that arrived on it, each once.",
    )
    def every_payment_has_features(
        context: dg.AssetCheckExecutionContext, stores: StoresResource
    ) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {day: stages.find_payments_without_features(stores, table, day) for day in days}
        return report_check(context, table.name, "every_payment_has_features", findings)

    return every_payment_has_features
