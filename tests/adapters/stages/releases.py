"""A small lake for the release: hand-made evidence about models, and models that answer where they have to."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import MODEL_EVALUATION, MODEL_HEALTH, TRAINING_SET, Table
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Record
from pipeline_assets.core.training import TrainingParams, train
from tests.core.release.signals import DAY, START, make_signals, measure

FIRST: Final = START  # day of the first model
SECOND: Final = START + 14 * DAY
A: Final = f"{FIRST}-aaaaaaaaaaaa"
B: Final = f"{SECOND}-bbbbbbbbbbbb"


def open_lake(root: Path) -> Stores:
    """Two models with their evaluations: the first is better than the rules, the second as good as the first."""
    stores = open_stores(str(root))
    put_model(stores, FIRST, A)
    put_model(stores, SECOND, B, A)
    return stores


def put_model(stores: Stores, week: date, version: str, *rivals: str) -> None:
    """The record of a model, and its evaluation beside the rules and ``rivals``."""
    path = f"models/{MODEL}/{week}/{version[-12:]}/model.txt"
    stores.records.write(Record(MODEL, week, {path: version[-12:]}, "1", {}))
    scores = {"candidate": 0.7, "rules": 0.4, **dict.fromkeys(rivals, 0.7)}
    rows = [(subject, metric, value) for subject in scores for metric, value in measure(scores[subject]).items()]
    put(stores, MODEL_EVALUATION, week, rows)


def put_health(stores: Stores, day: date, kinds: Mapping[str, str]) -> None:
    """What is known of models on a day, of each by its kind."""
    rows = [(model, signal, value) for model, kind in kinds.items() for signal, value in make_signals(kind).items()]
    put(stores, MODEL_HEALTH, day, rows)


def put(stores: Stores, table: Table, day: date, rows: list[tuple[str, str, float]]) -> None:
    """One partition of a table of three columns, with its record."""
    frame = pl.DataFrame(rows, table.empty().schema, orient="row").sort(table.order)
    written = stores.lake.write(table, day, frame)
    stores.records.write(Record(table.name, day, {f"lake/{written.path}": written.md5}, "1", {}))


def train_models(root: Path, rows: pl.DataFrame, weeks: Sequence[date]) -> None:
    """A data root with models that answer, each another one, and with their training sets."""
    stores = open_stores(str(root))
    for number, week in enumerate(weeks):
        written = stores.lake.write(TRAINING_SET, week, rows)
        stores.records.write(Record(TRAINING_SET.name, week, {f"lake/{written.path}": written.md5}, "1", {}))
        model = stores.models.write(week, train(rows, TrainingParams(rounds=3 + number, learning_rate=0.1)))
        files = {f"models/{path}": md5 for path, md5 in model.files.items()}
        stores.records.write(Record(MODEL, week, files, "1", {}))
