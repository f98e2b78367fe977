"""Giving each remote the objects and the manifests of snapshots, whatever is in the way of the others."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from pipeline_assets.adapters.catalog import Catalog
from pipeline_assets.adapters.objects import ObjectLostError, Objects
from pipeline_assets.adapters.replica import Replica, hash_bytes
from pipeline_assets.adapters.snapshot_index import Scan, Source
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.failures import FailureKind, classify_failure
from pipeline_assets.core.lineage.dvc_trees import SnapshotError, is_tree
from pipeline_assets.core.lineage.snapshots import UNNAMED, RootCard, Snapshot

_LOG: Final = logging.getLogger(__name__)
_THREADS: Final = 8  # writers wait for the disk, not for the processor
_SHOWN_CHARACTERS: Final = 300  # of what is wrong with a remote
Behind = dict[str, str]  # why a remote does not have everything, by its root


class RemotesUnreachableError(ConnectionError):
    """Remotes cannot be written to."""


class ReplacedMeanwhileError(BlockingIOError):
    """A file was replaced after it was looked at and before its bytes were kept."""


class _Rooted(Protocol):
    root: str


@dataclass
class Taken:
    """A snapshot that was taken.

    Attributes:
        snapshot: The snapshot.
        n_new: Objects that it brought.
        behind: Remotes that do not have all of it, and why.
        unsettled: Files that were being written, or are not as recorded: as they were in the snapshot before.
        lost: Earlier snapshots whose bytes no remote has any more.
        forked_from: The id that the data root had until another one went on under it.
    """

    snapshot: Snapshot
    n_new: int
    behind: Behind = field(default_factory=dict)
    unsettled: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    forked_from: str | None = None


@dataclass(frozen=True)
class State:
    """A data root at one moment: what was found, its trees by folder, and these and the parameters as objects."""

    found: Scan
    trees: dict[str, str]
    objects: dict[str, bytes]


@contextmanager
def noting(remote: _Rooted, behind: Behind) -> Iterator[None]:
    """Leave a remote behind for what is wrong with it alone; the others go on."""
    try:
        yield
    except ReplacedMeanwhileError:
        raise
    except Exception as error:
        is_its_own = isinstance(error, OSError | SnapshotError)
        if not is_its_own and classify_failure(error) is not FailureKind.TRANSIENT:
            raise
        said = (str(error).splitlines() or [""])[0][:_SHOWN_CHARACTERS]  # of a client's error the rest is its insides
        _LOG.warning("remote %s: %s", remote.root, said)
        behind[remote.root] = f"{type(error).__name__}: {said}"


def tell(behind: Behind) -> str:
    """Say which remotes are behind, and why, for a person."""
    return "; ".join(f"{remote}: {why}" for remote, why in behind.items())


class Replication:
    """One round of giving the remotes what they lack; each is held (:meth:`Catalog.lock`) meanwhile."""

    def __init__(self, remotes: Sequence[Replica], objects: Objects, card: RootCard, behind: Behind) -> None:
        """Of the snapshots of the data root of ``card``; ``behind`` has, and gets, the remotes that are left out."""
        self._remotes = list(remotes)
        self._objects = objects
        self._card = card
        self._notes: dict[str, list[str]] = {}
        self.behind = behind

    def put(self, root: Storage, fresh: Mapping[str, str], objects: Mapping[str, bytes]) -> int:
        """Give each remote the files that are new (path by hash) and some objects; how many one of them lacked.

        Raises:
            RemotesUnreachableError: No remote can be written to.
            ReplacedMeanwhileError: A file has other bytes than when it was looked at.
        """
        new: set[str] = set()
        with ThreadPoolExecutor(_THREADS) as pool:
            for remote in self._remaining():
                with noting(remote, self.behind):
                    whole = pool.map(lambda md5, at=remote: at.find(md5) is not None, [*fresh, *objects])
                    lacking = {md5 for md5, is_whole in zip([*fresh, *objects], whole, strict=True) if not is_whole}
                    self._announce(remote, lacking)
                    for wanted in (fresh, objects):  # to DVC, a tree that is there has all its files
                        chosen = [md5 for md5 in wanted if md5 in lacking]
                        list(pool.map(lambda md5, at=remote: _put(at, md5, root, fresh, objects), chosen))
                    new |= lacking
        if not self._remaining():
            raise RemotesUnreachableError(f"no remote can be written to: {tell(self.behind)}; nothing was taken")
        return len(new)

    def name_all(self, snapshots: Sequence[Snapshot], source: Source) -> list[int]:
        """Let each remote have and name all snapshots: what it lacks comes from the others or from the data root.

        Returns:
            The numbers of those whose bytes are nowhere any more.
        """
        lost: set[int] = set()
        for remote in self._remaining():
            with noting(remote, self.behind):
                catalog = Catalog(remote)
                catalog.introduce(self._card)
                there = set(catalog.list_numbers(self._card.id))
                whole: Snapshot | None = None  # the latest of which the remote has everything
                for snapshot in snapshots:
                    if snapshot.sequence not in there:
                        if not self._complete(remote, snapshot, whole, source):
                            lost.add(snapshot.sequence)
                            continue
                        if not catalog.add(snapshot):
                            raise SnapshotError(
                                f"another data root has taken snapshot {snapshot.sequence} as {self._card.id}; "
                                "the next snapshot of this one goes on under an id of its own"
                            )
                    elif snapshot.kept_because:
                        catalog.replace(snapshot)
                    whole = snapshot
                _migrate(catalog, snapshots)
                for note in self._notes.pop(remote.root, ()):
                    catalog.withdraw(note)
        return sorted(lost)

    def _complete(self, remote: Replica, snapshot: Snapshot, whole: Snapshot | None, source: Source) -> bool:
        """Give a remote what it lacks of a snapshot, of ``whole`` it lacks nothing; whether it has all then."""
        before = whole.trees if whole else {}
        try:
            wanted = {snapshot.parameters} - ({whole.parameters} if whole else set())
            for folder, tree in snapshot.trees.items():
                if tree != before.get(folder):
                    known = self._objects.read_tree(folder, before[folder]).values() if folder in before else ()
                    wanted |= {tree, *self._objects.read_tree(folder, tree).values()} - set(known)
            lacking = sorted((md5 for md5 in wanted if not remote.has(md5)), key=is_tree)  # trees after their files
            self._announce(remote, lacking)
            for md5 in lacking:
                remote.put(source.find(md5) or self._objects.fetch(md5), md5)
        except ObjectLostError as error:
            _LOG.warning("snapshot %d in %s: %s", snapshot.sequence, remote.root, error)
            return False
        return True

    def _announce(self, remote: Replica, md5s: Iterable[str]) -> None:
        md5s = list(md5s)
        if md5s:
            self._notes.setdefault(remote.root, []).append(Catalog(remote).announce(self._card.id, md5s))

    def _remaining(self) -> list[Replica]:
        return [remote for remote in self._remotes if remote.root not in self.behind]


def _put(remote: Replica, md5: str, root: Storage, fresh: Mapping[str, str], objects: Mapping[str, bytes]) -> None:
    content = objects[md5] if md5 in objects else root.read(fresh[md5])
    if md5 in fresh and hash_bytes(content) != md5:
        raise ReplacedMeanwhileError(f"{fresh[md5]} was replaced while the snapshot was taken; take it again")
    remote.put(content, md5)


def _migrate(catalog: Catalog, snapshots: Iterable[Snapshot]) -> None:
    """Remove the manifests without an id that are named under this one's now; those of other data roots stay."""
    unnamed = set(catalog.list_numbers(UNNAMED))
    for snapshot in snapshots:
        if snapshot.sequence in unnamed and catalog.read(UNNAMED, snapshot.sequence).is_same_state(snapshot):
            catalog.remove(UNNAMED, snapshot.sequence)
