"""`pipeline-assets …`: what Dagster and DVC do not already offer. Heavy libraries load when a command needs them."""

import logging
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from pipeline_assets.adapters.permissions import apply_umask
from pipeline_assets.commands.card import CARD_COMMANDS
from pipeline_assets.commands.lineage import LINEAGE_COMMANDS
from pipeline_assets.commands.locks import LOCK_COMMANDS
from pipeline_assets.commands.opening import DEBUG_VARIABLE, ReportingGroup, open_chains, reports_errors
from pipeline_assets.commands.recovery import RECOVERY_COMMANDS
from pipeline_assets.commands.rehearsal import REHEARSAL_COMMANDS
from pipeline_assets.commands.release import RELEASE_COMMANDS
from pipeline_assets.commands.reproduction import REPRODUCTION_COMMANDS
from pipeline_assets.commands.snapshots import SNAPSHOT_COMMANDS
from pipeline_assets.commands.stages import STAGE_COMMANDS
from pipeline_assets.commands.training import TRAINING_COMMANDS

DAY = click.DateTime(formats=["%Y-%m-%d"])


def main() -> None:
    """The console script: errors that a user can mend are one message, not a stack."""
    logging.basicConfig(format="    %(message)s", level=logging.WARNING)
    logging.getLogger("pipeline_assets").setLevel(logging.INFO)
    try:
        apply_umask()
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from error
    commands(prog_name="pipeline-assets")


@click.group(cls=ReportingGroup)
@click.option("--debug", is_flag=True, envvar=DEBUG_VARIABLE, help="Show where an error came from, too.")
def commands(debug: bool) -> None:
    """A fraud-detection pipeline for card payments that keeps working when things break."""
    del debug  # the group itself reads it


for _command in (
    *CARD_COMMANDS, *TRAINING_COMMANDS, *RECOVERY_COMMANDS, *LINEAGE_COMMANDS, *SNAPSHOT_COMMANDS,
    *REPRODUCTION_COMMANDS, *STAGE_COMMANDS, *RELEASE_COMMANDS, *LOCK_COMMANDS,
    *REHEARSAL_COMMANDS,
):  # fmt: skip
    commands.add_command(_command)


@commands.command()
@reports_errors
def run() -> None:
    """Simulate a history, then ingest, build features, train, release, score and measure it."""
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    last = settings.params.history_end or _yesterday()
    click.echo(f"Pipeline data in {settings.data_root}")
    _simulate(last)
    settings = read_settings()  # the simulated world says where history begins
    _run_chains(settings.history_start, last)
    _summarise()


@commands.command()
@click.option("--until", type=DAY, help="Last day to simulate; yesterday by default.")
@reports_errors
def simulate(until: datetime | None) -> None:
    """Let a payments world land its files, from the first day that is missing on."""
    _simulate(until.date() if until else _yesterday())


@commands.command()
@click.option(
    "--source", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of foreign files."
)
@click.option("--from", "first", type=DAY, required=True, help="First day.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, inclusive.")
@reports_errors
def backfill(source: Path | None, first: datetime, last: datetime) -> None:
    """From landed files to scores for a range of days; with --source, land the files of a foreign folder first."""
    _require_range(first, last)
    if source is not None:
        from pipeline_assets.adapters.delivery import deliver
        from pipeline_assets.adapters.stores import open_stores
        from pipeline_assets.settings import read_settings

        settings = read_settings()
        landing = open_stores(settings.data_root).landing
        click.echo(f"landing: files of {source} ...")
        delivered = deliver(source, landing, settings.params.ingestion, first.date(), last.date())
        click.echo(
            f"    {delivered.files_landed} new files, {delivered.files_there} landed before, {delivered.rows} rows"
            + (f"; {delivered.rows_outside} rows of other days left out" if delivered.rows_outside else "")
            + (f"; skipped, of no known format: {', '.join(delivered.skipped)}" if delivered.skipped else "")
        )
        for refused in delivered.refused:
            click.echo(f"    REFUSED, no data: {refused}")
    _run_chains(first.date(), last.date())
    _summarise()
    _name_refused(first.date(), last.date())


@commands.group()
def quarantine() -> None:
    """Rows that broke a contract: out, to be corrected by a person, and back."""


@quarantine.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--feed", type=click.Choice(["transactions", "chargebacks"]), default="transactions", show_default=True)
@click.option("--from", "first", type=DAY, required=True, help="First day.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, inclusive.")
@click.option(
    "--reason", "reasons", multiple=True, help="Only rows with this reason code; may be given more than once."
)
@reports_errors
def export(target: Path, feed: str, first: datetime, last: datetime, reasons: tuple[str, ...]) -> None:
    """Write quarantined rows to TARGET (.csv or .jsonl), to be corrected there; wholly or not at all.

    In csv, an apostrophe stands before what a spreadsheet could take for a formula: = + - @ and the like, or an
    apostrophe, at the beginning of a text, and also inside texts and lists, after separators and quotes, where a
    spreadsheet of another locale would begin a cell. Replay takes it away: leave it where it is, and write one before
    such texts of your own. Programs should take .jsonl, which has none.
    """
    from pipeline_assets.adapters.replay import export_quarantine
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.contracts.tables import QUARANTINE
    from pipeline_assets.contracts.vocabularies import Feed, Reason
    from pipeline_assets.settings import read_settings

    _require_range(first, last)
    settings = read_settings()
    lake = open_stores(settings.data_root).lake
    days = [day for day in lake.days(QUARANTINE) if first.date() <= day <= last.date()]
    chosen = [Reason(reason) for reason in reasons]
    n_rows = export_quarantine(lake, target, Feed(feed), days, settings.params.ingestion, chosen)
    click.echo(f"{n_rows} rows in {target}; correct them, then: pipeline-assets quarantine replay {target}")


