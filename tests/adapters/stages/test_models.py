"""The evaluation stage: what it compares with, what it leaves behind, and the same bytes each time."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.stages.made import Made
from pipeline_assets.adapters.stages.models import (
    build_training_sets,
    evaluate_models,
    locate_card,
    trace_candidate,
    train_models,
)
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    MODEL_EVALUATION,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.lineage.recipes import MODEL, MODEL_WINDOW_DAYS
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.model_card import title_card
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.training import TrainingParams

START = date(2026, 1, 1)
WEEK = date(2026, 2, 12)  # it is tested on the week from 29 January on
TRAINING = TrainingParams(rounds=5, learning_rate=0.1)
PARAMS = EvaluationParams(resamples=100, compared_models=2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, make_training_set: Callable[[int], pl.DataFrame]) -> Path:
    """Six weeks of payments with features and reports, and the training set and the model of the week."""
    root = tmp_path_factory.mktemp("world")
    stores = open_stores(str(root))
    at = pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.duration(minutes=15) * pl.int_range(pl.len())
    rows = make_training_set(4032).with_columns(event_time=at.cast(pl.Datetime("us", "UTC")))
    frauds = rows.filter("is_fraud").select("transaction_id", reported_at=pl.col("event_time") + pl.duration(days=3))
    for table in (TRANSACTIONS, CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE):
        write(stores, table, rows.select(table.columns), rows["event_time"])
    write(stores, CHARGEBACKS, frauds, frauds["reported_at"])
    for _ in build_training_sets(stores, TRAINING, [WEEK]):
        pass
    for _ in train_models(stores, TRAINING, [WEEK]):
        pass
    return root


@pytest.fixture
def stores(world: Path, tmp_path: Path) -> Stores:
    """The world, to be changed."""
    shutil.copytree(world, tmp_path / "data")
    return open_stores(str(tmp_path / "data"))


def write(stores: Stores, table: Table, frame: pl.DataFrame, arrived: pl.Series) -> None:
    days = [START + timedelta(days=number) for number in range(42)]
    frames = {day: frame.filter(arrived.dt.date() == day) for day in days}
    for day, written in stores.lake.write_days(table, frames):
        stores.records.write(Record(table.name, day, {f"lake/{written.path}": written.md5}, "1", {}))


def train_before(stores: Stores, days: int) -> str:
    """A model as of some days before the week, of the rows of the week's training set; its version."""
    as_of = WEEK - timedelta(days=days)
    record = stores.records.find(Key("training_set", WEEK))
    assert record is not None
    stores.records.write(Record("training_set", as_of, record.files, "1", {}))
    content = stores.root.read(next(iter(record.files)))
    stores.root.write(next(iter(record.files)).replace(str(WEEK), str(as_of)), content)
    for _ in train_models(stores, TrainingParams(rounds=4, learning_rate=0.1), [as_of]):
        pass
    return stores.models.find(as_of).version


def evaluate(stores: Stores) -> Made:
    (made,) = evaluate_models(stores, TRAINING, PARAMS, RulesParams(), DecisionParams(), [WEEK])
    return made


def list_subjects(stores: Stores) -> list[str]:
    table = stores.lake.read(MODEL_EVALUATION, [WEEK])
    return [one for one in table["subject"].unique().sort() if not one.startswith("ladder:")]


def test_evaluating_again_gives_the_same_bytes(stores: Stores) -> None:
    train_before(stores, 7)
    first, card = evaluate(stores), stores.root.read(locate_card(WEEK))
    assert evaluate(stores).md5 == first.md5
    assert stores.root.read(locate_card(WEEK)) == card


@pytest.mark.parametrize(
    ("trained_days_ago", "n_compared"), [((MODEL_WINDOW_DAYS - 1, MODEL_WINDOW_DAYS - 2, 70), 2), ((183, 70), 1)]
)
def test_rivals_are_the_newest_models_of_half_a_year_however_long_ago_they_were_trained(
    stores: Stores, trained_days_ago: tuple[int, ...], n_compared: int
) -> None:
    versions = [train_before(stores, days) for days in trained_days_ago]
    evaluate(stores)
    assert list_subjects(stores) == sorted([*versions[-n_compared:], "candidate", "rules"])


def test_every_rival_has_its_gain_in_the_table_and_its_verdict_in_the_facts(stores: Stores) -> None:
    rival = train_before(stores, 70)
    made = evaluate(stores)
    table = stores.lake.read(MODEL_EVALUATION, [WEEK])
    for subject in ("rules", rival):
        metrics = set(table.filter(subject=subject)["metric"])
        assert {"average_precision", "n_frauds", "gain", "gain_low", "gain_high", "cost_gain_cents"} <= metrics
    assert set(made.facts["verdicts"]) == {"rules", rival}  # type: ignore[call-overload]
    assert made.rows == table.height
    assert "ladder:features_stale_3d" in set(table["subject"])


def test_a_rival_whose_bytes_are_damaged_is_left_out_and_noted(stores: Stores) -> None:
    rival = train_before(stores, 70)
    as_of = WEEK - timedelta(days=70)
    path = next(iter(stores.models.find(as_of).files))
    stores.root.write(f"models/{path}", b"rotten")
    evaluate(stores)
    assert list_subjects(stores) == ["candidate", "rules"]
    assert list(stores.damage.load()) == [Key(MODEL, as_of)]
    record = stores.records.find(Key(MODEL_EVALUATION.name, WEEK))
    assert record is not None
    assert record.inputs[f"{MODEL}@{as_of}"] == "unavailable", rival


def test_the_card_is_about_the_model_of_the_week(stores: Stores) -> None:
    model = stores.models.find(WEEK)
    made = evaluate(stores)
    card = stores.root.read(locate_card(WEEK)).decode()
    assert made.notes["model_card"] == card
    assert made.notes["verdicts"] in card
    assert card.startswith(title_card(model.version) + "\n")
    assert model.md5 in card
    assert "2026-01-29 to 2026-02-04" in card


def test_a_week_without_a_model_has_a_card_that_says_so(stores: Stores) -> None:
    stores.records.delete(Key(MODEL, WEEK))
    evaluate(stores)
    assert "No model was trained as of this day" in stores.root.read(locate_card(WEEK)).decode()
    assert "candidate" in list_subjects(stores)


def test_the_candidate_is_held_out_and_its_curve_is_that_of_the_table(stores: Stores) -> None:
    made = evaluate(stores)
    report = trace_candidate(stores, TRAINING, PARAMS, RulesParams(), WEEK)
    assert report is not None
    assert made.facts["candidate_average_precision"] == report.average_precision
    assert trace_candidate(stores, TRAINING, PARAMS, RulesParams(), WEEK - timedelta(days=7)) is None
