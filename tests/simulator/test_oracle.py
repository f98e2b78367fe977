"""The oracle: an honest upper bound. It knows the rules and the profiles, and nothing of the future."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pipeline_assets.simulator.oracle import score_days, score_history
from pipeline_assets.simulator.params import AmountDrift, CardTesting, FraudPattern, WorldParams
from pipeline_assets.simulator.world import Simulation, World

START = date(2024, 1, 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


def make_world(**knobs: Any) -> World:
    small: dict[str, Any] = {"start": START, "n_customers": 600, "n_terminals": 1_200, "seed": 5}
    return World(WorldParams(**(small | knobs)))


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def history(world: World) -> Simulation:
    return world.simulate(START, day(89))


@pytest.fixture(scope="module")
def scored(world: World, history: Simulation) -> pl.DataFrame:
    """The last 60 of 90 days: pattern, payment and score."""
    scores = score_history(world, history.transactions, history.chargebacks, day(30))
    return scores.join(history.truth, on="transaction_id", maintain_order="left").join(
        history.transactions, on="transaction_id", maintain_order="left"
    )


def rate(scored: pl.DataFrame, column: str = "probability") -> float:
    return float(average_precision_score((scored["fraud_pattern"] > 0).to_numpy(), scored[column].to_numpy()))


def test_each_payment_of_the_days_is_scored_once_in_order(world: World, history: Simulation) -> None:
    scores = score_days(world, day(80), day(89))
    rows = history.transactions.filter(pl.col("event_time").dt.date() >= day(80))
    assert scores["transaction_id"].equals(rows["transaction_id"])
    assert scores["probability"].is_between(0, 1).all()


def test_the_oracle_ranks_far_better_than_chance_and_than_the_amount(scored: pl.DataFrame) -> None:
    assert rate(scored) > 0.8
    assert rate(scored) > 1.5 * rate(scored, "amount_cents")


def test_its_probabilities_are_frequencies(scored: pl.DataFrame) -> None:
    is_fraud = (scored["fraud_pattern"] > 0).to_numpy()
    expected = scored["probability"].to_numpy()
    assert expected.sum() == pytest.approx(is_fraud.sum(), rel=0.08)
    doubtful = (expected > 0.02) & (expected < 0.9)
    spread = np.sqrt((expected * (1 - expected))[doubtful].sum())
    assert doubtful.sum() > 100
    assert abs(is_fraud[doubtful].sum() - expected[doubtful].sum()) < 4 * spread


def test_every_pattern_is_recognised(scored: pl.DataFrame) -> None:
    mean = dict(scored.group_by("fraud_pattern").agg(pl.col("probability").mean()).iter_rows())
    assert mean[FraudPattern.LARGE_AMOUNT] > 0.99
    assert mean[FraudPattern.COMPROMISED_TERMINAL] > 0.6
    assert mean[FraudPattern.COMPROMISED_CUSTOMER] > 0.6
    assert mean[FraudPattern.NONE] < 0.01


@settings(max_examples=6, deadline=None)
@given(st.integers(20, 60), st.integers(0, 2**32 - 1))
def test_reports_after_a_payment_do_not_move_its_score(number: int, seed: int) -> None:
    world = make_world(n_customers=100, n_terminals=200, seed=seed, customer_rate=0.01, terminal_rate=0.002)
    history = world.simulate(START, day(65))
    now = pl.lit(day(number)).cast(pl.Datetime("us", "UTC")) + pl.duration(hours=13)
    known = history.chargebacks.filter(pl.col("reported_at") <= now)
    past = history.transactions.filter(pl.col("event_time") <= now)
    assert known.height < history.chargebacks.height
    complete = score_history(world, history.transactions, history.chargebacks, START)
    assert complete.head(past.height).equals(score_history(world, history.transactions, known, START).head(past.height))
    assert complete.head(past.height).equals(score_history(world, past, known, START))


def test_reports_before_a_payment_do(world: World, history: Simulation, scored: pl.DataFrame) -> None:
    blind = score_history(world, history.transactions, history.chargebacks.clear(), day(30))
    without = scored.with_columns(blind["probability"])
    assert rate(without) < rate(scored) - 0.2


@pytest.mark.drill
def test_later_reports_make_it_worse() -> None:
    early, late = (
        rate(score_days(world, day(30), day(79)).join(world.simulate(day(30), day(79)).truth, on="transaction_id"))
        for world in (make_world(report_delay_max_days=1.0), make_world(report_delay_min_days=7.0))
    )
    assert late < early - 0.03


@pytest.mark.parametrize(
    "knobs",
    [
        {"n_terminals": 2},  # hundreds of payments a day at one terminal
        {"n_customers": 200, "n_terminals": 3, "terminal_rate": 0.05, "customer_rate": 0.05},
        {"n_customers": 60, "n_terminals": 1, "terminal_rate": 1.0, "customer_rate": 1.0},
        {"terminal_rate": 0.0, "customer_rate": 0.0},
    ],
)
def test_scores_are_probabilities_in_strange_worlds(knobs: dict[str, Any]) -> None:
    scores = score_days(make_world(**knobs), START, day(45))["probability"]
    assert scores.is_finite().all()
    assert scores.is_between(0, 1).all()


def test_it_knows_of_inflation() -> None:
    world = make_world(changes=(AmountDrift(day(30), factor=3.0),))
    truth = world.simulate(day(30), day(79)).truth
    assert rate(score_days(world, day(30), day(79)).join(truth, on="transaction_id")) > 0.8


def test_it_refuses_a_world_whose_frauds_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"three patterns only, found card_testing on 2024-01-21"):
        score_days(make_world(changes=(CardTesting(day(20)),)), START, day(30))
