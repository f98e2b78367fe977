"""The gate's test: its laws, and how often it is wrong when it is asked every day."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.core.release.sequential import (
    Judgement,
    SequentialParams,
    Verdict,
    bound_gain,
    judge_gain,
)

PARAMS = SequentialParams(min_days=5)
ALONE = SequentialParams(min_days=5, correlated_days=0, prior_days=0)  # nothing but the days themselves
LOSS = 0.02
Days = list[tuple[float, float]]  # gain and frauds of each
GAIN = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)
FRAUDS = st.integers(1, 100).map(float)
DAYS = st.lists(st.tuples(GAIN, FRAUDS), min_size=5, max_size=40)
USELESS = st.sampled_from(
    [(None, 9.0), (math.nan, 9.0), (math.inf, 9.0), (0.5, 0.0), (0.5, math.nan), (0.5, math.inf), (0.5, -1.0)]
)


def gains_of(days: Days) -> list[float | None]:
    return [gain for gain, _ in days]


def frauds_of(days: Days) -> list[float]:
    return [n_frauds for _, n_frauds in days]


def bound(days: Days, params: SequentialParams = PARAMS) -> tuple[float, float, float]:
    found = bound_gain(gains_of(days), frauds_of(days), params)
    return found.low, found.mean, found.high


def judge(days: Days, loss: float = LOSS, params: SequentialParams = PARAMS) -> Judgement:
    return judge_gain(gains_of(days), frauds_of(days), loss, params)


@given(DAYS)
@settings(max_examples=60, deadline=None)
def test_the_bounds_lie_around_the_mean_of_the_frauds(days: Days) -> None:
    low, mean, high = bound(days)
    assert low < mean < high
    assert mean == pytest.approx(sum(gain * n for gain, n in days) / sum(frauds_of(days)), abs=1e-9)
    assert high - mean == pytest.approx(mean - low)


@given(DAYS)
@settings(max_examples=60, deadline=None)
def test_more_of_the_same_days_narrows_the_bounds(days: Days) -> None:
    low, _, high = bound(days)
    longer_low, _, longer_high = bound([*days, *days])
    assert longer_high - longer_low < high - low


@given(DAYS, st.floats(0.001, 0.2), st.floats(1.1, 2))
@settings(max_examples=60, deadline=None)
def test_who_wants_to_be_surer_has_wider_bounds(days: Days, alpha: float, factor: float) -> None:
    surer, less_sure = (bound(days, replace(PARAMS, alpha=value)) for value in (alpha, alpha * factor))
    assert surer[0] < less_sure[0] < less_sure[2] < surer[2]


@given(DAYS, GAIN)
@settings(max_examples=60, deadline=None)
def test_what_is_added_to_each_day_is_added_to_the_bounds(days: Days, added: float) -> None:
    moved = bound([(gain + added, n) for gain, n in days])
    assert moved == pytest.approx([value + added for value in bound(days)], abs=1e-9)


@given(DAYS, st.floats(0.1, 10), st.floats(0.1, 10))
@settings(max_examples=60, deadline=None)
def test_the_unit_of_the_gains_and_that_of_the_weights_do_not_matter(days: Days, unit: float, weight: float) -> None:
    # The prior belief is in both units: a gain, of a fraud.
    params = replace(PARAMS, prior_spread=0.01)
    scaled = replace(params, prior_spread=0.01 * unit * math.sqrt(weight))
    found = bound([(gain * unit, n * weight) for gain, n in days], scaled)
    assert found == pytest.approx([value * unit for value in bound(days, params)], abs=1e-9)


@given(DAYS, st.integers(1, 100), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_belief_never_makes_surer_than_the_days_are(days: Days, prior_days: int, prior_spread: float) -> None:
    low, _, high = bound(days, replace(PARAMS, prior_days=0))
    believed_low, _, believed_high = bound(days, replace(PARAMS, prior_days=prior_days, prior_spread=prior_spread))
    assert believed_low <= low <= high <= believed_high


@given(DAYS)
@settings(max_examples=60, deadline=None)
def test_the_bounds_of_the_opposite_are_the_opposite_bounds(days: Days) -> None:
    low, mean, high = bound(days)
    assert bound([(-gain, n) for gain, n in days]) == pytest.approx((-high, -mean, -low))


@given(DAYS, st.lists(st.tuples(st.integers(0, 40), USELESS), max_size=5))
@settings(max_examples=60, deadline=None)
def test_days_without_evidence_change_nothing(
    days: Days, useless: list[tuple[int, tuple[float | None, float]]]
) -> None:
    mixed: list[tuple[float | None, float]] = list(days)
    for place, day in useless:
        mixed.insert(place, day)
    gains, frauds = [gain for gain, _ in mixed], [n for _, n in mixed]
    assert judge_gain(gains, frauds, LOSS, PARAMS) == judge(days)


@given(st.lists(USELESS, max_size=30), st.lists(st.tuples(GAIN, FRAUDS), max_size=4))
@settings(max_examples=60, deadline=None)
def test_without_enough_evidence_there_is_no_verdict(useless: list[tuple[float | None, float]], days: Days) -> None:
    mixed = [*useless, *days]
    found = judge_gain([gain for gain, _ in mixed], [n for _, n in mixed], 0.99, PARAMS)
    assert found.verdict is Verdict.CONTINUE
    assert (found.bounds.n_days, found.bounds.low, found.bounds.high) == (len(days), -math.inf, math.inf)
    assert found.reason == f"{len(days)} days with evidence, a verdict needs 5"
    assert math.isnan(found.bounds.mean) == (not days)


@given(DAYS, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_verdict_is_what_the_bounds_prove(days: Days, loss: float) -> None:
    found = judge(days, loss)
    low, _, high = bound(days)
    assert (found.verdict is Verdict.WORSE) == (high < 0)
    assert (found.verdict is Verdict.NOT_WORSE) == (high >= 0 and low > -loss)


@pytest.mark.parametrize(
    ("gain", "verdict", "reason"),
    [
        (0.1, Verdict.NOT_WORSE, "it loses at most 0.02"),
        (-0.1, Verdict.WORSE, "it loses"),
        (-0.019, Verdict.WORSE, "it loses"),  # less than what is tolerated, but proved
        (-0.01, Verdict.CONTINUE, "neither a loss nor at most 0.02 of it is proved"),
    ],
)
def test_the_reason_tells_the_verdict_and_its_bounds(gain: float, verdict: Verdict, reason: str) -> None:
    found = judge([(gain, 40.0)] * 21)
    assert found.verdict is verdict
    assert found.reason.startswith(f"gain {gain:+.4f} ({found.bounds.low:+.4f} to {found.bounds.high:+.4f}) on 21 days")
    assert found.reason.endswith(f": {reason}")


def test_days_that_tell_nothing_apart_prove_nothing_until_there_were_enough_frauds() -> None:
    def count_days(n_frauds: float) -> int:
        verdicts = (judge([(0.0, n_frauds)] * n, params=SequentialParams()).verdict for n in range(1, 100))
        return next(n for n, verdict in enumerate(verdicts, 1) if verdict is Verdict.NOT_WORSE)

    assert [count_days(n) for n in (5.0, 17.0, 90.0)] == [37, 20, 14]


def test_equal_gains_are_known_exactly_whatever_their_digits() -> None:
    days = [(0.013, 7.0)] * 9
    assert bound(days, ALONE) == pytest.approx((0.013, 0.013, 0.013), abs=1e-15)


def test_a_day_with_many_frauds_counts_for_many() -> None:
    days = [(0.3, 90.0), *[(-0.1, 10.0)] * 9]
    assert bound(days)[1] == pytest.approx(0.1)


@pytest.mark.parametrize(("n_days", "quantile"), [(8, 3.2338), (15, 2.7931), (30, 2.6041), (60, 2.5223)])
def test_without_belief_and_correlation_the_line_is_reached_at_a_quantile_of_student(
    n_days: int, quantile: float
) -> None:
    # scipy.stats.t.isf(scipy.stats.norm.sf(sqrt(-2 ln 0.05)), n_days - 1)
    gains = np.random.default_rng(n_days).normal(size=n_days)
    _, mean, high = bound([(gain, 1.0) for gain in gains.tolist()], replace(ALONE, planned_days=n_days))
    assert high - mean == pytest.approx(quantile * gains.std(ddof=1) / math.sqrt(n_days), rel=0.005)


@pytest.mark.parametrize("n_days", [21, 84])
def test_the_bounds_are_tightest_on_the_planned_days(n_days: int) -> None:
    def measure_height(planned_days: int) -> float:
        low, _, high = bound([(0.01, 20.0), (-0.01, 20.0)] * (n_days // 2), replace(ALONE, planned_days=planned_days))
        return high - low

    assert measure_height(n_days) < min(measure_height(n_days // 2), measure_height(n_days * 2))


def test_weeks_that_differ_say_less_than_days_that_differ() -> None:
    weeks = [((-1.0) ** (day // 7), 1.0) for day in range(42)]
    days = [((-1.0) ** day, 1.0) for day in range(42)]
    (low, _, high), (daily_low, _, daily_high) = bound(weeks), bound(days)
    assert high - low > 1.5 * (daily_high - daily_low)
    assert bound(weeks, ALONE) == pytest.approx(bound(days, ALONE))


def test_days_that_make_up_for_each_other_count_as_independent() -> None:
    days = [((-1.0) ** day, 1.0) for day in range(42)]
    assert bound(days, replace(ALONE, correlated_days=7)) == bound(days, ALONE)


def test_two_weeks_that_differ_are_worth_fourteen_sixths_of_a_day() -> None:
    # Sums of products at the lags 1 to 7 are 14 - 3 lag, weights 1 - lag / 8, the total is 14: 1 + 2 * 17.5 / 14 = 3.5.
    # Half as many lags as days hide all but 1 - 1/2 + 1/12 of it: 3.5 * 12 / 7 = 6.
    low, mean, high = bound([(1.0, 5.0)] * 7 + [(-1.0, 5.0)] * 7, replace(ALONE, correlated_days=7, planned_days=14))
    freedom = 14 / 6 - 1
    exponent = -2 * math.log(0.05) * ((8 * freedom + 3) / (8 * freedom + 1)) ** 2 / freedom
    assert high == pytest.approx(math.sqrt(6 / 13) * math.sqrt(freedom * math.expm1(exponent)))
    assert (low, mean) == pytest.approx((-high, 0))


def test_weights_have_to_belong_to_gains() -> None:
    with pytest.raises(ValueError, match="expected a weight for each gain, found 2 weights for 3 gains"):
        bound_gain([0.1, 0.2, 0.3], [1.0, 2.0], PARAMS)


def count_verdicts(trials: Sequence[Sequence[float]], params: SequentialParams) -> dict[Verdict, int]:
    """How trials of days with 20 frauds end that are asked every day."""
    ends = dict.fromkeys(Verdict, 0)
    for gains in trials:
        days = range(params.min_days, len(gains) + 1)
        verdicts = (judge_gain(gains[:n], [20.0] * n, LOSS, params).verdict for n in days)
        ends[next((verdict for verdict in verdicts if verdict is not Verdict.CONTINUE), Verdict.CONTINUE)] += 1
    return ends


def draw_trials(mean: float, correlation: float = 0.0) -> list[list[float]]:
    """Trials of six weeks with a spread of 0.05, each day correlated with the one before."""
    drawn = np.random.default_rng(0).normal(size=(150, 42))
    for day in range(1, 42):
        drawn[:, day] = correlation * drawn[:, day - 1] + math.sqrt(1 - correlation**2) * drawn[:, day]
    trials: list[list[float]] = (mean + 0.05 * drawn).tolist()
    return trials


def test_asked_every_day_it_seldom_promotes_what_loses_all_that_is_tolerated() -> None:
    assert count_verdicts(draw_trials(-LOSS), SequentialParams())[Verdict.NOT_WORSE] <= 0.05 * 150


def test_asked_every_day_it_seldom_rolls_back_what_is_as_good() -> None:
    assert count_verdicts(draw_trials(0.0), SequentialParams())[Verdict.WORSE] <= 0.05 * 150


def test_of_days_that_are_correlated_it_is_less_often_wrong_than_if_it_took_them_for_independent() -> None:
    trials = draw_trials(-LOSS, correlation=0.4)
    known, unknown = (count_verdicts(trials, SequentialParams(correlated_days=days)) for days in (7, 0))
    assert known[Verdict.NOT_WORSE] <= 0.1 * 150 < unknown[Verdict.NOT_WORSE]


def test_it_rolls_back_what_is_subtly_worse_and_promotes_what_is_better() -> None:
    worse, better = (count_verdicts(draw_trials(mean), SequentialParams()) for mean in (-0.045, 0.02))
    assert worse[Verdict.NOT_WORSE] == 0
    assert min(worse[Verdict.WORSE], better[Verdict.NOT_WORSE]) >= 0.95 * 150
