"""The training reference: bins, how many rows each holds, and how far weeks lie apart while nothing is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import DRIFT_REFERENCE
from pipeline_assets.core.drift.bins import Counts, Floats, compute_squared_distance, count_days, make_edges
from pipeline_assets.core.drift.params import DAYS_A_WEEK, MIN_WINDOWS, DriftParams
from pipeline_assets.core.features import MODEL_FEATURES, make_model_inputs
from pipeline_assets.core.fraud_model import FEATURE_GROUPS, Flags, ModelFailedError, ModelTimeoutError, lacks

SCORE: Final = "score"
SUBJECTS: Final = (*MODEL_FEATURES, SCORE)
Predict = Callable[[Floats], Floats]  # the model's inputs -> the score of each row
_GAP_WEEKS: Final = 1  # between a window and what it is compared with: in life, at least a label delay lies there


@dataclass(frozen=True)
class SubjectReference:
    """What one feature, or the score, looked like.

    Attributes:
        edges: Between the bins, ascending.
        rows: In each bin.
        noise: The mean squared distance of windows in the reference; None where there are too few to tell.
        n_windows: How many there were.
        window_rows: Rows of one of them, on average.
    """

    edges: Floats
    rows: Counts
    noise: float | None
    n_windows: int
    window_rows: float


Reference = Mapping[str, SubjectReference]


def build_reference(
    training_set: pl.DataFrame, unseen: pl.DataFrame, predict: Predict, as_of: date, params: DriftParams
) -> Reference:
    """The reference of the model as of a day: of each feature, the latest weeks of what the model was trained on.

    The scores of rows that a model was trained on are not like those of others. So what the score looked like is taken
    from ``unseen``, and from the training set only how much it differs from week to week.

    Args:
        training_set: The table ``training_set`` as of that day.
        unseen: What arrived within the label delay before that day, with its features: the week that comes after
            the training set.
        predict: The model.
        as_of: The day.
        params: See there.

    Returns:
        By subject; those with fewer than ``min_rows`` rows are not in it.
    """
    end = datetime.combine(as_of, datetime.min.time(), UTC) - timedelta(days=LABEL_DELAY_DAYS)
    first = end - timedelta(days=params.reference_weeks * DAYS_A_WEEK)
    rows = training_set.filter(pl.col("event_time").is_between(first, end, closed="left"))
    week_numbers = ((rows["event_time"] - first).dt.total_days() // DAYS_A_WEEK).to_numpy()
    values, known = compute_subjects(rows, predict)
    # What arrived late may be older than that, and have been trained on.
    later, is_known_later = compute_subjects(unseen.filter(pl.col("event_time") >= end), predict)
    reference = {}
    for column, subject in enumerate(SUBJECTS):
        is_known = known[:, column]
        own, numbers = values[:, column][is_known], week_numbers[is_known]
        if subject == SCORE:
            new = later[:, column][is_known_later[:, column]]
            edges = make_edges(new, params.n_bins)
            counts = count_days(new, np.zeros(new.size, np.int64), 1, edges)[0]
        else:
            edges = make_edges(own, params.n_bins)
            counts = count_days(own, np.zeros(own.size, np.int64), 1, edges)[0]
        weeks = count_days(own, numbers, params.reference_weeks, edges)
        if counts.sum() >= params.min_rows:
            reference[subject] = measure_weeks(edges, counts, weeks, params, is_one_week=subject == SCORE)
    return reference


def compute_subjects(payments: pl.DataFrame, predict: Predict | None) -> tuple[Floats, Flags]:
    """What is compared, a row a payment and a column for each of SUBJECTS, and where it is known.

    Not known is what comes from a feature table that lacks the payment, and with it the score. A feature that is
    missing in its table is known to be.

    Args:
        payments: As :func:`make_model_inputs` takes them.
        predict: The model; without, no score is known.
    """
    inputs = make_model_inputs(payments)
    known = np.ones((len(inputs), len(SUBJECTS)), np.bool_)
    for group in FEATURE_GROUPS:
        is_absent = payments.select(lacks(group)).to_series().to_numpy()
        columns = [SUBJECTS.index(name) for name in (*(feature.name for feature in group), SCORE)]
        known[np.ix_(is_absent, np.array(columns))] = False
    is_scored = known[:, -1] if predict is not None else np.zeros(len(inputs), np.bool_)
    scores = np.full((len(inputs), 1), np.nan)
    if predict is not None and is_scored.any():
        scores[is_scored, 0] = predict(inputs[is_scored])
    known[:, -1] = is_scored
    return np.hstack([inputs, scores]), known


def count_payments(
    payments: pl.DataFrame, first: date, n_days: int, reference: Reference, predict: Predict | None
) -> Mapping[str, Counts]:
    """Of each subject of the reference, how many payments of each day fall into each bin: (n_days, bins).

    Args:
        payments: As :func:`make_model_inputs` takes them, and ``arrival_date``: the day for which they count.
        first: The first day; none may have arrived before it.
        n_days: How many days there are; none may have arrived after them.
        reference: The bins.
        predict: The model; None where it cannot be had. Then, or where it does not answer, no score is counted.
    """
    try:
        values, known = compute_subjects(payments, predict)
    except (ModelFailedError, ModelTimeoutError):
        values, known = compute_subjects(payments, None)
    numbers: npt.NDArray[np.int64] = (payments["arrival_date"] - first).dt.total_days().to_numpy()
    counts = {}
    for subject, one in reference.items():
        column = SUBJECTS.index(subject)
        is_known = known[:, column]
        counts[subject] = count_days(values[:, column][is_known], numbers[is_known], n_days, one.edges)
    return counts


def write_reference(reference: Reference) -> pl.DataFrame:
    """The reference as the table ``drift_reference``."""
    rows: list[tuple[str, str, float]] = []
    for subject, one in reference.items():
        rows += [(subject, f"edge_{number:03d}", edge) for number, edge in enumerate(one.edges.tolist())]
        rows += [(subject, f"rows_{number:03d}", float(n)) for number, n in enumerate(one.rows.tolist())]
        rows += [(subject, "n_windows", float(one.n_windows)), (subject, "window_rows", one.window_rows)]
        rows += [(subject, "noise", one.noise)] if one.noise is not None else []
    return pl.DataFrame(rows, DRIFT_REFERENCE.empty().schema, orient="row").sort(DRIFT_REFERENCE.order)


def read_reference(table: pl.DataFrame) -> Reference:
    """The reference that :func:`write_reference` wrote."""
    found: dict[str, dict[str, float]] = {}
    for subject, metric, value in table.sort(DRIFT_REFERENCE.order).iter_rows():
        found.setdefault(subject, {})[metric] = value
    return {
        subject: SubjectReference(
            edges=np.array([value for name, value in metrics.items() if name.startswith("edge_")], np.float64),
            rows=np.array([value for name, value in metrics.items() if name.startswith("rows_")], np.int64),
            noise=metrics.get("noise"),
            n_windows=int(metrics["n_windows"]),
            window_rows=metrics["window_rows"],
        )
        for subject, metrics in found.items()
    }


def measure_weeks(
    edges: Floats, rows: Counts, weeks: Counts, params: DriftParams, *, is_one_week: bool
) -> SubjectReference:
    """How far windows of the reference lie apart, measured as a later one will be.

    That is each of them against all other weeks together that do not touch it; where the reference is one week
    (``is_one_week``), against each of those weeks alone.
    """
    is_enough = weeks.sum(axis=1) >= params.min_rows
    window_rows, squares = [], []
    for first in range(0, len(weeks) - params.window_weeks + 1, params.window_weeks):
        beyond = first + params.window_weeks
        if is_enough[first:beyond].all():
            window = weeks[first:beyond].sum(axis=0)
            others = np.concatenate([weeks[: max(0, first - _GAP_WEEKS)], weeks[beyond + _GAP_WEEKS :]])
            others = others[others.sum(axis=1) >= params.min_rows]
            compared = others if is_one_week or not len(others) else others.sum(axis=0, keepdims=True)
            squares += [compute_squared_distance(one, window, corrects_chance=False) for one in compared]
            window_rows.append(int(window.sum()))
    can_tell = len(window_rows) >= MIN_WINDOWS and bool(squares)
    return SubjectReference(
        edges=edges,
        rows=rows,
        noise=float(np.mean(squares)) if can_tell else None,
        n_windows=len(window_rows),
        window_rows=float(np.mean(window_rows)) if window_rows else 0.0,
    )
