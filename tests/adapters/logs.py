"""A small release log that records and snapshots have seen, and the ways in which its end is changed."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipeline_assets.adapters.log_heads import RELEASE_LOG
from pipeline_assets.adapters.release_log import ReleaseLog
from pipeline_assets.adapters.replica import hash_bytes, open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.lineage.records import Record
from pipeline_assets.core.lineage.snapshots import LogHead
from pipeline_assets.core.release import ReleaseEntry

START = date(2026, 3, 1)


def draft(number: int, champion: str = "m", by: DecidedBy = DecidedBy.PIPELINE) -> ReleaseEntry:
    as_of = START + timedelta(days=number)
    start = datetime.combine(as_of, datetime.min.time(), UTC)
    return ReleaseEntry(as_of, start, ReleaseAction.HOLD, f"{number}", champion, None, decided_by=by)


def add(stores: Stores, number: int, *, is_recorded: bool = True) -> ReleaseEntry:
    entry = stores.release_log.append(draft(number))
    if is_recorded:
        path, content = f"lake/release/date={entry.as_of}/part.parquet", b"who decides"
        stores.root.write(path, content)
        files = {path: hash_bytes(content)}
        head = LogHead(entry.sequence + 1, entry.md5)
        stores.records.write(Record("release", entry.as_of, files, "1", {}, head=head))
    return entry


def take(stores: Stores, hour: int = 0) -> None:
    snapshots = Snapshots(stores.root, open_replicas(stores.root, ("remotes/one",)))
    now = datetime(2026, 4, 1, hour, tzinfo=UTC)
    snapshots.take("run", "abc", b"", now, {RELEASE_LOG: stores.release_log.find_head()})


def path_of(root: Path, number: int) -> Path:
    return root / "release" / "entries" / f"{number:08d}.json"


def read(root: Path) -> list[ReleaseEntry]:
    return open_stores(str(root)).release_log.entries()


def cut_one(root: Path) -> None:
    path_of(root, 4).unlink()


def cut_three(root: Path) -> None:
    for number in (2, 3, 4):
        path_of(root, number).unlink()


def alter_last(root: Path) -> None:
    path_of(root, 4).write_bytes(path_of(root, 4).read_bytes().replace(b'"champion": "m"', b'"champion": "x"'))


def replace_last(root: Path) -> None:
    path_of(root, 4).unlink()
    ReleaseLog(within(open_stores(str(root)).root, "release")).append(draft(9, "x"))


def empty(root: Path) -> None:
    shutil.rmtree(root / "release")


def make_anew(root: Path) -> None:
    """All of it by other entries, and more than there were."""
    shutil.rmtree(root / "release")
    log = ReleaseLog(within(open_stores(str(root)).root, "release"))
    for number in range(7):
        log.append(draft(number, "x"))
