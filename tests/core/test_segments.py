"""Segments: parts of a week that leave nobody out, each measured like the whole."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.segments import Segment, measure_segments

DECISION = DecisionParams()
HALVES = (
    ("by night", "by day"), ("at weekends", "on other days"), ("customers with", "other customers"),
    ("terminals with", "other terminals"), ("amounts",),
)  # fmt: skip


@pytest.fixture(scope="module")
def rows(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    """Payments of three days, at terminals half of which have no known fraud."""
    rows = make_training_set(4000)
    known = [pl.col(name) for name in ("terminal_fraud_share_30d", "terminal_fraud_run")]
    has_frauds = pl.int_range(pl.len()) % 2 == 0
    return rows.with_columns(pl.when(has_frauds).then(one).otherwise(0).alias(one.meta.output_name()) for one in known)


def score_of(rows: pl.DataFrame) -> np.ndarray:
    scores = np.random.default_rng(4).random(rows.height) ** 3
    found: np.ndarray = np.where(rows["is_fraud"].to_numpy(), np.sqrt(scores), scores)
    return found


@pytest.mark.parametrize("names", HALVES)
def test_segments_of_one_kind_hold_every_payment_once(rows: pl.DataFrame, names: tuple[str, ...]) -> None:
    whole, *parts = measure_segments(rows, score_of(rows), DECISION)
    chosen = [part for part in parts if part.name.startswith(names)]
    assert len(chosen) == (4 if names == ("amounts",) else 2)
    assert sum(part.n_rows for part in chosen) == whole.n_rows == rows.height
    assert sum(part.n_frauds for part in chosen) == whole.n_frauds == rows["is_fraud"].sum()
    cost = sum(part.cost_per_1000_cents * part.n_rows for part in chosen) / rows.height
    assert cost == pytest.approx(whole.cost_per_1000_cents)


def test_a_segment_is_what_its_own_payments_say(rows: pl.DataFrame) -> None:
    night = rows["event_time"].dt.hour().to_numpy() <= 6
    score, labels, amounts = score_of(rows), rows["is_fraud"].to_numpy(), rows["amount_cents"].to_numpy()
    found = next(one for one in measure_segments(rows, score, DECISION) if one.name.startswith("by night"))
    choice = np.array(DECISIONS)[choose_decisions(score, amounts, DECISION)]
    assert (found.n_rows, found.n_frauds) == (night.sum(), labels[night].sum())
    assert found.stopped_share == np.isin(choice[night & labels], ["review", "decline"]).mean()
    assert found.honest_declined_share == (choice[night & ~labels] == "decline").mean()
    costs = measure_costs(amounts, labels, choose_decisions(score, amounts, DECISION), DECISION)
    assert found.cost_per_1000_cents == pytest.approx(costs[night].mean() * 1000)


def test_a_segment_without_frauds_has_no_figure_of_them_and_one_without_payments_is_none(rows: pl.DataFrame) -> None:
    honest = rows.filter(~pl.col("is_fraud"), pl.col("event_time").dt.hour() > 6)
    found = measure_segments(honest, score_of(honest), DECISION)
    assert {(one.average_precision, one.stopped_share) for one in found} == {(None, None)}
    assert not any(one.name.startswith("by night") for one in found)


def test_the_order_of_payments_does_not_change_a_segment(rows: pl.DataFrame) -> None:
    with_scores = rows.with_columns(score=pl.Series(score_of(rows)))
    other = with_scores.sample(fraction=1, shuffle=True, seed=1)

    def measure(frame: pl.DataFrame) -> list[Segment]:
        return measure_segments(frame.drop("score"), frame["score"].to_numpy(), DECISION)

    assert measure(other) == measure(with_scores)
