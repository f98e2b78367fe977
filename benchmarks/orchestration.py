"""What Dagster costs: the orchestrated backfill of ingestion and features against the same stages called bare.

Both work 91 days of the same simulated world, in one process, each into an empty data root. The orchestrated run
records every partition and every check in a persistent SQLite instance; the bare one does the same without.
"""

import os
import statistics
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from benchmarks.worlds import land_world
from pipeline_assets.adapters.stages import features, ingestion
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.commands.chains import Chains, prepare_home
from pipeline_assets.definitions import build_definitions
from pipeline_assets.settings import Params, Settings

START = date(2026, 1, 4)
N_DAYS = 91
REPETITIONS = 3


def run_bare(root: Path, params: Params) -> float:
    """Seconds of the stages and their checks, called as functions."""
    stores = open_stores(str(root))
    days = [START + timedelta(days=number) for number in range(N_DAYS)]
    started = time.perf_counter()
    for _ in ingestion.ingest(stores, params.ingestion, days):
        pass
    for day in days:
        ingestion.find_lost_rows(stores, day)
        ingestion.find_quarantine_share(stores, params.ingestion, day)
        ingestion.find_absent_input(stores, day)
    for _ in features.build_features(stores, days):
        pass
    for day in days:
        for table in features.FEATURE_TABLES:
            features.find_payments_without_features(stores, table, day)
    return time.perf_counter() - started


def run_orchestrated(root: Path, params: Params) -> float:
    """Seconds of the same through Dagster, as `pipeline-assets backfill` does it."""
    os.environ.pop("DAGSTER_HOME", None)
    prepare_home(str(root))
    chains = Chains(build_definitions(Settings(str(root), params, START)), say=lambda _: None)
    started = time.perf_counter()
    chains.run_daily(("ingestion", "features"), START, START + timedelta(days=N_DAYS - 1))
    return time.perf_counter() - started


def main() -> None:
    """Print the seconds of both and their ratio."""
    params = Params(history_start=START, history_end=START + timedelta(days=N_DAYS - 1))
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder, f"{kind}-{n}") for n in range(REPETITIONS + 1) for kind in ("bare", "orchestrated")]
        for root in roots:
            land_world(root, START, N_DAYS, n_customers=5000, n_terminals=10000)
        run_bare(roots.pop(0), params)  # warms the compiled kernels, the page cache and the imports of both
        run_orchestrated(roots.pop(0), params)
        bare, orchestrated = [], []
        for first, second in zip(roots[::2], roots[1::2], strict=True):
            bare.append(run_bare(first, params))
            orchestrated.append(run_orchestrated(second, params))
    print(f"bare stages        {statistics.median(bare):7.2f} s (median of {REPETITIONS}: {sorted(bare)})")
    print(f"orchestrated       {statistics.median(orchestrated):7.2f} s ({sorted(orchestrated)})")
    print(f"orchestrated / bare {statistics.median(orchestrated) / statistics.median(bare):6.2f}  (limit 2)")


if __name__ == "__main__":
    main()
