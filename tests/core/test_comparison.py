"""The paired bootstrap: exact on every resample, the same in any order of rows; and what its verdicts may never do."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pipeline_assets.core.comparison import (
    Comparison,
    Conclusion,
    Interval,
    Resampled,
    Verdict,
    compare,
    conclude,
    draw_resamples,
    resample,
)
from pipeline_assets.core.evaluation import EvaluationParams

Floats = npt.NDArray[np.float64]
Row = tuple[str, bool, float, float, int]  # customer, is fraud, score, the rival's, cost in cents
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])  # few, so that ties are common
CUSTOMERS = st.sampled_from(["a", "b", "c", "d", "e"])
ROWS = st.lists(st.tuples(CUSTOMERS, st.booleans(), SCORES, SCORES, st.integers(0, 9999)), min_size=1, max_size=40).map(
    lambda rows: [*rows, ("a", True, 0.4, 0.6, 10), ("b", False, 0.4, 0.6, 20)]
)
BOUND, COST_BOUND = st.floats(-1, 1), st.floats(-1e6, 1e6)
COMPARISONS = st.builds(
    Comparison,
    average_precision=st.floats(0, 1),
    rival_average_precision=st.floats(0, 1),
    cost_cents=st.floats(0, 1e6),
    rival_cost_cents=st.floats(0, 1e6),
    gain=st.builds(Interval, BOUND, BOUND, BOUND),
    cost_gain_cents=st.builds(Interval, COST_BOUND, COST_BOUND, COST_BOUND),
    n_frauds=st.integers(0, 200),
    n_defrauded=st.integers(0, 200),
)


def measure(rows: list[Row], n_resamples: int = 100) -> tuple[Resampled, Resampled]:
    """The candidate and the rival of some rows; each pays the stated cost, the rival a cent more."""
    customers, frauds, score, rival, cost = zip(*rows, strict=True)
    resamples = draw_resamples(pl.Series(customers), n_resamples)
    labels, costs = np.array(frauds), np.array(cost)
    return (
        resample(resamples, labels, np.array(score), costs),
        resample(resamples, labels, np.array(rival), costs + 1),
    )


def judge(comparison: Comparison, tolerated_loss: float = 0.02, min_frauds: int = 50) -> Conclusion:
    params = EvaluationParams(tolerated_loss=tolerated_loss, tolerated_cost_share=0.05, min_frauds=min_frauds)
    return conclude(comparison, params)


@given(rows=ROWS)
@settings(max_examples=30, deadline=None)
def test_each_resample_has_the_average_precision_and_the_cost_of_its_payments(rows: list[Row]) -> None:
    customers, frauds, score, _, cost = (np.array(column) for column in zip(*rows, strict=True))
    found, _ = measure(rows)
    resamples = draw_resamples(pl.Series(customers), 100)
    for number in range(0, 101, 10):
        weights = resamples.weights[number][resamples.customer].astype(np.int64)
        drawn = np.repeat(np.arange(len(rows)), weights)  # the payments as often as they were drawn
        if frauds[drawn].any():
            expected = average_precision_score(frauds[drawn], score[drawn])
            assert found.average_precision[number] == pytest.approx(expected)
        else:
            assert math.isnan(found.average_precision[number])
        expected_cost = cost[drawn].mean() * len(rows) if drawn.size else math.nan
        assert found.cost_cents[number] == pytest.approx(expected_cost, nan_ok=True)


@given(rows=ROWS)
@settings(max_examples=20, deadline=None)
def test_the_first_resample_is_the_test_set_itself(rows: list[Row]) -> None:
    _, frauds, score, _, cost = (np.array(column) for column in zip(*rows, strict=True))
    found, _ = measure(rows)
    assert found.average_precision[0] == pytest.approx(average_precision_score(frauds, score))
    assert found.cost_cents[0] == pytest.approx(cost.sum())
    assert (found.n_rows, found.n_frauds) == (len(rows), frauds.sum())
    assert found.n_defrauded == len({row[0] for row in rows if row[1]})


@given(rows=ROWS, shuffled=st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_does_not_change_a_digit(rows: list[Row], shuffled: object) -> None:
    other = list(rows)
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    assert repr(compare(*measure(rows), 0.9)) == repr(compare(*measure(other), 0.9))


@given(rows=ROWS)
@settings(max_examples=20, deadline=None)
def test_what_one_gains_the_other_loses_and_nobody_gains_over_himself(rows: list[Row]) -> None:
    one, other = measure(rows)
    there, back = compare(one, other, 0.9), compare(other, one, 0.9)
    for gain, loss in ((there.gain, back.gain), (there.cost_gain_cents, back.cost_gain_cents)):
        assert (gain.value, gain.low, gain.high) == pytest.approx((-loss.value, -loss.high, -loss.low), nan_ok=True)
    same = compare(one, one, 0.9).gain
    assert [one for one in (same.value, same.low, same.high) if not math.isnan(one)] in ([0.0], [0.0, 0.0, 0.0])


def test_all_payments_of_a_customer_are_drawn_together() -> None:
    resamples = draw_resamples(pl.Series(["b", "a", "b", "c", "a"]), 200)
    assert resamples.customer.tolist() == [1, 0, 1, 2, 0]
    assert resamples.weights.shape == (201, 3)
    assert (resamples.weights[0] == 1).all()
    assert 0.8 < resamples.weights[1:].mean() < 1.2
    assert (draw_resamples(pl.Series(["c", "a", "b"]), 200).weights == resamples.weights).all()


@given(confidence=st.sampled_from([0.5, 0.8, 0.9, 0.99]))
@settings(max_examples=4, deadline=None)
def test_more_confidence_is_a_wider_interval(confidence: float) -> None:
    one, other = measure(_draw_week(1, 0.6, 1.0))
    narrow, wide = (compare(one, other, level).gain for level in (confidence - 0.1, confidence))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_frauds_of_too_few_customers_are_no_evidence_however_many_they_are() -> None:
    rows = [("victim", True, 0.9, 0.1, 10)] * 80 + [(f"c{n}", False, 0.2, 0.2, 10) for n in range(500)]
    found = compare(*measure(rows), 0.9)
    assert found.as_metrics()["gain_low"] is None
    assert judge(found).verdict is Verdict.HOLD
    assert "too few customers" in judge(found).reason


@given(found=COMPARISONS, tolerated_loss=st.floats(0, 0.1))
def test_a_verdict_follows_from_the_whole_interval_and_from_enough_frauds(
    found: Comparison, tolerated_loss: float
) -> None:
    verdict, gain = judge(found, tolerated_loss).verdict, found.gain
    if verdict is Verdict.PROMOTE:
        assert found.n_frauds >= 50
        assert gain.low > -tolerated_loss
        assert found.cost_gain_cents.high >= 0 or found.cost_gain_cents.value >= -0.05 * found.rival_cost_cents
    if verdict is Verdict.REJECT:
        assert found.n_frauds >= 50
        assert gain.high < 0
        assert gain.value < -tolerated_loss


@given(found=COMPARISONS, hole=st.sampled_from(["value", "low", "high"]), where=st.sampled_from(["gain", "cost"]))
def test_missing_evidence_holds(found: Comparison, hole: str, where: str) -> None:
    name = {"gain": "gain", "cost": "cost_gain_cents"}[where]
    broken = replace(found, **{name: replace(getattr(found, name), **{hole: math.nan})})
    assert judge(broken).verdict is Verdict.HOLD
    assert judge(replace(found, n_frauds=49)).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    "gain", [Interval(0.0, -0.05, 0.05), Interval(-0.03, -0.07, 0.01), Interval(-0.01, -0.03, -0.001)]
)
def test_a_week_that_cannot_tell_holds(gain: Interval) -> None:
    found = Comparison(0.8, 0.8, 5.0, 5.0, gain, Interval(0.0, -1.0, 1.0), 90, 80)
    assert judge(found).verdict is Verdict.HOLD
    assert "this week cannot tell" in judge(found).reason


def test_who_ranks_as_well_but_clearly_costs_more_is_held() -> None:
    even = Comparison(0.9, 0.9, 2000.0, 1000.0, Interval(0.0, -0.01, 0.01), Interval(-1000.0, -1500.0, -500.0), 90, 80)
    assert judge(even).verdict is Verdict.HOLD
    assert "clearly cost more, by 10.00 (5.00 to 15.00) on 10.00; tolerated are 0.50" in judge(even).reason
    assert judge(replace(even, cost_gain_cents=Interval(-1000.0, -2500.0, 500.0))).verdict is Verdict.PROMOTE


def test_the_reason_is_a_sentence_with_the_numbers() -> None:
    found = Comparison(0.7, 0.8, 5.0, 5.0, Interval(-0.1, -0.15, -0.05), Interval(0.0, -1.0, 1.0), 132, 57)
    assert judge(found).reason == (
        "average precision 0.7000 against 0.8000, -0.1000 (interval -0.1500 to -0.0500), on 132 frauds of 57 "
        "customers: clearly worse, by more than the tolerated 0.02"
    )


def _draw_week(seed: int, noise: float, rival_noise: float, n_rows: int = 3000) -> list[Row]:
    """A week of 70 frauds of 55 customers; the noisier of the two scores ranks worse."""
    random = np.random.default_rng(seed)
    customers = random.integers(0, 600, n_rows)
    victims = np.flatnonzero(np.isin(customers, random.choice(600, 55, replace=False)))
    is_fraud = np.zeros(n_rows, bool)
    is_fraud[random.choice(victims, 70, replace=False)] = True
    clear = random.normal(0, 1.5, n_rows) + is_fraud * random.choice([8.0, 2.0], n_rows, p=[0.85, 0.15])
    scores: list[Floats] = [1 / (1 + np.exp(7 - clear - k * random.normal(size=n_rows))) for k in (noise, rival_noise)]
    columns = (customers.astype(str), is_fraud.tolist(), *(one.tolist() for one in scores), [100] * n_rows)
    return list(zip(*columns, strict=True))


def _judge_weeks(noise: float, rival_noise: float) -> Counter[Verdict]:
    weeks = (_draw_week(seed, noise, rival_noise) for seed in range(20))
    return Counter(judge(compare(*measure(week), 0.9)).verdict for week in weeks)


def test_of_twenty_weeks_a_clearly_worse_model_is_promoted_in_none_and_a_better_one_rejected_in_none() -> None:
    worse, better = _judge_weeks(1.6, 0.6), _judge_weeks(0.6, 1.6)
    assert worse[Verdict.PROMOTE] == 0
    assert worse[Verdict.REJECT] >= 15
    assert better[Verdict.REJECT] == 0
    assert better[Verdict.PROMOTE] >= 15
