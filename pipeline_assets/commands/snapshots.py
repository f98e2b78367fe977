"""Keeping everything, and going back: `pipeline-assets snapshot …` and `pipeline-assets restore`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import open_chains, reports_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_assets.adapters.snapshots import Snapshots
    from pipeline_assets.adapters.stores import Stores
    from pipeline_assets.core.lineage.snapshots import Snapshot
    from pipeline_assets.settings import Settings


def open_snapshots(settings: "Settings") -> "tuple[Stores, Snapshots]":
    """The stores and the snapshots of the settings."""
    from pipeline_assets.adapters.replica import open_replicas
    from pipeline_assets.adapters.snapshots import Snapshots
    from pipeline_assets.adapters.stores import open_stores

    stores = open_stores(settings.data_root)
    return stores, Snapshots(stores.root, open_replicas(stores.root, settings.params.snapshots.remotes))


@click.group()
def snapshot() -> None:
    """The bytes of everything, kept by their hash in DVC remotes."""


@snapshot.command()
@reports_errors
def take() -> None:
    """Take one now, as a run of Dagster."""
    open_chains().take_snapshot()


@snapshot.command("list")
@click.option("--root", default=None, help="Another data root of the remotes, by the beginning of its id.")
@reports_errors
def list_snapshots(root: str | None) -> None:
    """All snapshots, the latest last."""
    from pipeline_assets.settings import read_settings

    _, snapshots = open_snapshots(read_settings())
    if root is None and not snapshots.list() and not snapshots.roots.list():
        click.echo("no snapshot yet; take one: pipeline-assets snapshot take")
        return
    for one in list_chosen(snapshots, root):
        kept = f"  kept: {one.kept_because}" if one.kept_because else ""
        revision = one.revision if one.revision.startswith("version") else one.revision[:12]
        click.echo(f"{one.sequence:6} {one.taken_at:%Y-%m-%d %H:%M:%S} {one.run_id:36} {revision}"
                   f" {one.n_files} files{kept}")  # fmt: skip


@snapshot.command()
@reports_errors
def roots() -> None:
    """The data roots that share the remotes, and their latest snapshots."""
    from pipeline_assets.adapters.root_identity import load_card
    from pipeline_assets.settings import read_settings

    _, snapshots = open_snapshots(read_settings())
    own = load_card(snapshots.root)
    for root, card in snapshots.roots.list().items():
        listed = snapshots.list_of(root)
        latest = f"the latest {listed[-1].sequence} of {listed[-1].taken_at:%Y-%m-%d %H:%M:%S}" if listed else ""
        is_own = " (this one)" if own and own.id == root else ""
        click.echo(
            f"{root or 'unnamed':16} {len(listed):5} snapshots, {latest}  {card.location if card else ''}{is_own}"
        )


@snapshot.command("forget-root")
@click.argument("root")
@reports_errors
def forget_root(root: str) -> None:
    """Give up the snapshots of the data root ROOT (its id), which is no more: collect-garbage then frees its objects.

    Only of a data root whose latest snapshot is older than the days for which all are kept.
    """
    from datetime import UTC, datetime, timedelta

    from pipeline_assets.adapters import garbage
    from pipeline_assets.adapters.root_identity import load_card
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    _, snapshots = open_snapshots(settings)
    chosen, own = snapshots.roots.choose(root), load_card(snapshots.root)
    if own is None or chosen == own.id:
        raise click.ClickException("expected another data root than this one, and a snapshot of this one first")
    latest = snapshots.list_of(chosen)[-1].taken_at
    keep_days = settings.params.snapshots.keep_days
    if datetime.now(UTC) - latest < timedelta(days=keep_days):
        raise click.ClickException(
            f"data root {root} took a snapshot at {latest:%Y-%m-%d %H:%M:%S}: it may still be in use; it can be "
            f"forgotten {keep_days} days after its latest one (snapshots.keep_days)"
        )
    n_removed = garbage.forget_root(snapshots, chosen, own.id)
    click.echo(
        f"{n_removed} manifests removed; what only they needed goes with: pipeline-assets snapshot collect-garbage"
    )


@snapshot.command()
@click.argument("as_of")
@click.option("--because", required=True, help="Why; it is kept beside it.")
@reports_errors
def keep(as_of: str, because: str) -> None:
    """Keep the snapshot AS_OF (a number, a run, a time) for good."""
    from pipeline_assets.core.lineage.snapshots import choose_snapshot
    from pipeline_assets.settings import read_settings

    if not because.strip():
        raise click.UsageError("--because: expected a reason, found nothing")
    _, snapshots = open_snapshots(read_settings())
    kept = snapshots.keep(choose_snapshot(snapshots.list(), as_of), because)
    click.echo(f"snapshot {kept.sequence} of {kept.taken_at:%Y-%m-%d %H:%M:%S} is kept for good")


@snapshot.command("collect-garbage")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--offline", is_flag=True, help="Do not ask the remotes of git for branches that are not fetched.")
@reports_errors
def collect_garbage(dry_run: bool, offline: bool) -> None:
    """Remove old snapshots and what only they need; never what a released model or a kept snapshot needs.

    Nothing goes that another data root, a commit of DVC, or anybody within the grace (snapshots.grace_days) has named.
    """
    from datetime import UTC, datetime, timedelta

    from pipeline_assets.adapters import garbage
    from pipeline_assets.adapters.retention import find_garbage
    from pipeline_assets.settings import read_settings

    settings, now = read_settings(), datetime.now(UTC)
    stores, snapshots = open_snapshots(settings)
    params = settings.params.snapshots
    found = find_garbage(stores, snapshots, params, now, is_offline=offline)
    numbers = ", ".join(str(one.sequence) for one in found.dropped) or "none"
    click.echo(f"{len(found.kept)} snapshots stay, {len(found.dropped)} go: {numbers}")
    grace = timedelta(days=params.grace_days)
    collected = garbage.collect_garbage(snapshots, found, now, grace, is_dry_run=dry_run)
    for one in collected:
        if one.refused:
            click.echo(f"{one.remote}: nothing goes: {one.refused}")
            continue
        young = f"; {one.n_young} more stay until they are {params.grace_days:g} days old" if one.n_young else ""
        click.echo(f"{one.remote}: {len(one.objects)} objects, {one.n_bytes} bytes "
                   f"{'would go' if dry_run else 'removed'}{young}")  # fmt: skip
    if any(one.refused for one in collected):
        raise click.ClickException("from some remotes nothing went; see above")


@snapshot.command()
@reports_errors
def verify() -> None:
    """Read every object in every remote; what one has lost or damaged comes from another."""
    from pipeline_assets.adapters.remotes import find_forgeries, mend_remotes, name_again
    from pipeline_assets.settings import read_settings

    _, snapshots = open_snapshots(read_settings())
    flaws = list(mend_remotes(snapshots, snapshots.objects.remotes))
    for flaw in flaws:
        click.echo(f"{flaw.remote}: {flaw.md5} {'mended from another remote' if flaw.is_mended else 'LOST'}")
    for problem in name_again(snapshots) if all(flaw.is_mended for flaw in flaws) else ():
        click.echo(problem)
    forgeries = list(find_forgeries(snapshots))
    for problem in forgeries:
        click.echo(problem)
    if forgeries:
        raise click.ClickException("some manifests are not as they were written; trust the other copies only")
    if not all(flaw.is_mended for flaw in flaws):
        raise click.ClickException("some objects are in no remote any more; restore what needs them from elsewhere")
    click.echo(f"{len(snapshots.list())} snapshots are whole in every remote")


@click.command()
@click.argument("tables", nargs=-1)
@click.option("--as-of", default="latest", show_default=True, help="Number of a snapshot, id of a run, day or time.")
@click.option("--root", default=None, help="Another data root of the remotes, by the beginning of its id.")
@click.option("--into", type=click.Path(path_type=Path), help="Another data root; the present one is left alone.")
@reports_errors
def restore(tables: tuple[str, ...], as_of: str, root: str | None, into: Path | None) -> None:
    """Bring the exact bytes of a snapshot back: of TABLES (assets), or of everything.

    What is there now is kept first, as a snapshot of its own, so that nothing newer is lost. Landed files stay: they
    are only brought back where they are missing. A data root whose disk was lost takes the snapshots of the one that
    was at the same place before; another one is named with --root (see: pipeline-assets snapshot roots).
    """
    from datetime import UTC, datetime

    from pipeline_assets.adapters import unfinished
    from pipeline_assets.adapters.restoring import choose_folders
    from pipeline_assets.adapters.restoring import restore as bring_back
    from pipeline_assets.adapters.storage import open_storage
    from pipeline_assets.core.lineage.snapshots import LATEST, choose_snapshot, choose_to_restore
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    stores, snapshots = open_snapshots(settings)
    begun = unfinished.find(stores.root) if into is None and as_of == LATEST and root is None else None
    if begun is not None:
        click.echo(f"a restore of snapshot {begun.sequence} was interrupted: it is done again")
        root, as_of, tables = begun.root or "unnamed", str(begun.sequence), tables or begun.tables
    listed = list_chosen(snapshots, root)
    chosen = choose_to_restore(listed) if as_of == LATEST else choose_snapshot(listed, as_of)
    folders = choose_folders(chosen, tables)
    if into is None:
        unfinished.begin(stores.root, unfinished.Restoration(chosen.root, chosen.sequence, tables))
        if snapshots.adopt(chosen.root, datetime.now(UTC)):
            click.echo(f"this data root had lost its id: it goes on as {chosen.root}")
        open_chains().take_snapshot()
    target = stores.root if into is None else open_storage(str(into))
    restored = bring_back(target, snapshots, chosen, folders)
    click.echo(
        f"as of snapshot {chosen.sequence} of data root {chosen.root or 'unnamed'} "
        f"({chosen.taken_at:%Y-%m-%d %H:%M:%S}, run {chosen.run_id}): "
        f"{len(restored.written)} files brought back, {len(restored.removed)} newer ones removed, "
        f"{restored.n_same} were right; every byte verified"
    )
    if restored.kept:
        click.echo(f"{len(restored.kept)} entries of the release log since then stay: who decided is a fact")
    if into is None and restored.written:
        import dagster as dg

        from pipeline_assets.definitions import record_restoration

        with dg.DagsterInstance.get() as instance:
            recorded = record_restoration(instance, stores, restored.written, chosen)
        click.echo(f"{len(recorded)} materializations recorded, each with its origin")
        unfinished.end(stores.root)
        open_chains().take_snapshot()  # so that the latest one is what is there now
    elif into is None:
        unfinished.end(stores.root)


def list_chosen(snapshots: "Snapshots", root: str | None) -> "Sequence[Snapshot]":
    """The snapshots of this data root, or of another one of the remotes by the beginning of its id.

    Raises:
        SnapshotError: There is no such data root; or this one has lost its id, and several may be it.
    """
    if root is not None:
        return snapshots.list_of(snapshots.roots.choose(root))
    return snapshots.list() or snapshots.list_of(snapshots.roots.choose(None))


SNAPSHOT_COMMANDS = (snapshot, restore)
