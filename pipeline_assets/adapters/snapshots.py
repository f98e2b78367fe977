"""Snapshots of a data root: objects in the remotes, and one manifest after another that says which of them were where.

Layout below the data root: ``snapshots/entries/<number>.json``, and ``snapshots/index.json``, which only saves work.
In each remote: the objects where a DVC remote has them, and ``snapshots/<number>.json``, written after the last object
of its snapshot: what a remote names, it holds. Killed at any point, the next snapshot completes what is lacking.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from pipeline_assets.adapters.replica import Replica, hash_bytes
from pipeline_assets.adapters.snapshot_index import Scan, Source, load_index, save_index, scan
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.failures import FailureKind, classify_failure
from pipeline_assets.core.lineage.snapshots import (
    LogHead,
    Snapshot,
    SnapshotError,
    group_files,
    hash_tree,
    make_tree,
    read_snapshot,
    read_tree,
)

_LOG: Final = logging.getLogger(__name__)
_ENTRIES: Final = "snapshots/entries"
_LOCK: Final = "snapshots/lock"
_ATTEMPTS: Final = 3  # to keep the data root while others write into it
_THREADS: Final = 8  # writers wait for the disk, not for the processor


class RemotesUnreachableError(ConnectionError):
    """No remote can be written to, so that nothing would be kept."""


class ReplacedMeanwhileError(BlockingIOError):
    """A file was replaced after it was looked at and before its bytes were kept."""


class ObjectLostError(SnapshotError):
    """No remote has some bytes any more."""


@dataclass
class Taken:
    """A snapshot that was taken.

    Attributes:
        snapshot: The snapshot.
        n_new: Objects that it brought.
        behind: Remotes that do not have all of it, and why.
        unsettled: Files that were being written, or are not as recorded: as they were in the snapshot before.
        lost: Earlier snapshots whose bytes no remote has any more.
    """

    snapshot: Snapshot
    n_new: int
    behind: dict[str, str] = field(default_factory=dict)
    unsettled: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """A data root at one moment: what was found, its trees by folder, and these and the parameters as objects."""

    found: Scan
    trees: dict[str, str]
    objects: dict[str, bytes]


class Snapshots:
    """The snapshots of one data root, kept in its remotes."""

    def __init__(self, root: Storage, remotes: Sequence[Replica]) -> None:
        """Of the data root ``root``; each of ``remotes`` gets everything."""
        self._root = root
        self._remotes = list(remotes)
        self._trees: dict[str, dict[str, str]] = {}

    def take(
        self,
        run_id: str,
        revision: str,
        parameters: bytes,
        now: datetime,
        heads: Mapping[str, LogHead] | None = None,
    ) -> Taken:
        """Keep the data root as it is; one at a time, whoever comes meanwhile waits and takes the next one.

        Args:
            run_id: The run that takes it.
            revision: The code that runs.
            parameters: Bytes of the parameters file.
            now: The moment.
            heads: How far each append-only log reaches, by its folder below the data root.

        Raises:
            RemotesUnreachableError: No remote took the bytes; nothing was taken, and taking it again is right.
        """
        with self._root.lock(_LOCK):
            before = self.list()
            behind: dict[str, str] = {}
            state, n_new = self._scan_and_put(before[-1] if before else None, parameters, behind)
            snapshot = Snapshot(
                sequence=before[-1].sequence + 1 if before else 0,
                taken_at=now,
                run_id=run_id,
                revision=revision,
                parameters=hash_bytes(parameters),
                trees=state.trees,
                n_files=len(state.found.index.files),
                heads=dict(heads or {}),
            )
            self._root.write(_name(snapshot.sequence), snapshot.to_bytes())
            save_index(self._root, state.found.index)
            taken = Taken(snapshot, n_new, behind, state.found.unsettled)
            self._replicate([*before, snapshot], Source(self._root, state.found.index, state.objects), taken)
            return taken

    def list(self) -> list[Snapshot]:
        """All snapshots in order: of the data root, and where it has lost them, of the remotes."""
        found = {one.sequence: one for one in self._read_all(self._root, _ENTRIES)}
        if not found:
            for remote in self._remotes:
                try:
                    found |= {one.sequence: one for one in self._read_all(remote.storage, "snapshots")}
                except OSError as error:
                    _LOG.warning("remote %s: %s", remote.root, error)
        return [found[number] for number in sorted(found)]

    def list_files(self, snapshot: Snapshot, folders: Iterable[str] | None = None) -> dict[str, str]:
        """Hash by path of the files of a snapshot, of all folders or of some.

        Raises:
            ObjectLostError: No remote has one of its trees.
        """
        chosen = snapshot.trees if folders is None else {name: snapshot.trees[name] for name in folders}
        files: dict[str, str] = {}
        for folder, tree in chosen.items():
            files |= self._read_tree(folder, tree)
        return files

    def fetch(self, md5: str) -> bytes:
        """Some bytes by their hash, verified.

        Raises:
            ObjectLostError: No remote has them.
        """
        for remote in self._remotes:
            try:
                content = remote.find(md5)
            except OSError as error:
                _LOG.warning("remote %s: %s", remote.root, error)
                continue
            if content is not None:
                return content
        remotes = ", ".join(remote.root for remote in self._remotes)
        raise ObjectLostError(f"object {md5}: no remote has it whole; looked in {remotes}")

    def require(self, md5s: Iterable[str]) -> None:
        """Make sure that some bytes can be fetched; they are not read.

        Raises:
            ObjectLostError: No remote has some of them.
        """
        lacking = [md5 for md5 in set(md5s) if not any(remote.has(md5) for remote in self._remotes)]
        if lacking:
            raise ObjectLostError(f"{len(lacking)} objects are in no remote, the first is {min(lacking)}")

    def keep(self, snapshot: Snapshot, because: str) -> Snapshot:
        """Keep a snapshot for good."""
        kept = dataclasses.replace(snapshot, kept_because=because)
        with self._root.lock(_LOCK):
            self._root.write(_name(kept.sequence), kept.to_bytes())
            for remote in self._remotes:
                remote.storage.write(_remote_name(kept.sequence), kept.to_bytes())
        return kept

    def remove(self, dropped: Iterable[Snapshot], needed: Iterable[str]) -> int:
        """Remove snapshots, then from each remote all objects that neither the others nor ``needed`` name.

        The manifests go first: killed in between, the next removal finds the objects that nobody names any more.

        Returns:
            How many objects were removed.
        """
        with self._root.lock(_LOCK):
            numbers = {one.sequence for one in dropped}
            kept = [one for one in self.list() if one.sequence not in numbers]
            named = set(needed)
            for snapshot in kept:
                named |= {snapshot.parameters, *snapshot.trees.values(), *self.list_files(snapshot).values()}
            for number in sorted(numbers):
                self._root.delete(_name(number))
            n_removed = 0
            for remote in self._remotes:
                for number in sorted(numbers):
                    remote.storage.delete(_remote_name(number))
                for md5 in sorted(remote.list_objects() - named, key=_is_tree, reverse=True):
                    remote.remove(md5)
                    n_removed += 1
            return n_removed

    def _scan_and_put(self, before: Snapshot | None, parameters: bytes, behind: dict[str, str]) -> tuple[_State, int]:
        """Look at the data root and give each remote what is new; what was found, and how many objects were new."""
        known = {before.parameters, *before.trees.values()} if before else set()
        for attempt in range(_ATTEMPTS):
            state = self._look(parameters)
            lacking = {md5: content for md5, content in state.objects.items() if md5 not in known}
            behind.clear()
            try:
                return state, self._put_everywhere(state.found.fresh, lacking, behind)
            except ReplacedMeanwhileError:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _look(self, parameters: bytes) -> _State:
        found = scan(self._root, load_index(self._root))
        objects, trees = {hash_bytes(parameters): parameters}, {}
        for folder, files in group_files(found.index.files).items():
            content = make_tree(folder, files)
            trees[folder] = tree = hash_tree(content)
            objects[tree], self._trees[tree] = content, files
        return _State(found, trees, objects)

    def _put_everywhere(self, fresh: Mapping[str, str], objects: Mapping[str, bytes], behind: dict[str, str]) -> int:
        """Give each remote the files that are new (path by hash) and some objects; how many one of them lacked."""

        def put(remote: Replica, md5: str) -> bool:
            if remote.has(md5):
                return False
            content = objects[md5] if md5 in objects else self._root.read(fresh[md5])
            if md5 in fresh and hash_bytes(content) != md5:
                raise ReplacedMeanwhileError(f"{fresh[md5]} was replaced while the snapshot was taken; take it again")
            remote.put(content, md5)
            return True

        new: set[str] = set()
        with ThreadPoolExecutor(_THREADS) as pool:
            for remote in self._remotes:
                with self._noting(remote, behind):
                    for wanted in (fresh, objects):  # to DVC, a tree that is there has all its files
                        done = list(pool.map(partial(put, remote), wanted))
                        new |= {md5 for md5, is_new in zip(wanted, done, strict=True) if is_new}
        if len(behind) == len(self._remotes):
            raise RemotesUnreachableError(f"no remote can be written to: {behind}; nothing was taken")
        return len(new)

    @contextmanager
    def _noting(self, remote: Replica, behind: dict[str, str]) -> Iterator[None]:
        """What is transient with one remote leaves it behind; the others go on."""
        try:
            yield
        except ReplacedMeanwhileError:
            raise
        except Exception as error:
            if not isinstance(error, OSError) and classify_failure(error) is not FailureKind.TRANSIENT:
                raise
            _LOG.warning("remote %s: %s", remote.root, error)
            behind[remote.root] = f"{type(error).__name__}: {error}"

    def _replicate(self, snapshots: Sequence[Snapshot], source: Source, taken: Taken) -> None:
        """Let each remote have all snapshots: what it lacks of them comes from the others or from the data root."""
        lost: set[int] = set()
        for remote in self._remotes:
            if remote.root in taken.behind:
                continue
            with self._noting(remote, taken.behind):
                there = set(remote.storage.list("snapshots"))
                whole: Snapshot | None = None  # the latest of which the remote has everything
                for snapshot in snapshots:
                    if _remote_name(snapshot.sequence) not in there:
                        if not self._complete(remote, snapshot, whole, source):
                            lost.add(snapshot.sequence)
                            continue
                        remote.storage.write(_remote_name(snapshot.sequence), snapshot.to_bytes())
                    whole = snapshot
        taken.lost = sorted(lost)

    def _complete(self, remote: Replica, snapshot: Snapshot, whole: Snapshot | None, source: Source) -> bool:
        """Give a remote what it lacks of a snapshot, of ``whole`` it lacks nothing; whether it has all then."""
        before = whole.trees if whole else {}
        try:
            wanted = {snapshot.parameters} - ({whole.parameters} if whole else set())
            for folder, tree in snapshot.trees.items():
                if tree != before.get(folder):
                    known = self._read_tree(folder, before[folder]).values() if folder in before else ()
                    wanted |= {tree, *self._read_tree(folder, tree).values()} - set(known)
            for md5 in sorted(wanted, key=_is_tree):  # to DVC, a tree that is there has all its files
                if not remote.has(md5):
                    remote.put(source.find(md5) or self.fetch(md5), md5)
        except ObjectLostError as error:
            _LOG.warning("snapshot %d in %s: %s", snapshot.sequence, remote.root, error)
            return False
        return True

    def _read_tree(self, folder: str, tree: str) -> dict[str, str]:
        if tree not in self._trees:
            self._trees[tree] = read_tree(folder, self.fetch(tree))
        return self._trees[tree]

    def _read_all(self, storage: Storage, folder: str) -> Iterator[Snapshot]:
        for path in storage.list(folder):
            try:
                yield read_snapshot(storage.read(path))
            except SnapshotError as error:
                _LOG.warning("%s/%s: %s", storage.root, path, error)


def _is_tree(md5: str) -> bool:
    return md5.endswith(".dir")


def _name(sequence: int) -> str:
    return f"{_ENTRIES}/{sequence:08d}.json"


def _remote_name(sequence: int) -> str:
    return f"snapshots/{sequence:08d}.json"
