"""SQL over the lake: what people see, and what they cannot do."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.lake import Lake
from pipeline_assets.adapters.sql import QueryError, query
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.tables import CHARGEBACKS, UTC_MICROSECONDS

DAYS = (date(2026, 1, 1), date(2026, 1, 2))


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "it's a lake")
    reports = pl.DataFrame({"transaction_id": ["a", "b"], "reported_at": [1, 2]}).with_columns(
        pl.col("reported_at").cast(UTC_MICROSECONDS)
    )
    for day in DAYS:
        Lake(storage).write(CHARGEBACKS, day, reports)
    return storage


def test_a_table_is_a_view_with_the_date_of_its_partitions(storage: LocalStorage) -> None:
    found = query([storage], "select date, count(*) n from chargebacks group by date order by date")
    assert found.rows() == [(DAYS[0], 2), (DAYS[1], 2)]


def test_a_result_without_rows_has_its_columns(storage: LocalStorage) -> None:
    assert query([storage], "select transaction_id from chargebacks where false").columns == ["transaction_id"]


@pytest.mark.parametrize(
    "statement", ["select * from transactions", "select nothing from chargebacks", "selekt", "insert into chargebacks"]
)
def test_what_is_refused_is_answered_with_the_tables_there_are(storage: LocalStorage, statement: str) -> None:
    with pytest.raises(QueryError, match="tables: chargebacks"):
        query([storage], statement)


def test_a_statement_that_is_no_question_changes_nothing(storage: LocalStorage) -> None:
    before = storage.list("")
    with pytest.raises(QueryError):
        query([storage], "create table mine as select 1")
    assert storage.list("") == before


def test_an_empty_lake_says_so(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="none yet"):
        query([LocalStorage(tmp_path)], "select * from scores")
