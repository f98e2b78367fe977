"""The numbers by which two states of the pipeline are compared."""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from pipeline_assets.contracts.tables import MODEL_EVALUATION, PERFORMANCE, Table
from pipeline_assets.core.metrics import (
    list_by_day,
    list_by_week,
    list_curve,
    summarise_evaluations,
    summarise_performance,
)

WEEK = date(2026, 2, 8)
LATER = WEEK + timedelta(days=7)


def make_table(table: Table, values: Mapping[str, Mapping[str, float | None]]) -> pl.DataFrame:
    rows = [(name, metric, value) for name, metrics in values.items() for metric, value in metrics.items()]
    return pl.DataFrame(rows, table.empty().schema, orient="row")


def evaluate(**precision: float) -> pl.DataFrame:
    subjects = {name: {"average_precision": value, "n_frauds": 30.0} for name, value in precision.items()}
    return make_table(MODEL_EVALUATION, subjects)


EVALUATIONS = {
    WEEK: evaluate(candidate=0.5, rules=0.3),
    LATER: evaluate(candidate=0.7, rules=0.4, **{"2026-02-01-abc": 0.2, "2026-02-08-abc": 0.6, "ladder:backup": 0.1}),
    LATER + timedelta(days=7): make_table(MODEL_EVALUATION, {}),  # a week without a fraud
}


def test_the_latest_evaluation_is_told_of_candidate_earlier_model_and_rules() -> None:
    metrics = summarise_evaluations(EVALUATIONS, n_models=3)
    assert metrics == {
        "n_models": 3,
        "n_frauds": 30,
        "candidate": {"average_precision": 0.7},
        "earlier": {"average_precision": 0.6},
        "rules": {"average_precision": 0.4},
        "all_weeks": {"average_precision": 0.6},
    }


def test_the_first_model_has_no_earlier_one() -> None:
    assert "earlier" not in summarise_evaluations({WEEK: EVALUATIONS[WEEK]}, 1)


def test_without_an_evaluation_there_are_counts_and_empty_curves() -> None:
    assert summarise_evaluations({}, 0) == {"n_models": 0}
    assert list_by_week({}).write_csv() == "week,candidate,rules\n"
    assert list_curve(None).write_csv() == "recall,precision\n"
    assert summarise_performance([], 0) == {"n_promotions": 0}
    assert list_by_day({}).columns == [
        "date",
        "average_precision",
        "fraud_amount_stopped_share",
        "honest_declined_share",
    ]


def test_each_week_with_an_evaluation_is_a_point() -> None:
    assert list_by_week(EVALUATIONS).rows() == [(WEEK, 0.5, 0.3), (LATER, 0.7, 0.4)]


def test_decisions_are_told_of_the_latest_period_in_which_they_can_be_judged() -> None:
    judged = {"average_precision": 0.8, "n_payments": 900.0, "fraud_amount_stopped_share": 0.9}
    tables = {
        WEEK: make_table(PERFORMANCE, {"all": judged, "rung:rules": {"average_precision": 0.1}}),
        LATER: make_table(PERFORMANCE, {"all": {"average_precision": None, "n_payments": 900.0}}),
    }
    assert summarise_performance(tables.values(), 2) == {
        "n_promotions": 2,
        "decisions": {"average_precision": 0.8, "fraud_amount_stopped_share": 0.9, "n_payments": 900},
    }
    assert list_by_day(tables).rows() == [(WEEK, 0.8, 0.9, None)]
