"""A small history in stores, with models and without Dagster: what tests of stages that ask models begin with."""

import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.core.fraud_model import Floats, FraudModel, ModelTimeoutError
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Record
from pipeline_assets.core.training import TrainedModel

START = date(2026, 1, 1)
DAYS = [START + timedelta(days=number) for number in range(40)]
_TABLES = (TRANSACTIONS, CHARGEBACKS, CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)


def spread_rows(training_set: pl.DataFrame) -> pl.DataFrame:
    """A hundred payments a day, with ``arrival_date``; every ninth arrives two days late."""
    late = pl.when(pl.int_range(pl.len()) % 9 == 0).then(2).otherwise(0)
    first, apart = training_set["event_time"][0], timedelta(days=1) / 100
    seldom = training_set.with_columns(event_time=pl.lit(first) + pl.int_range(pl.len()) * apart)
    return seldom.with_columns(arrival_date=pl.col("event_time").dt.date() + pl.duration(days=late))


def build_history(root: Path, rows: pl.DataFrame) -> Stores:
    """The tables of ``rows`` for each of DAYS; frauds are reported three days later."""
    stores = open_stores(str(root))
    reports = rows.filter("is_fraud").with_columns(reported_at=pl.col("event_time") + timedelta(days=3))
    for day in DAYS:
        arrived = rows.filter(arrival_date=day)
        for table in _TABLES:
            of_day = reports.filter(pl.col("reported_at").dt.date() == day) if table is CHARGEBACKS else arrived
            write(stores, table, day, of_day.select(table.columns))
    return stores


def copy_history(root: Path, target: Path) -> Stores:
    """A copy that a test may break."""
    return open_stores(str(shutil.copytree(root, target)))


def write(stores: Stores, table: Table, day: date, frame: pl.DataFrame) -> None:
    """Write and record a partition."""
    written = stores.lake.write(table, day, frame)
    stores.records.write(Record(table.name, day, {f"lake/{written.path}": written.md5}, "1", {}))


def write_model(stores: Stores, as_of: date, model: TrainedModel) -> str:
    """Write and record a model; its version."""
    written = stores.models.write(as_of, model)
    files = {f"models/{path}": md5 for path, md5 in written.files.items()}
    stores.records.write(Record(MODEL, as_of, files, "1", {}))
    return written.version


def make_slow(patch: pytest.MonkeyPatch, as_of: date) -> list[int]:
    """From now on the model as of a day does not answer in time; the rows of each request to it."""
    asked: list[int] = []

    class Slow(FraudModel):
        def predict(self, inputs: Floats) -> Floats:
            asked.append(len(inputs))
            raise ModelTimeoutError

    def load_slow(self: ModelStore, versions: Iterable[str]) -> tuple[dict[str, FraudModel], dict[str, Exception]]:
        models, why_not = load(self, versions)
        for version, model in models.items():
            if version.startswith(str(as_of)):
                model.__class__ = Slow
        return models, why_not

    load = ModelStore.load_available
    patch.setattr(ModelStore, "load_available", load_slow)
    return asked
