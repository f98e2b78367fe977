"""Our base features against those that the Handbook's own code computed on the Handbook's data."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.contracts.features import BASE_WINDOWS_DAYS
from pipeline_assets.core.features import add_clock_features, compute_features

HANDBOOK = Path(__file__).parents[3] / "../shared/handbook"
FIRST, LAST = date(2018, 6, 1), date(2018, 6, 14)

pytestmark = pytest.mark.skipif(not HANDBOOK.is_dir(), reason="the Handbook's data is not beside the repository")


@pytest.fixture(scope="module")
def compared() -> pl.DataFrame:
    """The Handbook's features and ours, of the rows whose customer has no other payment in the same second."""
    raw = pl.read_parquet(sorted((HANDBOOK / "transactions").glob("*.parquet"))[: (LAST - date(2018, 3, 31)).days])
    rows = raw.select(
        pl.col("TRANSACTION_ID").cast(pl.String).alias("transaction_id"),
        pl.col("TX_DATETIME").dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("event_time"),
        pl.col("CUSTOMER_ID").cast(pl.String).alias("customer_id"),
        pl.col("TERMINAL_ID").cast(pl.String).alias("terminal_id"),
        (pl.col("TX_AMOUNT") * 100).round().cast(pl.Int64).alias("amount_cents"),
        pl.col("TX_DATETIME").dt.date().alias("arrival_date"),
        pl.col("TX_FRAUD"),
    )
    reports = rows.filter(pl.col("TX_FRAUD") == 1).select(
        "transaction_id",
        (pl.col("event_time") + timedelta(days=7)).alias("reported_at"),
        (pl.col("arrival_date") + timedelta(days=7)).alias("arrival_date"),
    )
    rows = rows.drop("TX_FRAUD")
    ours = compute_features(rows, reports, FIRST, LAST)
    golden = pl.read_parquet(HANDBOOK / f"features-{FIRST}..{LAST}.parquet")
    golden = golden.with_columns(pl.col("TRANSACTION_ID").cast(pl.String).alias("transaction_id"))
    twins = pl.struct("customer_id", "event_time").is_duplicated()
    joined = add_clock_features(rows.filter(~twins)).join(golden, on="transaction_id")
    assert joined.height > golden.height - 50  # a few twins, and every other row
    for table in (ours.customer, ours.terminal):
        joined = joined.join(table.drop("arrival_date"), on="transaction_id")
    return joined


@pytest.mark.parametrize("window", BASE_WINDOWS_DAYS)
def test_counts_and_fraud_shares_are_the_handbooks_without_exception(compared: pl.DataFrame, window: int) -> None:
    for ours, theirs in (
        (f"customer_tx_count_{window}d", f"CUSTOMER_ID_NB_TX_{window}DAY_WINDOW"),
        (f"terminal_tx_count_{window}d", f"TERMINAL_ID_NB_TX_{window}DAY_WINDOW"),
        (f"terminal_fraud_share_{window}d", f"TERMINAL_ID_RISK_{window}DAY_WINDOW"),
    ):
        assert compared.filter(pl.col(ours) != pl.col(theirs)).is_empty(), ours


@pytest.mark.parametrize("window", BASE_WINDOWS_DAYS)
def test_mean_amounts_are_the_handbooks_within_a_millionth_of_a_euro(compared: pl.DataFrame, window: int) -> None:
    ours = pl.col(f"customer_amount_mean_{window}d") / 100
    theirs = pl.col(f"CUSTOMER_ID_AVG_AMOUNT_{window}DAY_WINDOW")
    assert compared.select((ours - theirs).abs().max()).item() < 1e-6


def test_weekend_and_night_are_the_handbooks(compared: pl.DataFrame) -> None:
    assert compared["is_weekend"].cast(pl.Int16).equals(compared["TX_DURING_WEEKEND"].cast(pl.Int16))
    assert compared["is_night"].cast(pl.Int16).equals(compared["TX_DURING_NIGHT"].cast(pl.Int16))
