"""Which snapshots stay, and which objects stay whatever becomes of their snapshots: all that a model was made from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from pipeline_assets.adapters.dvc_workspace import (
    find_unknown_commits,
    list_committed,
    list_dvc_remotes,
    name_place,
)
from pipeline_assets.adapters.history import History
from pipeline_assets.adapters.lineage import open_sources
from pipeline_assets.adapters.replica import hash_bytes
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.recipes import LANDING, MODEL
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.snapshots import Snapshot, SnapshotParams, choose_kept
from pipeline_assets.core.lineage.tree import NodeId, State, build_tree


@dataclass(frozen=True)
class Garbage:
    """What a collection removes.

    Attributes:
        dropped: Snapshots that nobody needs as such any more.
        kept: The others.
        needed: Objects that models of the release log need, or commits in DVC's workspace, whichever snapshots go.
        refusals: Why nothing may go from a remote, by its root: of DVC's remotes, where commits are not known here.
    """

    dropped: Sequence[Snapshot]
    kept: Sequence[Snapshot]
    needed: frozenset[str]
    refusals: Mapping[str, str] = field(default_factory=dict)


def find_garbage(
    stores: Stores, snapshots: Snapshots, params: SnapshotParams, now: datetime, *, is_offline: bool = False
) -> Garbage:
    """Return what is garbage by the parameters.

    The first snapshot of each model in the release log stays: it knows the code and the parameters that made it.

    Args:
        stores: Of the data root.
        snapshots: Of the data root.
        params: How long snapshots are kept.
        now: The moment.
        is_offline: Whether the commits that are known here are taken for all that there are.

    Raises:
        SnapshotError: Something that a model was made from is in no snapshot: nothing is removed then.
    """
    listed, history = snapshots.list_everywhere(is_strict=True), History(snapshots)
    roots = list(_list_released(stores, history))
    firsts = {found.sequence for root in roots if (found := history.find_first(root.key, root.version))}
    kept = {one.sequence for one in choose_kept(listed, params, now)} | firsts
    needed = frozenset(_list_objects(stores, history, roots)) | list_committed(stores.root)
    return Garbage(
        [one for one in listed if one.sequence not in kept],
        [one for one in listed if one.sequence in kept],
        needed,
        {} if is_offline else _list_refusals(stores, snapshots),
    )


def _list_refusals(stores: Stores, snapshots: Snapshots) -> Mapping[str, str]:
    """Why nothing may go from the remotes that are DVC's, too."""
    of_dvc = list_dvc_remotes(stores.root)
    shared = [remote.root for remote in snapshots.objects.remotes if name_place(remote.root) in of_dvc]
    unknown = find_unknown_commits(stores.root) if shared else ""
    return dict.fromkeys(shared, unknown) if unknown else {}


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
