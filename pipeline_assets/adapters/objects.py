"""Objects by their hash, from whichever remote has them whole."""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pipeline_assets.adapters.replica import Replica
from pipeline_assets.core.lineage.dvc_trees import SnapshotError, find_new_hashes, read_tree
from pipeline_assets.core.lineage.snapshots import Snapshot

_LOG: Final = logging.getLogger(__name__)
_THREADS: Final = 2  # most of it is the interpreter's: more threads cost more than they bring


class ObjectLostError(SnapshotError):
    """No remote has some bytes any more."""


class Objects:
    """The objects of some remotes, read through one face; trees that were read are remembered."""

    def __init__(self, remotes: Sequence[Replica]) -> None:
        """Ask ``remotes`` in their order."""
        self.remotes = list(remotes)
        self._trees: dict[tuple[str, str], dict[str, str]] = {}  # by folder and hash: two folders may be alike

    def fetch(self, md5: str) -> bytes:
        """Return some bytes by their hash, verified.

        Raises:
            ObjectLostError: No remote has them.
        """
        for remote in self.remotes:
            try:
                content = remote.find(md5)
            except OSError as error:
                _LOG.warning("remote %s: %s", remote.root, error)
                continue
            if content is not None:
                return content
        remotes = ", ".join(remote.root for remote in self.remotes)
        raise ObjectLostError(f"object {md5}: no remote has it whole; looked in {remotes}")

    def require(self, md5s: Iterable[str]) -> None:
        """Make sure that some bytes can be fetched; they are not read.

        Raises:
            ObjectLostError: No remote has some of them.
        """
        lacking = [md5 for md5 in set(md5s) if not any(remote.has(md5) for remote in self.remotes)]
        if lacking:
            raise ObjectLostError(f"{len(lacking)} objects are in no remote, the first is {min(lacking)}")

    def read_tree(self, folder: str, tree: str) -> dict[str, str]:
        """Return hash by path below the data root of the files of a tree.

        Raises:
            ObjectLostError: No remote has it.
            SnapshotError: It is no tree, or names files outside the data root.
        """
        if (folder, tree) not in self._trees:
            self._trees[folder, tree] = read_tree(folder, self.fetch(tree))
        return self._trees[folder, tree]

    def remember_tree(self, folder: str, tree: str, files: dict[str, str]) -> None:
        """Spare reading a tree that was just made."""
        self._trees[folder, tree] = files

    def list_named(
        self, snapshots: Iterable[Snapshot], *, known: Iterable[str] = (), is_lenient: bool = False
    ) -> set[str]:
        """Return every object that some of the snapshots name: parameters, trees and files.

        Args:
            snapshots: The snapshots.
            known: Trees that are not read, as what they name is of no interest.
            is_lenient: Whether a tree that is lost names nothing.

        Raises:
            ObjectLostError: No remote has one of the trees, so that what it names is not known.
        """
        named: set[str] = set()
        seen = set(known)
        chains: dict[tuple[str, str], list[str]] = {}  # the trees of a folder, one after the other: they are much alike
        for snapshot in snapshots:
            named.add(snapshot.parameters)
            for folder, tree in snapshot.trees.items():
                named.add(tree)
                if tree not in seen:
                    seen.add(tree)
                    chains.setdefault((snapshot.root, folder), []).append(tree)

        def read(trees: list[str]) -> set[str]:
            found: set[str] = set()
            before = b""
            for tree in trees:
                try:
                    content = self.fetch(tree)
                except ObjectLostError:
                    if not is_lenient:
                        raise
                else:
                    found |= find_new_hashes(content, before)
                    before = content
            return found

        with ThreadPoolExecutor(_THREADS) as pool:
            return named.union(*pool.map(read, chains.values()))
