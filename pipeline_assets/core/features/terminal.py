"""What a terminal's history says about each payment there, as far as it was known by then.

A payment's label is known as fraud from its report on, and as honest when it is mature and unreported. The run is the
known frauds since the last honest one. A fraud is ordinary when its amount was no outlier for its customer: it tells of
the terminal, where one with an outlying amount tells of the customer.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from pipeline_assets.contracts.features import (
    LABEL_DELAY_DAYS,
    MAX_LATENESS_DAYS,
    OUTLIER_FACTOR,
    TERMINAL_LOOKBACK_DAYS,
)
from pipeline_assets.core.features.kernels import (
    DAY_US,
    NEVER,
    find_latenesses,
    find_report_availability,
    find_row_availability,
    insert_in_order,
    is_visible,
    queue_by,
    sum_windows,
)

LAST_FRAUDS: Final = 128  # known frauds looked back on at most: see LAST_PAYMENTS
DELAY_US: Final = LABEL_DELAY_DAYS * DAY_US
LOOKBACK_US: Final = TERMINAL_LOOKBACK_DAYS * DAY_US

RUN, RUN_ORDINARY, DAYS_SINCE_ORDINARY, LEAST_RATIO, DAYS_SINCE_HONEST, N_STATISTICS = range(6)


@njit(cache=True)
def find_unknown(at: int, parent: Any, is_known: Any) -> int:
    """The last position up to ``at`` that is not known as fraud, or -1; shortens the way for the next search."""
    while at >= 0 and is_known[at]:
        if parent[at] >= 0 and is_known[parent[at]]:
            parent[at] = parent[parent[at]]
        at = parent[at]
    return at


@njit(cache=True)
def describe_run(at: int, honest: int, time: Any, ratio: Any, frauds: Any, size: int, statistics: Any) -> None:
    """Fill in the statistics of one payment, given the last honest one and the known frauds (positions, in order)."""
    oldest = time[at] - LOOKBACK_US
    run = ordinary = 0
    first_ordinary, least = -1, np.inf
    for i in range(size - 1, max(size - LAST_FRAUDS, 0) - 1, -1):
        fraud = frauds[i]
        if fraud <= honest or time[fraud] <= oldest:
            break
        run += 1
        if not np.isnan(ratio[fraud]):  # as it is where the customer had no history
            least = min(least, ratio[fraud])
        if ratio[fraud] <= OUTLIER_FACTOR:
            ordinary += 1
            first_ordinary = fraud
    statistics[RUN] = run
    statistics[RUN_ORDINARY] = ordinary
    statistics[DAYS_SINCE_ORDINARY] = TERMINAL_LOOKBACK_DAYS
    if first_ordinary >= 0:
        statistics[DAYS_SINCE_ORDINARY] = time[at] // DAY_US - time[first_ordinary] // DAY_US
    statistics[LEAST_RATIO] = least if least < np.inf else np.nan
    statistics[DAYS_SINCE_HONEST] = TERMINAL_LOOKBACK_DAYS
    if honest >= 0 and time[honest] > oldest:
        statistics[DAYS_SINCE_HONEST] = time[at] // DAY_US - time[honest] // DAY_US


@njit(cache=True)
def walk_terminal(asking: Any, time: Any, ratio: Any, fraud: Any, known_from: Any, statistics: Any) -> None:
    """Fill in the statistics of the asking rows of one terminal, given its frauds and from when each is known."""
    queue = queue_by(known_from)
    frauds = np.empty(fraud.size, np.int64)
    is_known = np.zeros(time.size, np.bool_)
    parent = np.arange(-1, time.size - 1)
    head = size = mature = 0
    for i in range(time.size):
        if not asking[i]:
            continue
        while head < fraud.size and is_visible(known_from[queue[head]], fraud[queue[head]], time[i], i - 1):
            size = insert_in_order(frauds, size, fraud[queue[head]], LAST_FRAUDS)
            is_known[fraud[queue[head]]] = True
            head += 1
        while mature < time.size and time[mature] <= time[i] - DELAY_US:
            mature += 1
        honest = find_unknown(mature - 1, parent, is_known)
        describe_run(i, honest, time, ratio, frauds, size, statistics[i])


@njit(cache=True)
def walk_terminals(
    starts: Any,
    needed: Any,
    time: Any,
    arrival: Any,
    lateness: Any,
    ratio: Any,
    reported: Any,
    report_day: Any,
    windows: Any,
) -> Any:
    """Counts of payments and of frauds over the windows, and the statistics, of the needed rows of all terminals."""
    counts = np.zeros((time.size, windows.size), np.int64)
    frauds = np.zeros((time.size, windows.size), np.int64)
    ignored = np.zeros((time.size, windows.size), np.int64)
    statistics = np.full((time.size, N_STATISTICS), np.nan)
    for terminal in range(starts.size - 1):
        rows = slice(starts[terminal], starts[terminal + 1])
        latenesses = find_latenesses(lateness[rows], needed[rows])
        fraud = np.flatnonzero(reported[rows] != NEVER)
        for own in range(MAX_LATENESS_DAYS + 1):
            if not latenesses & (1 << own):
                continue
            asking = needed[rows] & (lateness[rows] == own)
            # No row comes later than a label takes to mature: whatever is in these windows has come in.
            every = np.arange(asking.size)
            sum_windows(
                time[rows], asking, every, every, time[rows] + DELAY_US, windows, DELAY_US, counts[rows], ignored[rows]
            )
            available = find_row_availability(time[rows], arrival[rows], own)
            known_from = find_report_availability(available, reported[rows], report_day[rows], own)[fraud]
            mature_from = np.maximum(known_from, time[rows][fraud] + DELAY_US)
            sum_windows(
                time[rows],
                asking,
                fraud,
                np.ones_like(fraud),
                mature_from,
                windows,
                DELAY_US,
                frauds[rows],
                ignored[rows],
            )
            walk_terminal(asking, time[rows], ratio[rows], fraud, known_from, statistics[rows])
    return counts, frauds, statistics
