from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.core.features import MODEL_FEATURES, RARE_TAIL_FEATURES, add_clock_features, make_model_inputs


def make_frame(*times: datetime) -> pl.DataFrame:
    features = {feature.name: [1.0] * len(times) for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)}
    return pl.DataFrame({"event_time": times, "amount_cents": range(len(times)), **features})


@pytest.mark.parametrize(
    ("time", "is_weekend", "is_night"),
    [
        (datetime(2026, 1, 2, 23, 59, 59, tzinfo=UTC), False, False),  # Friday
        (datetime(2026, 1, 3, 0, 0, tzinfo=UTC), True, True),  # Saturday
        (datetime(2026, 1, 4, 6, 59, 59, tzinfo=UTC), True, True),
        (datetime(2026, 1, 5, 7, 0, tzinfo=UTC), False, False),  # Monday
    ],
)
def test_weekend_is_saturday_and_sunday_and_night_is_hours_0_to_6(
    time: datetime, is_weekend: bool, is_night: bool
) -> None:
    row = add_clock_features(make_frame(time)).row(0, named=True)
    assert (row["is_weekend"], row["is_night"]) == (is_weekend, is_night)


def test_inputs_are_the_model_features_in_their_order_whatever_the_order_of_columns() -> None:
    frame = make_frame(datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 5, 12, tzinfo=UTC))
    inputs = make_model_inputs(frame.select(reversed(frame.columns)))
    assert inputs.shape == (2, len(MODEL_FEATURES))
    assert inputs[:, MODEL_FEATURES.index("amount_cents")].tolist() == [0, 1]
    assert inputs[:, MODEL_FEATURES.index("is_weekend")].tolist() == [1, 0]
    assert inputs[:, MODEL_FEATURES.index("is_night")].tolist() == [1, 0]


def test_an_unknown_feature_becomes_nan() -> None:
    frame = make_frame(datetime(2026, 1, 3, tzinfo=UTC)).with_columns(customer_tx_count_7d=pl.lit(None, pl.Int64))
    inputs = make_model_inputs(frame)
    assert np.flatnonzero(np.isnan(inputs[0])).tolist() == [MODEL_FEATURES.index("customer_tx_count_7d")]


def test_a_missing_column_is_named() -> None:
    frame = make_frame(datetime(2026, 1, 3, tzinfo=UTC)).drop("terminal_tx_count_1d")
    with pytest.raises(ValueError, match=r"found no \['terminal_tx_count_1d'\]"):
        make_model_inputs(frame)


def test_every_input_is_named_once_and_rare_tails_are_inputs() -> None:
    assert len(set(MODEL_FEATURES)) == len(MODEL_FEATURES)
    assert set(MODEL_FEATURES) >= RARE_TAIL_FEATURES
