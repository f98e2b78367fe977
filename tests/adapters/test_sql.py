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


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine as select 1",
        "copy (select 1) to '{file}'",
        "select 1; select 2",
        "delete from chargebacks",
        "select 1; copy (select 1) to '{file}'",
    ],
)
def test_nothing_but_one_question_is_answered_and_nothing_is_written(storage: LocalStorage, statement: str) -> None:
    file = storage.list("")[0]
    before = storage.read(file)
    quoted = f"{storage.root}/{file}".replace("'", "''")
    with pytest.raises(QueryError, match="tables: chargebacks"):
        query([storage], statement.format(file=quoted))
    assert storage.read(file) == before


@pytest.mark.parametrize("statement", ["describe chargebacks", "with x as (select 1 a) select * from x", "show tables"])
def test_questions_of_every_kind_are_answered(storage: LocalStorage, statement: str) -> None:
    assert query([storage], statement).height > 0


def test_an_empty_lake_says_so(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="none yet"):
        query([LocalStorage(tmp_path)], "select * from scores")
