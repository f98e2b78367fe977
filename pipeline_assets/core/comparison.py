"""Challenger against champion on the same payments: a paired bootstrap of what one gains over the other, and a verdict.

The payments are drawn again by customer, because the frauds of one card are not independent: in each resample every
customer counts as often as a draw from a Poisson distribution with mean 1 says (Chamandy and others, Estimating
Uncertainty for Massive Data Streams, 2012). All scorers are measured on the same resamples, so that what is hard for
all of them cancels out. Weights and counts are integers: neither the order of rows nor the machine changes a digit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.core.costs import tell_money
from pipeline_assets.core.evaluation import EvaluationParams

_SEED: Final = 0  # of the resamples: the same payments are always drawn again in the same way
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.bool_]


class Verdict(StrEnum):
    """What the evidence says of a candidate beside one rival."""

    PROMOTE = "promote"  # it is not worse by more than is tolerated
    HOLD = "hold"  # it is not known
    REJECT = "reject"  # it is clearly worse


@dataclass(frozen=True)
class Resamples:
    """A test set, drawn again many times.

    Attributes:
        customer: Of each payment the place of its customer among all, by id.
        weights: How often each customer counts: a row for each resample, a column for each customer. The first row is
            the test set itself.
    """

    customer: Integers
    weights: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Resampled:
    """One scorer on the resamples; the first value is that of the test set itself.

    Attributes:
        average_precision: Of each resample; NaN where no fraud is in it.
        cost_cents: What the decisions on it cost, as if it had as many payments as the test set; NaN where it is empty.
        n_rows: Payments of the test set.
        n_frauds: Frauds among them.
        n_defrauded: Customers who had them.
    """

    average_precision: Floats
    cost_cents: Floats
    n_rows: int
    n_frauds: int
    n_defrauded: int


@dataclass(frozen=True)
class Interval:
    """A difference on the test set and the two-sided interval of it; the bounds are NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What a candidate gains over one rival on the same payments; positive is better.

    Attributes:
        average_precision: Of the candidate.
        rival_average_precision: Of the rival.
        cost_cents: What the candidate's decisions on the test set cost.
        rival_cost_cents: What the rival's cost.
        gain: In average precision.
        cost_gain_cents: What the candidate's decisions cost less.
        n_frauds: Frauds in the test set.
        n_defrauded: Customers who had them.
    """

    average_precision: float
    rival_average_precision: float
    cost_cents: float
    rival_cost_cents: float
    gain: Interval
    cost_gain_cents: Interval
    n_frauds: int
    n_defrauded: int

    def as_metrics(self) -> Mapping[str, float | None]:
        """The differences by name; None where one is not known."""
        values = {
            "gain": self.gain.value,
            "gain_low": self.gain.low,
            "gain_high": self.gain.high,
            "cost_gain_cents": self.cost_gain_cents.value,
            "cost_gain_low_cents": self.cost_gain_cents.low,
            "cost_gain_high_cents": self.cost_gain_cents.high,
        }
        return {name: None if math.isnan(value) else value for name, value in values.items()}


@dataclass(frozen=True)
class Conclusion:
    """A verdict and why, for a person."""

    verdict: Verdict
    reason: str


def draw_resamples(customers: pl.Series, n_resamples: int) -> Resamples:
    """Draw a test set again; the same customers always give the same resamples, in whatever order their payments are.

    It takes four bytes a customer and resample.

    Args:
        customers: The customer of each payment.
        n_resamples: How often.
    """
    known = customers.unique().sort()
    places = customers.replace_strict(known, pl.int_range(known.len(), eager=True), return_dtype=pl.Int64)
    drawn = np.random.default_rng(_SEED).poisson(1, (n_resamples, known.len()))
    weights = np.vstack([np.ones((1, known.len())), drawn]).astype(np.int32)
    return Resamples(places.to_numpy(), weights)


def resample(resamples: Resamples, labels: Labels, score: Floats, costs: Integers) -> Resampled:
    """Measure one scorer on all resamples, sorting its scores once.

    Args:
        resamples: The test set, drawn again.
        labels: Whether each payment of the test set was a fraud.
        score: The probability of fraud of each.
        costs: What the decision on each cost, in cents.
    """
    n_customers = resamples.weights.shape[1]
    by_customer = np.zeros((2, n_customers), np.int64)
    np.add.at(by_customer[0], resamples.customer, costs)
    np.add.at(by_customer[1], resamples.customer, 1)
    cost, n_rows = (resamples.weights @ one for one in by_customer)  # exact: 64-bit integers
    with np.errstate(invalid="ignore"):
        cost_cents = cost / n_rows * labels.size
    return Resampled(
        average_precision=_resample_average_precision(resamples, labels, score),
        cost_cents=cost_cents,
        n_rows=labels.size,
        n_frauds=int(labels.sum()),
        n_defrauded=np.unique(resamples.customer[labels]).size,
    )


def compare(candidate: Resampled, rival: Resampled, confidence: float) -> Comparison:
    """What a candidate gains over a rival, both measured on the same resamples.

    Args:
        candidate: On the resamples.
        rival: On the same ones.
        confidence: Of the intervals, 0 to 1.
    """
    return Comparison(
        average_precision=float(candidate.average_precision[0]),
        rival_average_precision=float(rival.average_precision[0]),
        cost_cents=float(candidate.cost_cents[0]),
        rival_cost_cents=float(rival.cost_cents[0]),
        gain=_find_interval(candidate.average_precision - rival.average_precision, confidence),
        cost_gain_cents=_find_interval(rival.cost_cents - candidate.cost_cents, confidence),
        n_frauds=candidate.n_frauds,
        n_defrauded=candidate.n_defrauded,
    )


def conclude(comparison: Comparison, params: EvaluationParams) -> Conclusion:
    """The verdict on a candidate beside one rival. Missing or thin evidence holds, whatever the numbers are.

    Promoted is who is not worse by more than is tolerated: the whole interval lies above that loss. Rejected is who is
    clearly worse: the whole interval lies below zero, and the loss itself is more than is tolerated. Costs only ever
    hold: who ranks as well but whose decisions clearly cost more is not promoted, but a few large frauds make up most
    of the costs of a week, so that they reject nobody.

    Measured on 200 simulated weeks of 70 frauds each, with a tolerated loss of 0.02 and intervals of 90 %: of equal
    models 62 % were promoted and 2 % rejected; of models worse by 0.05 none was promoted, and 84 % were rejected.

    Args:
        comparison: What was measured.
        params: What is tolerated, and how much evidence is enough.
    """
    gain, cost = comparison.gain, comparison.cost_gain_cents
    told, tolerated_loss = _tell(comparison), params.tolerated_loss
    tolerated_cost = params.tolerated_cost_share * comparison.rival_cost_cents
    if comparison.n_frauds < params.min_frauds:
        return Conclusion(Verdict.HOLD, f"{told}: evidence needs {params.min_frauds} frauds")
    # Written so that what is not a number holds.
    if not all(math.isfinite(value) for one in (gain, cost) for value in (one.value, one.low, one.high)):
        return Conclusion(Verdict.HOLD, f"{told}: too few customers had frauds for an interval")
    if gain.high < 0 and gain.value < -tolerated_loss:
        return Conclusion(Verdict.REJECT, f"{told}: clearly worse, by more than the tolerated {tolerated_loss}")
    if cost.high < 0 and cost.value < -tolerated_cost:
        return Conclusion(
            Verdict.HOLD,
            f"{told}: its decisions clearly cost more, by {tell_money(-cost.value)} ({tell_money(-cost.high)} to "
            f"{tell_money(-cost.low)}) on {tell_money(comparison.rival_cost_cents)}; tolerated are "
            f"{tell_money(tolerated_cost)}",
        )
    if min(gain.low, gain.value) > -tolerated_loss:
        return Conclusion(Verdict.PROMOTE, f"{told}: not worse by more than the tolerated {tolerated_loss}")
    return Conclusion(
        Verdict.HOLD, f"{told}: this week cannot tell whether it is worse by more than the tolerated {tolerated_loss}"
    )


def _resample_average_precision(resamples: Resamples, labels: Labels, score: Floats) -> Floats:
    from scipy.sparse import csr_array  # scipy comes with scikit-learn

    # Precision is needed at the scores of frauds alone. So payments are counted, by customer, in as many steps as there
    # are such scores: those from one of them on up to the next higher one. Equal scores share a step.
    thresholds = np.unique(score[labels])
    step = thresholds.size - np.searchsorted(thresholds, score, side="right")  # 0 is the highest
    n_steps, n_customers = thresholds.size, resamples.weights.shape[1]

    def count(chosen: Labels) -> Integers:
        rows = np.flatnonzero(chosen & (step < n_steps))
        places = (step[rows], resamples.customer[rows])
        by_customer = csr_array((np.ones(rows.size, np.int32), places), shape=(n_steps, n_customers))
        counts: Integers = (by_customer @ resamples.weights.T).astype(np.int64)
        return counts  # a row for each step, a column for each resample

    frauds, payments = count(labels), count(np.ones_like(labels))
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(np.cumsum(frauds, axis=0) / np.cumsum(payments, axis=0))  # none flagged, none found
        average: Floats = (precision * frauds).sum(axis=0) / frauds.sum(axis=0)
    return average


def _find_interval(differences: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences[1:], [tail, 1 - tail])  # NaN where one of them is: no interval at all
    return Interval(float(differences[0]), float(low), float(high))


def _tell(found: Comparison) -> str:
    interval = f"interval {found.gain.low:+.4f} to {found.gain.high:+.4f}"
    return (
        f"average precision {found.average_precision:.4f} against {found.rival_average_precision:.4f}, "
        f"{found.gain.value:+.4f} ({interval}), on {found.n_frauds} frauds of {found.n_defrauded} customers"
    )
