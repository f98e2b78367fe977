"""Scoring: every payment gets a decision, and says who took it."""

import dagster as dg

from pipeline_assets.adapters.stages import scoring as stages
from pipeline_assets.adapters.stages.models import RELEASE
from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, SCORES, TERMINAL_FEATURES_TABLE, TRANSACTIONS
from pipeline_assets.defs.partitions import Calendar
from pipeline_assets.defs.reporting import describe_columns, report, report_check
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource


def build(calendar: Calendar) -> dg.Definitions:
    """The scores and their checks."""

    @dg.asset(
        name=SCORES.name,
        deps=[
            TRANSACTIONS.name,
            CUSTOMER_FEATURES_TABLE.name,
            TERMINAL_FEATURES_TABLE.name,
            dg.AssetDep(RELEASE, partition_mapping=dg.TimeWindowPartitionMapping()),  # the week the day lies in
        ],
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="scoring",
        owners=OWNERS,
        kinds={"lightgbm", "parquet"},
        code_version="1",
        description=SCORES.description,
        metadata=describe_columns(SCORES),
    )
    def scores(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> dg.MaterializeResult[None]:
        days = calendar.days(list(context.partition_keys))
        return report(context, SCORES.name, stages.score(stores, params.decision, params.rules, days))

    @dg.asset_check(
        asset=SCORES.name,
        blocking=True,
        partitions_def=calendar.daily,
        description="Every payment that arrived has exactly one decision.",
    )
    def every_payment_is_decided(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {day: stages.find_undecided_payments(stores, day) for day in days}
        return report_check(context, SCORES.name, "every_payment_is_decided", findings)

    @dg.asset_check(
        asset=SCORES.name,
        partitions_def=calendar.daily,
        description="The model that should have scored did, with all its inputs. A lower rung is a warning.",
    )
    def scores_are_not_degraded(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {day: stages.find_degraded_scores(stores, day) for day in days}
        return report_check(context, SCORES.name, "scores_are_not_degraded", findings)

    return dg.Definitions(assets=[scores], asset_checks=[every_payment_is_decided, scores_are_not_degraded])
