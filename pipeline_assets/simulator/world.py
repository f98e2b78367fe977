"""A payments world after the Handbook's (Le Borgne et al. 2022, chapter 3): who pays where, and who is defrauded.

Every day is a pure function of (parameters, day): history never changes when a later day is simulated.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from pipeline_assets.contracts.tables import CHARGEBACKS, TRANSACTIONS, UTC_MICROSECONDS
from pipeline_assets.simulator import draws
from pipeline_assets.simulator.params import MAP_SIDE, MAX_DAILY_PAYMENTS, MAX_DAYS, CardTesting, WorldParams

SATURDAY: Final = 5
US: Final = 1_000_000  # microseconds in a second
# One letter and eight digits, or eleven: up to 12 characters polars keeps a string inside its 16-byte view.
CUSTOMER_ID: Final = ("c", 8)
TERMINAL_ID: Final = ("m", 8)
TRANSACTION_ID: Final = ("t", 11)


class _Grid(NamedTuple):
    """Terminals by cell of the map, row by row: members[starts[c]:starts[c + 1]] are those of cell c."""

    x: Any
    y: Any
    members: Any
    starts: Any
    n_cells: int  # a side
    scale: float  # cells per unit of the map
    radius: float


class _People(NamedTuple):
    """The customers' profiles, by index."""

    x: Any
    y: Any
    mean_amount: Any


class _Rules(NamedTuple):
    """What the compiled draws need of the parameters, in their units (seconds, factors)."""

    time_mean: float
    time_std: float
    customer_share: float
    customer_factor: float
    large_amount: float
    amount_factor: float
    delay_min: int
    delay_max: int


@dataclass(frozen=True)
class Simulation:
    """What happened on a range of days.

    Attributes:
        transactions: As the contract of the table: one row a payment, in the order of the table.
        truth: transaction_id and fraud_pattern (Int8, one of ``FraudPattern``), one row a payment, in the same order.
        chargebacks: As the contract of the table: the reports *made* on these days, of payments up to 7 days older.
    """

    transactions: pl.DataFrame
    truth: pl.DataFrame
    chargebacks: pl.DataFrame


