"""Which snapshots stay, and which objects stay whatever becomes of their snapshots: all that a model was made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pipeline_assets.adapters.dvc_workspace import list_committed
from pipeline_assets.adapters.history import History
from pipeline_assets.adapters.lineage import open_sources
from pipeline_assets.adapters.replica import hash_bytes
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.core.lineage.recipes import LANDING, MODEL
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.snapshots import Snapshot, SnapshotError, SnapshotParams, choose_kept
from pipeline_assets.core.lineage.tree import NodeId, State, build_tree


@dataclass(frozen=True)
class Garbage:
    """What a collection removes.

    Attributes:
        dropped: Snapshots that nobody needs as such any more.
        kept: The others.
        needed: Objects that models of the release log need, or commits in DVC's workspace, whichever snapshots go.
    """

    dropped: Sequence[Snapshot]
    kept: Sequence[Snapshot]
    needed: frozenset[str]


def find_garbage(stores: Stores, snapshots: Snapshots, params: SnapshotParams, now: datetime) -> Garbage:
    """What is garbage by the parameters.

    The first snapshot of each model in the release log stays: it knows the code and the parameters that made it.

    Raises:
        SnapshotError: Something that a model was made from is in no snapshot: nothing is removed then.
    """
    listed, history = snapshots.list(), History(snapshots)
    roots = list(_list_released(stores, history))
    firsts = {found.sequence for root in roots if (found := history.find_first(root.key, root.version))}
    kept = {one.sequence for one in choose_kept(listed, params, now)} | firsts
    needed = frozenset(_list_objects(stores, history, roots)) | list_committed(stores.root)
    return Garbage(
        [one for one in listed if one.sequence not in kept], [one for one in listed if one.sequence in kept], needed
    )


def _list_released(stores: Stores, history: History) -> Iterator[NodeId]:
    """The models that the release log names, as the versions of their partitions."""
    entries = stores.release_log.entries()
    versions = {one for entry in entries for one in (entry.champion, entry.backup, entry.canary) if one}
    for version in sorted(versions):
        key = Key(MODEL, date.fromisoformat(version.rpartition("-")[0]))
        digits = version.rpartition("-")[2]
        records = [record for record in [stores.records.find(key), *history.list_versions(key)] if record]
        found = [one for one in records if any(f"/{digits}/" in path for path in one.files)]
        if not found:
            raise SnapshotError(f"model {version} of the release log is in no snapshot; take one before you collect")
        yield NodeId(key, found[0].version)


def _list_objects(stores: Stores, history: History, roots: Sequence[NodeId]) -> Iterator[str]:
    tree = build_tree(roots, open_sources(stores, history))
    for node in tree.nodes.values():
        yield from node.files.values()
        if node.record is not None:
            yield hash_bytes(node.record.to_bytes())
        elif node.id.key.asset == LANDING and node.state is State.CHANGED:
            yield from (history.find_landed(node.id.key.day, node.id.version) or {}).values()
