"""The laws of the lake: equal rows give equal bytes; what breaks a contract is never written."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.adapters.lake import ContractError, Lake, PartitionMissingError
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.tables import TRANSACTIONS

DAY = date(2026, 3, 1)


def transactions(n: int, first: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "transaction_id": [f"t{number:06}" for number in range(first, first + n)],
            "event_time": [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number // 3) for number in range(n)],
            "customer_id": [f"c{number % 7}" for number in range(n)],
            "terminal_id": [f"m{number % 5}" for number in range(n)],
            "amount_cents": [100 * number for number in range(n)],
        },
        schema=TRANSACTIONS.empty().schema,
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LocalStorage(tmp_path))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 50))
def test_equal_rows_give_equal_bytes_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    lake = Lake(LocalStorage(folder))
    rows = transactions(n)
    one = lake.write(TRANSACTIONS, DAY, rows)
    other = lake.write(TRANSACTIONS, DAY, rows.sample(fraction=1, shuffle=True, seed=seed))
    assert one == other
    assert lake.read(TRANSACTIONS, [DAY]).equals(rows)


def test_the_version_is_the_md5_of_the_bytes_on_disk(lake: Lake) -> None:
    written = lake.write(TRANSACTIONS, DAY, transactions(10))
    content = Path(lake.root, written.path).read_bytes()
    assert written.md5 == hashlib.md5(content).hexdigest() == lake.md5(TRANSACTIONS, DAY)
    assert (written.rows, written.size_bytes) == (10, len(content))


def test_days_are_listed_and_read_with_their_date(lake: Lake) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    written = dict(lake.write_days(TRANSACTIONS, {days[1]: transactions(2, 5), days[0]: transactions(5)}))
    assert sorted(written) == days
    assert lake.days(TRANSACTIONS) == days
    read = lake.read(TRANSACTIONS, days, ["transaction_id"], with_date=True)
    assert read["date"].to_list() == [days[0]] * 5 + [days[1]] * 2
    assert read.columns == ["transaction_id", "date"]


def test_reading_no_day_gives_an_empty_table(lake: Lake) -> None:
    assert lake.read(TRANSACTIONS, []).equals(TRANSACTIONS.empty())


def test_a_missing_partition_is_named_with_the_next_step(lake: Lake) -> None:
    with pytest.raises(PartitionMissingError, match=r"transactions of 2026-03-01.*materialize transactions"):
        lake.read(TRANSACTIONS, [DAY])
    assert not lake.has(TRANSACTIONS, DAY)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (transactions(3).with_columns(amount_cents=pl.lit(-1, pl.Int64)), "amount_cents: expected .*0.* in 3 cells"),
        (transactions(3).with_columns(amount_cents=pl.lit(1.5)), "amount_cents: expected Int64, found Float64"),
        (transactions(3).drop("customer_id"), "expected the columns .*customer_id"),
        (transactions(3).with_columns(extra=1), "found .*extra"),
        (pl.concat([transactions(3), transactions(1)]), "each transaction_id once; found 2 rows that share theirs"),
        (transactions(3).with_columns(terminal_id=pl.lit(None, pl.String)), "terminal_id"),
        (transactions(3).with_columns(customer_id=pl.lit("")), "customer_id"),
    ],
    ids=["value", "type", "missing column", "extra column", "key", "null", "empty id"],
)
def test_what_breaks_the_contract_is_refused_and_the_old_bytes_stay(
    lake: Lake, broken: pl.DataFrame, words: str
) -> None:
    before = lake.write(TRANSACTIONS, DAY, transactions(4))
    with pytest.raises(ContractError, match=words):
        lake.write_days(TRANSACTIONS, {DAY: broken, DAY + timedelta(days=1): transactions(1)})
    assert lake.md5(TRANSACTIONS, DAY) == before.md5
    assert lake.days(TRANSACTIONS) == [DAY]
