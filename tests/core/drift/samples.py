"""Payments as a model was trained on them, and as they come in afterwards, with or without a change."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.core.drift import DriftParams, Reference, build_reference, compare_window, count_payments
from pipeline_assets.core.drift.measure import Comparison
from pipeline_assets.core.features import MODEL_FEATURES
from tests.conftest import MakeTrainingSet

AS_OF = date(2026, 4, 5)
PARAMS = DriftParams(min_rows=100)
DAY = timedelta(days=1)
FIRST = AS_OF - 7 * DAY - PARAMS.reference_weeks * 7 * DAY  # of the reference
A_WEEK = 400  # payments
_AMOUNT = MODEL_FEATURES.index("amount_cents")


def predict(inputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A model that looks at nothing but the amount."""
    return np.asarray(1 / (1 + np.exp(8 - np.log1p(inputs[:, _AMOUNT]))), np.float64)


def spread(payments: pl.DataFrame, first: date, n_days: int) -> pl.DataFrame:
    """The payments, one after the other and at even distances, over some days on which they also arrive."""
    start = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1e6)
    step = n_days * 86_400_000_000 // max(1, payments.height)
    times = pl.Series(start + np.arange(payments.height) * step).cast(pl.Datetime("us", "UTC"))
    return payments.with_columns(event_time=times).with_columns(arrival_date=pl.col("event_time").dt.date())


def make_world(make: MakeTrainingSet) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A training set, and the payments of the six weeks after it: all drawn alike."""
    n_weeks = PARAMS.reference_weeks
    drawn = make((n_weeks + 6) * A_WEEK)
    before, after = drawn.head(n_weeks * A_WEEK), drawn.tail(6 * A_WEEK)
    training_set = spread(before, FIRST, n_weeks * 7).drop("arrival_date")
    return training_set, spread(after, AS_OF - 7 * DAY, 42).drop("is_fraud")


def refer(make: MakeTrainingSet, params: DriftParams = PARAMS) -> Reference:
    """The reference as of AS_OF."""
    training_set, later = make_world(make)
    return build_reference(training_set, select(later, AS_OF - 7 * DAY), predict, AS_OF, params)


def select(payments: pl.DataFrame, first: date, n_days: int = 7) -> pl.DataFrame:
    """What arrived on some days."""
    return payments.filter(pl.col("arrival_date").is_between(first, first + n_days * DAY, closed="left"))


def compare(reference: Reference, week: pl.DataFrame, params: DriftParams = PARAMS) -> dict[str, Comparison]:
    """A week of payments against the reference, by subject."""
    counts = count_payments(week, AS_OF, 7, reference, predict)
    compared = compare_window(reference, {name: days.sum(axis=0) for name, days in counts.items()}, params)
    return {one.subject: one for one in compared}
