"""Builders of fake data that several rooms' tests share."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.contracts.tables import TRAINING_SET

MakeTrainingSet = Callable[[int], pl.DataFrame]


def _make_training_set(n_rows: int) -> pl.DataFrame:
    random = np.random.default_rng(n_rows)
    columns: dict[str, pl.Series | np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES):
        low = feature.minimum or 0.0
        high = feature.maximum if feature.maximum is not None else low + 20
        drawn = low + (high - low) * random.random(n_rows) ** 3
        values = pl.Series(np.floor(drawn) if feature.is_integer else drawn)
        if feature.is_integer:
            values = values.cast(pl.Int64)
        if feature.nullable:
            values = pl.select(pl.when(pl.Series(random.random(n_rows) < 0.9)).then(values)).to_series()
        columns[feature.name] = values
    amount = np.round(np.exp(random.normal(8, 1, n_rows)))
    odds = -4 + amount / 8000 + 4 * np.asarray(columns["terminal_fraud_share_7d"])
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return pl.DataFrame(
        {
            "transaction_id": [f"t{number:07d}" for number in range(n_rows)],
            "event_time": pl.Series(start + np.arange(n_rows) * 60_000_000).cast(pl.Datetime("us", "UTC")),
            "customer_id": [f"c{number % 97}" for number in range(n_rows)],
            "terminal_id": [f"m{number % 31}" for number in range(n_rows)],
            "amount_cents": pl.Series(amount).cast(pl.Int64),
            "is_fraud": random.random(n_rows) < 1 / (1 + np.exp(-odds)),
            **columns,
        }
    ).select(TRAINING_SET.columns)


@pytest.fixture(scope="session")
def make_training_set() -> MakeTrainingSet:
    """A function that makes ``n`` valid rows of the training set, always the same, one a minute from 2026 on."""
    return _make_training_set
