"""Who has seen how far the release log reached: the records of ``release``, the snapshots, and heads of their own.

The daily decision is in a record, and what a person or the watch decides is in none: its head is written beside the
log, as ``heads/release/<number>-<md5>.json``, where it outlives the entries.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Final

from pipeline_assets.adapters.records import Records
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.lineage.append_log import Witness
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.snapshots import LogHead, Snapshot, read_snapshot

RELEASE_LOG: Final = "release"  # its folder below the data root: its name in the heads of a snapshot
_LOG: Final = logging.getLogger(__name__)
_HEADS: Final = f"heads/{RELEASE_LOG}"
_SNAPSHOTS: Final = "snapshots/entries"
_ENTRY: Final = re.compile(r"release/entries/(\d{8})\.json")
_HEAD: Final = re.compile(rf"{_HEADS}/(\d{{8}})-([0-9a-f]{{32}})\.json")


class ReleaseWitnesses:
    """Those of one data root."""

    def __init__(self, root: Storage, records: Records) -> None:
        """Of the data root ``root``."""
        self._root = root
        self._records = records

    def keep(self, head: LogHead) -> None:
        """Write a head where it outlives the log's own folder, durable on return."""
        content = {"n_entries": head.n_entries, "md5": head.md5}
        path = f"{_HEADS}/{head.n_entries - 1:08d}-{head.md5}.json"
        self._root.create(path, json.dumps(content, indent=1).encode() + b"\n")

    def list_near(self) -> list[Witness]:
        """The records, the heads that were kept, and the latest snapshot: what every reader of the log asks."""
        latest = next(iter(self._read_snapshots()), None)
        return [*self._list_records(), *self._list_heads(), *list_snapshots([latest] if latest else [])]

    def list_all(self) -> list[Witness]:
        """The records, the heads that were kept, and all snapshots that the data root itself knows."""
        return [*self._list_records(), *self._list_heads(), *list_snapshots(self._read_snapshots())]

    def _list_records(self) -> Iterator[Witness]:
        for record in self._records.load(RELEASE_LOG).values():
            where = f"the record of {record.key}"
            if record.head is not None:
                yield Witness(record.head, where)
            for path, md5 in record.files.items():
                if entry := _ENTRY.fullmatch(path):
                    yield Witness(LogHead(int(entry[1]) + 1, md5), where)

    def _list_heads(self) -> Iterator[Witness]:
        for path in self._root.list(_HEADS):
            if head := _HEAD.fullmatch(path):
                number = int(head[1])
                yield Witness(LogHead(number + 1, head[2]), f"the head written with decision {number}")

    def _read_snapshots(self) -> Iterator[Snapshot]:
        """The latest first."""
        for path in reversed(self._root.list(_SNAPSHOTS)):
            try:
                yield read_snapshot(self._root.read(path))
            except FileNotFoundError:  # collected since it was listed
                continue
            except SnapshotError as error:
                _LOG.warning("%s/%s: %s", self._root.root, path, error)


def list_snapshots(snapshots: Iterable[Snapshot]) -> list[Witness]:
    """What snapshots know of the release log."""
    return [
        Witness(one.heads[RELEASE_LOG], f"snapshot {one.sequence}", one.sequence)
        for one in snapshots
        if RELEASE_LOG in one.heads
    ]
