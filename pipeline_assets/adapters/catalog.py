"""What one remote says of its objects: the manifests of every data root that shares it, and what else must stay.

Layout beside the objects, all below ``roots/<id>/``: ``root.json`` (which data root), ``snapshots/<number>.json``
(manifests, each written after the last object of its snapshot: what a remote names, it holds), ``needed.json`` (objects
that its models and commits need whichever snapshots go), ``pending/<token>.json`` (objects that are being put or
removed, for whoever comes after a kill). Manifests in ``snapshots/`` itself are from before data roots had ids.
"""

import json
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, NamedTuple

from pipeline_assets.adapters.locks import Lock
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.snapshots import UNNAMED, RootCard, Snapshot, read_card, read_snapshot

_ROOTS: Final = "roots"
_UNNAMED: Final = "snapshots"
_MANIFESTS: Final = "snapshots"
_PENDING: Final = "pending"
_CARD: Final = "root.json"
_NEEDED: Final = "needed.json"
_LOCK: Final = "roots/lock"
_DIGITS: Final = 8  # of a manifest's name
_THREADS: Final = 8


class Note(NamedTuple):
    """Objects that a data root was about to put or to remove, and since when."""

    path: str
    root: str
    written_at: datetime
    md5s: frozenset[str]


class Catalog:
    """The catalogue of one remote."""

    def __init__(self, remote: Replica) -> None:
        """Read and write beside the objects of ``remote``."""
        self._storage = remote.storage
        self.root = remote.root

    def lock(self, purpose: str) -> AbstractContextManager[Lock]:
        """Hold the remote: while one data root puts objects and names them, no other removes any."""
        return self._storage.lock(_LOCK, purpose=purpose)

    def list_numbers(self, root: str) -> list[int]:
        """Return the numbers of the manifests of one data root, in order.

        Raises:
            SnapshotError: Something lies where its manifests are that is none.
        """
        folder = _folder(root)
        return [self._parse(path, path.removeprefix(f"{folder}/")) for path in self._storage.list(folder)]

    def list_roots(self) -> list[str]:
        """Return the ids of the data roots that have manifests; the first is empty where some are without."""
        named = (path.split("/") for path in self._storage.list(_ROOTS))
        roots = sorted({parts[1] for parts in named if len(parts) > 2 and parts[2] == _MANIFESTS})
        return [UNNAMED, *roots] if self._storage.list(_UNNAMED) else roots

    def read(self, root: str, number: int) -> Snapshot:
        """Return one snapshot of one data root.

        Raises:
            FileNotFoundError: There is none.
            SnapshotError: It is not readable, or not the one that its name says.
        """
        path = _path(root, number)
        try:
            snapshot = read_snapshot(self._storage.read(path))
        except SnapshotError as error:
            raise SnapshotError(f"{self.root}/{path}: {error}") from error
        if (snapshot.root, snapshot.sequence) != (root, number):
            raise SnapshotError(
                f"{self.root}/{path}: expected snapshot {number} of data root {root or 'without id'}, found snapshot "
                f"{snapshot.sequence} of {snapshot.root or 'one without id'}"
            )
        return snapshot

    def read_all(self, root: str | None = None) -> list[Snapshot]:
        """Return the snapshots of all data roots, or of one, by root and number.

        Raises:
            SnapshotError: One is not readable: what it needs is not known then.
        """
        roots = self.list_roots() if root is None else [root]
        wanted = [(one, number) for one in roots for number in self.list_numbers(one)]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda one: self.read(*one), wanted))

    def add(self, snapshot: Snapshot) -> bool:
        """Name a snapshot; False, and nothing is changed, where another one has its number."""
        path = _path(snapshot.root, snapshot.sequence)
        return self._storage.create(path, snapshot.to_bytes()) or self._storage.read(path) == snapshot.to_bytes()

    def replace(self, snapshot: Snapshot) -> None:
        """Say anew why a snapshot is kept.

        Raises:
            SnapshotError: The remote does not have it, or another one under its number.
        """
        try:
            known = self.read(snapshot.root, snapshot.sequence)
        except FileNotFoundError:
            raise SnapshotError(f"{self.root} does not have snapshot {snapshot.sequence}; take one first") from None
        if known.sha256 != snapshot.sha256:
            raise SnapshotError(
                f"{self.root} has another snapshot {snapshot.sequence} of {snapshot.root}: another data root goes on "
                "under this one's id; take a snapshot first, and this one gets an id of its own"
            )
        if known != snapshot:
            self._storage.write(_path(snapshot.root, snapshot.sequence), snapshot.to_bytes())

    def remove(self, root: str, number: int) -> None:
        """Forget a snapshot; its objects stay."""
        self._storage.delete(_path(root, number))

    def introduce(self, card: RootCard) -> None:
        """Let the remote know a data root."""
        path = f"{_ROOTS}/{card.id}/{_CARD}"
        if not self._storage.exists(path) or self._storage.read(path) != card.to_bytes():
            self._storage.write(path, card.to_bytes())

    def find_card(self, root: str) -> RootCard | None:
        """Return who a data root is; None where nobody says."""
        try:
            return read_card(self._storage.read(f"{_ROOTS}/{root}/{_CARD}"))
        except (FileNotFoundError, SnapshotError):
            return None

    def need(self, root: str, md5s: Iterable[str]) -> None:
        """State what a data root needs whichever snapshots go, in the place of what it stated before."""
        self._storage.write(f"{_ROOTS}/{root}/{_NEEDED}", _dump(md5s))

    def list_needed_by_others(self, root: str) -> set[str]:
        """Return what all data roots but one need whichever snapshots go.

        Raises:
            SnapshotError: A statement is not readable.
        """
        paths = (path for path in self._storage.list(_ROOTS) if path.endswith(f"/{_NEEDED}"))
        return {md5 for path in paths if path != f"{_ROOTS}/{root}/{_NEEDED}" for md5 in self._load(path)}

    def announce(self, root: str, md5s: Iterable[str]) -> str:
        """Note which objects are about to be put or removed; returns the path of the note."""
        path = f"{_ROOTS}/{root}/{_PENDING}/{secrets.token_hex(8)}.json"
        self._storage.write(path, _dump(md5s))
        return path

    def list_notes(self) -> list[Note]:
        """Return what is announced, of all data roots."""
        notes = []
        for path in self._storage.list(_ROOTS):
            root, _, name = path.removeprefix(f"{_ROOTS}/").partition("/")
            if name.startswith(f"{_PENDING}/"):
                notes.append(Note(path, root, self._storage.stat(path).modified_at, frozenset(self._load(path))))
        return notes

    def withdraw(self, note: str) -> None:
        """Remove a note: its objects are named by a manifest now, or gone."""
        self._storage.delete(note)

    def forget(self, root: str) -> None:
        """Remove everything that is said of a data root but its notes of what is being removed."""
        for path in self._storage.list(f"{_ROOTS}/{root}" if root else _UNNAMED):
            if not path.startswith(f"{_ROOTS}/{root}/{_PENDING}/"):
                self._storage.delete(path)

    def _load(self, path: str) -> set[str]:
        try:
            listed = json.loads(self._storage.read(path))
            return {str(md5) for md5 in listed}
        except (ValueError, TypeError) as error:
            raise SnapshotError(f"{self.root}/{path}: expected a list of objects as JSON, found {error}") from error

    def _parse(self, path: str, name: str) -> int:
        number = name.removesuffix(".json")
        if not (name.endswith(".json") and len(number) == _DIGITS and number.isascii() and number.isdigit()):
            raise SnapshotError(f"{self.root}/{path}: expected a manifest such as 00000000.json; move it elsewhere")
        return int(number)


def _path(root: str, number: int) -> str:
    return f"{_folder(root)}/{number:0{_DIGITS}d}.json"


def _folder(root: str) -> str:
    return f"{_ROOTS}/{root}/{_MANIFESTS}" if root else _UNNAMED


def _dump(md5s: Iterable[str]) -> bytes:
    return json.dumps(sorted(md5s), indent=0).encode() + b"\n"