class World:
    """A world and its people; ``simulate`` asks it for days."""

    def __init__(self, params: WorldParams) -> None:
        """Draw the profiles: customers by index (place, mean amount, payments a day), terminals by place."""
        self.params = params
        profile = draws.draw_uniforms(params.seed, draws.PROFILES, params.total_customers, 4)
        spread = params.mean_amount_max - params.mean_amount_min
        mean_amount = params.mean_amount_min + profile[2] * spread
        self._people = _People(profile[0] * MAP_SIDE, profile[1] * MAP_SIDE, mean_amount)
        self._grid = _build_grid(params)
        in_reach = draws.count_in_reach(self._people.x, self._people.y, self._grid)
        self._daily_payments = np.where(in_reach > 0, profile[3] * params.daily_payments_max, 0.0)
        self._customer_ids = _format_ids(CUSTOMER_ID, np.arange(params.total_customers))
        self._terminal_ids = _format_ids(TERMINAL_ID, np.arange(params.n_terminals))

    @property
    def customers(self) -> pl.DataFrame:
        """The true profiles: customer_id (unique), mean_amount (major units; standard deviation: half of it)."""
        return pl.DataFrame({"customer_id": self._customer_ids, "mean_amount": self._people.mean_amount})

    @property
    def terminals(self) -> pl.DataFrame:
        """All terminals: terminal_id, unique."""
        return pl.DataFrame({"terminal_id": self._terminal_ids})

    def simulate(self, first: date, last: date | None = None) -> Simulation:
        """What happens from ``first`` to ``last`` inclusive (``first`` alone by default).

        Guarantees: a range equals its days one by one, in any order, now or later. Rows at one second keep the order
        of customers; ids rise in that order and say nothing about fraud.

        Raises:
            ValueError: ``last`` before ``first``, or a day before the world's start or 10,000 days after it.
        """
        begin, end = self._count_days(first), self._count_days(last or first)
        if end < begin:
            raise ValueError(f"simulate: expected a last day not before {first}, found {last}")
        # Reports of the first day may be of payments seven days before it.
        earlier = list(self._draw_days(max(0, begin - 7), begin))
        days = list(self._draw_days(begin, end + 1))
        columns = [np.concatenate(parts) for parts in zip(*days, strict=True)]
        number, at, customer, terminal, cents, pattern, _ = columns
        ids = _format_ids(TRANSACTION_ID, number)
        transactions = pl.DataFrame(
            {
                "transaction_id": ids,
                "event_time": _to_time(at),
                "customer_id": self._customer_ids.gather(pl.Series(customer)),
                "terminal_id": self._terminal_ids.gather(pl.Series(terminal)),
                "amount_cents": cents,
            }
        )
        truth = pl.DataFrame({"transaction_id": ids, "fraud_pattern": pattern})
        return Simulation(transactions.select(TRANSACTIONS.columns), truth, self._report(earlier + days, begin, end))

    def _count_days(self, day: date) -> int:
        number = (day - self.params.start).days
        if not 0 <= number < MAX_DAYS:
            last = self.params.start + timedelta(days=MAX_DAYS - 1)
            raise ValueError(f"simulate: expected a day from {self.params.start} to {last}, found {day}")
        return number

    def _draw_days(self, begin: int, end: int) -> Iterator[tuple[Any, ...]]:
        """For each day: number of the transaction, Unix second, customer, terminal, cents, pattern, report delay."""
        p = self.params
        terminal_until, customer_until = np.zeros(p.n_terminals, np.int64), np.zeros(p.total_customers, np.int64)
        for day in range(max(0, begin - max(p.terminal_days, p.customer_days)), end):
            date_ = p.start + timedelta(days=day)
            hit = draws.draw_entities(p.seed, draws.TERMINAL_COMPROMISES, day, p.n_terminals, p.terminal_rate)
            terminal_until[hit] = day + p.terminal_days
            n_customers = p.count_customers(date_)
            hit = draws.draw_entities(p.seed, draws.CUSTOMER_COMPROMISES, day, n_customers, p.customer_rate)
            customer_until[hit] = day + p.customer_days
            if day >= begin:
                yield self._draw_day(day, date_, n_customers, terminal_until, customer_until)

    def _draw_day(
        self, day: int, date_: date, n_customers: int, terminal_until: Any, customer_until: Any
    ) -> tuple[Any, ...]:
        p = self.params
        rules = _Rules(
            p.time_of_day_mean, p.time_of_day_std, p.customer_share, p.customer_factor, p.large_amount,
            p.find_amount_factor(date_), round(p.report_delay_min_days * draws.DAY_S),
            round(p.report_delay_max_days * draws.DAY_S),
        )  # fmt: skip
        activity = p.weekend_activity if date_.weekday() >= SATURDAY else 1.0
        counts = draws.draw_payment_counts(p.seed, day, self._daily_payments[:n_customers], activity)
        columns = draws.draw_payments(
            p.seed, day, counts, self._people, self._grid, terminal_until, customer_until, rules
        )
        for number, change in enumerate(p.list_card_testing(date_)):
            tests = self._draw_card_tests(day, number, change, n_customers, rules)
            columns = tuple(np.concatenate(pair) for pair in zip(columns, tests, strict=True))
        order = draws.order_by_second(columns[0])
        second, *others = (column[order] for column in columns)
        midnight = int(datetime(date_.year, date_.month, date_.day, tzinfo=UTC).timestamp())
        return day * MAX_DAILY_PAYMENTS + np.arange(second.size), midnight + second, *others

    def _draw_card_tests(self, day: int, number: int, change: CardTesting, n_customers: int, rules: _Rules) -> Any:
        purpose = draws.CARD_TESTS + number  # another stream for each change of this kind
        chosen = draws.draw_entities(self.params.seed, purpose, day, n_customers, change.customer_rate)
        return draws.draw_card_tests(
            self.params.seed, purpose, day, chosen, change.n_payments, self.params.n_terminals, rules
        )

    def _report(self, days: list[tuple[Any, ...]], begin: int, end: int) -> pl.DataFrame:
        """The frauds of ``days`` that are reported from day ``begin`` to day ``end``."""
        frauds = [[column[day[5] > 0] for column in day] for day in days]
        number, at, *_, delay = [np.concatenate(parts) for parts in zip(*frauds, strict=True)]
        start = int(datetime.combine(self.params.start, datetime.min.time(), UTC).timestamp())
        reported_at = at + delay
        now = (reported_at >= start + begin * draws.DAY_S) & (reported_at < start + (end + 1) * draws.DAY_S)
        ids = _format_ids(TRANSACTION_ID, number[now])
        reports = pl.DataFrame({"transaction_id": ids, "reported_at": _to_time(reported_at[now])})
        return reports.sort(*CHARGEBACKS.order)


def _build_grid(params: WorldParams) -> _Grid:
    x, y = draws.draw_uniforms(params.seed, draws.TERMINAL_PLACES, params.n_terminals, 2) * MAP_SIDE
    finest = 2 * MAP_SIDE / params.radius  # a cell is at least half a radius wide, and holds a terminal on average
    n_cells = max(1, int(min(finest, math.sqrt(params.n_terminals))))
    scale = n_cells / MAP_SIDE
    column, line = (np.minimum((axis * scale).astype(np.int64), n_cells - 1) for axis in (x, y))
    cell = line * n_cells + column
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=n_cells * n_cells))])
    return _Grid(x, y, np.argsort(cell, kind="stable"), starts, n_cells, scale, params.radius)


def _format_ids(form: tuple[str, int], numbers: Any) -> pl.Series:
    letter, digits = form
    padded = (pl.lit(pl.Series(numbers)) + 10**digits).cast(pl.String).str.slice(1)
    return pl.select((pl.lit(letter) + padded).alias("id")).to_series()


def _to_time(seconds: Any) -> pl.Series:
    return pl.Series(seconds * US).cast(UTC_MICROSECONDS)
