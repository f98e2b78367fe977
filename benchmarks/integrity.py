"""What reading all bytes against their records costs: the full integrity check against `md5sum` on the same files.

`md5sum` reads and hashes with as many processes as there are cores, and compares nothing.
"""

import os
import statistics
import subprocess
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from pipeline_assets.adapters.integrity import find_damage
from pipeline_assets.adapters.replica import hash_bytes
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.core.lineage.records import Record

N_FILES = 600
FILE_BYTES = 1_000_000  # a day's table of a shop with some tens of thousands of payments
REPETITIONS = 5


def write_files(stores: Stores) -> list[Record]:
    """Recorded partitions of random bytes: nothing is hashed faster for what is in it."""
    records = []
    for number in range(N_FILES):
        content, path = os.urandom(FILE_BYTES), f"lake/scores/{number}"
        stores.root.write(path, content)
        day = date(2020, 1, 1) + timedelta(days=number)
        records.append(Record("scores", day, {path: hash_bytes(content)}, "1", {}))
        stores.records.write(records[-1])
    return records


class Seconds(NamedTuple):
    """What something took: by the clock, and of the processors, which another load disturbs less."""

    wall: float
    processor: float


def time_check(stores: Stores, records: list[Record]) -> Seconds:
    """Time the full check."""
    started, worked = time.perf_counter(), time.process_time()
    assert not list(find_damage(stores, records))
    return Seconds(time.perf_counter() - started, time.process_time() - worked)


def time_md5sum(folder: Path) -> Seconds:
    """Time `md5sum` on the same files, in parallel."""
    files = "\0".join(str(path) for path in sorted(folder.iterdir()))
    command = ["xargs", "-0", "-P", str(os.cpu_count()), "-n", "50", "md5sum"]
    started, before = time.perf_counter(), os.times()
    subprocess.run(command, input=files.encode(), stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - started, os.times()
    worked = after.children_user - before.children_user + after.children_system - before.children_system
    return Seconds(seconds, worked)


def main() -> None:
    """Print both and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        stores = open_stores(folder)
        records = write_files(stores)
        ours, theirs = [], []
        for _ in range(REPETITIONS):
            ours.append(time_check(stores, records))
            theirs.append(time_md5sum(Path(folder, "lake", "scores")))
    megabytes = N_FILES * FILE_BYTES / 1e6
    for name, seconds in (("integrity check", ours), ("md5sum", theirs)):
        median = statistics.median(one.wall for one in seconds)
        print(f"{name:17} {median:6.2f} s, {megabytes / median:6.0f} MB/s")
    wall = statistics.median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))
    processor = statistics.median(a.processor / b.processor for a, b in zip(ours, theirs, strict=True))
    print(f"check / md5sum    {wall:6.2f}, in processor seconds {processor:.2f}")


if __name__ == "__main__":
    main()
