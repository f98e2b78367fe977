"""The oracle's arithmetic, compiled: what to believe of each terminal and customer, by evidence that arrives late.

Whether an entity is compromised is a hidden Markov chain over days: state 0 is "no", state r > 0 is "yes, for r more
days, this one included"; on any day a compromise of ``length`` days begins with probability ``hazard``. Each payment
is evidence on two chains at once, so the chains tell each other, once a day, what they make of it (loopy belief
propagation: Pearl 1988): ``by_customer`` is the probability that a payment is a fraud for a reason other than its
terminal, ``at_terminal`` that its terminal was compromised, each without that chain's own view of the payment.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

RECENT_DAYS: Final = 8  # what happened on the day 8 days ago has its last label before today: delays are at most 7 d
SETTLED_DAYS: Final = 14  # and so many days after a compromise may have ended, messages on it are no longer renewed
_TINY: Final = 1e-12  # keeps a ratio finite where the evidence says "impossible"
_MAX_WEIGHT: Final = 1e60  # of the evidence of a day: at a busy terminal a product of hundreds would overflow
_MIN_BELIEF: Final = 1e-200  # that nothing is wrong: no evidence is final, and no sum becomes 0


class Book(NamedTuple):
    """The payments, in the order of (event time, id), one array a column, times in microseconds."""

    time: Any
    day: Any
    customer: Any
    terminal: Any
    reported: Any  # time of the report; the greatest integer where there is none
    ratio: Any  # likelihood of the amount if a thief multiplied it, over that of the customer's own
    is_large: Any
    by_customer: Any
    at_terminal: Any
    evidence: Any  # scratch: the ratio of each payment as of the last sweep


class Rules(NamedTuple):
    """What the chains need of the world's parameters."""

    delay_min: int  # microseconds
    delay_max: int
    share: float


class Chain(NamedTuple):
    """All terminals, or all customers.

    ``order`` and ``starts`` list each one's payments. ``old`` is the belief on the eve of the sweep's window,
    ``recent`` on the eve of the days whose labels still come in; ``old_end`` and ``recent_end`` say how far they go.
    """

    is_terminal: bool
    hazard: float
    length: int
    order: Any
    starts: Any
    old: Any
    old_end: Any
    recent: Any
    recent_end: Any


@njit(cache=True)
def list_by_entity(codes: Any, n_entities: int) -> Any:
    """Positions of the payments, entity after entity, and where each begins."""
    starts = np.zeros(n_entities + 1, np.int64)
    for code in codes:
        starts[code + 1] += 1
    starts = np.cumsum(starts)
    order, free = np.empty(codes.size, np.int64), starts.copy()
    for position in range(codes.size):
        order[free[codes[position]]] = position
        free[codes[position]] += 1
    return order, starts


@njit(inline="always")
def _weigh(is_terminal: bool, book: Any, rules: Any, j: int, now: int) -> float:
    """How much likelier payment ``j``, as known at ``now``, is if its terminal (its customer) is compromised.

    Not yet reported is evidence too: of frauds of age u a share is still to come, none once the longest delay is over.
    """
    is_fraud = book.reported[j] <= now
    age = now - book.time[j]
    silent = 1.0
    if age >= rules.delay_max:
        silent = 0.0
    elif age > rules.delay_min:
        silent = (rules.delay_max - age) / (rules.delay_max - rules.delay_min)
    if is_terminal:
        other = book.by_customer[j]
        if is_fraud:
            return 1.0 / max(other, _TINY)  # type: ignore[no-any-return]
        return silent / max(silent * other + 1.0 - other, _TINY)  # type: ignore[no-any-return]
    other = 1.0 if book.is_large[j] else book.at_terminal[j]
    stolen, own = rules.share * book.ratio[j], 1.0 - rules.share
    if is_fraud:
        return stolen / max(other, _TINY) + own  # type: ignore[no-any-return]
    return own + stolen * silent / max(other * silent + 1.0 - other, _TINY)  # type: ignore[no-any-return]


@njit(inline="always")
def _step(belief: Any, hazard: float) -> None:
    """One day on."""
    last = belief.size - 1
    total = belief.sum()
    belief[0] = (1.0 - hazard) * (belief[0] + belief[1])
    for r in range(1, last):
        belief[r] = (1.0 - hazard) * belief[r + 1]
    belief[last] = hazard * total


@njit(inline="always")
def _learn(belief: Any, weight: float) -> None:
    """Take evidence in, and keep the sum at 1."""
    belief[0] = max(belief[0], _MIN_BELIEF)
    total = belief[0]
    for r in range(1, belief.size):
        belief[r] *= min(weight, _MAX_WEIGHT)
        total += belief[r]
    for r in range(belief.size):
        belief[r] /= total


@njit(inline="always")
def _blame_customer(compromised: float, book: Any, rules: Any, j: int) -> float:
    """Probability that payment ``j`` is a fraud for its amount or its customer, from its amount; no label is used."""
    stolen = rules.share * compromised
    fraud, own = stolen * book.ratio[j], 1.0 - stolen
    return (fraud + (own if book.is_large[j] else 0.0)) / (fraud + own)  # type: ignore[no-any-return]


@njit(inline="always")
def _send(is_terminal: bool, yes: float, no: float, book: Any, rules: Any, j: int) -> None:
    """Tell the other chain what this one believes at payment ``j``, without what ``j`` itself contributed."""
    total = yes + no * book.evidence[j]
    believed = yes / total if total > 0 else 0.0
    if is_terminal:
        book.at_terminal[j] = believed
    else:
        book.by_customer[j] = _blame_customer(believed, book, rules, j)


