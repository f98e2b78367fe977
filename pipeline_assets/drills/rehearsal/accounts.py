"""The accounts of an arm: what every decision cost, what a fault or a new pattern did, how precise the scores were."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.vocabularies import Decision
from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.evaluation import measure_average_precision
from pipeline_assets.core.fraud_model import Model, ModelInputs

_DAY: Final = timedelta(days=1)
_WINDOW_DAYS: Final = 7  # over which average precision is seen to fall and to recover
_USUAL_DAYS: Final = 28  # before a new pattern
_RECOVERED_SHARE: Final = 0.95  # of the usual average precision
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Toll:
    """What an event did in one arm.

    Attributes:
        n_days: Days on which it did something.
        n_payments: Payments that a model with the fault decided on; of a new pattern, its payments.
        n_customers: Customers with such a payment; of a new pattern, those with one that was approved.
        lost_cents: What the decisions cost more than those of the same model without the fault; of a new pattern, what
            its payments cost.
    """

    n_days: int = 0
    n_payments: int = 0
    n_customers: int = 0
    lost_cents: int = 0


@dataclass(frozen=True)
class Recovery:
    """How average precision, of seven days at a time, went after a new pattern.

    Attributes:
        usual: In the four weeks before it.
        least: The least since.
        n_days: Days from its beginning to the last day on which less than nearly the usual was reached; None where
            that is so up to the end.
    """

    usual: float
    least: float
    n_days: int | None


def keep_accounts(
    decided: pl.DataFrame, payments: pl.DataFrame, truth: pl.DataFrame, params: DecisionParams
) -> pl.DataFrame:
    """The decisions with payment, truth, day and ``cost_cents``: one row a payment, in the order of the payments.

    Args:
        decided: transaction_id, score, decision, model_version, rung.
        payments: The table ``transactions``.
        truth: transaction_id, is_fraud, is_new_pattern.
        params: What outcomes cost.
    """
    rows = payments.join(decided, on="transaction_id", how="inner", maintain_order="left").join(
        truth, on="transaction_id", how="left", maintain_order="left"
    )
    choice = rows["decision"].replace_strict(list(DECISIONS), range(len(DECISIONS)), return_dtype=pl.Int64).to_numpy()
    return rows.with_columns(cost_cents=pl.Series(_price(rows, choice, params)), day=pl.col("event_time").dt.date())


def take_toll(wrong: pl.DataFrame, features: pl.DataFrame, sound: Model, params: DecisionParams) -> Toll:
    """What a fault did.

    Args:
        wrong: Of the accounts, the payments that the model with the fault decided on.
        features: Payments with their features, these among others.
        sound: The model without the fault.
        params: What outcomes cost.
    """
    if wrong.is_empty():
        return Toll()
    rows = features.join(
        wrong.select("transaction_id", "is_fraud", "cost_cents", "day"), on="transaction_id", how="inner"
    )
    scores = sound.predict(ModelInputs(rows).fill_for(sound))
    choice = choose_decisions(scores, rows["amount_cents"].to_numpy(), params)
    lost = int(rows["cost_cents"].sum()) - int(_price(rows, choice, params).sum())
    return Toll(rows["day"].n_unique(), rows.height, rows["customer_id"].n_unique(), lost)


def take_toll_of_pattern(accounts: pl.DataFrame) -> Toll:
    """What the new pattern did."""
    rows = accounts.filter("is_new_pattern")
    approved = rows.filter(pl.col("decision") == Decision.APPROVE)
    lost = int(rows["cost_cents"].sum())
    return Toll(approved["day"].n_unique(), rows.height, approved["customer_id"].n_unique(), lost)


def measure_weeks(accounts: pl.DataFrame, first: date) -> pl.DataFrame:
    """By week from ``first`` on: n_payments, n_frauds, average_precision of the scores, cost_cents."""
    weeks = accounts.with_columns(
        week=pl.lit(first) + pl.duration(days=(pl.col("day") - first).dt.total_days() // 7 * 7)
    )
    rows = [
        (week, part.height, int(part["is_fraud"].sum()), _measure_precision(part), int(part["cost_cents"].sum()))
        for (week,), part in sorted(weeks.partition_by("week", as_dict=True).items())
    ]
    schema = {
        "week": pl.Date, "n_payments": pl.Int64, "n_frauds": pl.Int64, "average_precision": pl.Float64,
        "cost_cents": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def find_recovery(accounts: pl.DataFrame, pattern_day: date, last: date) -> Recovery:
    """How average precision fell and recovered after a new pattern that began on ``pattern_day``."""
    usual = _measure_window(accounts, pattern_day - _DAY, _USUAL_DAYS)
    days = [pattern_day + number * _DAY for number in range(_WINDOW_DAYS - 1, (last - pattern_day).days + 1)]
    found = [_measure_window(accounts, day, _WINDOW_DAYS) for day in days]
    low = [day for day, value in zip(days, found, strict=True) if value < _RECOVERED_SHARE * usual]
    n_days = (low[-1] - pattern_day).days + 1 if low else 0
    return Recovery(usual, min(found), None if low and low[-1] == last else n_days)


def _measure_window(accounts: pl.DataFrame, last: date, n_days: int) -> float:
    window = accounts.filter(pl.col("day").is_between(last - (n_days - 1) * _DAY, last))
    return _measure_precision(window) or 0.0


def _measure_precision(rows: pl.DataFrame) -> float | None:
    return measure_average_precision(rows["is_fraud"].to_numpy(), rows["score"].to_numpy())


def _price(rows: pl.DataFrame, choice: Integers, params: DecisionParams) -> Integers:
    return measure_costs(rows["amount_cents"].to_numpy(), rows["is_fraud"].to_numpy(), choice, params)
