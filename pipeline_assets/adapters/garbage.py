"""Removing from the remotes what nobody needs any more, of this data root alone.

A remote belongs to many: other data roots, and people who push to it by DVC. So an object goes only if a snapshot of
this data root named it that goes, or was being put by it when it was killed; and if no manifest of any data root names
it, none states that it needs it, no commit of DVC that is known here names it, and it is older than the grace.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pipeline_assets.adapters.catalog import Catalog, Note
from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.replication import Behind, noting
from pipeline_assets.adapters.retention import Garbage
from pipeline_assets.adapters.root_identity import load_card
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.core.lineage.dvc_trees import SnapshotError, is_tree
from pipeline_assets.core.lineage.snapshots import Snapshot

_PURPOSE: Final = "collecting garbage"
_THREADS: Final = 8


@dataclass(frozen=True)
class Collection:
    """What goes from one remote.

    Attributes:
        remote: Root of the remote.
        dropped: Numbers of the snapshots that go.
        objects: Bytes of each object that goes.
        n_young: Objects that nobody needs and that stay until they are older than the grace.
        refused: Why nothing goes; empty where something may.
    """

    remote: str
    dropped: tuple[int, ...] = ()
    objects: Mapping[str, int] = field(default_factory=dict)
    n_young: int = 0
    refused: str = ""

    @property
    def n_bytes(self) -> int:
        """Bytes of all objects that go."""
        return sum(self.objects.values())


@dataclass(frozen=True)
class _Plan:
    """What a collection does to a remote, and the notes of earlier ones and of killed snapshots that end with it."""

    collection: Collection
    young: frozenset[str]
    notes: tuple[Note, ...]


def collect_garbage(
    snapshots: Snapshots, garbage: Garbage, now: datetime, grace: timedelta, *, is_dry_run: bool = False
) -> list[Collection]:
    """Remove snapshots, and from each remote what only they needed; killed at any point, the next one goes on.

    Args:
        snapshots: Of this data root.
        garbage: Which of them go, and what is needed whichever go.
        now: The moment.
        grace: Objects that were written more recently never go.
        is_dry_run: Whether nothing is changed.

    Returns:
        What went from each remote, or would go.
    """
    collections: list[Collection] = []
    with ExitStack() as held:
        if not is_dry_run:
            held.enter_context(snapshots.lock(_PURPOSE))
        card = load_card(snapshots.root)
        for remote, catalog in zip(snapshots.objects.remotes, snapshots.catalogs, strict=True):
            behind: Behind = {}
            with noting(remote, behind), ExitStack() as held_remote:
                if reason := garbage.refusals.get(remote.root):
                    raise SnapshotError(reason)
                if card is None:
                    raise SnapshotError("this data root has no id yet; take a snapshot first")
                lock = None if is_dry_run else held_remote.enter_context(catalog.lock(_PURPOSE))
                if catalog.find_card(card.id) is None:
                    raise SnapshotError("it does not know this data root: is its disk there? Or take a snapshot first")
                if snapshots.find_foreign(catalog, card.id, snapshots.list_entries()):
                    raise SnapshotError(
                        f"another data root goes on as {card.id}; take a snapshot first: it gets a new id"
                    )
                plan = _plan(snapshots, remote, catalog, card.id, garbage, now - grace)
                if lock is not None:
                    lock.check()
                    _carry_out(remote, catalog, card.id, garbage, plan)
                collections.append(plan.collection)
            if remote.root in behind:
                collections.append(Collection(remote.root, refused=behind[remote.root]))
        if not is_dry_run and not all(one.refused for one in collections):
            snapshots.forget_entries(one.sequence for one in garbage.dropped)
    return collections


def forget_root(snapshots: Snapshots, root: str, own: str) -> int:
    """Give up the snapshots of a data root that is no more; its objects go with the next collection of this one.

    Returns:
        How many manifests were removed, of all remotes together.

    Raises:
        SnapshotError: What they name is not known, so that nothing was removed from that remote.
    """
    n_removed = 0
    for catalog in snapshots.catalogs:
        with catalog.lock(_PURPOSE):
            given_up = catalog.read_all(root)
            if given_up:  # what a lost tree named is not known, and stays
                catalog.announce(own, snapshots.objects.list_named(given_up, is_lenient=True))
            for note in catalog.list_notes():
                if note.root == root and note.md5s:
                    catalog.announce(own, note.md5s)
            catalog.forget(root)
            n_removed += len(given_up)
    return n_removed


def _plan(
    snapshots: Snapshots, remote: Replica, catalog: Catalog, own: str, garbage: Garbage, before: datetime
) -> _Plan:
    going = {one.sequence for one in garbage.dropped}
    everything = catalog.read_all()  # of every data root; what cannot be read is needed by somebody
    # Kept by whom, and where, it is said: a copy of the data root may not have heard of it.
    dropped = [one for one in everything if one.root == own and one.sequence in going and not one.kept_because]
    numbers = tuple(sorted(one.sequence for one in dropped))
    staying = [one for one in everything if one.root != own or one.sequence not in numbers]
    notes = catalog.list_notes()
    ended = tuple(note for note in notes if note.root == own)
    needed = _list_needed(snapshots, staying) | garbage.needed | catalog.list_needed_by_others(own)
    needed = needed.union(*(note.md5s for note in notes if note.root != own))
    # A tree that stays names what stays; of one that is lost, what it named is not known, and is left.
    candidates = snapshots.objects.list_named(dropped, known=needed, is_lenient=True)
    candidates = candidates.union(*(note.md5s for note in ended)) - needed
    objects: dict[str, int] = {}
    young = set()
    with ThreadPoolExecutor(_THREADS) as pool:
        for md5, status in zip(candidates, pool.map(remote.stat, candidates), strict=True):
            if status is not None and status.modified_at >= before:
                young.add(md5)
            elif status is not None:
                objects[md5] = status.n_bytes
    return _Plan(Collection(remote.root, numbers, objects, len(young)), frozenset(young), ended)


def _list_needed(snapshots: Snapshots, staying: Sequence[Snapshot]) -> set[str]:
    try:
        return snapshots.objects.list_named(staying)
    except ObjectLostError as error:
        lost = next((one for one in staying if any(tree in str(error) for tree in one.trees.values())), None)
        where = f"snapshot {lost.sequence} of data root {lost.root or 'unnamed'}" if lost else "a snapshot"
        raise SnapshotError(
            f"{where} names what is lost, so that what it needs is not known: {error}; mend it there by: snapshot "
            "verify; a data root that is no more can be given up by: snapshot forget-root"
        ) from error


def _carry_out(remote: Replica, catalog: Catalog, own: str, garbage: Garbage, plan: _Plan) -> None:
    """Note what goes, then remove the manifests that name it, then the objects: after a kill the note is found."""
    catalog.need(own, garbage.needed)
    objects = plan.collection.objects
    notes = [catalog.announce(own, {*objects, *plan.young})] if objects or plan.young else []
    for number in plan.collection.dropped:
        catalog.remove(own, number)
    for goes_first in (True, False):  # to DVC, a tree that is there has all its files
        remote.remove([md5 for md5 in objects if is_tree(md5) is goes_first])
    if plan.young:
        catalog.announce(own, plan.young)
    for note in [*notes, *(one.path for one in plan.notes)]:
        catalog.withdraw(note)
