"""The best that any model could do: Bayes' rule by one who knows the world's rules and its customers' true profiles.

It knows no more of what happened than the pipeline: payments up to the moment, reports made by then. So it bounds what
can be reached from above, up to two small approximations: messages between chains are renewed once a day, and that
exactly so many entities are compromised a day (rather than each by chance) is not used.
"""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from pipeline_assets.simulator import belief
from pipeline_assets.simulator.params import CardTesting
from pipeline_assets.simulator.world import World

DAY_US: Final = 86_400_000_000  # microseconds
NEVER: Final = np.iinfo(np.int64).max
MAX_RATIO: Final = 1e12  # an amount that its customer cannot have paid: as good as infinite, and safe to multiply
NEGATIVE_SHARE: Final = 0.5 * math.erfc(math.sqrt(2))  # of a normal with a mean of two standard deviations


def score_days(world: World, first: date, last: date) -> pl.DataFrame:
    """Score the payments of ``first`` to ``last`` by simulating the world from its start to ``last``.

    Returns:
        transaction_id, probability (of fraud, 0 to 1), in the order of the payments.

    Raises:
        ValueError: The days do not fit the world, or it has a fraud pattern the oracle does not know.
    """
    history = world.simulate(world.params.start, last)
    return score_history(world, history.transactions, history.chargebacks, first)


def score_history(world: World, transactions: pl.DataFrame, chargebacks: pl.DataFrame, first: date) -> pl.DataFrame:
    """Score the payments from ``first`` on, each by what was known at its moment.

    Args:
        world: The world that made them.
        transactions: All payments from the world's start, in the order of the table.
        chargebacks: The reports; one later than a payment does not move that payment's score.
        first: The first day to score.

    Returns:
        transaction_id, probability (of fraud, 0 to 1), in the order of the payments.

    Raises:
        ValueError: The world has a fraud pattern the oracle does not know.
    """
    unknown = [change for change in world.params.changes if isinstance(change, CardTesting)]
    if unknown:
        raise ValueError(f"oracle: expected the Handbook's three patterns only, found card_testing on {unknown[0].day}")
    book = _open_book(world, transactions, chargebacks)
    params = world.params
    rules = belief.Rules(
        round(params.report_delay_min_days * DAY_US),
        round(params.report_delay_max_days * DAY_US),
        params.customer_share,
    )
    terminals = _open_chain(True, book.terminal, params.n_terminals, params.terminal_rate, params.terminal_days)
    customers = _open_chain(False, book.customer, params.total_customers, params.customer_rate, params.customer_days)
    scores = np.zeros(book.time.size)
    n_days = int(book.day[-1]) + 1 if book.day.size else 0
    bounds = np.searchsorted(book.day, np.arange(n_days + 1))
    midnight = _to_microseconds(params.start)
    for day in range(n_days):
        belief.sweep(customers, day, midnight + day * DAY_US - 1, book, rules)
        belief.sweep(terminals, day, midnight + day * DAY_US - 1, book, rules)
        belief.score_day(bounds[day], bounds[day + 1], terminals, customers, book, rules, scores)
    scored = transactions.select("transaction_id", pl.Series("probability", scores))
    return scored.filter(transactions["event_time"].dt.date() >= first)


def _to_microseconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _open_book(world: World, transactions: pl.DataFrame, chargebacks: pl.DataFrame) -> belief.Book:
    rows = transactions.join(
        world.customers.with_row_index("customer"), on="customer_id", how="left", maintain_order="left"
    ).join(world.terminals.with_row_index("terminal"), on="terminal_id", how="left", maintain_order="left")
    rows = rows.join(chargebacks, on="transaction_id", how="left", maintain_order="left")
    time = rows["event_time"].to_physical().to_numpy()
    day = (time - _to_microseconds(world.params.start)) // DAY_US
    n_days = int(day[-1]) + 1 if day.size else 0
    factors = [world.params.find_amount_factor(world.params.start + timedelta(days=d)) for d in range(n_days)]
    amount = rows["amount_cents"].to_numpy() / 100 / np.array(factors)[day]
    mean = rows["mean_amount"].to_numpy()
    factor = world.params.customer_factor
    own = _find_density(amount, mean)
    stolen = _find_density(amount / factor, mean) / factor
    ratio = np.minimum(stolen / np.maximum(own, stolen / MAX_RATIO + 1e-300), MAX_RATIO)
    return belief.Book(
        time, day, rows["customer"].to_numpy().astype(np.int64), rows["terminal"].to_numpy().astype(np.int64),
        rows["reported_at"].to_physical().fill_null(NEVER).to_numpy(), ratio, amount > world.params.large_amount,
        np.zeros(time.size), np.zeros(time.size), np.ones(time.size),
    )  # fmt: skip


def _find_density(amount: Any, mean: Any) -> Any:
    """Density of a customer's own amounts: normal, std = mean / 2; a negative draw is replaced by U(0, 2 mean)."""
    z = (amount - mean) / (mean / 2)
    normal = np.exp(-z * z / 2) / (math.sqrt(2 * math.pi) * mean / 2)
    return normal + NEGATIVE_SHARE * (amount <= 2 * mean) / (2 * mean)


def _open_chain(is_terminal: bool, codes: Any, n_entities: int, hazard: float, length: int) -> belief.Chain:
    order, starts = belief.list_by_entity(codes, n_entities)
    nothing_yet = np.zeros((n_entities, length + 1))
    nothing_yet[:, 0] = 1.0
    return belief.Chain(
        is_terminal, hazard, length, order, starts, nothing_yet, starts[:-1].copy(), nothing_yet.copy(),
        starts[:-1].copy(),
    )  # fmt: skip
