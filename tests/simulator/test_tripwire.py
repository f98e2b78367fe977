"""The tripwire: in a world whose limit is known, a leak of labels shows as being better than possible."""

from datetime import date

import polars as pl
import pytest

from benchmarks.prequential import WEEK, evaluate_week, join_all, score_by_pipeline
from benchmarks.worlds import simulate_rows
from pipeline_assets.simulator.oracle import score_history
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World

START = date(2025, 1, 5)
TESTED = START + 7 * WEEK
LAST = START + 9 * WEEK  # long enough for every report of the tested week to come in
TOLERANCE = 1.02  # a model may be luckier than the oracle by this factor on a week of this size


@pytest.fixture(scope="module")
def world() -> World:
    """A small world in which a fraud is reported after exactly seven days."""
    return World(WorldParams(START, 1_500, 3_000, 5, report_delay_min_days=7.0, report_delay_max_days=7.0))


@pytest.fixture(scope="module")
def history(world: World) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Its transactions and chargebacks."""
    return simulate_rows(world, LAST)


@pytest.fixture(scope="module")
def limit(world: World, history: tuple[pl.DataFrame, pl.DataFrame]) -> float:
    """The oracle's average precision on the tested week."""
    transactions, chargebacks = history
    scores = score_history(world, transactions.drop("arrival_date"), chargebacks.drop("arrival_date"), TESTED)

    def look_up(_: date, payments: pl.DataFrame):  # type: ignore[no-untyped-def]
        return payments.join(scores, on="transaction_id", maintain_order="left")["probability"].to_numpy()

    return evaluate_week(join_all(transactions, chargebacks), TESTED, look_up).average_precision


def measure(transactions: pl.DataFrame, chargebacks: pl.DataFrame) -> float:
    """The pipeline's average precision on the tested week, with what these chargebacks let it know."""
    rows = join_all(transactions, chargebacks)
    return evaluate_week(rows, TESTED, score_by_pipeline(rows, chargebacks)).average_precision


@pytest.mark.drill
def test_the_pipeline_comes_near_the_limit_and_not_above_it(
    history: tuple[pl.DataFrame, pl.DataFrame], limit: float
) -> None:
    assert 0.9 < measure(*history) / limit < TOLERANCE


@pytest.mark.drill
def test_a_label_delay_of_zero_would_be_noticed(history: tuple[pl.DataFrame, pl.DataFrame], limit: float) -> None:
    transactions, chargebacks = history
    moments = transactions.select("transaction_id", "event_time", "arrival_date")
    leaked = (
        chargebacks.select("transaction_id")
        .join(moments, on="transaction_id", maintain_order="left")
        .rename({"event_time": "reported_at"})
    )
    assert measure(transactions, leaked) / limit > TOLERANCE
