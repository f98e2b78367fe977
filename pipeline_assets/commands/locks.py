"""The commands on locks: who holds what, since when, and the way out where a holder hangs."""

from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import reports_errors

if TYPE_CHECKING:
    from pipeline_assets.adapters.locks import FoundLock
    from pipeline_assets.adapters.storage import Storage


@click.group()
def locks() -> None:
    """Locks of the data root and its remotes: who holds them, and taking one from a holder that hangs."""


@locks.command("list")
@reports_errors
def list_locks() -> None:
    """What is locked, by which process on which machine, since when, for what."""
    found = [(root, lock) for root in _open_roots() for lock in _look(root)]
    for root, lock in found:
        click.echo(f"{_name(root, lock.path)}: {_describe(lock)}")
    if not found:
        click.echo("nothing is locked")


@locks.command("break")
@click.argument("lock")
@click.option("--force", is_flag=True, help="Although its holder goes on, or may: it fails when it comes to the end.")
@reports_errors
def break_lock(lock: str, force: bool) -> None:
    """Let the next one have LOCK, as `locks list` names it."""
    known = {_name(root, one.path): (root, one) for root in _open_roots() for one in _look(root)}
    if lock not in known:
        raise ValueError(f"lock {lock}: expected one that is held ({', '.join(known) or 'none is'})")
    root, found = known[lock]
    if found.is_living and not force:
        raise ValueError(
            f"lock {lock}: {_describe(found)}; end that process first, or, where it hangs and cannot be ended: --force"
        )
    root.break_lock(found.path)
    click.echo(f"{lock}: free; it was {_describe(found)}")


def _open_roots() -> "list[Storage]":
    from pipeline_assets.adapters.replica import open_replicas
    from pipeline_assets.adapters.storage import open_storage
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    root = open_storage(settings.data_root)
    return [root, *(remote.storage for remote in open_replicas(root, settings.params.snapshots.remotes))]


def _look(root: "Storage") -> "tuple[FoundLock, ...]":
    from pipeline_assets.core.failures import FailureKind, classify_failure

    try:
        return root.list_locks()
    except Exception as error:
        if classify_failure(error) is not FailureKind.TRANSIENT:
            raise
        click.echo(f"{root.root}: cannot be reached: {str(error).splitlines()[0]:.200}", err=True)
        return ()


def _name(root: "Storage", path: str) -> str:
    return f"{root.root.rstrip('/')}/{path}"


def _describe(lock: "FoundLock") -> str:
    from pipeline_assets.adapters.locks import describe_holder

    if lock.is_held and lock.is_living:
        return f"held by {describe_holder(lock.holder)}"
    if lock.is_held:
        return f"held by {describe_holder(lock.holder)}, which has ended; it is free when its lease is over"
    return f"free, left by {describe_holder(lock.holder)}, which has ended"


LOCK_COMMANDS = (locks,)
