"""Evaluation by the protocol of the Fraud Detection Handbook (chapters 3 to 5): consistent numbers or no report."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS

_CALIBRATION_BINS: Final = 10
_CURVE_POINTS: Final = 200  # of the precision-recall curve that is kept for plotting
_TOLERANCE: Final = 1e-9  # rounding of sums of doubles
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


class InconsistentReportError(ValueError):
    """The numbers of a report contradict each other; there is no report."""


class InvalidScoresError(InconsistentReportError):
    """Scores are no probabilities: whoever gave them is broken, and there is no report of it."""


class NothingToEvaluateError(ValueError):
    """The test set has no payment, no fraud, or nothing but frauds: no metric is defined."""


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class EvaluationParams:
    """How models are compared.

    Attributes:
        top_cards: Cards that can be investigated a day, the k of card precision@k.
        compared_models: How many earlier models are evaluated beside the candidate.
        known_card_days: Cards with a fraud in so many days before the test week leave it when that fraud is known;
            the default is the Handbook's: its training week and the label delay.
        resamples: How often the test week is drawn again for the interval of a difference.
        confidence: Of that interval, which is two-sided.
        tolerated_loss: Average precision that a candidate may have less than a rival for a verdict to promote it.
        tolerated_cost_share: What its decisions may clearly cost more than the rival's, as a share of these.
        min_frauds: Frauds of the test week below which every verdict is to hold.
    """

    top_cards: int = Field(default=100, gt=0)
    compared_models: int = Field(default=8, ge=2)
    known_card_days: int = Field(default=14, ge=1)
    resamples: int = Field(default=300, ge=100, le=10_000)
    confidence: float = Field(default=0.9, gt=0, lt=1)
    tolerated_loss: float = Field(default=0.02, ge=0, lt=1)
    tolerated_cost_share: float = Field(default=0.05, ge=0)
    min_frauds: int = Field(default=50, ge=1)


@dataclass(frozen=True)
class TestSet:
    """The payments of a test period that count, and how many do not because their card was known as compromised."""

    __test__ = False  # pytest would take it for a test

    rows: pl.DataFrame
    n_removed: int
    n_known_cards: int


@dataclass(frozen=True)
class Evaluation:
    """The report of one scorer on one test set.

    Attributes:
        first: First day of the test period.
        last: Its last day.
        n_rows: Payments that count.
        n_removed: Payments left out, because their card was known as compromised.
        n_known_cards: Those cards.
        n_frauds: Frauds among those that count.
        n_cards: Cards among them.
        roc_auc: Area under the ROC curve.
        average_precision: Area under the precision-recall curve, by steps.
        card_precision: Card precision@k, mean of the days.
        card_precision_reachable: What a perfect ranking would have.
        brier: Mean squared error of the score as a probability.
        log_loss: Mean negative log likelihood.
        calibration_error: Mean distance of score and fraud rate over bins of equal size.
        calibration: Of each bin the mean score, the fraud rate, and the number of rows.
        curve: Points of the precision-recall curve: recall and precision.
    """

    first: date
    last: date
    n_rows: int
    n_removed: int
    n_known_cards: int
    n_frauds: int
    n_cards: int
    roc_auc: float
    average_precision: float
    card_precision: float
    card_precision_reachable: float
    brier: float
    log_loss: float
    calibration_error: float
    calibration: tuple[tuple[float, float, int], ...]
    curve: tuple[tuple[float, float], ...]

    @property
    def fraud_rate(self) -> float:
        """Share of frauds among the payments that count: what a score without any skill has as average precision."""
        return self.n_frauds / self.n_rows

    @property
    def card_precision_share(self) -> float:
        """Card precision@k as a share of the reachable maximum."""
        return self.card_precision / self.card_precision_reachable

    def as_metrics(self) -> Mapping[str, float]:
        """The scalar numbers by name."""
        names = (
            "n_rows", "n_removed", "n_known_cards", "n_frauds", "n_cards", "fraud_rate", "roc_auc", "average_precision",
            "card_precision", "card_precision_reachable", "card_precision_share", "brier", "log_loss",
            "calibration_error",
        )  # fmt: skip
        return {name: float(getattr(self, name)) for name in names}


def select_test_rows(labelled: pl.DataFrame, first: date, n_days: int, known_since: date) -> TestSet:
    """The payments of ``n_days`` from ``first`` on whose cards were not known as compromised on their day.

    On a test day, the cards of all frauds from ``known_since`` up to the label delay before that day are known
    (Handbook, chapter 3: get_train_test_set, with the training week as the beginning).

    Args:
        labelled: ``event_time``, ``customer_id``, ``is_fraud`` and whatever else is to be kept; one row a payment.
        first: First test day, UTC.
        n_days: Length of the test period.
        known_since: First day of the frauds that count as known.
    """
    rows = labelled.with_columns(day=pl.col("event_time").dt.date())
    period = rows.filter(pl.col("day").is_between(first, first + timedelta(days=n_days - 1)))
    found = (
        rows.filter(pl.col("is_fraud") & (pl.col("day") >= known_since))
        .group_by("customer_id")
        .agg(known_on=pl.col("day").min() + timedelta(days=LABEL_DELAY_DAYS + 1))
    )
    judged = period.join(found, on="customer_id", how="left", maintain_order="left")
    is_known = (pl.col("known_on") <= pl.col("day")).fill_null(value=False)
    kept = judged.filter(~is_known)
    return TestSet(
        rows=kept.drop("known_on", "day"),
        n_removed=judged.height - kept.height,
        n_known_cards=judged.filter(is_known)["customer_id"].n_unique(),
    )


def measure_average_precision(labels: Labels, score: Floats) -> float | None:
    """Area under the precision-recall curve, by steps, whatever the order of rows; None where there is no fraud."""
    from sklearn import metrics

    canonical = np.lexsort((labels, score))
    return float(metrics.average_precision_score(labels[canonical], score[canonical])) if labels.any() else None


def measure_card_precision(rows: pl.DataFrame, k: int) -> float:
    """Card precision@k: of the k cards with the highest scores of a day, the share that had a fraud; mean of the days.

    Cards found fraudulent on earlier days are out (Handbook, chapter 4). Ties are broken by the card's id. A day with
    fewer than k cards still divides by k, as there.

    Args:
        rows: ``event_time``, ``customer_id``, ``is_fraud``, ``score``.
        k: Cards that can be investigated a day.
    """
    cards = (
        rows.group_by(pl.col("event_time").dt.date().alias("day"), "customer_id")
        .agg(pl.col("score").max(), pl.col("is_fraud").any())
        .sort("day", pl.col("score"), "customer_id", descending=[False, True, False])
    )
    found: set[str] = set()
    precisions = []
    for day in cards.partition_by("day", maintain_order=True):
        top = day.filter(~pl.col("customer_id").is_in(list(found))).head(k)
        frauds = top.filter("is_fraud")["customer_id"].to_list()
        found.update(frauds)
        precisions.append(len(frauds) / k)
    return float(np.mean(precisions)) if precisions else 0.0


def find_reachable_card_precision(rows: pl.DataFrame, k: int) -> float:
    """The greatest card precision@k that any ranking could have: each card is found at most once, k a day.

    It is the size of a maximum matching between cards and places of the days on which they had a fraud.
    """
    from scipy.sparse import csr_array  # scipy comes with scikit-learn
    from scipy.sparse.csgraph import maximum_bipartite_matching

    day = pl.col("event_time").dt.date().rank("dense") - 1
    n_days = rows["event_time"].dt.date().n_unique()
    frauds = (
        rows.select(day.alias("day"), card=pl.col("customer_id").rank("dense") - 1, is_fraud="is_fraud")
        .filter("is_fraud")
        .unique(["day", "card"])
    )
    if frauds.is_empty():
        return 0.0
    cards = np.repeat(frauds["card"].to_numpy(), k)
    places = (frauds["day"].to_numpy()[:, None] * k + np.arange(k)).ravel()
    graph = csr_array((np.ones(cards.size, np.int8), (cards, places)), shape=(int(cards.max()) + 1, n_days * k))
    found = maximum_bipartite_matching(graph, perm_type="column")
    return float((found >= 0).sum() / (k * n_days))


def evaluate(test: TestSet, score: Floats, top_cards: int) -> Evaluation:
    """Evaluate scores on a test set; all metrics are scikit-learn's but card precision@k.

    Args:
        test: The payments that count.
        score: The probability of fraud of each of its rows.
        top_cards: The k of card precision@k.

    Raises:
        NothingToEvaluateError: The test set has no fraud, or nothing else.
        InvalidScoresError: A score is not between 0 and 1.
        InconsistentReportError: There are more or fewer scores than payments, or the numbers contradict each other.
    """
    from sklearn import metrics

    labels = test.rows["is_fraud"].to_numpy()
    _check_inputs(labels, score)
    rows = test.rows.select("event_time", "customer_id", "is_fraud").with_columns(score=pl.Series(score))
    canonical = np.lexsort((labels, score))  # sums of doubles depend on their order, a report must not on that of rows
    labels, score = labels[canonical], score[canonical]
    precision, recall, _ = metrics.precision_recall_curve(labels, score)
    calibration = _calibrate(labels, score)
    days = rows["event_time"].dt.date()
    report = Evaluation(
        first=_day(days.min()),
        last=_day(days.max()),
        n_rows=rows.height,
        n_removed=test.n_removed,
        n_known_cards=test.n_known_cards,
        n_frauds=int(labels.sum()),
        n_cards=rows["customer_id"].n_unique(),
        roc_auc=float(metrics.roc_auc_score(labels, score)),
        average_precision=float(metrics.average_precision_score(labels, score)),
        card_precision=measure_card_precision(rows, top_cards),
        card_precision_reachable=find_reachable_card_precision(rows, top_cards),
        brier=float(np.mean((score - labels) ** 2)),
        log_loss=float(metrics.log_loss(labels, np.clip(score, 1e-15, 1 - 1e-15))),
        calibration_error=sum(n * abs(mean - rate) for mean, rate, n in calibration) / rows.height,
        calibration=calibration,
        curve=_thin(recall, precision),
    )
    _check_consistency(report, float(-np.sum(np.diff(recall) * precision[:-1])))
    return report


def _check_inputs(labels: Labels, score: Floats) -> None:
    if labels.size == 0 or not labels.any() or labels.all():
        raise NothingToEvaluateError(
            f"expected payments of both kinds in the test set, found {int(labels.sum())} frauds among {labels.size}; "
            "choose a longer test period"
        )
    if score.shape != labels.shape:
        raise InconsistentReportError(f"expected one score a payment, found {score.size} scores for {labels.size}")
    if not ((score >= 0) & (score <= 1)).all():
        raise InvalidScoresError("expected scores between 0 and 1, found others or NaN: the model is broken")


def _calibrate(labels: Labels, score: Floats) -> tuple[tuple[float, float, int], ...]:
    # Equal scores share a bin, so that neither the order of rows nor the place of a boundary decides who is in it.
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    bins = (middle * _CALIBRATION_BINS / score.size).astype(np.int64)
    rows = np.bincount(bins, counts)
    means = np.bincount(bins, values * counts)[rows > 0] / rows[rows > 0]
    rates = np.bincount(bins[inverse], labels)[rows > 0] / rows[rows > 0]
    return tuple(zip(means.tolist(), rates.tolist(), rows[rows > 0].astype(int).tolist(), strict=True))


def _thin(recall: Floats, precision: Floats) -> tuple[tuple[float, float], ...]:
    # Points evenly spaced in recall, because the curve has as many as there are scores, nearly all of them at its end.
    rising, steps = recall[::-1], np.linspace(0, 1, _CURVE_POINTS)
    chosen = np.unique(np.searchsorted(rising, steps).clip(0, len(rising) - 1))
    return tuple((float(rising[i]), float(precision[::-1][i])) for i in chosen)


def _check_consistency(report: Evaluation, area: float) -> None:
    claims = {
        "every metric is finite": all(np.isfinite(value) for value in report.as_metrics().values()),
        "areas and shares lie between 0 and 1": all(
            -_TOLERANCE <= value <= 1 + _TOLERANCE
            for value in (report.roc_auc, report.average_precision, report.card_precision, report.calibration_error)
        ),
        "average precision is the area under the curve": abs(area - report.average_precision) < _TOLERANCE,
        "card precision does not exceed the reachable maximum": report.card_precision
        <= report.card_precision_reachable + _TOLERANCE,
        "the calibration bins hold all rows": sum(n for _, _, n in report.calibration) == report.n_rows,
        "the calibration bins hold all frauds": abs(
            sum(rate * n for _, rate, n in report.calibration) - report.n_frauds
        )
        < _TOLERANCE * report.n_rows,
        "cards are no more than payments": 0 < report.n_cards <= report.n_rows,
        "the squared error is at least that of the fraud rates of the bins": report.brier
        >= sum(n * (mean - rate) ** 2 for mean, rate, n in report.calibration) / report.n_rows - _TOLERANCE,
    }
    broken = [claim for claim, holds in claims.items() if not holds]
    if broken:
        raise InconsistentReportError(f"no report: these do not hold: {'; '.join(broken)}: {dict(report.as_metrics())}")


def _day(value: Any) -> date:
    assert isinstance(value, date)
    return value
