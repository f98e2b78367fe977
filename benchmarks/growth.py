"""What growth costs: the daily chain of one day for ten times the customers, and for a longer history.

Each figure is of a process of its own, which runs ingestion and features of the last day and measures its peak memory.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from benchmarks.worlds import land_world
from pipeline_assets.adapters.stages import features, ingestion
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.core.ingestion import IngestionParams

START: Final = date(2025, 1, 5)
WINDOW_DAYS: Final = 92  # what the features of a day look at: 91 days before it, and the day itself
REPETITIONS: Final = 3
# Name, customers, days of history.
WORLDS: Final = (("usual", 2_000, WINDOW_DAYS), ("tenfold", 20_000, WINDOW_DAYS), ("longer", 2_000, 3 * WINDOW_DAYS))


def main() -> None:
    """Print seconds and peak memory of a day in each world, and the ratios."""
    seconds, megabytes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, n_customers, n_days in WORLDS:
            root = Path(folder, name)
            land_world(root, START, n_days, n_customers, 2 * n_customers)
            days = [START + timedelta(days=number) for number in range(n_days)]
            for _ in ingestion.ingest(open_stores(str(root)), IngestionParams(), days[:-1]):
                pass
            measured = [measure(root, days[-1]) for _ in range(REPETITIONS)]
            seconds[name], megabytes[name] = (statistics.median(side) for side in zip(*measured, strict=True))
            print(f"{name}: {n_customers} customers, {n_days} days of history: a day takes {seconds[name]:.2f} s")
        idle = statistics.median(measure(Path(folder, "empty"), None)[1] for _ in range(REPETITIONS))
    ratio = seconds["tenfold"] / seconds["usual"]
    print(f"10 times the customers: {ratio:.1f} times the time of a daily run (at most 11)")
    print(
        f"peak memory beyond the {idle:.0f} MB of the libraries: usual {megabytes['usual'] - idle:.0f} MB, "
        f"10 times the customers {megabytes['tenfold'] - idle:.0f} MB, 3 times the history "
        f"{megabytes['longer'] - idle:.0f} MB: the trailing window is {WINDOW_DAYS} days, older days are not read"
    )


def measure(root: Path, day: date | None) -> tuple[float, float]:
    """Seconds and peak MB of one day's ingestion and features in a process of its own; without a day, of nothing."""
    command = [sys.executable, "-m", "benchmarks.growth", str(root), "" if day is None else str(day)]
    seconds, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def run_day(root: str, day: str) -> None:
    """What :func:`measure` starts."""
    from pipeline_assets.core.features import history  # noqa: F401 - its import is no part of the work

    stores = open_stores(root)
    started = time.perf_counter()
    if day:
        days = [date.fromisoformat(day)]
        for _ in ingestion.ingest(stores, IngestionParams(), days):
            pass
        for _ in features.build_features(stores, days):
            pass
    elapsed = time.perf_counter() - started
    # Not ru_maxrss, which a process takes over from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(elapsed, int(status["VmHWM"].split()[0]) / 1024)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_day(sys.argv[1], sys.argv[2])
    else:
        main()
