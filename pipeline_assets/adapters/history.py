"""What snapshots remember: versions of partitions, and of what landed, that the data root may not have any more."""

from collections.abc import Iterator, Mapping
from datetime import date

from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.core.ingestion import digest_hashes
from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.records import Key, Record, read_record
from pipeline_assets.core.lineage.snapshots import Snapshot


class History:
    """The snapshots of a data root as they are now, asked about the past."""

    def __init__(self, snapshots: Snapshots) -> None:
        """Look into ``snapshots``, the latest first."""
        self._snapshots = snapshots
        self._listed = snapshots.list()
        self._records: dict[str, Record] = {}

    def find_record(self, key: Key, version: str) -> Record | None:
        """The record of a version of a partition; None where no snapshot has it."""
        return next((record for _, record in self._list_records(key) if record.version == version), None)

    def list_versions(self, key: Key) -> list[Record]:
        """The records that a partition had in the snapshots, each once, the latest first."""
        return list({record.version: record for _, record in self._list_records(key)}.values())

    def find_first(self, key: Key, version: str) -> Snapshot | None:
        """The first snapshot that has a version of a partition: taken by, or soon after, the run that made it."""
        having = [snapshot for snapshot, record in self._list_records(key) if record.version == version]
        return having[-1] if having else None

    def find_landed(self, day: date, version: str) -> Mapping[str, str] | None:
        """The files (hash by path) that had landed on ``day`` when what landed had a version; None where unknown."""
        seen = set()
        for snapshot in reversed(self._listed):
            trees = {folder: tree for folder, tree in snapshot.trees.items() if folder.startswith(f"{LANDING}/")}
            if frozenset(trees.values()) in seen:
                continue
            seen.add(frozenset(trees.values()))
            files = {
                path: md5
                for path, md5 in self._snapshots.list_files(snapshot, trees).items()
                if path.split("/")[2] == f"{day}"
            }
            named = {path.removeprefix(f"{LANDING}/").replace(f"/{day}/", "/", 1): md5 for path, md5 in files.items()}
            if digest_hashes(named) == version:
                return files
        return None

    def _list_records(self, key: Key) -> Iterator[tuple[Snapshot, Record]]:
        folder = f"records/{key.asset}"
        for snapshot in reversed(self._listed):
            if folder in snapshot.trees:
                try:
                    md5 = self._snapshots.list_files(snapshot, [folder]).get(f"{folder}/{key.day}.json")
                    if md5 and md5 not in self._records:
                        self._records[md5] = read_record(self._snapshots.fetch(md5))
                except ObjectLostError:
                    continue
                if md5:
                    yield snapshot, self._records[md5]
