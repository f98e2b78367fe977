"""Performance: how good the decisions were that were really taken, on mature labels only."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import PERFORMANCE
from pipeline_assets.contracts.vocabularies import Decision
from pipeline_assets.core.evaluation import NothingToEvaluateError, TestSet, evaluate
from pipeline_assets.core.labels import label_mature_rows

_REPORTED: Final = (
    "roc_auc", "average_precision", "card_precision", "card_precision_share", "brier", "calibration_error",
)  # fmt: skip


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class PerformanceParams:
    """How decisions are measured.

    Attributes:
        window_days: Length of the period, whose last day is the latest with mature labels.
    """

    window_days: int = Field(default=7, ge=1, le=60)

    @property
    def days_back(self) -> int:
        """How many days before a day the period begins by whose end its labels are mature."""
        return self.window_days + LABEL_DELAY_DAYS - 1


def measure_decisions(
    decided: pl.DataFrame, chargebacks: pl.DataFrame, day: date, params: PerformanceParams, top_cards: int
) -> pl.DataFrame:
    """The table ``performance`` of one day: of all decisions, and by rung and by model.

    ``maturity_share`` says which share of the payments since the period began has a mature label; the metrics are of
    those alone. A metric that is undefined (no fraud among them) is null.

    Args:
        decided: The columns of ``transactions`` and ``scores``, and ``arrival_date``.
        chargebacks: The reports, with ``arrival_date``.
        day: The last day that is known.
        params: See there.
        top_cards: The k of card precision@k.
    """
    known_until = day + timedelta(days=1)
    since = known_until - timedelta(days=params.days_back + 1)
    seen = decided.filter(pl.col("event_time").dt.date() >= since, pl.col("arrival_date") <= day)
    mature = label_mature_rows(seen, chargebacks, known_until, params.days_back + 1)
    rows: list[tuple[str, str, float | None]] = []
    for scope, chosen in _list_scopes(seen).items():
        metrics = _measure(mature.filter(chosen), seen.filter(chosen).height, top_cards)
        rows += [(scope, metric, value) for metric, value in metrics.items()]
    return pl.DataFrame(rows, PERFORMANCE.empty().schema, orient="row").sort(PERFORMANCE.order)


def _list_scopes(seen: pl.DataFrame) -> Mapping[str, pl.Expr]:
    scopes = {"all": pl.lit(value=True)}
    for name, column in (("rung", "rung"), ("model", "model_version")):
        for value in seen[column].unique().sort():
            scopes[f"{name}:{value}"] = pl.col(column) == value
    return scopes


def _measure(mature: pl.DataFrame, n_seen: int, top_cards: int) -> Mapping[str, float | None]:
    declined, approved = pl.col("decision") == Decision.DECLINE, pl.col("decision") == Decision.APPROVE
    fraud = pl.col("is_fraud")
    n_frauds = int(mature["is_fraud"].sum())
    shares = mature.select(
        declined_share=declined.mean(),
        reviewed_share=(pl.col("decision") == Decision.REVIEW).mean(),
        honest_declined_share=declined.filter(~fraud).mean(),
        fraud_stopped_share=(~approved).filter(fraud).mean(),
        fraud_amount_stopped_share=(
            pl.col("amount_cents").filter(fraud & ~approved).sum() / pl.col("amount_cents").filter(fraud).sum()
        ).fill_nan(None),
    ).row(0, named=True)
    try:
        report = evaluate(TestSet(mature, 0, 0), mature["score"].to_numpy(), top_cards).as_metrics()
    except NothingToEvaluateError:
        report = {}
    return {
        "n_payments": float(mature.height),
        "n_frauds": float(n_frauds),
        "maturity_share": mature.height / n_seen if n_seen else None,
        **shares,
        **{name: report.get(name) for name in _REPORTED},
    }