@quarantine.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--feed", type=click.Choice(["transactions", "chargebacks"]), default="transactions", show_default=True)
@click.option("--day", type=DAY, help="Day of arrival; by default the day on which each row was quarantined.")
@reports_errors
def replay(source: Path, feed: str, day: datetime | None) -> None:
    """Land the corrected rows of SOURCE and run the daily chain for the days they belong to."""
    from pipeline_assets.adapters.replay import replay as land_corrections
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.contracts.vocabularies import Feed
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    landing = open_stores(settings.data_root).landing
    landed = land_corrections(source, landing, Feed(feed), settings.params.ingestion, day.date() if day else None)
    for file in landed:
        click.echo(f"{file.day}: {file.name} {'landed' if file.is_new else 'had landed before'}")
    for arrival in sorted({file.day for file in landed}):
        _run_days(arrival, arrival)


@commands.command()
@click.argument("statement")
@click.option("--format", "style", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write to this file, wholly or not at all; to the terminal else.",
)
@reports_errors
def sql(statement: str, style: str, output: Path | None) -> None:
    """Ask the lake with one SQL statement; each table is a view, with `date` for its partitions.

    In csv, an apostrophe stands before what a spreadsheet could take for a formula: = + - @ and the like, or an
    apostrophe, at the beginning of a text, and also inside texts and lists, after separators and quotes, where a
    spreadsheet of another locale would begin a cell. Numbers are never changed. Programs should take --format json,
    which has none.
    """
    from pipeline_assets.adapters.exports import write_file
    from pipeline_assets.adapters.sql import query, render
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.settings import read_settings

    text = render(query(open_stores(read_settings().data_root).tables, statement), style)
    if output is None:
        click.echo(text.encode(), nl=False)  # as bytes: of a text, click would leave out what looks like a colour
    else:
        write_file(output, text)
        click.echo(f"written to {output}", err=True)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65_535))
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    envvar="PIPELINE_UI_HOSTS",
    show_envvar=True,
    metavar="NAME[:PORT]",
    help="Another name by which browsers may call it, as behind a proxy; may be given more than once.",
)
@reports_errors
def ui(host: str, port: int, names: tuple[str, ...]) -> None:
    """Dagster's web UI, with the daemon that runs schedules, sensors and backfills; what dies is replaced.

    Before the web server stands a guard: it answers to its own host and its own pages only. With PIPELINE_UI_TOKEN
    in the environment, it asks for that token; to listen beyond this machine, it must be set.
    """
    from pipeline_assets.commands.chains import prepare_home
    from pipeline_assets.commands.supervisor import supervise
    from pipeline_assets.guard.credentials import TOKEN_VARIABLE
    from pipeline_assets.guard.policy import open_policy
    from pipeline_assets.settings import read_settings

    names = tuple(name for listed in names for name in listed.replace(",", " ").split())
    token = os.environ.pop(TOKEN_VARIABLE, "")
    open_policy(host, port, names, token)  # before the instance is made: what is wrong here is told at once
    home = prepare_home(read_settings().data_root)
    raise SystemExit(supervise(home, host, port, click.echo, names=names, token=token))


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _simulate(last: date) -> None:
    from pipeline_assets.commands.simulation import simulate_until
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    simulate_until(settings, last, click.echo)


def _require_range(first: datetime, last: datetime) -> None:
    """Refuse days that end before they begin."""
    if last < first:
        raise ValueError(f"--to: expected a day not before --from ({first.date()}), found {last.date()}")


def _run_chains(first: date, last: date) -> None:
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.settings import read_settings

    open_chains().run_all(open_stores(read_settings().data_root).holds, first, last)


def _run_days(first: date, last: date) -> None:
    open_chains().run_daily(("ingestion", "features", "release", "scoring", "monitoring", "lineage"), first, last)


def _summarise() -> None:
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.commands.summary import summarise
    from pipeline_assets.settings import read_settings

    click.echo("\n" + summarise(open_stores(read_settings().data_root)))


def _name_refused(first: date, last: date) -> None:
    """Say what lies in the landing zone in these days, or in none that can be told, and was not taken in."""
    from pipeline_assets.adapters.landed_days import list_refused
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.contracts.vocabularies import Feed
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    stores = open_stores(settings.data_root)
    refused = list_refused(stores, datetime.now(UTC), settings.params.freshness, is_read=False)
    told = {f"{one}" for one in refused if one.day is None or first <= one.day <= last}
    for day in {day for feed in Feed for day in stores.landing.list_days(feed) if first <= day <= last}:
        told |= {f"{one}" for one in stores.landing.take_day(day).refused}
    for one in sorted(told):
        click.echo(f"REFUSED, no data: {one}")
