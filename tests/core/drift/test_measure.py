"""Comparison: what changed is drifted, what did not is not, and what cannot be told is neither."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.tables import DRIFT
from pipeline_assets.core.drift import (
    SCORE,
    SUBJECTS,
    DriftParams,
    Reference,
    compare_window,
    judge_drift,
    list_bins,
    plot_bins,
    plot_distances,
    read_verdicts,
    tabulate,
)
from pipeline_assets.core.drift.measure import Comparison, find_threshold
from pipeline_assets.core.drift.params import DAYS_A_MONTH
from pipeline_assets.core.drift.reference import SubjectReference, measure_weeks
from tests.conftest import MakeTrainingSet
from tests.core.drift.samples import AS_OF, DAY, PARAMS, compare, make_world, refer, select

LAW = settings(deadline=None, max_examples=60)
ONE = SubjectReference(np.array([1.0]), np.array([0, 500, 500]), noise=0.0004, n_windows=12, window_rows=1000.0)


@pytest.fixture(scope="module")
def reference(make_training_set: MakeTrainingSet) -> Reference:
    return refer(make_training_set)


@pytest.fixture(scope="module")
def later(make_training_set: MakeTrainingSet) -> pl.DataFrame:
    return make_world(make_training_set)[1]


def list_drifted(compared: dict[str, Comparison]) -> list[str]:
    return [name for name, one in compared.items() if one.is_drifted]


def test_weeks_that_are_drawn_alike_are_not_drifted(reference: Reference, later: pl.DataFrame) -> None:
    for number in range(5):
        week = select(later, AS_OF + 7 * number * DAY)
        moved = week.with_columns(arrival_date=pl.col("arrival_date") - pl.duration(days=7 * number))
        compared = compare(reference, moved)
        assert list_drifted(compared) == []
        assert all(one.is_drifted is False for one in compared.values())


def test_a_change_of_one_feature_is_drift_of_what_comes_from_it(reference: Reference, later: pl.DataFrame) -> None:
    dearer = select(later, AS_OF).with_columns(amount_cents=pl.col("amount_cents") * 2)
    compared = compare(reference, dearer)
    assert list_drifted(compared) == ["amount_cents", SCORE]
    assert max(compared.values(), key=lambda one: one.strain).subject in {"amount_cents", SCORE}


def test_values_that_go_missing_are_drift(reference: Reference, later: pl.DataFrame) -> None:
    week = select(later, AS_OF).with_columns(terminal_least_fraud_ratio=pl.lit(None, pl.Float64))
    assert list_drifted(compare(reference, week)) == ["terminal_least_fraud_ratio"]


def test_an_empty_window_is_no_evidence(reference: Reference, later: pl.DataFrame) -> None:
    compared = compare(reference, later.clear())
    assert tuple(compared) == SUBJECTS
    assert {(one.n_rows, one.distance, one.psi, one.threshold, one.is_drifted) for one in compared.values()} == {
        (0, None, None, None, None)
    }
    finding = judge_drift(tabulate(list(compared.values())))
    assert finding.passed
    assert finding.explanation.startswith("no evidence")


def test_one_row_less_than_is_asked_for_is_no_evidence(reference: Reference, later: pl.DataFrame) -> None:
    week = select(later, AS_OF).with_columns(amount_cents=pl.lit(10**9, pl.Int64))
    enough, too_few = week.head(PARAMS.min_rows), week.head(PARAMS.min_rows - 1)
    assert compare(reference, enough)["amount_cents"].is_drifted
    assert compare(reference, too_few)["amount_cents"].is_drifted is None


def test_without_a_reference_there_is_no_evidence() -> None:
    compared = compare_window({}, {"amount_cents": np.array([0, 9, 9])}, PARAMS)
    assert [one.subject for one in compared] == list(SUBJECTS)
    assert all(one.is_drifted is None and one.distance is None for one in compared)


def test_where_weeks_cannot_be_told_apart_the_distance_is_told_and_no_verdict() -> None:
    unsure = replace(ONE, noise=None)
    (one,) = [c for c in compare_window({"score": unsure}, {"score": np.array([0, 100, 900])}, PARAMS) if c.distance]
    assert (one.threshold, one.is_drifted) == (None, None)


def test_the_table_says_what_was_found(reference: Reference, later: pl.DataFrame) -> None:
    dearer = select(later, AS_OF).with_columns(amount_cents=pl.col("amount_cents") * 2)
    compared = compare(reference, dearer)
    table = tabulate(list(compared.values()))
    DRIFT.schema.validate(table)
    assert table.height == 5 * len(SUBJECTS)
    assert read_verdicts(table) == {name: one.is_drifted for name, one in compared.items()}
    finding = judge_drift(table)
    assert not finding.passed
    assert finding.facts == {"subjects": len(SUBJECTS), "drifted": 2}
    assert "amount_cents, score" in finding.explanation


def test_a_table_in_which_nothing_is_drifted_passes(reference: Reference, later: pl.DataFrame) -> None:
    finding = judge_drift(tabulate(list(compare(reference, select(later, AS_OF)).values())))
    assert finding.passed
    assert finding.facts == {"subjects": len(SUBJECTS), "drifted": 0}


budgets = st.floats(0.01, DAYS_A_MONTH)


@LAW
@given(budgets, budgets, st.integers(2, 5000), st.integers(4, 52))
def test_a_smaller_budget_never_lowers_a_threshold(one: float, other: float, n_rows: int, n_windows: int) -> None:
    small, large = sorted((one, other))
    reference = replace(ONE, n_windows=n_windows)
    thresholds = [
        find_threshold(reference, n_rows, DriftParams(false_alarms_a_month=budget, min_distance=0))
        for budget in (small, large)
    ]
    assert thresholds[0] is not None
    assert thresholds[1] is not None
    assert thresholds[0] >= thresholds[1] > 0


def test_fewer_rows_raise_the_threshold_and_more_do_not_lower_it() -> None:
    usual, quarter, tenfold = (find_threshold(ONE, n_rows, PARAMS) for n_rows in (1000, 250, 10_000))
    assert usual is not None
    assert quarter == pytest.approx(2 * usual)
    assert tenfold == usual


def test_a_distance_that_is_too_small_to_matter_never_counts() -> None:
    still = replace(ONE, noise=1e-12)
    assert find_threshold(still, 1000, PARAMS) == PARAMS.min_distance
    near = {"score": np.array([0, 48_000, 52_000])}  # 0.04 standard deviations from one half
    compared = compare_window({"score": still}, near, PARAMS)
    assert [one.is_drifted for one in compared if one.subject == "score"] == [False]


def test_the_budget_is_kept_where_weeks_differ_by_more_than_chance() -> None:
    random, n_weeks, n_histories = np.random.default_rng(5), PARAMS.reference_weeks, 1000
    params = replace(PARAMS, false_alarms_a_month=DAYS_A_MONTH, min_distance=0.0)  # one subject in so many a day
    n_alarms = 0
    for _ in range(n_histories):
        share = np.clip(random.normal(0.3, 0.03, n_weeks + 1), 0.01, 0.99)  # chance alone would give 0.014
        below = random.binomial(1000, share)
        weeks = np.stack([np.zeros_like(below), below, 1000 - below], axis=1)
        one = measure_weeks(np.array([1.0]), weeks[:-1].sum(axis=0), weeks[:-1], params, is_one_week=False)
        compared = compare_window({"score": one}, {"score": weeks[-1]}, params)
        n_alarms += any(c.is_drifted for c in compared)
    allowed = n_histories / len(SUBJECTS)
    assert allowed / 3 < n_alarms < allowed + 2 * np.sqrt(allowed)


def test_the_same_numbers_give_the_same_pictures(reference: Reference, later: pl.DataFrame) -> None:
    compared = list(compare(reference, select(later, AS_OF)).values())
    assert plot_distances(compared) == plot_distances(compared[::-1])
    assert plot_distances(compared) != plot_distances(compared[1:])
    bins = {name: list_bins(reference[name], reference[name].rows // 2) for name in ("amount_cents", "is_night", SCORE)}
    assert plot_bins(bins)[:8] == b"\x89PNG\r\n\x1a\n"
    assert plot_bins(bins) == plot_bins(bins)


def test_pictures_of_what_is_no_evidence_are_empty() -> None:
    assert plot_distances(compare_window({}, {}, PARAMS))[:8] == b"\x89PNG\r\n\x1a\n"


def test_bins_are_shares_and_empty_ones_are_left_out() -> None:
    one = SubjectReference(np.array([1.0, 2.5]), np.array([0, 30, 10, 0]), 0.1, 12, 1.0)
    bins = list_bins(one, np.array([0, 1, 0, 1]))
    assert list(bins.names) == ["≤ 1", "≤ 2.5", "> 2.5"]
    assert bins.reference.tolist() == [0.75, 0.25, 0.0]
    assert bins.found.tolist() == [0.5, 0.0, 0.5]
