"""Snapshots of a data root: objects in the remotes, and one manifest after another that says which of them were where.

Layout below the data root: ``snapshots/entries/<number>.json``, ``snapshots/root.json`` (its id), and
``snapshots/index.json``, which only saves work. What a remote holds beside the objects is in ``catalog.py``. Killed at
any point, the next snapshot completes what is lacking.
"""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Final

from pipeline_assets.adapters.catalog import Catalog
from pipeline_assets.adapters.objects import Objects
from pipeline_assets.adapters.replica import Replica, hash_bytes
from pipeline_assets.adapters.replication import (
    Behind,
    RemotesUnreachableError,
    ReplacedMeanwhileError,
    Replication,
    State,
    Taken,
    noting,
    tell,
)
from pipeline_assets.adapters.root_identity import Roots, draw_card, load_card, save_card
from pipeline_assets.adapters.snapshot_index import Source, load_index, save_index, scan
from pipeline_assets.adapters.storage import Lock, Storage
from pipeline_assets.core.lineage.dvc_trees import SnapshotError, group_files, hash_tree, make_tree
from pipeline_assets.core.lineage.snapshots import UNNAMED, LogHead, RootCard, Snapshot, read_snapshot, relabel

_LOG: Final = logging.getLogger(__name__)
_ENTRIES: Final = "snapshots/entries"
_LOCK: Final = "snapshots/lock"
_ATTEMPTS: Final = 3  # to keep the data root while others write into it


