"""Random numbers as a pure function of (seed, purpose, day, entity), and what is drawn with them, compiled.

A stream is a SplitMix64 generator (Steele, Lea, Flood 2014) that starts at a hash of its name: no stream depends on
how far another was read, so any day can be drawn without the days before it, in any order.
"""

import math
from typing import Any, Final

import numpy as np
from numba import njit

PROFILES: Final = 1
TERMINAL_PLACES: Final = 2
PAYMENT_COUNTS: Final = 3
PAYMENTS: Final = 4
TERMINAL_COMPROMISES: Final = 5
CUSTOMER_COMPROMISES: Final = 6
CARD_TESTS: Final = 7

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
_UNIT: Final = 2.0**-53
DAY_S: Final = 86_400


@njit(inline="always")
def _mix(z: Any) -> Any:
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(cache=True)
def open_stream(seed: int, purpose: int, day: int, entity: int) -> Any:
    """The state of a stream before its first number."""
    state = _mix(np.uint64(seed) + _GOLDEN)
    state = _mix(state ^ (np.uint64(purpose) * _MIX_1))
    state = _mix(state + np.uint64(day) * _GOLDEN)
    return _mix(state ^ (np.uint64(entity) * _MIX_2 + _GOLDEN))


@njit(inline="always")
def _next(state: Any) -> Any:
    """The next state, and a uniform number in [0, 1)."""
    state = state + _GOLDEN
    return state, float(_mix(state) >> _S11) * _UNIT


@njit(cache=True)
def draw_uniforms(seed: int, purpose: int, n_entities: int, n_columns: int) -> Any:
    """For each entity its own ``n_columns`` uniform numbers in [0, 1): more entities change nothing for the others."""
    drawn = np.empty((n_columns, n_entities), np.float64)
    for entity in range(n_entities):
        state = open_stream(seed, purpose, 0, entity)
        for column in range(n_columns):
            state, drawn[column, entity] = _next(state)
    return drawn


@njit(cache=True)
def draw_entities(seed: int, purpose: int, day: int, n_entities: int, rate: float) -> Any:
    """Distinct entities of a day, ``rate * n_entities`` of them; a broken number is rounded up or down by chance."""
    state = open_stream(seed, purpose, day, 0)
    state, u = _next(state)
    wanted = min(n_entities, int(rate * n_entities + u))
    chosen = np.empty(wanted, np.int64)
    pool = np.arange(n_entities if wanted * 4 > n_entities else 0)  # few: draw again on a repetition; many: shuffle
    for i in range(wanted):
        if pool.size:
            state, u = _next(state)
            j = i + int(u * (n_entities - i))
            pool[i], pool[j] = pool[j], pool[i]
            chosen[i] = pool[i]
            continue
        repeated = True
        while repeated:
            state, u = _next(state)
            chosen[i] = int(u * n_entities)
            repeated = False
            for j in range(i):
                repeated |= chosen[j] == chosen[i]
    return chosen


@njit(cache=True)
def draw_payment_counts(seed: int, day: int, mean_counts: Any, activity: float) -> Any:
    """How many payments each customer makes on a day: Poisson, by Knuth's product of uniforms in steps of 30.

    The steps keep exp(-mean) far from underflow: a Poisson of a sum is the sum of Poissons.
    """
    counts = np.zeros(mean_counts.size, np.int64)
    for customer in range(mean_counts.size):
        state = open_stream(seed, PAYMENT_COUNTS, day, customer)
        left = mean_counts[customer] * activity
        while left > 0:
            limit = math.exp(-min(left, 30.0))
            left -= 30.0
            state, product = _next(state)
            while product > limit:
                counts[customer] += 1
                state, u = _next(state)
                product *= u
    return counts


@njit(inline="always")
def _pick_terminal(state: Any, x: float, y: float, grid: Any, begins: Any, lengths: Any) -> Any:
    """A terminal uniform among those in reach: uniform among the cells around, drawn again while it is too far away.

    Needs no list of terminals a customer, so memory stays linear in terminals; half of the draws hit.
    """
    total = 0
    for row in range(5):
        total += lengths[row]
    while True:
        state, u = _next(state)
        place = int(u * total)
        row = 0
        while place >= lengths[row]:
            place -= lengths[row]
            row += 1
        terminal = grid.members[begins[row] + place]
        if (grid.x[terminal] - x) ** 2 + (grid.y[terminal] - y) ** 2 <= grid.radius**2:
            return state, terminal


@njit(inline="always")
def _find_rows(x: float, y: float, grid: Any, begins: Any, lengths: Any) -> None:
    """The members of the 5 x 5 cells around a place: five runs, since cells lie row by row. A cell is half a radius."""
    n = grid.n_cells
    column, line = min(int(x * grid.scale), n - 1), min(int(y * grid.scale), n - 1)
    left, right = max(column - 2, 0), min(column + 2, n - 1)
    for row in range(5):
        at = line - 2 + row
        begins[row], lengths[row] = 0, 0
        if 0 <= at < n:
            begins[row] = grid.starts[at * n + left]
            lengths[row] = grid.starts[at * n + right + 1] - begins[row]


