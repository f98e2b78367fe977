"""The contracts: what may be written, and what is refused with nothing written."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.lake import ContractError, Lake
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature
from pipeline_assets.contracts.tables import (
    CUSTOMER_FEATURES_TABLE,
    TABLES,
    TERMINAL_FEATURES_TABLE,
    TRAINING_SET,
    Table,
)
from tests.conftest import MakeTrainingSet

DAY = date(2026, 1, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LocalStorage(tmp_path))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_a_partition_without_rows_is_valid_and_keeps_its_types(lake: Lake, table: Table) -> None:
    lake.write(table, DAY, table.empty())
    assert lake.read(table, [DAY]).schema == table.empty().schema


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_key_and_order_are_columns_and_every_column_is_described(table: Table) -> None:
    assert {*table.key, *table.order} <= set(table.columns)
    assert all(column.description for column in table.schema.columns.values())


BREAKS = {
    "a column missing": lambda frame: frame.drop("amount_cents"),
    "a column too many": lambda frame: frame.with_columns(more=1),
    "another order of columns": lambda frame: frame.select(reversed(frame.columns)),
    "another type": lambda frame: frame.with_columns(pl.col("amount_cents").cast(pl.Float64)),
    "a null": lambda frame: frame.with_columns(customer_id=pl.lit(None, pl.String)),
    "a value out of bounds": lambda frame: frame.with_columns(amount_cents=pl.lit(-1, pl.Int64)),
    "an id too long": lambda frame: frame.with_columns(terminal_id=pl.lit("x" * 65)),
    "a key twice": lambda frame: pl.concat([frame, frame]),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_frame_that_breaks_its_contract_is_refused_whole(
    lake: Lake, make_training_set: MakeTrainingSet, what: str
) -> None:
    rows = make_training_set(20)
    with pytest.raises(ContractError, match="training_set"):
        lake.write_days(TRAINING_SET, {date(2025, 12, 31): rows, DAY: BREAKS[what](rows)})
    assert lake.days(TRAINING_SET) == []
    lake.write(TRAINING_SET, DAY, rows)


@pytest.mark.parametrize(
    ("table", "feature"),
    [
        *((CUSTOMER_FEATURES_TABLE, feature) for feature in CUSTOMER_FEATURES),
        *((TERMINAL_FEATURES_TABLE, feature) for feature in TERMINAL_FEATURES),
    ],
    ids=lambda value: value.name,
)
def test_the_bounds_of_a_feature_are_held(
    lake: Lake, make_training_set: MakeTrainingSet, table: Table, feature: Feature
) -> None:
    rows = make_training_set(20).select(table.columns)
    name = feature.name
    dtype = rows.schema[name]
    for bound, beyond in ((feature.minimum, -1), (feature.maximum, 1)):
        if bound is not None:
            broken = rows.with_columns(pl.lit(bound + beyond).cast(dtype).alias(name))
            with pytest.raises(ContractError, match=name):
                lake.write(table, DAY, broken)
    assert not lake.has(table, DAY)
