"""Release: which model is champion and which is backup, from when, and why: an append-only log."""

from collections.abc import Iterator, Mapping

import dagster as dg

from pipeline_assets.adapters.stages.models import release_models
from pipeline_assets.core.lineage.recipes import RELEASE, Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import report
from pipeline_assets.defs.resources import OWNERS, ParamsResource, StoresResource


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The weekly decision on the release log."""

    @dg.asset(
        name=RELEASE,
        pool="release",  # one writer of the log at a time: weeks are decided in their order
        deps=list_deps(recipes[RELEASE]),
        partitions_def=calendar.weekly,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        group_name="release",
        owners=OWNERS,
        kinds={"json"},
        code_version=recipes[RELEASE].code_version,
        description="Champion and backup from this day on, decided by evidence. Entries are added, never changed.",
    )
    @names_failures(recipes)
    def release(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        weeks = calendar.days(list(context.partition_keys))
        yield from report(context, RELEASE, release_models(stores, params.release, weeks))

    return dg.Definitions(assets=[release])
