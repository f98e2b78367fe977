"""Bins, rows counted into them, and what two counts have to do with each other.

All is of counts, never of rows: counts of days add up to the counts of a week, whatever the order.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]  # rows by bin: the missing values first, then from the lowest bin to the highest
_PSEUDO_ROWS: Final = 0.5  # in each bin, so that an empty one has a logarithm: Jeffreys' prior
_LEAST_VARIANCE: Final = 0.01  # of a share; rarer values weigh no more than those that one row in a hundred has


def make_edges(values: Floats, n_bins: int) -> Floats:
    """Edges between bins that hold about the same number of rows each; a value that more rows share has its own bin.

    The bins are (-inf, first edge], (first edge, second edge], ..., (last edge, inf). Missing values count as none.
    """
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return np.empty(0)
    levels = np.arange(1, n_bins) / n_bins
    ends = np.unique(np.quantile(known, levels, method="inverted_cdf"))
    first, beyond = (np.searchsorted(known, ends, side) for side in ("left", "right"))
    is_own_bin = (first > 0) & ((beyond - first) * n_bins >= known.size)
    return np.unique(np.concatenate([ends, known[first[is_own_bin] - 1]]))


def count_days(values: Floats, day_numbers: npt.NDArray[Any], n_days: int, edges: Floats) -> Counts:
    """How many rows of each day fall into each bin.

    Args:
        values: One a row; NaN where missing.
        day_numbers: The day of each row, from 0 on.
        n_days: How many days there are.
        edges: Ascending; see :func:`make_edges`.

    Returns:
        (n_days, len(edges) + 2).
    """
    n_bins = edges.size + 2
    bins = np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values, side="left"))
    flat = np.bincount(day_numbers.astype(np.int64) * n_bins + bins, minlength=n_days * n_bins)
    return flat.reshape(n_days, n_bins).astype(np.int64)


def compute_psi(reference: Counts, now: Counts) -> float:
    """The population stability index (Siddiqi, Credit Risk Scorecards, 2006), known as Jeffreys' divergence.

    Of samples of n and m rows that differ by chance alone it is about (bins - 1) (1 / n + 1 / m), not 0 (Yurdakul,
    Statistical properties of the population stability index, 2018): so it depends on the sample size.
    """
    p, q = (rows + _PSEUDO_ROWS for rows in (reference, now))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def compute_squared_distance(reference: Counts, now: Counts, *, corrects_chance: bool = True) -> float:
    """The squared difference of two cumulative distributions, averaged over the edges between the bins.

    At each edge it is in squared standard deviations of "a row lies below", as in the test of Anderson and Darling
    (1952), so that tails count; missing values lie below all others. What drawing the rows by chance adds to it is
    taken off, as in the unbiased energy distance (Szekely and Rizzo, 2013): its expected value does not depend on how
    many rows there are, and is 0 where nothing has changed. A single one may then be negative.

    Args:
        reference: Rows by bin, at least 2 in all.
        now: Likewise.
        corrects_chance: Without, it is what it is between these very rows.
    """
    (f, m), (g, n) = (_accumulate(rows) for rows in (reference, now))
    variance = f * (1 - f)
    squares = (g - f) ** 2
    if corrects_chance:
        squares -= variance / (m - 1) + g * (1 - g) / (n - 1)
    # An edge beyond all rows of the reference tells only of values that are new.
    n_edges = max(1, int(np.count_nonzero(variance)))
    return float(np.sum(squares / np.maximum(variance, _LEAST_VARIANCE)) / n_edges)


def _accumulate(rows: Counts) -> tuple[Floats, int]:
    """The share of rows below each edge, and how many rows there are."""
    total = int(rows.sum())
    return np.cumsum(rows)[:-1] / total, total
