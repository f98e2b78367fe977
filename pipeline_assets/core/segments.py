"""How good a model is on parts of a test week that people ask about: amounts, hours, new customers, known terminals."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.vocabularies import Decision
from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions, measure_costs, tell_money
from pipeline_assets.core.evaluation import measure_average_precision
from pipeline_assets.core.features import add_clock_features

_AMOUNT_QUANTILES: Final = (0.5, 0.9, 0.99)  # of the week's amounts: bands that fit any currency
_SHORT_HISTORY: Final = 5  # payments of a customer in 30 days, this one included
_APPROVE: Final = DECISIONS.index(Decision.APPROVE)
_DECLINE: Final = DECISIONS.index(Decision.DECLINE)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """A part of a test week.

    Attributes:
        name: Which one, for a person.
        n_rows: Payments.
        n_frauds: Frauds among them.
        average_precision: Of the scores; None without a fraud.
        stopped_share: Share of its frauds that were declined or sent to review; None without a fraud.
        honest_declined_share: Share of its honest payments that were declined; None without one.
        cost_per_1000_cents: What the decisions cost, for 1,000 payments.
    """

    name: str
    n_rows: int
    n_frauds: int
    average_precision: float | None
    stopped_share: float | None
    honest_declined_share: float | None
    cost_per_1000_cents: float


def measure_segments(rows: pl.DataFrame, score: Floats, decision: DecisionParams) -> list[Segment]:
    """A model on each segment that has a payment, whatever the order of the payments.

    Args:
        rows: The payments of the test week, as in the table ``training_set``.
        score: The probability of fraud of each.
        decision: What outcomes cost.
    """
    clocked = add_clock_features(rows)
    labels, amounts = rows["is_fraud"].to_numpy(), rows["amount_cents"].to_numpy()
    choice = choose_decisions(score, amounts, decision)
    costs = measure_costs(amounts, labels, choice, decision)
    found = []
    for name, condition in _list_segments(rows["amount_cents"]):
        chosen = clocked.select(condition.fill_null(value=False)).to_series().to_numpy()
        if not chosen.any():
            continue
        fraud, n_rows = labels[chosen], int(chosen.sum())
        found.append(
            Segment(
                name=name,
                n_rows=n_rows,
                n_frauds=int(fraud.sum()),
                average_precision=measure_average_precision(fraud, score[chosen]),
                stopped_share=_share(choice[chosen][fraud] != _APPROVE),
                honest_declined_share=_share(choice[chosen][~fraud] == _DECLINE),
                cost_per_1000_cents=int(costs[chosen].sum()) / n_rows * 1000,
            )
        )
    return found


def _list_segments(amounts: pl.Series) -> Iterator[tuple[str, pl.Expr]]:
    yield "all payments", pl.col("amount_cents").is_not_null()
    bounds = [int(_number(amounts.quantile(share, "nearest"))) for share in _AMOUNT_QUANTILES]
    amount = pl.col("amount_cents")
    yield f"amounts up to {tell_money(bounds[0])}", amount <= bounds[0]
    for low, high in pairwise(bounds):
        yield f"amounts above {tell_money(low)}, up to {tell_money(high)}", (amount > low) & (amount <= high)
    yield f"amounts above {tell_money(bounds[-1])}", amount > bounds[-1]
    yield "by night (hours 0 to 6, UTC)", pl.col("is_night")
    yield "by day", ~pl.col("is_night")
    yield "at weekends", pl.col("is_weekend")
    yield "on other days", ~pl.col("is_weekend")
    n_payments = pl.col("customer_tx_count_30d")
    yield f"customers with at most {_SHORT_HISTORY} payments in 30 days", n_payments <= _SHORT_HISTORY
    yield "other customers", n_payments > _SHORT_HISTORY
    has_frauds = (pl.col("terminal_fraud_share_30d") > 0) | (pl.col("terminal_fraud_run") > 0)
    yield "terminals with known frauds", has_frauds
    yield "other terminals", ~has_frauds


def _share(chosen: npt.NDArray[np.bool_]) -> float | None:
    return float(chosen.mean()) if chosen.size else None


def _number(value: Any) -> float:
    assert value is not None, "there is a payment"
    return float(value)
