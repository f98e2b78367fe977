"""Health: what every recent model says of each day's payments, whoever decides: the evidence that releases rest on."""

from collections.abc import Iterator, Mapping

import dagster as dg

from pipeline_assets.adapters.stages.health import measure_models
from pipeline_assets.contracts.tables import MODEL_HEALTH
from pipeline_assets.core.lineage.recipes import Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The health of the models."""

    @dg.asset(
        name=MODEL_HEALTH.name,
        deps=list_deps(recipes[MODEL_HEALTH.name]),
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        group_name="release",
        owners=OWNERS,
        kinds={"lightgbm", "parquet"},
        code_version=recipes[MODEL_HEALTH.name].code_version,
        description=MODEL_HEALTH.description,
        metadata=describe_columns(MODEL_HEALTH),
    )
    @names_failures(recipes)
    def model_health(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        top_cards = params.evaluation.top_cards
        made = measure_models(stores, params.decision, params.rules, params.serving, top_cards, days)
        yield from report(context, MODEL_HEALTH.name, made)

    return dg.Definitions(assets=[model_health])
