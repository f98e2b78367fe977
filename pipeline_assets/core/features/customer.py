"""What a customer's own history says about each of his payments.

"Usual" is his mean payment of late: of the last payments he made in the look-back before this one, those that nobody
has reported, without outliers (twice: the mean, then the mean of what lies below OUTLIER_FACTOR times that).
"""

from typing import Any, Final

import numpy as np
from numba import njit

from pipeline_assets.contracts.features import CUSTOMER_LOOKBACK_DAYS, MAX_LATENESS_DAYS, OUTLIER_FACTOR
from pipeline_assets.core.features.kernels import (
    DAY_US,
    find_latenesses,
    find_report_availability,
    find_row_availability,
    insert_in_order,
    is_visible,
    queue_by,
    sum_windows,
)

LAST_PAYMENTS: Final = 128  # payments looked back on at most, so that a customer with 100,000 a day costs no more a row

RATIO, DAYS_SINCE_OUTLIER, LARGEST_14D, OUTLIERS_7D, N_STATISTICS = range(5)


@njit(cache=True)
def find_usual(amounts: Any, size: int) -> Any:
    """Count and total of the usual ones among the first ``size`` amounts."""
    count, total = size, amounts[:size].sum()
    for _ in range(2):
        kept = kept_total = 0
        for i in range(size):
            if amounts[i] * count <= OUTLIER_FACTOR * total:
                kept += 1
                kept_total += amounts[i]
        count, total = kept, kept_total
    return count, total


@njit(cache=True)
def describe_payment(at: Any, time: Any, amount: Any, honest: Any, size: int, amounts: Any, statistics: Any) -> None:
    """Fill in the statistics of one payment against the ``size`` honest ones before it (positions, in order)."""
    for i in range(size):
        amounts[i] = amount[honest[i]]
    count, total = find_usual(amounts, size)
    last_outlier, largest, outliers = -1, 0, 0
    for i in range(size):
        if amounts[i] * count > OUTLIER_FACTOR * total:
            last_outlier = honest[i]
            if time[honest[i]] > time[at] - 14 * DAY_US:
                largest = max(largest, amounts[i])
            if time[honest[i]] > time[at] - 7 * DAY_US:
                outliers += 1
    statistics[RATIO] = amount[at] * count / total if total > 0 else np.nan
    statistics[DAYS_SINCE_OUTLIER] = CUSTOMER_LOOKBACK_DAYS
    if last_outlier >= 0:
        statistics[DAYS_SINCE_OUTLIER] = time[at] // DAY_US - time[last_outlier] // DAY_US
    statistics[LARGEST_14D] = largest * count / total if total > 0 else 0.0
    statistics[OUTLIERS_7D] = outliers


@njit(cache=True)
def walk_customer(asking: Any, time: Any, amount: Any, available: Any, known_from: Any, statistics: Any) -> None:
    """Fill in the statistics of the asking rows of one customer, given from when each is seen and known as fraud."""
    queue = queue_by(available)
    seen = np.empty(time.size, np.int64)
    honest = np.empty(LAST_PAYMENTS, np.int64)
    amounts = np.empty(LAST_PAYMENTS, np.int64)
    head = size = low = 0
    for i in range(time.size):
        if not asking[i]:
            continue
        while head < time.size and is_visible(available[queue[head]], queue[head], time[i], i):
            size = insert_in_order(seen, size, queue[head], LAST_PAYMENTS + 1)
            head += 1
        before = size - 1  # the last one seen is the row itself
        while low < before and time[seen[low]] <= time[i] - CUSTOMER_LOOKBACK_DAYS * DAY_US:
            low += 1
        n_honest = 0
        for j in range(max(low, before - LAST_PAYMENTS), before):
            if known_from[seen[j]] > time[i]:
                honest[n_honest] = seen[j]
                n_honest += 1
        describe_payment(i, time, amount, honest, n_honest, amounts, statistics[i])


@njit(cache=True)
def walk_customers(
    starts: Any,
    needed: Any,
    time: Any,
    arrival: Any,
    lateness: Any,
    amount: Any,
    reported: Any,
    report_day: Any,
    windows: Any,
) -> Any:
    """Counts and totals over the windows, and the statistics, of the needed rows of all customers."""
    counts = np.zeros((time.size, windows.size), np.int64)
    totals = np.zeros((time.size, windows.size), np.int64)
    statistics = np.full((time.size, N_STATISTICS), np.nan)
    for customer in range(starts.size - 1):
        rows = slice(starts[customer], starts[customer + 1])
        latenesses = find_latenesses(lateness[rows], needed[rows])
        for own in range(MAX_LATENESS_DAYS + 1):
            if not latenesses & (1 << own):
                continue
            asking = needed[rows] & (lateness[rows] == own)
            available = find_row_availability(time[rows], arrival[rows], own)
            sum_windows(
                time[rows],
                asking,
                np.arange(asking.size),
                amount[rows],
                available,
                windows,
                0,
                counts[rows],
                totals[rows],
            )
            known_from = find_report_availability(available, reported[rows], report_day[rows], own)
            walk_customer(asking, time[rows], amount[rows], available, known_from, statistics[rows])
    return counts, totals, statistics
