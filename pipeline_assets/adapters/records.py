"""The records of all partitions in storage: one small object each, written after the bytes that it describes.

Layout: ``<asset>/<YYYY-MM-DD>.json``. The order matters both ways: a writer puts the bytes, then the record; a reader
takes the record, then the bytes. So a version that a partition names as its input is never newer than what was read,
and a partition that was made from older bytes is found to be out of date, never the reverse.
"""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Final

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.lineage.records import Key, Record, RecordError, read_record

_LOG: Final = logging.getLogger(__name__)


class Records:
    """The records below one storage root; what was read is kept until its object changes."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, whose top-level folders are the assets."""
        self._storage = storage
        self._known: dict[str, tuple[str, Record]] = {}  # by path, with the stamp of the object

    def write(self, record: Record) -> None:
        """Put the record of a partition in the place of the one before, durable on return."""
        self._storage.write(_path(record.key), record.to_bytes())

    def find(self, key: Key) -> Record | None:
        """The record of a partition; None where there is none that can be read."""
        return self.load(key.asset).get(key.day)

    def load(self, asset: str) -> Mapping[date, Record]:
        """The records of an asset by partition, in order; one that cannot be read is left out, with a warning."""
        return {record.day: record for record in self._load(asset).values()}

    def load_all(self) -> Mapping[Key, Record]:
        """The records of all assets."""
        return {record.key: record for record in self._load("").values()}

    def delete(self, key: Key) -> None:
        """Forget a partition; silently where there is no record."""
        self._storage.delete(_path(key))

    def _load(self, prefix: str) -> Mapping[str, Record]:
        found = {}
        for path, stamp in self._storage.stamps(prefix).items():
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                record = self._read(path)
                if record is None:
                    continue
                known = self._known[path] = (stamp, record)
            found[path] = known[1]
        return found

    def _read(self, path: str) -> Record | None:
        try:
            record = read_record(self._storage.read(path))
        except FileNotFoundError:  # removed since it was listed
            return None
        except RecordError as error:
            _LOG.warning("record %s: %s; its partition counts as missing", path, error)
            return None
        if _path(record.key) != path:
            _LOG.warning("record %s: expected that of this partition, found that of %s", path, record.key)
            return None
        return record


def _path(key: Key) -> str:
    return f"{key.asset}/{key.day.isoformat()}.json"