@njit(cache=True)
def count_in_reach(x: Any, y: Any, grid: Any) -> Any:
    """How many terminals each customer can go to."""
    begins, lengths = np.zeros(5, np.int64), np.zeros(5, np.int64)
    counts = np.zeros(x.size, np.int64)
    for customer in range(x.size):
        _find_rows(x[customer], y[customer], grid, begins, lengths)
        for row in range(5):
            for at in range(begins[row], begins[row] + lengths[row]):
                t = grid.members[at]
                if (grid.x[t] - x[customer]) ** 2 + (grid.y[t] - y[customer]) ** 2 <= grid.radius**2:
                    counts[customer] += 1
    return counts


@njit(cache=True)
def draw_payments(
    seed: int, day: int, counts: Any, people: Any, grid: Any, terminal_until: Any, customer_until: Any, rules: Any
) -> Any:
    """The payments of a day, customer after customer: second, customer, terminal, cents, pattern, report delay (s).

    The amount is multiplied before it is rounded, so that its last digit does not betray the pattern.
    """
    total = counts.sum()
    second, customers = np.empty(total, np.int64), np.empty(total, np.int64)
    terminals, cents = np.empty(total, np.int64), np.empty(total, np.int64)
    pattern, delay = np.zeros(total, np.int8), np.zeros(total, np.int64)
    begins, lengths = np.zeros(5, np.int64), np.zeros(5, np.int64)
    kept = 0
    for customer in range(counts.size):
        if counts[customer] == 0:
            continue
        x, y, mean = people.x[customer], people.y[customer], people.mean_amount[customer]
        _find_rows(x, y, grid, begins, lengths)
        state = open_stream(seed, PAYMENTS, day, customer)
        for _ in range(counts[customer]):
            state, u = _next(state)
            state, v = _next(state)
            length, angle = math.sqrt(-2.0 * math.log(1.0 - u)), 2.0 * math.pi * v  # Box and Muller: two normals
            when = math.floor(rules.time_mean + rules.time_std * length * math.sin(angle))
            amount = mean + mean / 2 * length * math.cos(angle)
            state, terminal = _pick_terminal(state, x, y, grid, begins, lengths)
            state, fallback = _next(state)
            state, coin = _next(state)
            state, report = _next(state)
            if when < 0 or when >= DAY_S:
                continue
            if amount < 0:
                amount = 2 * mean * fallback
            if customer_until[customer] > day and coin < rules.customer_share:
                amount *= rules.customer_factor
                pattern[kept] = 3
            elif terminal_until[terminal] > day:
                pattern[kept] = 2
            elif amount > rules.large_amount:
                pattern[kept] = 1
            second[kept], customers[kept], terminals[kept] = when, customer, terminal
            cents[kept] = round(amount * rules.amount_factor * 100)
            delay[kept] = rules.delay_max - int(report * (rules.delay_max - rules.delay_min))
            kept += 1
    return second[:kept], customers[:kept], terminals[:kept], cents[:kept], pattern[:kept], delay[:kept]


@njit(cache=True)
def draw_card_tests(
    seed: int, purpose: int, day: int, chosen: Any, n_payments: int, n_terminals: int, rules: Any
) -> Any:
    """The bursts of a day, in the columns of :func:`draw_payments`."""
    total = chosen.size * n_payments
    second, customers = np.empty(total, np.int64), np.empty(total, np.int64)
    terminals, cents = np.empty(total, np.int64), np.empty(total, np.int64)
    pattern, delay = np.full(total, 4, np.int8), np.empty(total, np.int64)
    at = 0
    for customer in chosen:
        state = open_stream(seed, purpose, day, customer + 1)  # 0 chose the customers
        state, u = _next(state)
        now = 3600 + int(u * 3600 * 2)
        for _ in range(n_payments):
            state, u = _next(state)
            now += 60 + int(u * 60)
            state, u = _next(state)
            terminals[at] = int(u * n_terminals)
            state, u = _next(state)
            cents[at] = round((0.5 + 4.5 * u) * rules.amount_factor * 100)
            state, u = _next(state)
            delay[at] = rules.delay_max - int(u * (rules.delay_max - rules.delay_min))
            second[at], customers[at] = now, customer
            at += 1
    return second, customers, terminals, cents, pattern, delay


@njit(cache=True)
def order_by_second(second: Any) -> Any:
    """Positions in the order of seconds of a day, ties in the order of rows: a counting sort."""
    starts = np.zeros(DAY_S + 1, np.int64)
    for value in second:
        starts[value + 1] += 1
    for value in range(DAY_S):
        starts[value + 1] += starts[value]
    order = np.empty(second.size, np.int64)
    for position in range(second.size):
        order[starts[second[position]]] = position
        starts[second[position]] += 1
    return order
