"""SQL over the lake: what people see, and what they cannot do."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.lake import Lake
from pipeline_assets.adapters.sql import QueryError, query, render
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


def test_csv_has_no_formula_and_its_numbers_stay_numbers(storage: LocalStorage) -> None:
    columns = """'=1+1' as "=x", -12.5::double y, ['-1'] z, '\\xAA'::blob b, 'a' || chr(59) || '=1' c"""
    found = query([storage], f"select {columns}")
    assert render(found, "csv") == '\'=x,y,z,b,c\n\'=1+1,-12.5,"[""\'-1""]",aa,a;\'=1\n'
    assert json.loads(render(found, "json")) == {"=x": "=1+1", "y": -12.5, "z": ["-1"], "b": "aa", "c": "a;=1"}


def test_a_table_with_lists_has_a_csv_form(storage: LocalStorage) -> None:
    assert render(query([storage], "select ['a', 'b'] codes"), "csv") == 'codes\n"[""a"", ""b""]"\n'


@pytest.mark.parametrize(
    "statement",
    [
        "select transaction_id::int from chargebacks", "select error('no ' || transaction_id) from chargebacks",
        "select (transaction_id || 'x''y')::timestamp from chargebacks",
        "select 9223372036854775807 + epoch_us(reported_at) from chargebacks",
        "select list_value(transaction_id)::int[] from chargebacks",
    ],
)  # fmt: skip
def test_an_error_while_rows_are_read_tells_none_of_their_values(tmp_path: Path, statement: str) -> None:
    storage = LocalStorage(tmp_path)
    report = pl.DataFrame({"transaction_id": ["MARKER"], "reported_at": [771]}).with_columns(
        pl.col("reported_at").cast(UTC_MICROSECONDS)
    )
    Lake(storage).write(CHARGEBACKS, DAYS[0], report)
    with pytest.raises(QueryError, match="Error: ") as raised:
        query([storage], statement)
    assert "MARKER" not in str(raised.value)
    assert "771" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_two_columns_of_one_name_are_one_message(storage: LocalStorage) -> None:
    with pytest.raises(QueryError, match="each column of the result once, found more than once: a"):
        query([storage], "select 1 a, 2 a")
