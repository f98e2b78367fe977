"""Transactions and chargebacks in, the two feature tables out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import BASE_WINDOWS_DAYS, CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature

if TYPE_CHECKING:  # numba takes half a second to import: only who computes pays
    from pipeline_assets.core.features.history import History

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class FeatureTables:
    """One row a transaction in each: ``arrival_date`` and the columns of the table of that name."""

    customer: pl.DataFrame
    terminal: pl.DataFrame


def compute_features(
    transactions: pl.DataFrame,
    chargebacks: pl.DataFrame,
    first: date,
    last: date,
) -> FeatureTables:
    """Compute the features of all transactions that arrived from ``first`` to ``last``.

    The result for a day depends on the HISTORY_DAYS + MAX_LATENESS_DAYS before it and on the day itself only: whatever
    else the frames hold, and in whatever order, it is the same bit for bit.

    Args:
        transactions: The columns of the table ``transactions`` and ``arrival_date``, the day of each row's partition.
        chargebacks: Likewise.
        first: First day of arrival.
        last: Last day of arrival.

    Returns:
        The two tables, their rows in the order (arrival_date, transaction_id).

    Raises:
        ValueError: A row arrived before its event or more than MAX_LATENESS_DAYS after it.
    """
    from pipeline_assets.core.features.history import build_history

    history = build_history(transactions, chargebacks, first, last)
    customers = _compute_customers(history)
    terminals = _compute_terminals(history, customers["customer_amount_ratio"])
    return FeatureTables(
        customer=_make_table(history, customers, CUSTOMER_FEATURES),
        terminal=_make_table(history, terminals, TERMINAL_FEATURES),
    )


def _compute_customers(history: "History") -> Columns:
    from pipeline_assets.core.features import customer
    from pipeline_assets.core.features.kernels import DAY_US, NEVER

    rows = history.walk("customer_id")
    # Terminals ask of each fraud, wanted or not, whether its amount was usual for the customer.
    needed = rows.wanted | (rows.reported != NEVER)
    counts, totals, statistics = customer.walk_customers(
        rows.starts, needed, rows.time, rows.arrival, rows.lateness, rows.amount, rows.reported, rows.report_day,
        np.array(BASE_WINDOWS_DAYS, np.int64) * DAY_US,
    )  # fmt: skip
    with np.errstate(invalid="ignore"):  # rows that are not needed have no count
        means = totals / counts
    columns: dict[str, npt.NDArray[Any]] = {}
    for i, days in enumerate(BASE_WINDOWS_DAYS):
        columns[f"customer_tx_count_{days}d"] = counts[:, i]
        columns[f"customer_amount_mean_{days}d"] = means[:, i]
    columns["customer_amount_ratio"] = statistics[:, customer.RATIO]
    columns["customer_days_since_outlier"] = statistics[:, customer.DAYS_SINCE_OUTLIER]
    columns["customer_largest_ratio_14d"] = statistics[:, customer.LARGEST_14D]
    columns["customer_outlier_count_7d"] = statistics[:, customer.OUTLIERS_7D]
    return {name: _in_order(rows.order, values) for name, values in columns.items()}


def _compute_terminals(history: "History", amount_ratio: npt.NDArray[Any]) -> Columns:
    from pipeline_assets.core.features import terminal
    from pipeline_assets.core.features.kernels import DAY_US

    rows = history.walk("terminal_id")
    counts, frauds, statistics = terminal.walk_terminals(
        rows.starts, rows.wanted, rows.time, rows.arrival, rows.lateness, amount_ratio[rows.order], rows.reported,
        rows.report_day, np.array(BASE_WINDOWS_DAYS, np.int64) * DAY_US,
    )  # fmt: skip
    columns: dict[str, npt.NDArray[Any]] = {}
    for i, days in enumerate(BASE_WINDOWS_DAYS):
        columns[f"terminal_tx_count_{days}d"] = counts[:, i]
        columns[f"terminal_fraud_share_{days}d"] = frauds[:, i] / np.maximum(counts[:, i], 1)
    columns["terminal_fraud_run"] = statistics[:, terminal.RUN]
    columns["terminal_ordinary_fraud_run"] = statistics[:, terminal.RUN_ORDINARY]
    columns["terminal_days_since_ordinary_fraud"] = statistics[:, terminal.DAYS_SINCE_ORDINARY]
    columns["terminal_least_fraud_ratio"] = statistics[:, terminal.LEAST_RATIO]
    columns["terminal_days_since_honest"] = statistics[:, terminal.DAYS_SINCE_HONEST]
    return {name: _in_order(rows.order, values) for name, values in columns.items()}


def _in_order(order: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    placed = np.empty_like(values)
    placed[order] = values
    return placed


def _make_table(history: "History", columns: Columns, features: tuple[Feature, ...]) -> pl.DataFrame:
    wanted = history.frame["is_wanted"]
    values = {feature.name: _make_series(feature, columns[feature.name][wanted.to_numpy()]) for feature in features}
    return (
        history.frame.select("arrival_date", "transaction_id")
        .filter(wanted)
        .with_columns(**values)
        .sort("arrival_date", "transaction_id")
    )


def _make_series(feature: Feature, values: npt.NDArray[Any]) -> pl.Series:
    return pl.Series(values).fill_nan(None).cast(pl.Int64 if feature.is_integer else pl.Float64)
