"""The sequential test of a challenger against the champion: what their paired days say, however often it is asked.

A usual confidence interval that is looked at every day excludes the truth on some day far more often than it promises.
A sum of n independent gains of mean 0 and deviation s crosses the line a + b n on any day ever with probability at most
exp(-2 a b / s^2) (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon, Time-uniform Chernoff bounds via nonnegative
supermartingales, 2020). The bounds here are such lines, with the deviation estimated, as in asymptotic confidence
sequences (Waudby-Smith et al. 2024): its correlation from day to day by Newey and West (1987), its own uncertainty by
Student's t. So they hold nearly, not exactly; how nearly is measured in benchmarks/canary.py. They do not hold for a
loss that comes in few episodes, each of weeks: before the first ones were seen, nothing tells it from no loss.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

_BEYOND: Final = 1e300  # a quantile beyond all evidence; finite, so that it times no deviation at all is none
Floats = npt.NDArray[np.float64]


class Verdict(StrEnum):
    """What the days so far say of the challenger."""

    CONTINUE = "continue"  # nothing yet
    NOT_WORSE = "not_worse"  # it does not lose more than what is tolerated
    WORSE = "worse"  # it loses


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class SequentialParams:
    """How sure the test is, and when it says something at all.

    Attributes:
        alpha: Probability that a bound is ever wrong, for each of the two bounds.
        min_days: Days with evidence before which there is no verdict.
        planned_days: The number of days at which the bounds are tightest; half and twice as many cost 6 %.
        correlated_days: A day may depend on so many days before it: compromised terminals and cards stay for weeks.
        prior_spread: How much a single fraud is taken to gain or lose (standard deviation) before any day is seen.
            Without it two quiet weeks, in which nothing tells the models apart, would prove that nothing ever does.
        prior_days: As many days this belief is worth.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    min_days: int = Field(default=14, ge=2)
    planned_days: int = Field(default=42, ge=2)
    correlated_days: int = Field(default=7, ge=0)
    prior_spread: float = Field(default=0.2, ge=0, le=1)
    prior_days: int = Field(default=14, ge=0)


@dataclass(frozen=True)
class Bounds:
    """What is known of the mean gain of a day, weighted by frauds.

    Attributes:
        n_days: Days with evidence.
        mean: Their mean; NaN where there are none.
        low: The truth was never below it, with probability 1 - alpha; minus infinity where nothing is known.
        high: The truth was never above it, likewise.
    """

    n_days: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Judgement:
    """A verdict, the bounds it rests on, and the reason for a person."""

    verdict: Verdict
    bounds: Bounds
    reason: str


def bound_gain(gains: Sequence[float | None], weights: Sequence[float], params: SequentialParams) -> Bounds:
    """Bound the weighted mean of daily gains, on all days at once.

    Args:
        gains: Of each day in order, the challenger's metric less the champion's on the same payments; None or NaN
            where one of them has none.
        weights: Of each day how much it counts: its frauds. Days without are left out.
        params: See there.

    Raises:
        ValueError: There is not one weight a gain.
    """
    x = np.array([math.nan if gain is None else gain for gain in gains], np.float64)
    w = np.array(weights, np.float64)
    if x.shape != w.shape:
        raise ValueError(f"expected a weight for each gain, found {w.size} weights for {x.size} gains")
    known = np.isfinite(x) & np.isfinite(w) & (w > 0)
    x, w = x[known], w[known]
    n = x.size
    if n == 0:
        return Bounds(0, math.nan, -math.inf, math.inf)
    offset = x - x[0]  # so that equal gains do not deviate from their mean by rounding
    centre = float(np.average(offset, weights=w))
    deviations = w / w.mean() * (offset - centre)
    margin = _find_margin(deviations, float(w.mean()), params) if n >= params.min_days else math.inf
    mean = float(x[0]) + centre
    return Bounds(n, mean, mean - margin, mean + margin)


def judge_gain(
    gains: Sequence[float | None], weights: Sequence[float], tolerated_loss: float, params: SequentialParams
) -> Judgement:
    """Say whether the challenger is clearly worse, or clearly not worse by more than ``tolerated_loss``, or neither.

    A challenger that is proved to lose is worse, also where it is proved to lose less than what is tolerated. The
    probability of ever calling one not worse that loses ``tolerated_loss`` or more is about alpha at most; so is that
    of ever calling one worse that is as good as the champion.

    Args:
        gains: See :func:`bound_gain`.
        weights: Likewise.
        tolerated_loss: The loss that the gains may have, not negative.
        params: See there.
    """
    bounds = bound_gain(gains, weights, params)
    if bounds.n_days < params.min_days:
        reason = f"{bounds.n_days} days with evidence, a verdict needs {params.min_days}"
        return Judgement(Verdict.CONTINUE, bounds, reason)
    span = f"gain {bounds.mean:+.4f} ({bounds.low:+.4f} to {bounds.high:+.4f}) on {bounds.n_days} days"
    if bounds.high < 0:
        return Judgement(Verdict.WORSE, bounds, f"{span}: it loses")
    if bounds.low > -tolerated_loss:
        return Judgement(Verdict.NOT_WORSE, bounds, f"{span}: it loses at most {tolerated_loss}")
    return Judgement(Verdict.CONTINUE, bounds, f"{span}: neither a loss nor at most {tolerated_loss} of it is proved")


def _find_margin(deviations: Floats, mean_weight: float, params: SequentialParams) -> float:
    """How far the mean may be from the truth: by the days alone, or with the prior belief, whichever is farther."""
    n = deviations.size
    inflation = _find_inflation(deviations, params.correlated_days)
    seen = float(deviations @ deviations) * inflation
    believed = params.prior_days * params.prior_spread**2 / mean_weight
    freedom = n / inflation - 1  # so many independent days know as much, less the one that the mean takes
    slope = math.sqrt(n / params.planned_days)
    normal = math.sqrt(-math.log(params.alpha) / 2) * (slope + 1 / slope)
    return max(
        math.sqrt(seen / (n - 1) / n) * _widen(normal, freedom),
        math.sqrt((seen + believed) / (n - 1 + params.prior_days) / n) * _widen(normal, freedom + params.prior_days),
    )


def _widen(normal: float, freedom: float) -> float:
    """The quantile of Student's t that a normal quantile is worth where the variance is estimated (Wallace 1959)."""
    if freedom <= 0:
        return _BEYOND
    exponent = (normal * (8 * freedom + 3) / (8 * freedom + 1)) ** 2 / freedom
    return math.sqrt(freedom * math.expm1(exponent)) if exponent < 700 else _BEYOND


def _find_inflation(deviations: Floats, n_lags: int) -> float:
    """By what the correlation of the days multiplies the variance of their mean; at least 1."""
    total = float(deviations @ deviations)
    if total == 0:
        return 1.0
    products = (
        (1 - lag / (n_lags + 1)) * float(deviations[lag:] @ deviations[:-lag])
        for lag in range(1, min(n_lags, deviations.size - 1) + 1)
    )
    share = min(n_lags / deviations.size, 1.0)
    # Deviations from their own mean look less correlated than they are, by this factor (Kiefer and Vogelsang 2005).
    hidden = 1 - share + share**2 / 3
    return max(1.0, (1 + 2 * sum(products) / total) / hidden)
