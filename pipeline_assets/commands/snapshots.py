"""Keeping everything, and going back: `pipeline-assets snapshot …` and `pipeline-assets restore`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import open_chains, reports_errors

if TYPE_CHECKING:
    from pipeline_assets.adapters.snapshots import Snapshots
    from pipeline_assets.adapters.stores import Stores
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
@reports_errors
def list_snapshots() -> None:
    """All snapshots, the latest last."""
    from pipeline_assets.settings import read_settings

    _, snapshots = open_snapshots(read_settings())
    for one in snapshots.list():
        kept = f"  kept: {one.kept_because}" if one.kept_because else ""
        revision = one.revision if one.revision.startswith("version") else one.revision[:12]
        click.echo(f"{one.sequence:6} {one.taken_at:%Y-%m-%d %H:%M:%S} {one.run_id:36} {revision}"
                   f" {one.n_files} files{kept}")  # fmt: skip


@snapshot.command()
@click.argument("as_of")
@click.option("--because", required=True, help="Why; it is kept beside it.")
@reports_errors
def keep(as_of: str, because: str) -> None:
    """Keep the snapshot AS_OF (a number, a run, a time) for good."""
    from pipeline_assets.core.lineage.snapshots import choose_snapshot
    from pipeline_assets.settings import read_settings

    _, snapshots = open_snapshots(read_settings())
    kept = snapshots.keep(choose_snapshot(snapshots.list(), as_of), because)
    click.echo(f"snapshot {kept.sequence} of {kept.taken_at:%Y-%m-%d %H:%M:%S} is kept for good")


@snapshot.command("collect-garbage")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@reports_errors
def collect_garbage(dry_run: bool) -> None:
    """Remove old snapshots and what only they need; never what a released model or a kept snapshot needs."""
    from datetime import UTC, datetime

    from pipeline_assets.adapters.retention import find_garbage
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    stores, snapshots = open_snapshots(settings)
    garbage = find_garbage(stores, snapshots, settings.params.snapshots, datetime.now(UTC))
    numbers = ", ".join(str(one.sequence) for one in garbage.dropped) or "none"
    click.echo(f"{len(garbage.kept)} snapshots stay, {len(garbage.dropped)} go: {numbers}")
    if not dry_run:
        click.echo(f"{snapshots.remove(garbage.dropped, garbage.needed)} objects removed from the remotes")


@snapshot.command()
@reports_errors
def verify() -> None:
    """Read every object in every remote; what one has lost or damaged comes from another."""
    from pipeline_assets.adapters.remotes import mend_remotes
    from pipeline_assets.adapters.replica import open_replicas
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    stores, snapshots = open_snapshots(settings)
    flaws = list(mend_remotes(snapshots, open_replicas(stores.root, settings.params.snapshots.remotes)))
    for flaw in flaws:
        click.echo(f"{flaw.remote}: {flaw.md5} {'mended from another remote' if flaw.is_mended else 'LOST'}")
    if not all(flaw.is_mended for flaw in flaws):
        raise click.ClickException("some objects are in no remote any more; restore what needs them from elsewhere")
    click.echo(f"{len(snapshots.list())} snapshots are whole in every remote")


@click.command()
@click.argument("tables", nargs=-1)
@click.option("--as-of", default="latest", show_default=True, help="Number of a snapshot, id of a run, day or time.")
@click.option("--into", type=click.Path(path_type=Path), help="Another data root; the present one is left alone.")
@reports_errors
def restore(tables: tuple[str, ...], as_of: str, into: Path | None) -> None:
    """Bring the exact bytes of a snapshot back: of TABLES (assets), or of everything.

    What is there now is kept first, as a snapshot of its own, so that nothing newer is lost. Landed files stay: they
    are only brought back where they are missing.
    """
    from pipeline_assets.adapters.restoring import choose_folders
    from pipeline_assets.adapters.restoring import restore as bring_back
    from pipeline_assets.adapters.storage import open_storage
    from pipeline_assets.core.lineage.snapshots import choose_snapshot
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    stores, snapshots = open_snapshots(settings)
    chosen = choose_snapshot(snapshots.list(), as_of)
    folders = choose_folders(chosen, tables)
    if into is None:
        open_chains().take_snapshot()
    root = stores.root if into is None else open_storage(str(into))
    restored = bring_back(root, snapshots, chosen, folders)
    click.echo(
        f"as of snapshot {chosen.sequence} ({chosen.taken_at:%Y-%m-%d %H:%M:%S}, run {chosen.run_id}): "
        f"{len(restored.written)} files brought back, {len(restored.removed)} newer ones removed, "
        f"{restored.n_same} were right; every byte verified"
    )
    if into is None and restored.written:
        import dagster as dg

        from pipeline_assets.definitions import record_restoration

        with dg.DagsterInstance.get() as instance:
            recorded = record_restoration(instance, stores, restored.written, chosen)
        click.echo(f"{len(recorded)} materializations recorded, each with its origin")
        open_chains().take_snapshot()  # so that the latest one is what is there now


SNAPSHOT_COMMANDS = (snapshot, restore)
