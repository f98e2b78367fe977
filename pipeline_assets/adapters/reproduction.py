"""Making a model again in a folder of its own: what went in is looked up, laid there, rebuilt and read back."""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.history import History
from pipeline_assets.adapters.lineage import LineageError, open_sources, resolve
from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.replica import hash_bytes
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import Storage, open_storage
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.adapters.worktree import PROGRAM
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key, Record, read_record
from pipeline_assets.core.lineage.reproduction import NotReproducibleError, list_landed, name_some
from pipeline_assets.core.lineage.snapshots import Snapshot
from pipeline_assets.core.lineage.tree import Landed, NodeId, State, Tree, build_tree
from pipeline_assets.core.lineage.verdicts import (
    Difference,
    Order,
    Outcome,
    compare_files,
    compare_landed,
    read_outcome,
)

ReadLanded = Callable[[str, str], bytes]  # the bytes of a landed file, by its path and its hash
_PARAMETERS: Final = "parameters.yaml"
_THREADS: Final = 8  # readers of an object store wait for the network, writers for the disk


@dataclass(frozen=True)
class Past:
    """What a model was made from, and what is remembered of that time.

    Attributes:
        root: The model, in its version.
        record: Its record.
        snapshot: The first that has it; None where none has.
        tree: All that went in.
    """

    root: NodeId
    record: Record
    snapshot: Snapshot | None
    tree: Tree

    @property
    def model(self) -> str:
        """The model's version, as the store names it."""
        _, _, as_of, digits, _ = next(iter(self.record.files)).split("/")
        return f"{as_of}-{digits}"


def look_up(stores: Stores, snapshots: Snapshots, assets: Collection[str], key: str, *, reads_landing: bool) -> Past:
    """What a model was made from, by the records of that time.

    Two versions of a record may name the same bytes, made from others: what the first snapshot with the model has is
    asked first, then what is there now, then all other snapshots.

    Args:
        stores: Where it is.
        snapshots: Of these stores.
        assets: The names of all assets that have records.
        key: The version of a model, or ``fraud_model@YYYY-MM-DD``.
        reads_landing: Whether what landed is looked for in the landing zone first.

    Raises:
        LineageError: It is no model, or there is no such one.
    """
    history = History(snapshots)
    sources = open_sources(stores, history)
    (root, *others) = resolve(stores, sources, assets, key).roots
    if root.key.asset != MODEL or others:
        raise LineageError(f"{key}: expected a model, as {MODEL}@2026-02-08 or 2026-02-08-377c3a0b22a7")
    snapshot = history.find_first(root.key, root.version)
    if snapshot is not None:
        present, then = sources.present, _RecordsThen(snapshots, snapshot, sources.present)
        sources = replace(sources, present=then.find, earlier=[lambda one, _: present(one), *sources.earlier])
    if not reads_landing:
        sources = replace(sources, landed=lambda _: None)
    tree = build_tree([root], sources)
    record = tree.nodes[root].record
    assert record is not None  # it was found by its record
    return Past(root, record, snapshot, tree)


class _RecordsThen:
    """The records as they were when a snapshot was taken; read only where they are not those of now."""

    def __init__(self, snapshots: Snapshots, snapshot: Snapshot, present: Callable[[Key], Record | None]) -> None:
        self._snapshots = snapshots
        self._snapshot = snapshot
        self._present = present
        self._hashes: dict[str, Mapping[str, str]] = {}  # by asset

    def find(self, key: Key) -> Record | None:
        folder = f"records/{key.asset}"
        if folder not in self._snapshot.trees:
            return None
        if folder not in self._hashes:
            self._hashes[folder] = self._snapshots.list_files(self._snapshot, [folder])
        md5 = self._hashes[folder].get(f"{folder}/{key.day}.json")
        present = self._present(key)
        if md5 is None or (present is not None and hash_bytes(present.to_bytes()) == md5):
            return present if md5 else None
        try:
            return read_record(self._snapshots.fetch(md5))
        except ObjectLostError:  # another snapshot may have had the same record, or it is there now
            return None


def find_changed_landing(stores: Stores, tree: Tree) -> Difference | None:
    """The first day on which something else lies in the landing zone now than went in; None where there is none."""
    sources = open_sources(stores)
    for node in list_landed(tree):
        if node.is_replaced:
            landed = sources.landed(node.id.key.day) or Landed("", {})
            return compare_landed(node, landed.files)
    return None


def rebuild(
    tree: Tree, records: Sequence[Record], code: Path, parameters: bytes, target: Path, folder: Path, read: ReadLanded
) -> Outcome:
    """Make everything of a tree again, up to the first partition that is not as it was.

    Args:
        tree: What went in.
        records: Its records: what is built.
        code: The folder whose code builds it, in a process of its own.
        parameters: The parameters file.
        target: An empty folder; it becomes a data root with what landed and what is built.
        folder: Where the process gets its order from, and puts its outcome.
        read: Gives the bytes of a landed file.

    Raises:
        NotReproducibleError: What landed cannot be had, nothing was built, or the building failed.
    """
    root = open_storage(str(target))
    _lay_out(root, tree, read)
    root.write(_PARAMETERS, parameters)
    order = Order(root.root, f"{root.root}/{_PARAMETERS}", tuple(records))
    outcome = _run(code, order, folder)
    return replace(outcome, difference=outcome.difference or _read_back(root, records))


def _lay_out(root: Storage, tree: Tree, read: ReadLanded) -> None:
    """Put what landed into the landing zone of ``root``, every byte verified."""
    landed = list_landed(tree)
    lost = [node.id.key for node in landed if node.state is not State.LANDED]
    if lost:
        raise NotReproducibleError(
            f"of {len(lost)} days no snapshot has what landed then: {name_some(lost)}; it may still lie in the landing "
            "zone: leave --from-remotes out"
        )

    def put(file: tuple[str, str]) -> None:
        path, md5 = file
        content = read(path, md5)
        if hash_bytes(content) != md5:
            raise NotReproducibleError(f"{path} is being replaced: expected md5 {md5}, found another one; try again")
        root.write(path, content)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(put, [file for node in landed for file in node.files.items()]))


def _run(code: Path, order: Order, folder: Path) -> Outcome:
    ordered, told = folder / "order.json", folder / "outcome.json"
    ordered.write_bytes(order.to_bytes())
    done = subprocess.run(
        [sys.executable, "-m", PROGRAM, str(ordered), str(told)],
        cwd=code,
        env=os.environ | {"PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise NotReproducibleError(f"the rebuild failed (exit {done.returncode}): {last}")
    outcome = read_outcome(told.read_bytes())
    if outcome.refusal:
        raise NotReproducibleError(outcome.refusal)
    return outcome


def _read_back(root: Storage, records: Sequence[Record]) -> Difference | None:
    """Hash what was built once more, whoever built it; the first partition that differs, if any."""
    for record in records:
        found = {path: hash_bytes(root.read(path)) for path in record.files if root.exists(path)}
        difference = compare_files(record, found)
        if difference is not None:
            return difference
    return None


def count_landed(tree: Tree) -> int:
    """How many landed files are there as they went in, or were had from elsewhere."""
    return sum(len(node.files) for node in list_landed(tree) if node.present in {None, node.id.version})
