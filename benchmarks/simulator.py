"""How fast the simulator makes payments, against two baselines that make or move a frame of the same shape.

Plain numpy draws the same columns without any structure (no reach, no fraud, no order) and formats the same ids; polars
writes the simulated frame to parquet in memory and reads it back. All three alternate within one run.
"""

import io
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipeline_assets.contracts.tables import UTC_MICROSECONDS
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World

REPETITIONS = 5
START = date(2024, 1, 1)
WORLDS = (("Handbook: 100 days of 5,000 customers", 5_000, 100), ("large: 1 day of 500,000 customers", 500_000, 1))


def main() -> None:
    """Print rows a second and the ratio to each baseline, for many small days and for one large one."""
    begin = time.perf_counter()
    World(WorldParams(start=START)).simulate(START)
    print(f"first world and day, which loads or compiles the draws: {time.perf_counter() - begin:.2f} s")
    for name, n_customers, n_days in WORLDS:
        begin = time.perf_counter()
        world = World(WorldParams(start=START, n_customers=n_customers, n_terminals=2 * n_customers))
        print(f"\n{name} (profiles and map: {time.perf_counter() - begin:.2f} s)")
        compare(world, START + timedelta(days=n_days - 1))


def compare(world: World, last: date) -> None:
    """Print the medians of the simulator and of both baselines on the days from the world's start to ``last``."""
    rows = world.simulate(START, last).transactions
    sides: dict[str, Callable[[], object]] = {
        "simulator": lambda: world.simulate(START, last),
        "plain numpy": lambda: draw_plainly(rows.height, world.params),
        "parquet there and back": lambda: write_and_read(rows),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(REPETITIONS):
        for name, task in sides.items():
            begin = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - begin)
    ours = statistics.median(seconds["simulator"])
    print(f"simulator: {rows.height / ours / 1e6:.2f} million payments a second ({rows.height:,} in {ours:.3f} s)")
    for name in list(sides)[1:]:
        print(f"against {name}: {ours / statistics.median(seconds[name]):.2f} times its time")


def draw_plainly(n: int, params: WorldParams) -> pl.DataFrame:
    """The columns of the transactions, each drawn on its own."""
    random = np.random.default_rng(params.seed)
    return pl.DataFrame(
        {
            "transaction_id": format_ids("t", 11, np.arange(n)),
            "event_time": pl.Series(random.integers(0, 86_400, n) * 1_000_000).cast(UTC_MICROSECONDS),
            "customer_id": format_ids("c", 8, random.integers(0, params.n_customers, n)),
            "terminal_id": format_ids("m", 8, random.integers(0, params.n_terminals, n)),
            "amount_cents": np.abs(random.normal(5_000, 2_500, n)).round().astype(np.int64),
        }
    )


def format_ids(letter: str, digits: int, numbers: np.ndarray) -> pl.Series:
    """Zero-padded ids."""
    text = pl.lit(pl.Series(numbers)).cast(pl.String).str.zfill(digits)
    return pl.select(pl.format(letter + "{}", text)).to_series()


def write_and_read(rows: pl.DataFrame) -> pl.DataFrame:
    """To parquet in memory and back."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    buffer.seek(0)
    return pl.read_parquet(buffer)


if __name__ == "__main__":
    main()