@njit(inline="always")
def _look_back(chain: Any, entity: int, today: int, first: int, book: Any, rules: Any, views: Any) -> None:
    """Go from yesterday back to day ``first``: beliefs with hindsight, sent to the other chain, payment by payment."""
    hindsight = np.ones(chain.length + 1)
    at = chain.starts[entity + 1]
    while at > chain.starts[entity] and book.day[chain.order[at - 1]] >= today:
        at -= 1
    for day in range(today - 1, first - 1, -1):
        view = views[day - first]
        no = view[0] * hindsight[0]
        yes = (view * hindsight).sum() - no
        weight = 1.0
        while at > chain.starts[entity] and book.day[chain.order[at - 1]] == day:
            at -= 1
            _send(chain.is_terminal, max(yes, 0.0), no, book, rules, chain.order[at])
            weight *= book.evidence[chain.order[at]]
        hindsight[0] = max(hindsight[0], _MIN_BELIEF)
        hindsight[1:] *= min(weight, _MAX_WEIGHT)
        begun = chain.hazard * hindsight[chain.length]
        for r in range(chain.length, 0, -1):
            hindsight[r] = begun + (1.0 - chain.hazard) * hindsight[r - 1]
        hindsight[0] = begun + (1.0 - chain.hazard) * hindsight[0]
        hindsight /= hindsight.max()


@njit(inline="always")
def _live_day(chain: Any, entity: int, at: int, day: int, now: int, book: Any, rules: Any, belief: Any) -> int:
    """One day on, with the evidence of its payments from ``at`` on; where the next day begins."""
    _step(belief, chain.hazard)
    weight = 1.0
    while at < chain.starts[entity + 1] and book.day[chain.order[at]] == day:
        j = chain.order[at]
        book.evidence[j] = _weigh(chain.is_terminal, book, rules, j, now)
        weight *= book.evidence[j]
        at += 1
    _learn(belief, weight)
    return at


@njit(inline="always")
def _find_clean(chain: Any, entity: int, at: int, today: int, now: int, book: Any, rules: Any) -> int:
    """Where the last payment lies that is known to be honest, if none from ``at`` on is known to be a fraud; else -1.

    A terminal was not compromised then, whatever was before; and without frauds its earlier messages move nothing.
    """
    found = -1
    while at < chain.starts[entity + 1] and book.day[chain.order[at]] < today:
        j = chain.order[at]
        if book.reported[j] <= now:
            return -1
        if now - book.time[j] >= rules.delay_max:
            found = at
        at += 1
    return found


@njit(cache=True)
def sweep(chain: Any, today: int, now: int, book: Any, rules: Any) -> None:
    """At the beginning of a day: renew the beliefs and the messages with what is known at ``now``."""
    window = max(0, today - chain.length - SETTLED_DAYS)
    views = np.empty((today - window, chain.length + 1))
    for entity in range(chain.starts.size - 1):
        belief, at, first = chain.old[entity].copy(), chain.old_end[entity], window
        if window > 0:
            at = _live_day(chain, entity, at, window - 1, now, book, rules, belief)
            chain.old[entity], chain.old_end[entity] = belief, at
        clean = _find_clean(chain, entity, at, today, now, book, rules) if chain.is_terminal else -1
        if clean >= 0:
            belief[:] = 0.0
            belief[0] = 1.0
            first, at = book.day[chain.order[clean]] + 1, clean + 1
            while at < chain.starts[entity + 1] and book.day[chain.order[at]] < first:
                at += 1  # later on that day: known no more of, but the terminal was honest all day
        if first > today - RECENT_DAYS:
            chain.recent[entity], chain.recent_end[entity] = belief, at
        for day in range(first, today):
            at = _live_day(chain, entity, at, day, now, book, rules, belief)
            views[day - first] = belief
            if day == today - RECENT_DAYS:
                chain.recent[entity], chain.recent_end[entity] = belief, at
        _look_back(chain, entity, today, first, book, rules, views)


@njit(inline="always")
def _believe(chain: Any, entity: int, i: int, book: Any, rules: Any, belief: Any) -> float:
    """Probability that the entity is compromised at payment ``i``, by what is known then; ``i`` itself left out."""
    belief[:] = chain.recent[entity]
    at = chain.recent_end[entity]
    for day in range(max(0, book.day[i] - RECENT_DAYS + 1), book.day[i] + 1):
        _step(belief, chain.hazard)
        weight = 1.0
        while at < chain.starts[entity + 1] and chain.order[at] < i and book.day[chain.order[at]] == day:
            weight *= _weigh(chain.is_terminal, book, rules, chain.order[at], book.time[i])
            at += 1
        if weight != 1.0:
            _learn(belief, weight)
    return max(1.0 - belief[0], 0.0)  # type: ignore[no-any-return]


@njit(cache=True)
def score_day(begin: int, end: int, terminals: Any, customers: Any, book: Any, rules: Any, scores: Any) -> None:
    """Probability of fraud of payments ``begin`` to ``end``, all of one day, each at its own moment."""
    terminal_belief, customer_belief = np.empty(terminals.length + 1), np.empty(customers.length + 1)
    for i in range(begin, end):
        at_terminal = _believe(terminals, book.terminal[i], i, book, rules, terminal_belief)
        of_customer = _believe(customers, book.customer[i], i, book, rules, customer_belief)
        book.at_terminal[i] = at_terminal
        book.by_customer[i] = _blame_customer(of_customer, book, rules, i)
        scores[i] = 1.0 - (1.0 - at_terminal) * (1.0 - book.by_customer[i])
