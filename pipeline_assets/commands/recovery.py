"""The commands of recovery: what is broken, making it good, what is held, who must know, and breaking it on purpose."""

from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline_assets.commands.opening import open_chains, open_healer, reports_errors


@click.command()
@click.option("--apply", "is_applied", is_flag=True, help="Make it so: restore what a replica has, rebuild the rest.")
@click.option("--quick", is_flag=True, help="Trust the bytes of the lake instead of reading them all.")
@reports_errors
def heal(is_applied: bool, quick: bool) -> None:
    """What must be made again, and why: failed, missing, upstream changed, corrupt, code changed."""
    from pipeline_assets.adapters.integrity import find_log_damage
    from pipeline_assets.commands.healing import NotHealedError, describe_plan

    healer = open_healer()
    damage = [] if quick else healer.verify()
    lake, plan = healer.plan(damage)
    click.echo("\n".join([*describe_plan(plan, lake), *healer.describe_refused()]))
    if is_applied and plan.repairs:
        healer.apply(open_chains(), damage)
        lake, plan = healer.plan()
        click.echo("\n".join(describe_plan(plan, lake)))
    elif plan.repairs:
        click.echo("To make it so: pipeline-assets heal --apply")
    if log := find_log_damage(healer.stores, healer.replicas):  # who decided cannot be made again
        raise NotHealedError(f"for a person: {log.text}")


@click.group()
def holds() -> None:
    """Partitions that failed a blocking check: they stay held until they are repaired or released."""


@holds.command("list")
@reports_errors
def list_holds() -> None:
    """What is held, since when, and why."""
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.settings import read_settings

    held = open_stores(read_settings().data_root).holds.list_held()
    for hold in held:
        for check, found in hold.checks.items():
            click.echo(f"{hold.key} since {hold.since:%Y-%m-%d %H:%M} UTC by {check}: {found}")
    if not held:
        click.echo("nothing is held")


@holds.command()
@click.argument("partition")
@click.option("--because", required=True, help="Why it may be used as it is; it is recorded.")
@reports_errors
def release(partition: str, because: str) -> None:
    """Let PARTITION (asset@YYYY-MM-DD) be used although it failed a check; for the bytes that it has now."""
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.core.lineage.records import parse_key
    from pipeline_assets.settings import read_settings

    hold = open_stores(read_settings().data_root).holds.release(parse_key(partition), because, datetime.now(UTC))
    click.echo(f"{hold.key} is released; what was held up is made by the sensor partition_failed, or: "
               "pipeline-assets heal --apply")  # fmt: skip


@click.command()
@reports_errors
def alerts() -> None:
    """What people have to know of: the alerts that are open."""
    from pipeline_assets.adapters.alerts import Alerts
    from pipeline_assets.adapters.storage import open_storage, within
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    store = Alerts(within(open_storage(settings.data_root), "alerts"), settings.alert_channels)
    for problem in store.find_rejected_channels():
        click.echo(f"channel {problem}")
    for incident in store.list_open():
        alert = incident.alert
        click.echo(f"{alert.level.upper()} since {alert.since:%Y-%m-%d %H:%M} UTC: {alert.what}\n    {alert.next_step}")
    if not store.list_open():
        click.echo("no alert is open")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Folder of the report.")
@click.option("--list", "is_listing", is_flag=True, help="Only say which drills there are.")
@reports_errors
def drill(names: tuple[str, ...], report: Path | None, is_listing: bool) -> None:
    """Break the pipeline on purpose and see it recover: the drills NAMES, or all of them, on a world of their own."""
    from pipeline_assets.drills.registry import DRILLS, run_drills

    if is_listing:
        for one in DRILLS:
            click.echo(f"{one.name:24} {one.breaks}")
        return
    results = run_drills(names, report or Path("data", "reports", "drills"), click.echo)
    if not all(result.passed for result in results):
        raise click.ClickException("not every drill passed; see the report")


RECOVERY_COMMANDS = (heal, holds, alerts, drill)
