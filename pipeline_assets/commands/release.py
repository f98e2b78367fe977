"""`pipeline-assets release …`: a person decides who decides, at once and on the record."""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import reports_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_assets.adapters.stores import Stores
    from pipeline_assets.contracts.vocabularies import ReleaseAction
    from pipeline_assets.core.lineage.append_log import Witness
    from pipeline_assets.core.release import ReleaseEntry
    from pipeline_assets.settings import Settings

_BECAUSE = click.option("--because", required=True, help="Why; it is recorded with your name.")


@click.group()
def release() -> None:
    """Which model decides: by hand, where the daily decision is not to be waited for; and all decisions so far.

    MODEL is a version, the unique beginning of one, or the part that it has: champion, backup, canary, shadow.
    """


@release.command()
@click.argument("model")
@_BECAUSE
@reports_errors
def promote(model: str, because: str) -> None:
    """Make MODEL champion from now on; the champion becomes backup.

    It must load, and give a probability for payments that it was trained on. A champion that is promoted is confirmed:
    it decides again where it has failed over, and is no longer held; where it is neither, nothing is recorded. A trial
    that goes on is not ended.
    """
    from pipeline_assets.contracts.vocabularies import ReleaseAction

    _decide(ReleaseAction.PROMOTE, model, because)


@release.command()
@click.argument("model")
@_BECAUSE
@reports_errors
def hold(model: str, because: str) -> None:
    """Keep MODEL, on trial or the champion, where it is: no trial begins or goes on by itself until one is promoted.

    What is broken or clearly worse is rolled back or failed over all the same.
    """
    from pipeline_assets.contracts.vocabularies import ReleaseAction

    _decide(ReleaseAction.HOLD, model, because)


@release.command()
@click.argument("model")
@_BECAUSE
@reports_errors
def rollback(model: str, because: str) -> None:
    """Take MODEL, on trial or the champion, out of all traffic from now on; it never comes back by itself.

    After the champion its backup decides, or the rules where there is none that works.
    """
    from pipeline_assets.contracts.vocabularies import ReleaseAction

    _decide(ReleaseAction.ROLL_BACK, model, because)


@release.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many, the latest last.")
@click.option("--verify", is_flag=True, help="Say also how far the log reaches, who has seen it, and what proves it.")
@click.option("--expect", metavar="HEAD", help="A head that --verify said before and that you kept elsewhere.")
@reports_errors
def log(limit: int, verify: bool, expect: str | None) -> None:
    """All decisions: number, from when on in force, what was decided, by whom, who decides since then, and why.

    A log that is not as it was written is told as far as it goes, and is an error.
    """
    from pipeline_assets.adapters.release_log import ReleaseLogError
    from pipeline_assets.core.lineage.append_log import count_seen
    from pipeline_assets.settings import read_settings

    stores, others = _open_with_witnesses(read_settings())
    if expect is not None:
        others.append(_read_head(expect))
    state = stores.release_log.look(others)
    latest = {entry.effective_from: entry.sequence for entry in state.entries}
    for entry in state.entries[-limit:]:
        click.echo(_tell_entry(entry, latest[entry.effective_from]))
    if not state.entries:
        click.echo("nothing was decided yet: the rules decide")
    if problem := state.find_problem():
        raise ReleaseLogError(f"release log {stores.release_log.root}: {problem}")
    if verify:
        seen = count_seen([entry.md5 for entry in state.entries], (*others, *stores.release_log.list_witnesses()))
        click.echo(f"head {state.head.n_entries}:{state.head.md5}, {_tell_seen(state.head.n_entries, seen)}")
        click.echo(f"signatures: {state.verdict}")


@release.command()
@_BECAUSE
@reports_errors
def confirm(because: str) -> None:
    """Go on with the log as it is, on the record: what is lost for good is given up; with a key, all of it is signed.

    Look at the log first: whoever decides by it from now on does so because of you. What is forged cannot be confirmed.
    """
    from dataclasses import asdict

    from pipeline_assets.adapters.releasing import ReleaseRefusedError
    from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
    from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
    from pipeline_assets.core.release.states import read_state
    from pipeline_assets.settings import read_settings

    if not because.strip():
        raise ReleaseRefusedError("--because: expected a reason, found none")
    settings, now = read_settings(), datetime.now(UTC)
    stores, others = _open_with_witnesses(settings)
    state = stores.release_log.look(others)
    if not state.find_problem():
        click.echo("the log is as it was written, and nothing needs to be confirmed")
        return
    draft = ReleaseEntry(
        as_of=now.date(),
        effective_from=now,
        action=ReleaseAction.HOLD,
        reason=f"{because.strip()} ({_name_user()})",
        decided_by=DecidedBy.PERSON,
        **asdict(read_state(find_entry_in_force(state.entries, now))),
    )
    entry = stores.release_log.confirm(draft, others)
    lost = ", ".join(f"{head.n_entries}:{head.md5}" for head in entry.given_up)
    click.echo(_tell_entry(entry, entry.sequence) + (f"; given up: {lost}" if lost else ""))
    _show(settings.data_root, entry)