class Snapshots:
    """The snapshots of one data root, kept in its remotes."""

    def __init__(self, root: Storage, remotes: Sequence[Replica]) -> None:
        """Of the data root ``root``; each of ``remotes`` gets everything."""
        self.root = root
        self.objects = Objects(remotes)
        self.catalogs = [Catalog(remote) for remote in remotes]
        self.roots = Roots(root, self.catalogs)
        self._remotes = list(remotes)

    def lock(self, purpose: str) -> AbstractContextManager[Lock]:
        """Hold the snapshots of this data root: one at a time takes, keeps or drops them."""
        return self.root.lock(_LOCK, purpose=purpose)

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
        behind: Behind = {}
        with self.lock("taking a snapshot"), ExitStack() as held:
            for remote, catalog in sorted(zip(self._remotes, self.catalogs, strict=True), key=lambda one: one[1].root):
                with noting(remote, behind):
                    held.enter_context(catalog.lock("taking a snapshot"))
            card, before, used = self.settle(now, behind)
            replication = Replication(self._remotes, self.objects, card, behind)
            state, n_new = self._scan_and_put(before[-1] if before else None, parameters, replication)
            snapshot = Snapshot(
                sequence=used + 1,
                taken_at=now,
                run_id=run_id,
                revision=revision,
                parameters=hash_bytes(parameters),
                trees=state.trees,
                n_files=len(state.found.index.files),
                heads=dict(heads or {}),
                root=card.id,
                previous=before[-1].link if before else None,
            )
            self.root.write(_name(snapshot.sequence), snapshot.to_bytes())
            save_index(self.root, state.found.index)
            source = Source(self.root, state.found.index, state.objects)
            lost = replication.name_all([*before, snapshot], source)
        return Taken(snapshot, n_new, behind, state.found.unsettled, lost, card.forked_from)

    def list(self) -> Sequence[Snapshot]:
        """Return all snapshots of this data root in order; where it has lost them, from the remotes."""
        entries = self.list_entries()
        if entries:
            return entries
        found = self.roots.find()
        return [] if found is None else self.list_of(found)

    def list_everywhere(self, *, is_strict: bool = False) -> Sequence[Snapshot]:
        """Return all snapshots of this data root in order, those too that only a remote has.

        Raises:
            SnapshotError: One is not readable, neither here nor in a remote; only if ``is_strict``.
        """
        root = self.roots.find()
        named = self.list_of(root) if root is not None else []
        return _merge([*named, *self.list_entries(is_strict=is_strict)])

    def list_of(self, root: str) -> Sequence[Snapshot]:
        """Return the snapshots of a data root in order, as the remotes name them; what cannot be read is left out."""
        found: list[Snapshot] = []
        for catalog in self.catalogs:
            numbers: Sequence[int] = ()
            with noting(catalog, {}):
                numbers = catalog.list_numbers(root)
            for number in numbers:
                with noting(catalog, {}):
                    found.append(catalog.read(root, number))
        return _merge(found)

    def adopt(self, root: str, now: datetime) -> bool:
        """Let a data root that has lost its id go on as ``root``, with its snapshots; False where it has an id."""
        if load_card(self.root) is not None or self.list_entries():
            return False
        known = next((found for catalog in self.catalogs if (found := catalog.find_card(root))), None)
        with self.lock("taking up a lost data root"):
            for one in self.list_of(root):
                self.root.write(_name(one.sequence), one.to_bytes())
            if root:  # those without an id get one with the next snapshot
                save_card(self.root, known or dataclasses.replace(draw_card(self.root, now), id=root))
        return True

    def list_files(self, snapshot: Snapshot, folders: Iterable[str] | None = None) -> dict[str, str]:
        """Hash by path of the files of a snapshot, of all folders or of some.

        Raises:
            ObjectLostError: No remote has one of its trees.
        """
        chosen = snapshot.trees if folders is None else {name: snapshot.trees[name] for name in folders}
        files: dict[str, str] = {}
        for folder, tree in chosen.items():
            files |= self.objects.read_tree(folder, tree)
        return files

    def fetch(self, md5: str) -> bytes:
        """Return some bytes by their hash, verified; raises ObjectLostError where no remote has them."""
        return self.objects.fetch(md5)

    def keep(self, snapshot: Snapshot, because: str) -> Snapshot:
        """Keep a snapshot for good.

        Raises:
            RemotesUnreachableError: Some remotes do not know it yet.
        """
        kept = dataclasses.replace(snapshot, kept_because=because)
        behind: Behind = {}
        with self.lock("keeping a snapshot for good"):
            self.root.write(_name(kept.sequence), kept.to_bytes())
            for catalog in self.catalogs:
                with noting(catalog, behind), catalog.lock("keeping a snapshot for good"):
                    catalog.replace(kept)
        if behind:
            raise RemotesUnreachableError(f"kept here, and not in every remote, keep it again: {tell(behind)}")
        return kept

    def settle(self, now: datetime, behind: Behind) -> tuple[RootCard, Sequence[Snapshot], int]:
        """Make sure that this data root has an id of its own, and that its snapshots carry it.

        A remote that knows other snapshots under this id says that another data root goes on under it: a copy, or the
        one of which this is an older image. Then this one gets a new id, and goes on after the highest number seen.

        Returns:
            Who it is, its snapshots, and the highest number that was ever used; -1 where none was.
        """
        former, entries = load_card(self.root), self.list_entries()
        used = entries[-1].sequence if entries else -1
        seen: list[int] = []
        for catalog in self.catalogs:
            if former and catalog.root not in behind:
                with noting(catalog, behind):
                    seen += self.find_foreign(catalog, former.id, entries)
        if seen and former:
            _LOG.warning("another data root goes on as %s; this one goes on under an id of its own", former.id)
        card = former if former and not seen else draw_card(self.root, now, former.id if former else None)
        if any(one.root != card.id for one in entries):
            entries = relabel(entries, card.id)
            for one in entries:
                self.root.write(_name(one.sequence), one.to_bytes())
        if card != former:
            save_card(self.root, card)
        return card, entries, max([used, *seen])

    def find_foreign(self, catalog: Catalog, root: str, entries: Sequence[Snapshot]) -> Sequence[int]:
        """Return the latest number under which a remote knows a snapshot of ``root`` that is none of ``entries``.

        It stands for all: each snapshot names the one before it. Nothing is returned where there is none.
        """
        ours = {one.sequence: one for one in entries}
        latest = catalog.list_numbers(root)[-1:]
        if not latest or (latest[0] <= max(ours, default=-1) and latest[0] not in ours):
            return []  # ours that was dropped since
        known = ours.get(latest[0])
        return latest if known is None or catalog.read(root, latest[0]).sha256 != known.sha256 else []

    def _scan_and_put(self, before: Snapshot | None, parameters: bytes, replication: Replication) -> tuple[State, int]:
        """Look at the data root and give each remote what is new; what was found, and how many objects were new."""
        known = {before.parameters, *before.trees.values()} if before else set()
        behind = dict(replication.behind)
        for attempt in range(_ATTEMPTS):
            state = self._look(parameters)
            lacking = {md5: content for md5, content in state.objects.items() if md5 not in known}
            replication.behind.clear()
            replication.behind.update(behind)
            try:
                return state, replication.put(self.root, state.found.fresh, lacking)
            except ReplacedMeanwhileError:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _look(self, parameters: bytes) -> State:
        found = scan(self.root, load_index(self.root))
        objects, trees = {hash_bytes(parameters): parameters}, {}
        for folder, files in group_files(found.index.files).items():
            content = make_tree(folder, files)
            trees[folder] = tree = hash_tree(content)
            objects[tree] = content
            self.objects.remember_tree(folder, tree, files)
        return State(found, trees, objects)

    def list_entries(self, *, is_strict: bool = False) -> Sequence[Snapshot]:
        """Return the snapshots that the data root itself has, in order; one that has rotted comes from a remote.

        Raises:
            SnapshotError: One is not readable anywhere; only if ``is_strict``, else it is left out.
        """
        found = []
        for path in self.root.list(_ENTRIES):
            try:
                found.append(read_snapshot(self.root.read(path)))
            except SnapshotError as error:
                mended = self._find_entry(path)
                if mended is None and is_strict:
                    raise SnapshotError(f"{self.root.root}/{path}: {error}; no remote has it either") from error
                if mended is not None:
                    self.root.write(path, mended.to_bytes())
                    found.append(mended)
                _LOG.warning("%s/%s: %s; %s", self.root.root, path, error, "mended" if mended else "left out")
        return sorted(found, key=lambda one: one.sequence)

    def _find_entry(self, path: str) -> Snapshot | None:
        card = load_card(self.root)
        number = path.removeprefix(f"{_ENTRIES}/").removesuffix(".json")
        for catalog in self.catalogs if number.isdigit() else ():
            try:
                return catalog.read(card.id if card else UNNAMED, int(number))
            except (OSError, SnapshotError):
                continue
        return None

    def forget_entries(self, numbers: Iterable[int]) -> None:
        """Remove snapshots from the data root itself; silently where they are not there."""
        for number in numbers:
            self.root.delete(_name(number))


def _merge(copies: Iterable[Snapshot]) -> Sequence[Snapshot]:
    """The snapshots in order, of several copies of each the last; what one copy says is kept for good is kept."""
    merged: dict[int, Snapshot] = {}
    for one in copies:
        because = one.kept_because or (merged[one.sequence].kept_because if one.sequence in merged else "")
        merged[one.sequence] = dataclasses.replace(one, kept_because=because)
    return [merged[number] for number in sorted(merged)]


def _name(sequence: int) -> str:
    return f"{_ENTRIES}/{sequence:08d}.json"
