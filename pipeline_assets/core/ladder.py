"""The priced ladder: what each step down costs in accuracy and in money, measured offline on held-back payments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature
from pipeline_assets.contracts.vocabularies import Degradation, Rung
from pipeline_assets.core.costs import DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.evaluation import measure_average_precision, measure_card_precision
from pipeline_assets.core.fraud_model import Model, ModelInputs

STALE_DAYS: Final = (1, 3, 7)  # ages of features that are priced: a missed night, a weekend, a week
_GROUPS: Final = (("customer_id", CUSTOMER_FEATURES), ("terminal_id", TERMINAL_FEATURES))
_MISSING: Final = (
    (Degradation.CUSTOMER_FEATURES_MISSING, CUSTOMER_FEATURES),
    (Degradation.TERMINAL_FEATURES_MISSING, TERMINAL_FEATURES),
)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One step of the ladder on the held-back payments.

    Attributes:
        name: The rung, or the code that a score carries for what was missing: see the vocabularies.
        average_precision: Of the scores.
        card_precision: Card precision@k.
        cost_cents: What the decisions cost, the labels given.
        n_rows: Payments.
    """

    name: str
    average_precision: float
    card_precision: float
    cost_cents: int
    n_rows: int

    def as_metrics(self, top: "Step") -> Mapping[str, float]:
        """The numbers by name, and what each of them is worse than on the step ``top``; positive is worse."""
        return {
            "average_precision": self.average_precision,
            "average_precision_loss": top.average_precision - self.average_precision,
            "card_precision": self.card_precision,
            "card_precision_loss": top.card_precision - self.card_precision,
            "cost_cents": float(self.cost_cents),
            "cost_loss_cents": float(self.cost_cents - top.cost_cents),
            "cost_per_1000_cents": self.cost_cents / self.n_rows * 1000,
            "cost_loss_per_1000_cents": (self.cost_cents - top.cost_cents) / self.n_rows * 1000,
        }


def name_stale(days: int) -> str:
    """What a step is called whose features are so many days old."""
    return f"features_stale_{days}d"


def price_ladder(
    rows: pl.DataFrame,
    history: pl.DataFrame,
    model: Model,
    rungs: Mapping[Rung, Floats],
    decision: DecisionParams,
    top_cards: int,
) -> list[Step]:
    """What each step costs: of the rungs in their order, then of the full model with less than full inputs.

    Args:
        rows: The held-back payments, as in the table ``training_set``, with at least one fraud.
        history: The table it is from: where features of earlier payments are looked up.
        model: The full model: the one that decides while all is well.
        rungs: The scores of each rung, the full model's first.
        decision: What outcomes cost.
        top_cards: The k of card precision@k.
    """
    scores = {str(rung): score for rung, score in rungs.items()}
    for code, features in _MISSING:
        scores[str(code)] = _score(model, _without(rows, features))
    ordered = history.sort("event_time", "transaction_id")
    for days in STALE_DAYS:
        scores[name_stale(days)] = _score(model, age_features(rows, ordered, days))
    return [measure_step(name, rows, score, decision, top_cards) for name, score in scores.items()]


def measure_step(name: str, rows: pl.DataFrame, score: Floats, decision: DecisionParams, top_cards: int) -> Step:
    """One step of the ladder, from the scores that it gives.

    Args:
        name: Of the step.
        rows: ``event_time``, ``customer_id``, ``amount_cents``, ``is_fraud``, with at least one fraud.
        score: The probability of fraud of each payment.
        decision: What outcomes cost.
        top_cards: The k of card precision@k.
    """
    labels, amounts = rows["is_fraud"].to_numpy(), rows["amount_cents"].to_numpy()
    costs = measure_costs(amounts, labels, choose_decisions(score, amounts, decision), decision)
    average_precision = measure_average_precision(labels, score)
    assert average_precision is not None, "held-back payments without a fraud price nothing"
    cards = rows.select("event_time", "customer_id", "is_fraud").with_columns(score=pl.Series(score))
    return Step(name, average_precision, measure_card_precision(cards, top_cards), int(costs.sum()), rows.height)


def age_features(rows: pl.DataFrame, history: pl.DataFrame, days: int) -> pl.DataFrame:
    """Payments with the features of customer and terminal as they stood at its last payment ``days`` ago or earlier.

    Everything else of a payment, its amount and time, is its own. Of payments at the same moment the one with the
    greatest id is the last. Where there was none in ``history``, the features are null.

    Args:
        rows: Payments with features, as in the table ``training_set``.
        history: Likewise, in the order of that table; those among which is looked.
        days: The age, at least one day: what a payment finds is never of itself.
    """
    aged = rows.with_row_index("place").with_columns(as_of=pl.col("event_time") - timedelta(days=days)).sort("as_of")
    for entity, features in _GROUPS:
        names = [feature.name for feature in features]
        aged = aged.drop(names).join_asof(
            history.select(entity, *names, known_at="event_time"),
            left_on="as_of",
            right_on="known_at",
            by=entity,
            strategy="backward",
            check_sortedness=False,  # both are sorted: polars cannot tell where it joins by an entity
        )
    return aged.sort("place").select(rows.columns)


def _without(rows: pl.DataFrame, features: Iterable[Feature]) -> pl.DataFrame:
    """Payments that a feature table lacks."""
    return rows.with_columns(pl.lit(None, rows.schema[feature.name]).alias(feature.name) for feature in features)


def _score(model: Model, rows: pl.DataFrame) -> Floats:
    return model.predict(ModelInputs(rows).fill_for(model))
