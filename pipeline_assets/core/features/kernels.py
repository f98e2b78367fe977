"""What the walks over customers and over terminals share. Sums are of integers, so the order of rows cannot matter.

A row that came in ``own`` days after its event sees what had come in by then, which is more than rows of the same
event day saw that came in at once. For rows of one and the same lateness, what is visible only grows with event time,
so each entity is walked once for every lateness that occurs in it (nearly always 0 alone): exact, and linear.
"""

from typing import Any, Final

import numpy as np
from numba import njit

DAY_US: Final = 86_400_000_000  # microseconds
NEVER: Final = np.iinfo(np.int64).max  # the time of what did not happen


@njit(cache=True)
def group_positions(codes: Any, n_groups: int) -> Any:
    """Positions of the rows, group after group, each in the order of rows; and where each group begins."""
    starts = np.zeros(n_groups + 1, np.int64)
    for code in codes:
        starts[code + 1] += 1
    for group in range(n_groups):
        starts[group + 1] += starts[group]
    order = np.empty(codes.size, np.int64)
    free = starts.copy()
    for position in range(codes.size):
        order[free[codes[position]]] = position
        free[codes[position]] += 1
    return order, starts


@njit(cache=True)
def find_latenesses(lateness: Any, needed: Any) -> int:
    """The latenesses of the needed rows, as bits."""
    bits = 0
    for i in range(lateness.size):
        if needed[i]:
            bits |= 1 << lateness[i]
    return bits


@njit(cache=True)
def find_row_availability(time: Any, arrival: Any, own: int) -> Any:
    """From which event time on each row is seen by rows of lateness ``own`` that follow it."""
    available = np.empty(time.size, np.int64)
    for i in range(time.size):
        available[i] = max(time[i], (arrival[i] - own) * DAY_US)
    return available


@njit(cache=True)
def find_report_availability(available: Any, reported: Any, report_day: Any, own: int) -> Any:
    """Likewise, from when it is known that a row was reported as fraud: not before the row itself is seen."""
    known = np.full(available.size, NEVER, np.int64)
    for i in range(available.size):
        if reported[i] != NEVER:
            known[i] = max(available[i], reported[i], (report_day[i] - own) * DAY_US)
    return known


@njit(cache=True)
def queue_by(available: Any) -> Any:
    """The items in the order in which they become visible; ties in the order of items."""
    for i in range(1, available.size):
        if available[i] < available[i - 1]:
            return np.argsort(available, kind="mergesort")
    return np.arange(available.size)


@njit(cache=True)
def is_visible(available: int, position: int, now: int, at: int) -> bool:
    """Whether an item is seen by the row at position ``at`` and time ``now``: rows of the same time go by position."""
    return available < now or (available == now and position <= at)


@njit(cache=True)
def sum_windows(
    time: Any, asking: Any, item: Any, value: Any, available: Any, windows: Any, delay: int, counts: Any, totals: Any
) -> None:
    """Fill in, for the asking rows, count and total of the visible items with time in (t - delay - w, t - delay].

    Args:
        time: Event times of the entity's rows, ascending.
        asking: Which of them ask.
        item: Positions of the items among the rows, ascending.
        value: What each item adds to the total.
        available: From when each item is visible; at least its time + delay.
        windows: The lengths w in microseconds.
        delay: In microseconds.
        counts: Filled, a row for each row and a column for each window.
        totals: Filled likewise.
    """
    queue = queue_by(available)
    for column in range(windows.size):
        reach = delay + windows[column]
        inside = np.zeros(item.size, np.bool_)
        head = low = count = total = 0
        for i in range(time.size):
            if not asking[i]:
                continue
            while low < item.size and time[item[low]] <= time[i] - reach:
                if inside[low]:
                    count -= 1
                    total -= value[low]
                low += 1
            while head < item.size and is_visible(available[queue[head]], item[queue[head]], time[i], i):
                if queue[head] >= low:
                    inside[queue[head]] = True
                    count += 1
                    total += value[queue[head]]
                head += 1
            counts[i, column] = count
            totals[i, column] = total


@njit(cache=True)
def insert_in_order(listed: Any, size: int, position: int, depth: int) -> int:
    """Put a position into the ascending list; return the new size.

    One that ``depth`` later ones follow is left out, and nobody looks that far: so that it costs ``depth`` at most.
    """
    place = size
    while place > 0 and listed[place - 1] > position:
        place -= 1
        if size - place >= depth:
            return size
    for i in range(size, place, -1):
        listed[i] = listed[i - 1]
    listed[place] = position
    return size + 1
