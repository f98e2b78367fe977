"""What collecting garbage costs in a remote that four data roots share, against listing the objects of that remote.

200,000 objects, 400 snapshots of 4 data roots; one of them drops half of its snapshots. Both in processor seconds of
this process, as the machine's disk is shared; listing reads names, sizes and times, as a collection by listing must.
"""

import hashlib
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline_assets.adapters.catalog import Catalog
from pipeline_assets.adapters.garbage import collect_garbage
from pipeline_assets.adapters.replica import Replica, hash_bytes
from pipeline_assets.adapters.retention import Garbage
from pipeline_assets.adapters.root_identity import save_card
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.lineage.dvc_trees import hash_tree, make_tree
from pipeline_assets.core.lineage.snapshots import RootCard, Snapshot

ROOTS = 4
SNAPSHOTS = 100  # of each data root, one a day
TABLES = 25  # daily, each with a tree of its files and one of its records
DAYS = 180  # of history before the first snapshot
REMADE = 2  # of the latest days of each table are made again from one snapshot to the next: that is what goes
OBJECTS = 200_000
REPETITIONS = 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


def put(folder: Path, md5: str, content: bytes) -> None:
    """Write an object without flushing it: only names are of interest here."""
    path = folder / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def fill(folder: Path) -> int:
    """Fill a remote; the number of its objects."""
    catalog, names = Catalog(Replica(LocalStorage(folder))), set()

    def keep(content: bytes, md5: str) -> str:
        put(folder, md5, content)
        names.add(md5)
        return md5

    parameters = keep(b"{}", hash_bytes(b"{}"))
    for root in range(ROOTS):
        folders = [f"{kind}/table_{table}" for kind in ("lake", "records") for table in range(TABLES)]
        files: dict[str, dict[str, str]] = {one: {} for one in folders}
        for number in range(SNAPSHOTS):
            trees: dict[str, str] = {}
            for one, listed in files.items():
                for day in range(DAYS + number - REMADE if number else 0, DAYS + number + 1):
                    content = f"{root} {number} {one} {day}".encode()
                    listed[f"{one}/date={NOW.date() + timedelta(days=day)}/part.parquet"] = keep(
                        content, hash_bytes(content)
                    )
                tree = make_tree(one, listed)
                trees[one] = keep(tree, hash_tree(tree))
            taken_at = NOW + timedelta(days=number)
            catalog.add(Snapshot(number, taken_at, "run", "revision", parameters, trees, 0, root=f"{root:016x}"))
    for number in range(OBJECTS - len(names)):  # what colleagues have pushed by DVC
        keep(b"", hashlib.md5(b"pushed %d" % number, usedforsecurity=False).hexdigest())
    return len(names)


def list_objects(folder: Path) -> int:
    """List the objects of a remote as a collection by listing must; how many there are."""
    return len(LocalStorage(folder).stamps("files/md5"))


def open_root(folder: Path, remote: Path) -> Snapshots:
    """The first of the data roots, with its snapshots."""
    storage = LocalStorage(folder)
    snapshots = Snapshots(storage, [Replica(LocalStorage(remote))])
    card = RootCard(f"{0:016x}", "benchmark", NOW)
    save_card(storage, card)
    snapshots.catalogs[0].introduce(card)
    for one in snapshots.list_of(f"{0:016x}"):
        storage.write(f"snapshots/entries/{one.sequence:08d}.json", one.to_bytes())
    return snapshots


def time_processor(what: object, *arguments: object) -> float:
    """Processor seconds of a call."""
    assert callable(what)
    started = time.process_time()
    what(*arguments)
    return time.process_time() - started


def main() -> None:
    """Print both and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_objects = fill(folder / "remote")
        snapshots = open_root(folder / "root", folder / "remote")
        listed = snapshots.list()
        listing, planning = [], []
        garbage = Garbage(listed[: SNAPSHOTS // 2], listed[SNAPSHOTS // 2 :], frozenset())

        def collect(is_dry_run: bool) -> None:
            (done,) = collect_garbage(
                Snapshots(snapshots.root, snapshots.objects.remotes), garbage, FAR_FUTURE, timedelta(days=7),
                is_dry_run=is_dry_run,
            )  # fmt: skip
            assert not done.refused, done.refused
            found.append(len(done.objects))

        found: list[int] = []
        for _ in range(REPETITIONS):
            listing.append(time_processor(list_objects, folder / "remote"))
            planning.append(time_processor(collect, True))
        wall_listing, wall = time.perf_counter(), 0.0
        list_objects(folder / "remote")
        wall_listing = time.perf_counter() - wall_listing
        wall = time.perf_counter()
        collecting = time_processor(collect, False)
        wall = time.perf_counter() - wall
    assert len(set(found)) == 1
    listed_seconds = statistics.median(listing)
    print(f"{n_objects} objects, {ROOTS * SNAPSHOTS} snapshots of {ROOTS} data roots; {found[0]} objects go")
    print(f"listing the remote       {listed_seconds:6.2f} s of processor")
    print(f"dry run / listing        {statistics.median(planning) / listed_seconds:6.2f}")
    print(
        f"collection / listing     {collecting / listed_seconds:6.2f} with the removing; wall {wall / wall_listing:.2f}"
    )


if __name__ == "__main__":
    main()
