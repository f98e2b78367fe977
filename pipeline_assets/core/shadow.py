"""Shadow evidence: what every recent model says of the same payments, whoever decides on them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import MODEL_HEALTH
from pipeline_assets.contracts.vocabularies import Decision
from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.evaluation import measure_average_precision, measure_card_precision
from pipeline_assets.core.fraud_model import (
    Floats,
    Model,
    ModelFailedError,
    ModelInputs,
    ModelTimeoutError,
    is_probability,
)
from pipeline_assets.core.labels import label_mature_rows
from pipeline_assets.core.rules import RulesParams, score_by_rules

# Edges of the bins in log-odds, 1 apart: a step is a factor e in the odds. From half a thousandth, below which nobody
# cares, over the usual share of frauds and the probabilities at which a decision changes, to nine in ten.
_EDGES_LOG_ODDS: Final = tuple(edge - 7.5 for edge in range(11))
SCORE_BIN_EDGES: Final = tuple(round(1 / (1 + math.exp(-edge)), 6) for edge in _EDGES_LOG_ODDS)
SCORE_BINS: Final = tuple(f"score_bin_{number:02d}" for number in range(len(SCORE_BIN_EDGES) + 1))
UNAVAILABLE: Final = "unavailable"  # the one signal of a model that cannot be asked
_SHARES: Final = {
    "approved_share": Decision.APPROVE,
    "reviewed_share": Decision.REVIEW,
    "declined_share": Decision.DECLINE,
}
_SHOWN: Final = ("payment", "event_time", "arrival_date", "customer_id", "amount_cents", "transaction_id")
Choices = npt.NDArray[np.int64]
Signals = Mapping[str, float | None]


@dataclass(frozen=True)
class Judgement:
    """What one model says of some payments.

    Attributes:
        own: Its scores; where they are no probabilities it has none.
        served: What would have been served: its scores, or those of the rules where it has none.
        choice: The decisions that would have been taken, as indices into DECISIONS.
        has_timed_out: Whether it did not answer in time, so that it has no score at all.
    """

    own: Floats
    served: Floats
    choice: Choices
    has_timed_out: bool = False


@dataclass(frozen=True)
class Judged:
    """What several models say of the same payments.

    Attributes:
        payments: Them, with ``payment``, the place of each in the arrays of the judgements.
        by_version: What each says; None of a model that cannot be asked.
        decision: What the outcomes cost.
    """

    payments: pl.DataFrame
    by_version: Mapping[str, Judgement | None]
    decision: DecisionParams


def judge_payments(
    payments: pl.DataFrame,
    models: Mapping[str, Model | None],
    decision: DecisionParams,
    rules: RulesParams,
) -> Judged:
    """Let models, and the rules beside them, judge payments; none sees another payment or another model.

    Args:
        payments: The columns of ``transactions`` and of both feature tables (see join_features), and ``arrival_date``.
        models: The models by version; None where one could not be loaded.
        decision: What the outcomes cost.
        rules: Who decides where a model has no score; judged like a model, under the name of its version.
    """
    inputs, amounts = ModelInputs(payments), payments["amount_cents"].to_numpy()
    by_rules = score_by_rules(payments, rules).score

    def judge(own: Floats, *, has_timed_out: bool = False) -> Judgement:
        served = np.where(is_probability(own), own, by_rules)
        return Judgement(own, served, choose_decisions(served, amounts, decision), has_timed_out)

    judged: dict[str, Judgement | None] = {rules.version: judge(by_rules)}
    for version, model in models.items():
        try:
            judged[version] = judge(model.predict(inputs.fill_for(model))) if model else None
        except ModelTimeoutError:
            judged[version] = judge(np.full(payments.height, np.nan), has_timed_out=True)
        except ModelFailedError:
            judged[version] = None
    return Judged(payments.with_row_index("payment").select(_SHOWN), judged, decision)


def measure_health(
    judged: Judged, chargebacks: pl.DataFrame, day: date, versions: Iterable[str], top_cards: int
) -> pl.DataFrame:
    """The table ``model_health`` of one day; never depends on the order of rows, nor of one model on another.

    Leading signals are of the payments that arrived on ``day``: how many, decisions as shares, mean and counts by bin
    of the model's own scores, so that the bins and ``n_invalid`` sum to ``n_payments`` and the bins of days can be
    added. Mature ones are of the payments of the day whose labels matured at the end of ``day``, as far as payments
    and reports had arrived by then; they are the same payments for every model, so that differences are paired. What
    is undefined is null. Of a model that cannot be asked only that is said.

    Args:
        judged: What the models say of all payments that arrived on ``day``, and of all of the day that matured that
            arrived since; others do not matter.
        chargebacks: The reports, with ``arrival_date``.
        day: The last day that is known.
        versions: The models to measure, and the rules.
        top_cards: The k of card precision@k.
    """
    known_until = day + timedelta(days=1)
    arrived = judged.payments.filter(pl.col("arrival_date") == day)["payment"].to_numpy()
    mature = label_mature_rows(judged.payments, chargebacks, known_until, LABEL_DELAY_DAYS + 1)
    rows: list[tuple[str, str, float | None]] = []
    for version in sorted(set(versions)):
        judgement = judged.by_version[version]
        signals: dict[str, float | None] = {UNAVAILABLE: float(judgement is None)}
        if judgement is not None:
            signals |= _measure_leading(judgement, arrived)
            signals |= _measure_mature(judgement, mature, judged.decision, top_cards)
        rows += [(version, name, value) for name, value in signals.items()]
    return pl.DataFrame(rows, MODEL_HEALTH.empty().schema, orient="row").sort(MODEL_HEALTH.order)


def _measure_leading(judgement: Judgement, arrived: npt.NDArray[np.uint32]) -> Signals:
    own, choice, n_payments = judgement.own[arrived], judgement.choice[arrived], len(arrived)
    valid = own[is_probability(own)]
    bins = np.bincount(np.searchsorted(SCORE_BIN_EDGES, valid, side="right"), minlength=len(SCORE_BINS))
    shares = {
        name: float((choice == DECISIONS.index(decision)).mean()) if n_payments else None
        for name, decision in _SHARES.items()
    }
    return {
        "n_payments": float(n_payments),
        "n_invalid": float(n_payments - len(valid)),
        "timed_out": float(judgement.has_timed_out),
        **shares,
        "flagged_share": float((choice != DECISIONS.index(Decision.APPROVE)).mean()) if n_payments else None,
        "score_mean": math.fsum(valid) / len(valid) if len(valid) else None,  # exact: no order, no machine matters
        **dict(zip(SCORE_BINS, bins.astype(float).tolist(), strict=True)),
    }


def _measure_mature(judgement: Judgement, mature: pl.DataFrame, decision: DecisionParams, top_cards: int) -> Signals:
    places, labels = mature["payment"].to_numpy(), mature["is_fraud"].to_numpy()
    served = judgement.served[places]
    costs = measure_costs(mature["amount_cents"].to_numpy(), labels, judgement.choice[places], decision)
    ranked = mature.select("event_time", "customer_id", "is_fraud", score=pl.Series(served))
    return {
        "mature_n_payments": float(mature.height),
        "mature_n_frauds": float(labels.sum()),
        "mature_average_precision": measure_average_precision(labels, served),
        "mature_card_precision": measure_card_precision(ranked, top_cards) if mature.height else None,
        "mature_cost_cents": float(costs.sum()),
    }
