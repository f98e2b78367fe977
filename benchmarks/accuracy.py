"""Accuracy on the Handbook's data: its own recipe against the pipeline's, on the same payments of the same weeks.

Prequential: every seven-day week from the first Sunday of June 2018 on that fits into the data (the weeks of history
begin on Sundays there). (a) is LightGBM on the Handbook's 15 features, trained on one week that ended a label delay
before the test week; (b) is the pipeline: all mature history and all its features. Both have the same trees.
"""

from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.payments import read_handbook
from benchmarks.prequential import WEEK, Scorer, average, evaluate_week, join_all, score_by_pipeline
from pipeline_assets.contracts.features import BASE_WINDOWS_DAYS, LABEL_DELAY_DAYS
from pipeline_assets.core.features import add_clock_features
from pipeline_assets.core.training import TrainingParams

WEEKS: Final = tuple(date(2018, 6, 3) + number * WEEK for number in range(4))
BASE: Final = (
    "amount_cents",
    "is_weekend",
    "is_night",
    *(f"customer_{what}_{w}d" for w in BASE_WINDOWS_DAYS for what in ("tx_count", "amount_mean")),
    *(f"terminal_{what}_{w}d" for w in BASE_WINDOWS_DAYS for what in ("tx_count", "fraud_share")),
)
LEAK: Final = 0.775  # a Bayes oracle that knows the rules of this data reaches 0.77


def score_by_handbook(rows: pl.DataFrame) -> Scorer:
    """LightGBM on the Handbook's 15 features and one training week."""
    import lightgbm

    params = TrainingParams()
    settings: dict[str, Any] = {
        "objective": "binary", "learning_rate": params.learning_rate, "num_leaves": params.num_leaves,
        "min_sum_hessian_in_leaf": params.min_sum_hessian_in_leaf, "lambda_l2": params.lambda_l2,
        "max_bin_by_feature": [params.fine_bins if name == "amount_cents" else params.bins for name in BASE],
        "min_data_in_bin": 1, "bin_construct_sample_cnt": 2_000_000, "deterministic": True, "force_col_wise": True,
        "num_threads": 1, "seed": 0, "verbosity": -1,
    }  # fmt: skip

    def score(first: date, payments: pl.DataFrame) -> npt.NDArray[np.float64]:
        end = pl.lit(first).cast(pl.Datetime("us", "UTC")) - pl.duration(days=LABEL_DELAY_DAYS)
        week = rows.filter(pl.col("event_time").is_between(end - WEEK, end, closed="left"))
        data = lightgbm.Dataset(_inputs(week), week["is_fraud"].cast(pl.Float64).to_numpy(), params=settings)
        booster = lightgbm.train(settings, data, num_boost_round=params.rounds)
        return np.asarray(booster.predict(_inputs(payments), num_threads=1))

    return score


def _inputs(rows: pl.DataFrame) -> npt.NDArray[np.float64]:
    return add_clock_features(rows).select(pl.col(name).cast(pl.Float64) for name in BASE).to_numpy()


def main() -> None:
    """Print both by week, their means and differences."""
    transactions, chargebacks = read_handbook()
    rows = join_all(transactions, chargebacks)
    scorers = {"a handbook": score_by_handbook(rows), "b pipeline": score_by_pipeline(rows, chargebacks)}
    reports = {name: [evaluate_week(rows, week, scorer) for week in WEEKS] for name, scorer in scorers.items()}
    print("week        who         AP      card P@100  of reachable  ROC AUC  rows    removed  frauds")
    for number, week in enumerate(WEEKS):
        for name, weekly in reports.items():
            one = weekly[number]
            print(
                f"{week}  {name}  {one.average_precision:.4f}  {one.card_precision:.4f}      "
                f"{one.card_precision_share:.4f}        {one.roc_auc:.4f}   {one.n_rows}   {one.n_removed}    "
                f"{one.n_frauds}"
            )
    precision, cards = (
        {name: average(weekly, metric) for name, weekly in reports.items()}
        for metric in ("average_precision", "card_precision")
    )
    for metric, means, limit in (("average precision", precision, 0.05), ("card precision@100", cards, 0.0)):
        a, b = means.values()
        print(f"mean {metric}: a {a:.4f}, b {b:.4f}, b - a {b - a:+.4f} (at least {limit})")
    print(f"b above {LEAK} would be a leak: {'IT IS ABOVE' if max(precision.values()) > LEAK else 'it is below'}")


if __name__ == "__main__":
    main()
