"""Whether the remotes really hold what they name: every object is read, and what one has lost comes from another."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.snapshot_index import belongs_to_snapshots
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.snapshots import UNNAMED, find_broken_links

_THREADS: Final = 8


@dataclass(frozen=True)
class Flaw:
    """An object that a remote should hold and does not, or not whole.

    Attributes:
        remote: Root of the remote.
        md5: The object; a whole snapshot's number where its tree is lost.
        is_mended: Whether another remote had it.
    """

    remote: str
    md5: str
    is_mended: bool


def mend_remotes(snapshots: Snapshots, remotes: Sequence[Replica]) -> Iterator[Flaw]:
    """Read every object that a snapshot of the data root names in every remote, and mend what is lacking or damaged.

    All bytes of all remotes are read: minutes for a large lake, as a watch over rot needs it once in a while.
    """
    listed = snapshots.list()
    wanted = sorted(snapshots.objects.list_named(listed, is_lenient=True))
    for remote in remotes:
        with ThreadPoolExecutor(_THREADS) as pool:
            found = zip(wanted, pool.map(lambda md5, at=remote: at.find(md5) is not None, wanted), strict=True)
            flawed = [md5 for md5, is_whole in found if not is_whole]
        for md5 in flawed:
            try:
                remote.put(snapshots.fetch(md5), md5)
            except ObjectLostError:
                yield Flaw(remote.root, md5, is_mended=False)
            else:
                yield Flaw(remote.root, md5, is_mended=True)


def find_forgeries(snapshots: Snapshots) -> Iterator[str]:
    """Name what is not as it was written: manifests on which the data root and a remote differ, links, paths.

    Each manifest names the hash of the one before, so that the past cannot be changed without all that came after it.
    """
    root, listed = snapshots.roots.find(), snapshots.list()
    yield from find_broken_links(listed)
    by_number = {one.sequence: one for one in listed}
    for catalog in snapshots.catalogs if root is not None else ():
        there = set(catalog.list_numbers(root or UNNAMED))
        for number in sorted(there & by_number.keys()):
            try:
                found = catalog.read(root or UNNAMED, number)
            except SnapshotError as error:
                yield str(error)
                continue
            if found.sha256 != by_number[number].sha256:
                yield f"{catalog.root}: snapshot {number} is not as the data root has it: one of the two was changed"
        if strangers := sorted(there - by_number.keys()):
            yield (
                f"{catalog.root}: it names snapshots {strangers} of this data root, which knows nothing of them: "
                "another one goes on under its id, or they were forged"
            )
    for folder, tree in sorted({one for snapshot in listed for one in snapshot.trees.items()}):
        try:
            foreign = [path for path in snapshots.objects.read_tree(folder, tree) if not belongs_to_snapshots(path)]
        except ObjectLostError:
            continue  # it is among the objects that are lost
        except SnapshotError as error:
            yield f"tree {tree}: {error}"
        else:
            yield from (f"tree {tree} names {path!r}, which is no data of a pipeline" for path in foreign[:1])


def name_again(snapshots: Snapshots) -> Iterator[str]:
    """Let each remote name the snapshots that it has lost the manifests of; all their objects are there."""
    for catalog in snapshots.catalogs:
        for one in snapshots.list_entries():
            if one.root and one.sequence not in catalog.list_numbers(one.root) and catalog.add(one):
                yield f"{catalog.root}: it had forgotten snapshot {one.sequence}, and names it again"
