"""Accuracy against the limit: three simulated worlds, scored by the pipeline and by an oracle that knows their rules.

The oracle knows the parameters of the world and the true profile of every customer, and of what happened it knows what
the pipeline knows: payments up to the moment and reports made by then, each 7 days after the payment.
"""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.prequential import WEEK, average, evaluate_week, join_all, score_by_pipeline
from benchmarks.worlds import simulate_rows
from pipeline_assets.simulator.oracle import score_history
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World

SEEDS: Final = (71001, 71002, 71003)  # for this benchmark only: no feature or parameter was chosen on these worlds
START: Final = date(2025, 1, 5)
N_WEEKS: Final = 14
TESTED: Final = tuple(START + number * WEEK for number in range(N_WEEKS - 3, N_WEEKS))
LAST: Final = START + (N_WEEKS + 1) * WEEK  # a week more, in which the last reports come in


def main() -> None:
    """Print average precision of both and their ratio, by world."""
    for seed in SEEDS:
        world = World(WorldParams(START, 5_000, 10_000, seed, report_delay_min_days=7.0, report_delay_max_days=7.0))
        transactions, chargebacks = simulate_rows(world, LAST)
        rows = join_all(transactions, chargebacks)
        oracle = score_history(world, transactions.drop("arrival_date"), chargebacks.drop("arrival_date"), TESTED[0])

        def look_up(_: date, payments: pl.DataFrame, oracle: pl.DataFrame = oracle) -> npt.NDArray[np.float64]:
            known = payments.select("transaction_id").join(oracle, on="transaction_id", maintain_order="left")
            return known["probability"].to_numpy()

        ours = [evaluate_week(rows, week, score_by_pipeline(rows, chargebacks)) for week in TESTED]
        best = [evaluate_week(rows, week, look_up) for week in TESTED]
        mine, limit = (average(reports, "average_precision") for reports in (ours, best))
        print(
            f"world {seed}: average precision {mine:.4f}, oracle {limit:.4f}, ratio {mine / limit:.4f} (at least 0.97; "
            f"above 1 would be a leak); {sum(one.n_frauds for one in ours)} frauds in {len(TESTED)} weeks",
            flush=True,
        )


if __name__ == "__main__":
    main()
