"""How fast features are, against the least that any implementation does: read the files and sort them twice.

Both sides begin at the same files (the lake's daily partitions, string ids) and alternate within one run.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from benchmarks.payments import read_handbook, read_lake, write_lake
from pipeline_assets.core.features import FeatureTables, compute_features

REPETITIONS = 7
SCALING_DAYS = 28  # 10 times their customers are 2.7 million rows
BUSY_ROWS = 100_000  # in a day, at one terminal, by one customer


def main() -> None:
    """Print the ratio to the baseline, the scaling, the cost of one busy entity, and the peak of memory."""
    transactions, chargebacks = read_handbook()
    with tempfile.TemporaryDirectory() as folder:
        files = write_lake(transactions, Path(folder, "transactions"))
        reports = write_lake(chargebacks, Path(folder, "chargebacks"))
        compare_with_baseline(files, reports)
        megabytes = [measure_memory(task, folder) for task in ("baseline", "ours")]
    print(f"peak memory: baseline {megabytes[0]:.0f} MB, features {megabytes[1]:.0f} MB")
    measure_scaling(transactions, chargebacks)
    measure_busy_entity()


def run_baseline(files: list[Path]) -> None:
    """Read, sort by customer and time, sort by terminal and time."""
    rows = read_lake(files)
    rows.sort("customer_id", "event_time")
    rows.sort("terminal_id", "event_time")


def run_features(files: list[Path], reports: list[Path]) -> FeatureTables:
    """Read, and compute the features of every row."""
    return compute_all(read_lake(files), read_lake(reports))


def compute_all(transactions: pl.DataFrame, chargebacks: pl.DataFrame) -> FeatureTables:
    """All features of all rows."""
    days = transactions.select(pl.col("arrival_date").min().alias("first"), pl.col("arrival_date").max().alias("last"))
    first, last = days.row(0)
    return compute_features(transactions, chargebacks, first, last)


def measure(task: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    task()
    return time.perf_counter() - begin


def compare_with_baseline(files: list[Path], reports: list[Path]) -> None:
    """Print the medians of both sides and their ratio."""
    print(f"first call, which loads or compiles the kernels: {measure(lambda: run_features(files, reports)):.2f} s")
    pairs = [
        (measure(lambda: run_baseline(files)), measure(lambda: run_features(files, reports)))
        for _ in range(REPETITIONS)
    ]
    baseline, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    rows = read_lake(files).height
    print(f"{rows:,} rows: read and sort twice {baseline:.2f} s, read and compute all features {ours:.2f} s")
    print(f"ratio {ours / baseline:.2f} (at most 3)")


def measure_memory(task: str, folder: str) -> float:
    """Peak memory in MB of a process of its own that does one side once."""
    command = [sys.executable, "-m", "benchmarks.features", task, folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_memory(task: str, folder: str) -> None:
    """What :func:`measure_memory` starts."""
    files = sorted(Path(folder, "transactions").rglob("*.parquet"))
    if task == "baseline":
        run_baseline(files)
    else:
        run_features(files, sorted(Path(folder, "chargebacks").rglob("*.parquet")))
    # Not ru_maxrss, which a process takes over from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


def measure_scaling(transactions: pl.DataFrame, chargebacks: pl.DataFrame) -> None:
    """Print how much longer ten times the customers and terminals take."""
    until = pl.col("arrival_date") < transactions["arrival_date"].min() + timedelta(days=SCALING_DAYS)  # type: ignore[operator]
    small = transactions.filter(until), chargebacks.filter(until)
    ids = ["transaction_id", "customer_id", "terminal_id"]
    large = tuple(
        pl.concat(
            frame.with_columns(pl.format(f"{copy}-{{}}", name).alias(name) for name in ids if name in frame.columns)
            for copy in range(10)
        ).sort("arrival_date", frame.columns[1], "transaction_id")  # as partitions lie in the lake
        for frame in small
    )
    once = statistics.median(measure(lambda: compute_all(*small)) for _ in range(3))
    tenfold = statistics.median(measure(lambda: compute_all(large[0], large[1])) for _ in range(3))
    print(f"10 times the customers: {tenfold / once:.1f} times the time (at most 11): {once:.2f} s, {tenfold:.2f} s")


def measure_busy_entity() -> None:
    """Print what it costs that all payments of ten days are one customer's, at one terminal, a tenth of them late."""
    day = pl.int_range(pl.len()) // BUSY_ROWS
    rows = pl.select(i=pl.int_range(10 * BUSY_ROWS)).select(
        pl.format("{}", "i").alias("transaction_id"),
        (
            pl.lit(date(2026, 1, 1)).cast(pl.Datetime("us", "UTC")) + pl.duration(microseconds=pl.col("i") * 864_000)
        ).alias("event_time"),
        pl.lit("one").alias("customer_id"),
        pl.lit("one").alias("terminal_id"),
        (1000 + pl.col("i") * 7919 % 5000).alias("amount_cents"),
        (date(2026, 1, 1) + pl.duration(days=day + (pl.col("i") % 10 == 0) * 3)).alias("arrival_date"),
    )
    reports = rows.filter(pl.int_range(pl.len()) % 50 == 0).select(
        "transaction_id",
        (pl.col("event_time") + timedelta(days=2)).alias("reported_at"),
        (pl.col("arrival_date") + timedelta(days=2)).alias("arrival_date"),
    )
    spread = rows.with_columns(
        customer_id=pl.format("{}", pl.int_range(pl.len()) % 5000),
        terminal_id=pl.format("{}", pl.int_range(pl.len()) % 9973),
    )
    many, one = measure(lambda: compute_all(spread, reports)), measure(lambda: compute_all(rows, reports))
    print(
        f"{BUSY_ROWS:,} payments a day for 10 days: {one / many:.1f} times the time when they are all of one customer "
        f"and one terminal: {many:.2f} s, {one:.2f} s"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print_memory(sys.argv[1], sys.argv[2])
    else:
        main()
