"""The numbers and curves by which two states of the whole pipeline are compared, from its tables."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

import polars as pl

from pipeline_assets.core.evaluation import Evaluation

_OF_A_MODEL: Final = ("average_precision", "roc_auc", "card_precision", "card_precision_share", "brier")
_OF_DECISIONS: Final = (
    *_OF_A_MODEL, "fraud_stopped_share", "fraud_amount_stopped_share", "honest_declined_share", "reviewed_share",
    "n_payments", "n_frauds",
)  # fmt: skip
_OVER_TIME: Final = ("average_precision", "fraud_amount_stopped_share", "honest_declined_share")
_COMPARED: Final = "average_precision"
Metrics = Mapping[str, float | Mapping[str, float]]


def summarise_evaluations(evaluations: Mapping[date, pl.DataFrame], n_models: int) -> Metrics:
    """The metrics of the latest evaluation, of the model before it and of the rules, and the mean of all of them.

    Args:
        evaluations: The table ``model_evaluation`` by week.
        n_models: Models that were trained.
    """
    found = {week: _by_name(table, "subject") for week, table in evaluations.items()}
    known = {week: subjects for week, subjects in found.items() if "candidate" in subjects}
    counts = {"n_models": n_models}
    if not known:
        return counts
    latest = known[max(known)]
    earlier = max((subject for subject in latest if subject[0].isdigit()), default="")  # versions begin with their day
    subjects = {"candidate": "candidate", "earlier": earlier, "rules": "rules"}
    values = [subjects_of_week["candidate"][_COMPARED] for subjects_of_week in known.values()]
    return {
        **counts,
        **_pick(latest["candidate"], ["n_frauds"]),
        **{name: _pick(latest[key], _OF_A_MODEL) for name, key in subjects.items() if key in latest},
        "all_weeks": {_COMPARED: sum(values) / len(values)},
    }


def list_by_week(evaluations: Mapping[date, pl.DataFrame]) -> pl.DataFrame:
    """Average precision of the candidate and of the rules by week; no row where there was nothing to evaluate."""
    found = {week: _by_name(table, "subject") for week, table in evaluations.items()}
    rows = [
        (week, subjects["candidate"][_COMPARED], subjects["rules"][_COMPARED])
        for week, subjects in sorted(found.items())
        if "candidate" in subjects and "rules" in subjects
    ]
    return pl.DataFrame(rows, {"week": pl.Date, "candidate": pl.Float64, "rules": pl.Float64}, orient="row")


def list_curve(evaluation: Evaluation | None) -> pl.DataFrame:
    """The precision-recall curve of an evaluation; no row where there was nothing to evaluate."""
    points = evaluation.curve if evaluation else ()
    return pl.DataFrame(points, {"recall": pl.Float64, "precision": pl.Float64}, orient="row")


def summarise_performance(tables: Iterable[pl.DataFrame], n_promotions: int) -> Metrics:
    """The metrics of all decisions of the latest of some periods in which all are defined.

    Args:
        tables: The table ``performance`` of each day, in order.
        n_promotions: How often a model became champion.
    """
    counts = {"n_promotions": n_promotions}
    known = [metrics for table in tables if _COMPARED in (metrics := _read_overall(table))]
    return {**counts, "decisions": _pick(known[-1], _OF_DECISIONS)} if known else counts


def list_by_day(tables: Mapping[date, pl.DataFrame]) -> pl.DataFrame:
    """How good all decisions of the period up to each day were; no row where that is not defined."""
    found = {day: _read_overall(table) for day, table in sorted(tables.items())}
    known = {day: metrics for day, metrics in found.items() if _COMPARED in metrics}
    rows = [(day, *(metrics.get(name) for name in _OVER_TIME)) for day, metrics in known.items()]
    return pl.DataFrame(rows, {"date": pl.Date, **dict.fromkeys(_OVER_TIME, pl.Float64)}, orient="row")


def _read_overall(performance: pl.DataFrame) -> Mapping[str, float]:
    return _by_name(performance, "scope").get("all", {})


def _by_name(table: pl.DataFrame, key: str) -> Mapping[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, metric, value in table.select(key, "metric", "value").drop_nulls().iter_rows():
        found.setdefault(name, {})[metric] = value
    return found


def _pick(metrics: Mapping[str, float], names: Iterable[str]) -> Mapping[str, float]:
    return {name: int(metrics[name]) if name.startswith("n_") else metrics[name] for name in names if name in metrics}
