"""The evaluation protocol: against naive readings of the Handbook, and what may never be reported."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core import evaluation
from pipeline_assets.core.evaluation import (
    Evaluation,
    InconsistentReportError,
    InvalidScoresError,
    NothingToEvaluateError,
    TestSet,
    evaluate,
    find_reachable_card_precision,
    measure_average_precision,
    measure_card_precision,
    select_test_rows,
)

START = date(2026, 3, 1)
Row = tuple[int, str, bool, float]  # day, card, is fraud, score


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event_time": [datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=day) for day, *_ in rows],
            "customer_id": [card for _, card, _, _ in rows],
            "is_fraud": [is_fraud for _, _, is_fraud, _ in rows],
            "score": [score for *_, score in rows],
        },
        schema={
            "event_time": pl.Datetime("us", "UTC"),
            "customer_id": pl.String,
            "is_fraud": pl.Boolean,
            "score": pl.Float64,
        },
    )


def report(rows: list[Row], k: int = 2) -> Evaluation:
    payments = frame(rows)
    return evaluate(TestSet(payments.drop("score"), 0, 0), payments["score"].to_numpy(), k)


def rows_of(n_days: int, n_cards: int, max_size: int) -> st.SearchStrategy[list[Row]]:
    cards = st.sampled_from([f"c{number}" for number in range(n_cards)])
    scores = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])  # few, so that ties are common
    return st.lists(st.tuples(st.integers(0, n_days - 1), cards, st.booleans(), scores), min_size=1, max_size=max_size)


def naive_card_precision(rows: list[Row], k: int) -> float:
    """Chapter 4.3 of the Handbook, word for word, with plain dictionaries."""
    found: set[str] = set()
    precisions = []
    for day in sorted({row[0] for row in rows}):
        best: dict[str, float] = {}
        frauds = {card for d, card, is_fraud, _ in rows if d == day and is_fraud}
        for d, card, _, score in rows:
            if d == day and card not in found:
                best[card] = max(score, best.get(card, 0.0))
        top = sorted(best, key=lambda card: (-best[card], card))[:k]
        detected = [card for card in top if card in frauds]
        found.update(detected)
        precisions.append(len(detected) / k)
    return sum(precisions) / len(precisions)


def naive_known_cards(rows: list[Row], day: int, since: int) -> set[str]:
    return {card for d, card, is_fraud, _ in rows if is_fraud and since <= d < day - LABEL_DELAY_DAYS}


@given(rows=rows_of(4, 6, 40), k=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_card_precision_is_the_handbooks(rows: list[Row], k: int) -> None:
    assert measure_card_precision(frame(rows), k) == pytest.approx(naive_card_precision(rows, k), abs=1e-12)


@given(rows=rows_of(2, 3, 7), k=st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_the_reachable_card_precision_is_the_best_of_all_rankings(rows: list[Row], k: int) -> None:
    # Every order of the (day, card) pairs is a ranking; the best of them all is what the matching must find.
    pairs = sorted({(day, card) for day, card, *_ in rows})
    best = 0.0
    for order in permutations(range(len(pairs))):
        rank = {pair: position / len(pairs) for pair, position in zip(pairs, order, strict=True)}
        best = max(best, naive_card_precision([(d, c, fraud, rank[d, c]) for d, c, fraud, _ in rows], k))
    assert find_reachable_card_precision(frame(rows), k) == pytest.approx(best, abs=1e-12)


@given(rows=rows_of(24, 5, 60), first=st.integers(8, 20), since=st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_cards_known_as_compromised_are_out_of_the_test_set(rows: list[Row], first: int, since: int) -> None:
    test = select_test_rows(frame(rows), START + timedelta(days=first), 3, START + timedelta(days=since))
    period = [row for row in rows if first <= row[0] < first + 3]
    expected = [row for row in period if row[1] not in naive_known_cards(rows, row[0], since)]
    assert test.rows.equals(frame(expected))
    assert test.n_removed == len(period) - len(expected)
    assert test.n_known_cards == len({row[1] for row in period if row not in expected})


def test_a_fraud_is_known_the_day_after_its_label_has_matured() -> None:
    day_of_fraud, day_after = 0, LABEL_DELAY_DAYS + 1
    rows: list[Row] = [(day_of_fraud, "c", True, 0.0), (day_after - 1, "c", False, 0.0), (day_after, "c", False, 0.0)]
    last_unknown = select_test_rows(frame(rows), START + timedelta(days=day_after - 1), 1, START)
    first_known = select_test_rows(frame(rows), START + timedelta(days=day_after), 1, START)
    assert (last_unknown.n_removed, first_known.n_removed) == (0, 1)


@given(rows=rows_of(3, 5, 40), shuffled=st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_change_a_digit(rows: list[Row], shuffled: object) -> None:
    rows = [*rows, (0, "honest", False, 0.3), (0, "stolen", True, 0.3)]
    other = list(rows)
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    assert report(rows) == report(other)


@given(rows=rows_of(3, 5, 40))
@settings(max_examples=40, deadline=None)
def test_every_report_is_consistent_with_the_naive_metrics(rows: list[Row]) -> None:
    rows = [*rows, (0, "honest", False, 0.3), (0, "stolen", True, 0.3)]
    found = report(rows)
    honest = [score for *_, is_fraud, score in rows if not is_fraud]
    frauds = [score for *_, is_fraud, score in rows if is_fraud]
    wins = sum((f > h) + (f == h) / 2 for f in frauds for h in honest)
    assert found.roc_auc == pytest.approx(wins / (len(frauds) * len(honest)))
    assert (found.n_rows, found.n_frauds, found.fraud_rate) == (len(rows), len(frauds), len(frauds) / len(rows))
    assert found.brier == pytest.approx(np.mean([(score - is_fraud) ** 2 for *_, is_fraud, score in rows]))
    assert sum(n for *_, n in found.calibration) == len(rows)


def test_a_perfect_ranking_reaches_all_there_is_to_reach() -> None:
    rows: list[Row] = [(day, f"c{n}", n < 3, 1.0 - n / 10) for day in range(3) for n in range(8)]
    found = report(rows)
    assert (found.roc_auc, found.average_precision, found.card_precision_share) == (1.0, 1.0, 1.0)
    assert found.card_precision == pytest.approx((1 + 0.5 + 0) / 3)  # three cards, two a day, each found once


def test_a_calibrated_score_has_no_calibration_error_and_a_shifted_one_has() -> None:
    is_fraud = pl.Series([n < 50 + 100 * score for score in range(10) for n in range(1000)])
    payments = frame([(0, f"c{n}", False, 0.0) for n in range(10_000)]).drop("score")
    test = TestSet(payments.with_columns(is_fraud=is_fraud), 0, 0)
    exact = np.repeat((50 + 100 * np.arange(10)) / 1000, 1000)
    assert evaluate(test, exact, 10).calibration_error < 1e-9
    assert [n for *_, n in evaluate(test, exact, 10).calibration] == [1000] * 10
    assert evaluate(test, exact * 0.5, 10).calibration_error > 0.2


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_that_is_no_probability_is_no_report(score: float) -> None:
    with pytest.raises(InvalidScoresError, match="between 0 and 1"):
        report([(0, "a", True, score), (0, "b", False, 0.5)])


@given(rows=rows_of(3, 5, 40))
@settings(max_examples=40, deadline=None)
def test_average_precision_is_that_of_the_report_and_none_without_a_fraud(rows: list[Row]) -> None:
    both: list[Row] = [*rows, (0, "honest", False, 0.3), (0, "stolen", True, 0.3)]
    score, labels = (np.array([row[place] for row in both]) for place in (3, 2))
    assert measure_average_precision(labels, score) == report(both).average_precision
    assert measure_average_precision(np.zeros_like(labels), score) is None


def test_scores_for_other_rows_are_no_report() -> None:
    payments = frame([(0, "a", True, 0.5), (0, "b", False, 0.5)])
    with pytest.raises(InconsistentReportError, match="3 scores for 2"):
        evaluate(TestSet(payments.drop("score"), 0, 0), np.array([0.1, 0.2, 0.3]), 10)


@pytest.mark.parametrize("frauds", [[], [True, True], [False, False]])
def test_a_test_set_of_one_kind_is_named_as_such(frauds: list[bool]) -> None:
    with pytest.raises(NothingToEvaluateError, match=f"{sum(frauds)} frauds among {len(frauds)}"):
        report([(0, f"c{n}", is_fraud, 0.5) for n, is_fraud in enumerate(frauds)])


@pytest.mark.parametrize(
    ("lie", "claim"),
    [
        ({"card_precision": 0.9}, "reachable maximum"),
        ({"average_precision": 0.123}, "area under the curve"),
        ({"roc_auc": 1.2}, "between 0 and 1"),
        ({"log_loss": float("nan")}, "finite"),
        ({"n_rows": 5}, "hold all rows"),
        ({"n_frauds": 2}, "hold all frauds"),
        ({"n_cards": 9}, "cards are no more than payments"),
        ({"brier": 0.0}, "squared error"),
    ],
)
def test_numbers_that_contradict_each_other_are_no_report(lie: dict[str, float], claim: str) -> None:
    true = report([(0, "a", True, 0.4), (0, "b", False, 0.5), (1, "a", False, 0.1), (1, "c", False, 0.2)])
    evaluation._check_consistency(true, true.average_precision)
    with pytest.raises(InconsistentReportError, match=claim):
        evaluation._check_consistency(replace(true, **lie), true.average_precision)  # type: ignore[arg-type]


def test_the_metrics_are_the_report_by_name() -> None:
    found = report([(0, "a", True, 0.4), (0, "b", False, 0.5)])
    metrics = found.as_metrics()
    assert metrics["average_precision"] == found.average_precision
    assert metrics["card_precision_share"] == pytest.approx(found.card_precision / found.card_precision_reachable)
    assert set(metrics) >= {"n_rows", "n_removed", "n_known_cards", "n_frauds", "fraud_rate", "roc_auc"}
