"""What a snapshot of one new day costs in a lake of 180 days against one of 30 days, beside DVC's own commit and push.

Both lakes have the same tables with the same bytes a day. DVC commits and pushes the same folders, as `dvc add` and
`dvc push` to two remotes do, in this process; what DVC costs to start is left out of its time.
"""

import os
import statistics
import tempfile
import time
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipeline_assets.adapters.replica import hash_bytes, open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.core.lineage.records import Record

ASSETS = 10  # daily tables
FILE_BYTES = 60_000  # a table of a day of the default world
LAKES = (30, 180)  # days
REPETITIONS = 9
BY_DVC = 2  # of them: it takes a hundred times as long
START = date(2025, 1, 1)
REMOTES = ("remotes/one", "remotes/two")


def write_day(stores: Stores, number: int) -> None:
    """A day of every table, of random bytes."""
    for asset in (f"table_{one}" for one in range(ASSETS)):
        day, content = START + timedelta(days=number), os.urandom(FILE_BYTES)
        path = f"lake/{asset}/date={day}/part.parquet"
        stores.root.write(path, content)
        stores.records.write(Record(asset, day, {path: hash_bytes(content)}, "1", {}))


def take(stores: Stores) -> float:
    """Seconds of a snapshot."""
    snapshots = Snapshots(stores.root, open_replicas(stores.root, REMOTES))
    started = time.perf_counter()
    taken = snapshots.take("benchmark", "revision", b"", datetime.now(UTC))
    seconds = time.perf_counter() - started
    assert not taken.behind
    assert taken.n_new >= 2 * ASSETS
    return seconds


def commit_by_dvc(root: Path) -> float:
    """Seconds of `dvc add` and of `dvc push` to two remotes, on the same folders."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        started = time.perf_counter()
        repo.add([str(root / "lake"), str(root / "records")])
        for remote in ("one", "two"):
            repo.push(remote=remote)
        return time.perf_counter() - started


def open_dvc(root: Path) -> None:
    """A DVC repository in the data root, with two remotes."""
    from dvc.repo import Repo

    with Repo.init(str(root), no_scm=True) as repo, repo.config.edit("repo") as config:
        config["remote"] = {name: {"url": str(root / "dvc-remotes" / name)} for name in ("one", "two")}


def main() -> None:
    """Print the time of each and the ratios."""
    warnings.simplefilter("ignore")
    ours: dict[int, list[float]] = {days: [] for days in LAKES}
    theirs: dict[int, list[float]] = {days: [] for days in LAKES}
    with tempfile.TemporaryDirectory() as folder:
        lakes = {days: open_stores(f"{folder}/{days}") for days in LAKES}
        for days, stores in lakes.items():
            for number in range(days):
                write_day(stores, number)
            take(stores)
            open_dvc(Path(stores.root.root))
            commit_by_dvc(Path(stores.root.root))
        for repetition in range(REPETITIONS):
            for days, stores in lakes.items():  # one after the other, so that both meet the same machine
                write_day(stores, days + repetition)
                ours[days].append(take(stores))
                if repetition < BY_DVC:
                    theirs[days].append(commit_by_dvc(Path(stores.root.root)))
    for name, seconds in (("snapshot", ours), ("dvc add and push", theirs)):
        few, many = (statistics.median(seconds[days]) for days in LAKES)
        ratio = statistics.median(b / a for a, b in zip(*(seconds[days] for days in LAKES), strict=True))
        print(f"{name:18} {LAKES[0]} days {few:6.3f} s   {LAKES[1]} days {many:6.3f} s   ratio {ratio:5.2f}")
    ratio = statistics.median(a / b for a, b in zip(ours[LAKES[1]], theirs[LAKES[1]], strict=False))
    print(f"snapshot / dvc at {LAKES[1]} days {ratio:5.2f}")


if __name__ == "__main__":
    main()