def _open_with_witnesses(settings: "Settings") -> "tuple[Stores, list[Witness]]":
    """The stores of the settings, and what all snapshots know of the release log."""
    from pipeline_assets.adapters.log_heads import list_snapshots
    from pipeline_assets.commands.snapshots import open_snapshots

    stores, snapshots = open_snapshots(settings)
    return stores, list_snapshots(snapshots.list_everywhere())


def _tell_seen(n_entries: int, seen: "Mapping[str, int]") -> str:
    """How much of a log of so many entries its witnesses have seen, by what each has seen."""
    if not seen:
        return "seen by nobody yet"
    furthest = max(seen.values())
    n_furthest = sum(number == furthest for number in seen.values())
    told = f"seen up to entry {furthest - 1} by {n_furthest} of {len(seen)} records, snapshots and kept heads"
    n_unseen = n_entries - furthest
    return f"{told}; the last {n_unseen} entries by nobody yet" if n_unseen else told


def _read_head(text: str) -> "Witness":
    from pipeline_assets.core.lineage.append_log import Witness
    from pipeline_assets.core.lineage.snapshots import LogHead

    number, _, md5 = text.strip().partition(":")
    if not number.isdecimal() or len(md5) != 32:
        raise ValueError(f"--expect: expected a head as --verify says it, such as 12:{'0' * 32}, found {text!r}")
    return Witness(LogHead(int(number), md5), "--expect")


def _decide(action: "ReleaseAction", model: str, because: str) -> None:
    from pipeline_assets.adapters.landed_days import find_newest_day
    from pipeline_assets.adapters.releasing import ReleaseRefusedError, release_by_hand
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.core.freshness import find_clock_doubt
    from pipeline_assets.core.lineage.live import find_live, tell_live
    from pipeline_assets.settings import read_settings

    if not because.strip():
        raise ReleaseRefusedError("--because: expected a reason, found none")
    settings, now = read_settings(), datetime.now(UTC)
    stores = open_stores(settings.data_root)
    newest = find_newest_day(stores, now, settings.params.freshness)
    doubt = find_clock_doubt(now, newest, None, settings.params.freshness, settings.params.history_end)
    if doubt:
        click.echo(f"in force from {now:%Y-%m-%d %H:%M} UTC on, by this machine's clock, but {doubt}", err=True)
    reason = f"{because.strip()} ({_name_user()})"
    entry = release_by_hand(stores, settings.params.release, action, model, reason, now, settings.params.serving)
    if entry is None:
        click.echo("It is champion already, neither held nor failed over: nothing was added to the log")
    entries = stores.release_log.entries()
    click.echo("\n".join(tell_live(find_live(entries, now))))
    later = sorted({one.as_of for one in entries if one.effective_from > now})
    if later and entry is not None:
        span = f"{later[0]} to {later[-1]}"
        click.echo(
            f"Entries for {span} come into force later and do not know of it: materialize release for these days"
        )
    if entry is not None:
        _show(settings.data_root, entry)


def _show(data_root: str, entry: "ReleaseEntry") -> None:
    """Record the decision at the asset; it is in force whether or not the UI can show it."""
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from pipeline_assets.commands.chains import prepare_home
    from pipeline_assets.definitions import record_decision

    try:
        prepare_home(data_root)
        with dg.DagsterInstance.get() as instance:
            record_decision(instance, entry)
    except (OSError, dg.DagsterError, SQLAlchemyError) as error:
        click.echo(
            f"it is in force, but not shown in the UI: the Dagster instance cannot be written: {error}", err=True
        )


def _tell_entry(entry: "ReleaseEntry", latest: int) -> str:
    parts = [("champion", entry.champion), ("backup", entry.backup), ("shadow", entry.shadow), ("canary", entry.canary)]
    told = ", ".join(f"{part} {model}" for part, model in parts if model) or "the rules"
    told += f" at {entry.canary_share:.4g}" if entry.canary else ""
    told += f", failed over since {entry.failed_over_since}" if entry.failed_over_since else ""
    told += ", held" if entry.is_held else ""
    replaced = f" [replaced by {latest}]" if latest != entry.sequence else ""
    start = f"{entry.effective_from.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return f"{entry.sequence:6} {start} {entry.action:12} by {entry.decided_by:8} {told}: {entry.reason}{replaced}"


def _name_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return "a user without a name"


RELEASE_COMMANDS = (release,)
