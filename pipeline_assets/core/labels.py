"""Labels of payments: what was known to be fraud by a day, which labels are mature, and the proof that none leaks."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core.checks import Finding, Level

_DELAY = timedelta(days=LABEL_DELAY_DAYS)


def find_test_week(as_of: date, n_days: int = 7) -> date:
    """The first of the latest ``n_days`` whose labels are mature by the beginning of ``as_of``.

    It is also the as-of day of the training set that knows nothing of those days: a model trained as of that day is
    held out from them, in its rows and in its labels.
    """
    return as_of - _DELAY - timedelta(days=n_days)


def label_mature_rows(
    transactions: pl.DataFrame, chargebacks: pl.DataFrame, as_of: date, history_days: int
) -> pl.DataFrame:
    """The payments whose labels are mature as of the beginning of ``as_of``, with ``is_fraud``.

    A row that arrived, or a report that was made or arrived, on or after that moment is not known and not used.

    Args:
        transactions: ``transaction_id``, ``event_time``, ``arrival_date`` and whatever else is to be kept.
        chargebacks: ``transaction_id``, ``reported_at``, ``arrival_date``.
        as_of: The first day that is not known yet, UTC.
        history_days: How far back the payments reach from ``as_of``.

    Returns:
        The payments of [as_of - history, as_of - label delay) in their order, without ``arrival_date``.
    """
    start, end = _begin(as_of) - timedelta(days=history_days), _begin(as_of) - _DELAY
    in_history = pl.col("event_time").is_between(start, end, closed="left")
    known = _find_known_frauds(chargebacks, as_of)
    return (
        transactions.filter(in_history, pl.col("arrival_date") < as_of)
        .drop("arrival_date")
        .with_columns(is_fraud=pl.col("transaction_id").is_in(known.implode()))
    )


def check_labels_are_mature(training_set: pl.DataFrame, chargebacks: pl.DataFrame, as_of: date) -> Finding:
    """Whether no row of a training set is younger than the label delay, and its labels are what was known by then.

    Args:
        training_set: ``transaction_id``, ``event_time``, ``is_fraud``.
        chargebacks: All reports there are now, later ones too: ``transaction_id``, ``reported_at``, ``arrival_date``.
        as_of: The first day that the training set must not know.
    """
    known = pl.col("transaction_id").is_in(_find_known_frauds(chargebacks, as_of).implode())
    n_young, n_from_future, n_overlooked = training_set.select(
        (pl.col("event_time") >= _begin(as_of) - _DELAY).sum().alias("young"),
        (pl.col("is_fraud") & ~known).sum().alias("from_future"),
        (~pl.col("is_fraud") & known).sum().alias("overlooked"),
    ).row(0)
    return Finding(
        passed=n_young == n_from_future == n_overlooked == 0,
        level=Level.ERROR,
        explanation=(
            f"as of {as_of}, of {training_set.height} rows: expected none younger than {LABEL_DELAY_DAYS} days, found "
            f"{n_young}; expected no fraud that was not reported by then, found {n_from_future}; expected no reported "
            f"fraud labelled as honest, found {n_overlooked}; if any, build the training set again"
        ),
        facts={
            "rows": training_set.height,
            "immature_rows": n_young,
            "labels_from_the_future": n_from_future,
            "labels_overlooked": n_overlooked,
        },
    )


def _find_known_frauds(chargebacks: pl.DataFrame, as_of: date) -> pl.Series:
    is_known = (pl.col("reported_at") < _begin(as_of)) & (pl.col("arrival_date") < as_of)
    return chargebacks.filter(is_known)["transaction_id"]


def _begin(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
