"""Who has seen how far the release log reached: the records of ``release``, and the snapshots."""

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
_SNAPSHOTS: Final = "snapshots/entries"
_ENTRY: Final = re.compile(r"release/entries/(\d{8})\.json")


class ReleaseWitnesses:
    """Those of one data root."""

    def __init__(self, root: Storage, records: Records) -> None:
        """Of the data root ``root``."""
        self._root = root
        self._records = records

    def list_near(self) -> list[Witness]:
        """The records and the latest snapshot: what every reader of the log asks."""
        latest = next(iter(self._read_snapshots()), None)
        return [*self._list_records(), *list_snapshots([latest] if latest else [])]

    def list_all(self) -> list[Witness]:
        """The records and all snapshots that the data root itself knows."""
        return [*self._list_records(), *list_snapshots(self._read_snapshots())]

    def _list_records(self) -> Iterator[Witness]:
        for record in self._records.load(RELEASE_LOG).values():
            where = f"the record of {record.key}"
            if record.head is not None:
                yield Witness(record.head, where)
            for path, md5 in record.files.items():
                if entry := _ENTRY.fullmatch(path):
                    yield Witness(LogHead(int(entry[1]) + 1, md5), where)

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
