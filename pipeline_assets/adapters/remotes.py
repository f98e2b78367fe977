"""Whether the remotes really hold what they name: every object is read, and what one has lost comes from another."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.snapshots import ObjectLostError, Snapshots

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
    """Read every object that some snapshot names in every remote, and mend what is lacking or damaged.

    All bytes of all remotes are read: minutes for a large lake, as a watch over rot needs it once in a while.
    """
    named: set[str] = set()
    for snapshot in snapshots.list():
        named |= {snapshot.parameters, *snapshot.trees.values()}
        for folder in snapshot.trees:
            try:
                named |= set(snapshots.list_files(snapshot, [folder]).values())
            except ObjectLostError:
                continue  # its tree is among what is looked at
    for remote in remotes:
        with ThreadPoolExecutor(_THREADS) as pool:
            wanted = sorted(named)
            found = zip(wanted, pool.map(lambda md5, at=remote: at.find(md5) is not None, wanted), strict=True)
            flawed = [md5 for md5, is_whole in found if not is_whole]
        for md5 in flawed:
            try:
                remote.put(snapshots.fetch(md5), md5)
            except ObjectLostError:
                yield Flaw(remote.root, md5, is_mended=False)
            else:
                yield Flaw(remote.root, md5, is_mended=True)
