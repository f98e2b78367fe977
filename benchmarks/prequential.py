"""One test week after the other, each with a model that was trained on what was known when the week began."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core.evaluation import Evaluation, TestSet, evaluate, select_test_rows
from pipeline_assets.core.features import compute_features, make_model_inputs
from pipeline_assets.core.labels import label_mature_rows
from pipeline_assets.core.scoring import FraudModel, join_features
from pipeline_assets.core.training import TrainingParams, train

WEEK: Final = timedelta(days=7)
TOP_CARDS: Final = 100
Scorer = Callable[[date, pl.DataFrame], npt.NDArray[np.float64]]  # first day of the week, its payments -> scores


def join_all(transactions: pl.DataFrame, chargebacks: pl.DataFrame) -> pl.DataFrame:
    """The payments with all features and ``is_fraud``, the label that is known in the end."""
    days = transactions["arrival_date"]
    tables = compute_features(transactions, chargebacks, _day(days.min()), _day(days.max()))
    features = (table.drop("arrival_date") for table in (tables.customer, tables.terminal))
    frauds = chargebacks["transaction_id"]
    return join_features(transactions, *features).with_columns(
        is_fraud=pl.col("transaction_id").is_in(frauds.implode())
    )


def select_test_week(rows: pl.DataFrame, first: date) -> TestSet:
    """The payments of a test week that count: those of cards that are not known as compromised.

    Known are the frauds since the Handbook's training week began, once the label delay has passed.
    """
    return select_test_rows(rows, first, WEEK.days, first - WEEK - timedelta(days=LABEL_DELAY_DAYS))


def score_by_pipeline(rows: pl.DataFrame, chargebacks: pl.DataFrame) -> Scorer:
    """The pipeline's own model: all mature history and all features, with the default parameters."""
    params = TrainingParams()

    def score(first: date, payments: pl.DataFrame) -> npt.NDArray[np.float64]:
        training_set = label_mature_rows(rows.drop("is_fraud"), chargebacks, first, params.history_days)
        model = train(training_set, params)
        fitted = FraudModel("candidate", model.text.decode(), model.card["typical_inputs"])
        return fitted.predict(make_model_inputs(payments))

    return score


def evaluate_week(rows: pl.DataFrame, first: date, scorer: Scorer) -> Evaluation:
    """The report of one scorer on one test week."""
    test = select_test_week(rows, first)
    return evaluate(test, scorer(first, test.rows), TOP_CARDS)


def average(reports: list[Evaluation], metric: str) -> float:
    """The mean of a metric over the weeks."""
    return float(np.mean([report.as_metrics()[metric] for report in reports]))


def _day(value: Any) -> date:
    assert isinstance(value, date)
    return value
