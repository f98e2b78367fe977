"""The command of the stages of ``dvc.yaml``: Dagster makes what is not up to date, DVC declares and keeps the bytes."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import open_chains, open_healer, reports_errors
from pipeline_assets.core.lineage.stages import LAND, STAGES, list_earlier, list_folders

if TYPE_CHECKING:
    from pipeline_assets.adapters.stores import Stores
    from pipeline_assets.commands.healing import Healer
    from pipeline_assets.core.healing.plan import Lake, Plan
    from pipeline_assets.settings import Settings


@click.command()
@click.argument("name", type=click.Choice([LAND, *STAGES]))
@reports_errors
def stage(name: str) -> None:
    """Make what NAME, a stage of dvc.yaml, stands for: only the partitions that are not up to date.

    All that has landed counts, whether its deadline has passed or not. A day that is held is left out.
    """
    from pipeline_assets.adapters.dvc_workspace import complete_folders
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.settings import read_settings, require_declared_paths

    require_declared_paths()
    settings = read_settings()
    stores = open_stores(settings.data_root)
    if name == LAND:
        _land(settings, stores)
    else:
        _make(name, stores)
        _write_metrics(name, settings, stores)
    complete_folders(stores.root, list_folders(name))


def _land(settings: "Settings", stores: "Stores") -> None:
    """Simulate a history where nothing has landed; elsewhere only see that it is of the world of the parameters."""
    from pipeline_assets.commands.simulation import check_world, simulate_until
    from pipeline_assets.contracts.vocabularies import Feed

    if not stores.landing.list_days(Feed.TRANSACTIONS):
        last = settings.params.history_end or datetime.now(UTC).date() - timedelta(days=1)
        simulate_until(settings, last, click.echo)
    check_world(settings)
    days = stores.landing.list_days(Feed.TRANSACTIONS)
    click.echo(f"{LAND}: payments of {len(days)} days have landed, {days[0]} to {days[-1]}")


def _make(name: str, stores: "Stores") -> None:
    from pipeline_assets.commands.healing import NotHealedError
    from pipeline_assets.contracts.vocabularies import Feed

    if not stores.landing.list_days(Feed.TRANSACTIONS):
        raise FileNotFoundError(
            f"{stores.root.root}/landing: expected files of payments, found none; land some in "
            "transactions/<YYYY-MM-DD>/, or let a world be simulated: pipeline-assets simulate"
        )
    healer = _open_stage(STAGES[name])
    damage = healer.verify()
    _, plan = healer.plan(damage)
    if plan.repairs:
        _require(name, replace(healer, assets=list_earlier(name)))
        try:
            healer.apply(open_chains(), damage)
        except NotHealedError as error:
            lake, left = healer.plan()
            if left.repairs or not lake.held:
                raise
            click.echo(str(error))
    _tell(name, len(plan.repairs), *healer.plan())


def _open_stage(assets: Collection[str]) -> "Healer":
    """What heals some assets; a partition is due as soon as its day is over."""
    healer = open_healer()
    freshness = replace(healer.surveyor.freshness, daily_deadline_hours=0, weekly_deadline_hours=0)
    return replace(healer, surveyor=replace(healer.surveyor, freshness=freshness), assets=assets)


def _require(name: str, healer: "Healer") -> None:
    """Make sure that what comes before a stage is up to date: else it would be made from what is to be replaced."""
    # What merely failed in its latest run is as it should be.
    outdated = [repair for repair in healer.plan()[1].repairs if repair.reason != "failed"]
    if outdated:
        first = outdated[0]
        earlier = next(one for one in STAGES if first.key.asset in STAGES[one])
        raise ValueError(
            f"{name}: expected what it is made from to be up to date, found {len(outdated)} partitions that are not, "
            f"the first is {first.key} ({first.reason}: {first.detail}); first: pipeline-assets stage {earlier}"
        )


def _tell(name: str, n_made: int, lake: "Lake", plan: "Plan") -> None:
    assets = STAGES[name]
    going_on = sorted(key for key in lake.in_progress if key.asset in assets)
    if going_on:  # DVC would record a state between two
        raise ValueError(f"{name}: {going_on[0]} and others are being made by other runs; try again after them")
    click.echo(f"{name}: {n_made} partitions made" if n_made else f"{name}: every partition is up to date")
    for key, why in plan.blocked.items():
        click.echo(f"    left out: {key}: {why}")
    if lake.held:
        click.echo(f"    held: {', '.join(map(str, sorted(lake.held)))}; see: pipeline-assets holds list")


def _write_metrics(name: str, settings: "Settings", stores: "Stores") -> None:
    from pipeline_assets.adapters.stages.metrics import write_evaluation_metrics, write_performance_metrics

    params = settings.params
    if name == "evaluate":
        write_evaluation_metrics(stores, params.training, params.evaluation, params.rules)
    elif name == "score":
        write_performance_metrics(stores)


STAGE_COMMANDS = (stage,)
