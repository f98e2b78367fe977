"""The priced ladder: features as old as is said and never of the future, and every step measured like any scorer."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.contracts.tables import TRAINING_SET
from pipeline_assets.contracts.vocabularies import Rung
from pipeline_assets.core.costs import DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.evaluation import TestSet, evaluate
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.fraud_model import FraudModel
from pipeline_assets.core.ladder import STALE_DAYS, Step, age_features, measure_step, name_stale, price_ladder
from pipeline_assets.core.rules import RulesParams, score_by_rules
from pipeline_assets.core.training import TrainingParams, train

START = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMER = [feature.name for feature in CUSTOMER_FEATURES]
TERMINAL = [feature.name for feature in TERMINAL_FEATURES]
OWN = [name for name in TRAINING_SET.columns if name not in {*CUSTOMER, *TERMINAL}]
DECISION = DecisionParams()
Payment = tuple[int, int, int]  # hour, customer, terminal


@pytest.fixture(scope="module")
def history(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    """Payments of five weeks."""
    rows = make_training_set(5000)
    return rows.with_columns(event_time=START + pl.duration(minutes=10) * pl.int_range(pl.len()))


@pytest.fixture(scope="module")
def test_week(history: pl.DataFrame) -> pl.DataFrame:
    return history.filter(pl.col("event_time") >= START + timedelta(days=27))


@pytest.fixture(scope="module")
def model(history: pl.DataFrame) -> FraudModel:
    trained = train(history.head(3500), TrainingParams(rounds=30, learning_rate=0.1))
    return FraudModel("full", trained.text.decode(), trained.card["typical_inputs"])


@pytest.fixture(scope="module")
def ladder(history: pl.DataFrame, test_week: pl.DataFrame, model: FraudModel) -> list[Step]:
    rungs = {
        Rung.CHAMPION: model.predict(make_model_inputs(test_week)),
        Rung.RULES: score_by_rules(test_week, RulesParams()).score,
    }
    return price_ladder(test_week, history, model, rungs, DECISION, 20)


def payments_of(rows: list[Payment]) -> pl.DataFrame:
    """Payments in the order of their table; every feature of a payment is its number, so that it tells whose it is."""
    ordered = sorted(rows)
    frame = pl.DataFrame(
        {
            "transaction_id": [f"t{number:03d}" for number in range(len(rows))],
            "event_time": [START + timedelta(hours=hour) for hour, _, _ in ordered],
            "customer_id": [f"c{customer}" for _, customer, _ in ordered],
            "terminal_id": [f"m{terminal}" for _, _, terminal in ordered],
            "amount_cents": range(100, 100 + len(rows)),
            "is_fraud": [False] * len(rows),
        }
    ).with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias(name) for name in (*CUSTOMER, *TERMINAL))
    return frame.select(TRAINING_SET.columns)


PAYMENTS = st.lists(st.tuples(st.integers(0, 240), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40).map(
    payments_of
)


@given(history=PAYMENTS, days=st.sampled_from(STALE_DAYS), n_last=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_aged_features_are_those_of_the_last_payment_that_is_old_enough(
    history: pl.DataFrame, days: int, n_last: int
) -> None:
    rows = history.tail(n_last)
    aged = age_features(rows, history, days)
    assert aged.select(OWN).equals(rows.select(OWN))  # a payment's own amount and time are its own
    for row in aged.iter_rows(named=True):
        for entity, names in (("customer_id", CUSTOMER), ("terminal_id", TERMINAL)):
            old = [
                number
                for number, one in enumerate(history.iter_rows(named=True))
                if one[entity] == row[entity] and one["event_time"] <= row["event_time"] - timedelta(days=days)
            ]
            assert {row[name] for name in names} == {float(old[-1]) if old else None}


@given(history=PAYMENTS, days=st.sampled_from(STALE_DAYS), shuffled=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_aged_features_depend_neither_on_what_is_younger_nor_on_the_order_of_payments(
    history: pl.DataFrame, days: int, shuffled: int
) -> None:
    rows = history.tail(5)
    latest = rows["event_time"].max()
    assert isinstance(latest, datetime)
    past = history.filter(pl.col("event_time") <= latest - timedelta(days=days))
    assert age_features(rows, past, days).equals(age_features(rows, history, days))
    other = rows.sample(fraction=1, shuffle=True, seed=shuffled)
    assert (
        age_features(other, history, days)
        .sort("transaction_id")
        .equals(age_features(rows, history, days).sort("transaction_id"))
    )


def test_a_step_has_the_numbers_of_the_evaluation_and_the_money_of_its_decisions(
    ladder: list[Step], test_week: pl.DataFrame, model: FraudModel
) -> None:
    score = model.predict(make_model_inputs(test_week))
    report = evaluate(TestSet(test_week, 0, 0), score, 20)
    labels, amounts = test_week["is_fraud"].to_numpy(), test_week["amount_cents"].to_numpy()
    cost = measure_costs(amounts, labels, choose_decisions(score, amounts, DECISION), DECISION).sum()
    assert ladder[0] == Step("champion", report.average_precision, report.card_precision, cost, test_week.height)


def test_the_ladder_goes_from_the_full_model_down_to_old_features(ladder: list[Step]) -> None:
    assert [step.name for step in ladder] == [
        "champion", "rules", "customer_features_missing", "terminal_features_missing",
        "features_stale_1d", "features_stale_3d", "features_stale_7d",
    ]  # fmt: skip
    assert len({step.average_precision for step in ladder}) == len(ladder)


@pytest.mark.parametrize(
    ("name", "missing"), [("customer_features_missing", CUSTOMER), ("terminal_features_missing", TERMINAL)]
)
def test_what_is_missing_is_taken_as_typical(
    ladder: list[Step], test_week: pl.DataFrame, model: FraudModel, name: str, missing: list[str]
) -> None:
    inputs = make_model_inputs(test_week)
    features = [feature for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES) if feature.name in missing]
    model.fill(inputs, features, np.ones(test_week.height, np.bool_))
    expected = measure_step(name, test_week, model.predict(inputs), DECISION, 20)
    assert next(step for step in ladder if step.name == name) == expected


def test_features_that_nobody_has_in_the_past_are_taken_as_typical(
    ladder: list[Step], history: pl.DataFrame, test_week: pl.DataFrame, model: FraudModel
) -> None:
    score = model.predict(make_model_inputs(test_week))
    alone = price_ladder(test_week, history.clear(), model, {Rung.CHAMPION: score}, DECISION, 20)
    stale = {step.name: step for step in alone}[name_stale(7)]
    inputs = make_model_inputs(test_week)
    model.fill(inputs, (*CUSTOMER_FEATURES, *TERMINAL_FEATURES), np.ones(test_week.height, np.bool_))
    assert stale == measure_step(name_stale(7), test_week, model.predict(inputs), DECISION, 20)
    assert stale != ladder[-1]


def test_a_loss_is_what_is_worse_than_at_the_top() -> None:
    top, low = Step("champion", 0.8, 0.5, 1000, 2000), Step("rules", 0.3, 0.2, 6000, 2000)
    assert set(top.as_metrics(top).values()) == {0.8, 0.5, 1000.0, 500.0, 0.0}
    assert low.as_metrics(top) == pytest.approx(
        {
            "average_precision": 0.3, "average_precision_loss": 0.5, "card_precision": 0.2, "card_precision_loss": 0.3,
            "cost_cents": 6000, "cost_loss_cents": 5000, "cost_per_1000_cents": 3000, "cost_loss_per_1000_cents": 2500,
        }
    )  # fmt: skip
