"""The Handbook's data through the example mapping: our base features against those of the Handbook's own code."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.delivery import deliver
from pipeline_assets.adapters.stages.features import FEATURE_TABLES, build_features
from pipeline_assets.adapters.stages.ingestion import ingest
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.contracts.features import BASE_WINDOWS_DAYS
from pipeline_assets.contracts.tables import QUARANTINE, TRANSACTIONS
from pipeline_assets.core.features import add_clock_features
from pipeline_assets.settings import read_params

ROOT = Path(__file__).parents[3]
HANDBOOK = ROOT / "../shared/handbook"
START, FIRST, LAST = date(2018, 4, 1), date(2018, 6, 1), date(2018, 6, 14)

pytestmark = pytest.mark.skipif(not HANDBOOK.is_dir(), reason="the Handbook's data is not beside the repository")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The Handbook's features and ours, of the rows whose customer has no other payment in the same second."""
    stores = open_stores(str(tmp_path_factory.mktemp("handbook")))
    params = read_params(ROOT / "examples/handbook.yaml").ingestion
    deliver(HANDBOOK / "transactions", stores.landing, params, START, LAST)
    days = [START + timedelta(days=number) for number in range((LAST - START).days + 1)]
    asked = [day for day in days if day >= FIRST]
    assert len(list(ingest(stores, params, days))) == 4 * len(days)
    assert len(list(build_features(stores, asked))) == 2 * len(asked)
    assert stores.lake.read(QUARANTINE, days).is_empty()
    rows = stores.lake.read(TRANSACTIONS, asked)
    golden = pl.read_parquet(HANDBOOK / f"features-{FIRST}..{LAST}.parquet")
    golden = golden.with_columns(pl.col("TRANSACTION_ID").cast(pl.String).alias("transaction_id"))
    assert rows.height == golden.height
    twins = pl.struct("customer_id", "event_time").is_duplicated()
    joined = add_clock_features(rows.filter(~twins)).join(golden, on="transaction_id")
    assert joined.height > golden.height - 50  # a few twins, and every other row
    for table in FEATURE_TABLES:
        joined = joined.join(stores.lake.read(table, asked), on="transaction_id")
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
