"""Models, weekly by as-of day: the training set, the model trained on it, and its evaluation."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pipeline_assets.adapters.stages import models as stages
from pipeline_assets.contracts.tables import MODEL_EVALUATION, TRAINING_SET
from pipeline_assets.core.lineage.recipes import MODEL, Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report, report_check
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource

_GROUP = "models"


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The weekly chain up to the evaluation, with its checks."""
    weekly: dict[str, Any] = {
        "partitions_def": calendar.weekly,
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "retry_policy": RETRY,
        "group_name": _GROUP,
        "owners": OWNERS,
    }

    @dg.asset(
        name=TRAINING_SET.name,
        deps=list_deps(recipes[TRAINING_SET.name]),
        code_version=recipes[TRAINING_SET.name].code_version,
        kinds={"polars", "parquet"},
        description=TRAINING_SET.description,
        metadata=describe_columns(TRAINING_SET),
        **weekly,
    )
    @names_failures(recipes)
    def training_set(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        weeks = calendar.days(list(context.partition_keys))
        yield from report(context, TRAINING_SET.name, stages.build_training_sets(stores, params.training, weeks))

    @dg.asset(
        name=MODEL,
        pool="training",  # one at a time on a machine: it takes a core and the memory of a training set
        deps=list_deps(recipes[MODEL]),
        code_version=recipes[MODEL].code_version,
        kinds={"lightgbm"},
        description="Gradient-boosted trees, fitted to every mature payment; trained with exact-resume checkpoints.",
        **weekly,
    )
    @names_failures(recipes)
    def fraud_model(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        weeks = calendar.days(list(context.partition_keys))
        yield from report(context, MODEL, stages.train_models(stores, params.training, weeks))

    # The models of earlier weeks stand in the table as well, so that the release can look up its champion there.
    @dg.asset(
        name=MODEL_EVALUATION.name,
        deps=list_deps(recipes[MODEL_EVALUATION.name]),
        code_version=recipes[MODEL_EVALUATION.name].code_version,
        kinds={"scikitlearn", "parquet"},
        description=MODEL_EVALUATION.description,
        metadata=describe_columns(MODEL_EVALUATION),
        **weekly,
    )
    @names_failures(recipes)
    def model_evaluation(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        weeks = calendar.days(list(context.partition_keys))
        made = stages.evaluate_models(stores, params.training, params.evaluation, params.rules, params.decision, weeks)
        yield from report(context, MODEL_EVALUATION.name, made)

    @dg.asset_check(
        asset=TRAINING_SET.name,
        blocking=True,
        partitions_def=calendar.weekly,
        description="No row is younger than the label delay, and no label was reported on or after the as-of day.",
    )
    @names_failures(recipes)
    def labels_are_mature(
        context: dg.AssetCheckExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> dg.AssetCheckResult:
        weeks = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {week: stages.find_label_leaks(stores, params.training, week) for week in weeks}
        return report_check(context, stores, findings, is_blocking=True)

    @dg.asset_check(
        asset=MODEL,
        blocking=True,
        partitions_def=calendar.weekly,
        description="The model file is the one that was trained, loads, and scores payments between 0 and 1.",
    )
    @names_failures(recipes)
    def model_loads(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        weeks = calendar.days(list(context.op_execution_context.partition_keys))
        findings = {week: stages.find_broken_model(stores, week) for week in weeks}
        return report_check(context, stores, findings, is_blocking=True)

    return dg.Definitions(
        assets=[training_set, fraud_model, model_evaluation], asset_checks=[labels_are_mature, model_loads]
    )
