"""What checkpoints cost: training with and without them on the same rows, by turns in one run."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.core.training import TrainingParams, train

N_ROWS = 300_000
REPETITIONS = 5
AS_OF = date(2026, 3, 1)
PARAMS = TrainingParams(rounds=200)  # half of the default, with the default distance of checkpoints


def make_rows() -> pl.DataFrame:
    """Random rows of the training set's columns: as many distinct values as bins, and labels that can be learnt."""
    random = np.random.default_rng(0)
    columns = {}
    for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES):
        low = feature.minimum or 0.0
        high = feature.maximum if feature.maximum is not None else low + 1000
        columns[feature.name] = low + (high - low) * random.random(N_ROWS) ** 3
    amount = np.round(np.exp(random.normal(8, 1, N_ROWS)))
    odds = -6 + amount / 8000 + 5 * columns["terminal_fraud_share_7d"]
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return pl.DataFrame(
        {
            "transaction_id": [f"t{number:07d}" for number in range(N_ROWS)],
            "event_time": pl.Series(start + np.arange(N_ROWS) * 10_000_000).cast(pl.Datetime("us", "UTC")),
            "amount_cents": pl.Series(amount).cast(pl.Int64),
            "is_fraud": random.random(N_ROWS) < 1 / (1 + np.exp(-odds)),
            **columns,
        }
    )


def measure(work: Callable[[], bytes]) -> tuple[float, bytes]:
    """Seconds of processor and disk that the work took, and what it made."""
    started = time.perf_counter()
    made = work()
    return time.perf_counter() - started, made


def main() -> None:
    """Print the median seconds with and without checkpoints and the median of the ratios of neighbours."""
    rows = make_rows()
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    models = set()
    for repetition in range(REPETITIONS + 1):
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = ModelStore(LocalStorage(Path(folder))).checkpoints(AS_OF)
            runs: dict[str, Callable[[], bytes]] = {
                "without": lambda: train(rows, PARAMS).text,
                "with": lambda kept=checkpoints: train(rows, PARAMS, kept).text,  # type: ignore[misc]
            }
            for kind in sorted(runs, reverse=bool(repetition % 2)):
                took, model = measure(runs[kind])
                models.add(model)
                if repetition:  # the first pair warms caches and imports
                    seconds[kind].append(took)
    assert len(models) == 1, "checkpoints changed the model"
    ratios = sorted(a / b for a, b in zip(seconds["with"], seconds["without"], strict=True))
    print(f"{N_ROWS} rows, {PARAMS.rounds} rounds, a checkpoint every {PARAMS.checkpoint_rounds} rounds")
    for kind, taken in seconds.items():
        print(f"{kind:8} checkpoints {statistics.median(taken):6.2f} s (median of {REPETITIONS}: "
              f"{', '.join(f'{one:.2f}' for one in sorted(taken))})")  # fmt: skip
    print(f"with / without       {statistics.median(ratios):6.3f} (limit 1.10; {ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
