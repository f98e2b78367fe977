"""Scoring: every payment gets a decision, and says who took it."""

from collections.abc import Iterator, Mapping

import dagster as dg

from pipeline_assets.adapters.stages import scoring as stages
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.core.lineage.recipes import Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report, report_check
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The scores and their checks."""

    @dg.asset(
        name=SCORES.name,
        deps=list_deps(recipes[SCORES.name]),
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        group_name="scoring",
        owners=OWNERS,
        kinds={"lightgbm", "parquet"},
        code_version=recipes[SCORES.name].code_version,
        description=SCORES.description,
        metadata=describe_columns(SCORES),
    )
    @names_failures(recipes)
    def scores(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        made = stages.score(stores, params.decision, params.rules, params.serving, days)
        yield from report(context, SCORES.name, made)

    @dg.asset_check(
        asset=SCORES.name,
        blocking=True,
        partitions_def=calendar.daily,
        description="Every payment that arrived has exactly one decision.",
    )
    @names_failures(recipes)
    def every_payment_is_decided(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {day: stages.find_undecided_payments(stores, day) for day in days}
        return report_check(context, stores, findings, is_blocking=True)

    @dg.asset_check(
        asset=SCORES.name,
        partitions_def=calendar.daily,
        description="The model that should have scored did, with all its inputs. A lower rung is a warning.",
    )
    @names_failures(recipes)
    def scores_are_not_degraded(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {day: stages.find_degraded_scores(stores, day) for day in days}
        return report_check(context, stores, findings)

    return dg.Definitions(assets=[scores], asset_checks=[every_payment_is_decided, scores_are_not_degraded])
