"""What a world is made of: every number that shapes it, and the changes it goes through. No randomness here."""

import math
from datetime import date
from enum import IntEnum
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

MAP_SIDE: Final = 100.0  # length of the square on which customers and terminals live: Handbook, chapter 3
MAX_DAYS: Final = 10_000  # four digits of a transaction id; 27 years
MAX_DAILY_PAYMENTS: Final = 10_000_000  # seven digits of a transaction id
FROZEN: Final = ConfigDict(extra="forbid")

Share = Annotated[float, Field(ge=0, le=1)]


class FraudPattern(IntEnum):
    """What made a payment a fraud. Never a feature."""

    NONE = 0
    LARGE_AMOUNT = 1
    COMPROMISED_TERMINAL = 2
    COMPROMISED_CUSTOMER = 3
    CARD_TESTING = 4


@dataclass(frozen=True, config=FROZEN)
class AmountDrift:
    """From ``day`` on every amount is ``factor`` times as high, and what counts as a large amount with it."""

    day: date
    kind: Literal["amount_drift"] = "amount_drift"
    factor: float = Field(default=1.3, gt=0, le=100)


@dataclass(frozen=True, config=FROZEN)
class NewCustomers:
    """From ``day`` on there are this many more customers, of whom nobody has seen a payment before."""

    day: date
    n_customers: int = Field(ge=1, le=5_000_000)
    kind: Literal["new_customers"] = "new_customers"


@dataclass(frozen=True, config=FROZEN)
class CardTesting:
    """A fraud pattern that is new on ``day``: stolen cards are tried by bursts of small amounts, anywhere.

    Attributes:
        customer_rate: Share of the customers whose card is tried on a day.
        n_payments: Payments of one burst, one to two minutes apart, between 1 and 5 o'clock, of 0.50 to 5.00.
    """

    day: date
    kind: Literal["card_testing"] = "card_testing"
    customer_rate: Share = 0.001
    n_payments: int = Field(default=8, ge=1, le=60)


Change = Annotated[AmountDrift | NewCustomers | CardTesting, Field(discriminator="kind")]


@dataclass(frozen=True, config=FROZEN)
class WorldParams:
    """One world. Equal parameters give equal payments; the defaults are the world of the Handbook, chapter 3.

    Attributes:
        start: The first day; before it nothing has happened.
        n_customers: Customers from the start.
        n_terminals: Terminals.
        seed: Another seed is another world of the same kind.
        terminals_in_reach: Mean number of terminals near a customer; fixes the radius whatever the size of the world
            (78.5 of 10,000 are the Handbook's radius of 5). Customers with none in reach pay nothing.
        mean_amount_min: Lowest mean amount of a customer, major units.
        mean_amount_max: Highest mean amount of a customer, major units.
        daily_payments_max: Customers make between 0 and this many payments a day, on average.
        weekend_activity: Payments on a Saturday or Sunday relative to a weekday.
        time_of_day_mean: Seconds after midnight.
        time_of_day_std: Seconds; payments that fall outside the day are not made.
        large_amount: Every payment above this is a fraud, major units.
        terminal_rate: Share of the terminals that become compromised on a day.
        terminal_days: For so many days, that one included, all payments at such a terminal are frauds.
        customer_rate: Share of the customers whose card becomes compromised on a day.
        customer_days: For so many days, that one included, some payments of such a customer are frauds.
        customer_share: Which share of them.
        customer_factor: By what the amount of these is multiplied.
        report_delay_min_days: Frauds are reported later than this many days after the payment (or exactly then, if
            both bounds are equal).
        report_delay_max_days: And at most this many days after it.
        changes: What becomes different on a day, for good.
    """

    start: date
    n_customers: int = Field(default=5_000, ge=1, le=5_000_000)
    n_terminals: int = Field(default=10_000, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    terminals_in_reach: float = Field(default=78.5, gt=0)
    mean_amount_min: float = Field(default=5.0, gt=0)
    mean_amount_max: float = Field(default=100.0, le=1_000_000)
    daily_payments_max: float = Field(default=4.0, gt=0, le=200)
    weekend_activity: float = Field(default=1.0, ge=0, le=10)
    time_of_day_mean: float = Field(default=43_200.0, ge=0, lt=86_400)
    time_of_day_std: float = Field(default=20_000.0, gt=0, le=86_400)
    large_amount: float = Field(default=220.0, gt=0)
    terminal_rate: Share = 2 / 10_000
    terminal_days: int = Field(default=28, ge=1, le=365)
    customer_rate: Share = 3 / 5_000
    customer_days: int = Field(default=14, ge=1, le=365)
    customer_share: Share = 1 / 3
    customer_factor: float = Field(default=5.0, gt=1, le=100)
    report_delay_min_days: float = Field(default=1.0, gt=0)
    report_delay_max_days: float = Field(default=7.0, le=7)  # a label counts as mature after 7 days
    changes: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for name, low, high in (
            ("mean_amount", self.mean_amount_min, self.mean_amount_max),
            ("report_delay", self.report_delay_min_days, self.report_delay_max_days),
        ):
            if low > high:
                raise ValueError(f"{name}: expected the lower bound to be at most the upper, found {low} > {high}")
        for change in self.changes:
            if change.day < self.start:
                raise ValueError(f"changes: expected days from {self.start} on, found {change.kind} on {change.day}")
        payments = self.total_customers * self.daily_payments_max / 2 * max(1.0, self.weekend_activity)
        tests = (c for c in self.changes if isinstance(c, CardTesting))
        payments += sum(self.total_customers * c.customer_rate * c.n_payments for c in tests)
        if payments > MAX_DAILY_PAYMENTS / 2:  # half: room for chance
            raise ValueError(
                f"n_customers: expected at most {MAX_DAILY_PAYMENTS // 2:,} payments a day, found {payments:,.0f}; "
                "lower n_customers or daily_payments_max"
            )
        return self

    @property
    def radius(self) -> float:
        """How far customers go, in the unit of the map."""
        return MAP_SIDE * math.sqrt(self.terminals_in_reach / (math.pi * self.n_terminals))

    @property
    def total_customers(self) -> int:
        """Customers after every change."""
        return self.n_customers + sum(c.n_customers for c in self.changes if isinstance(c, NewCustomers))

    def count_customers(self, day: date) -> int:
        """Customers there are on ``day``."""
        grown = (c.n_customers for c in self.changes if isinstance(c, NewCustomers) and c.day <= day)
        return self.n_customers + sum(grown)

    def find_amount_factor(self, day: date) -> float:
        """By what amounts of ``day`` are multiplied."""
        return math.prod(c.factor for c in self.changes if isinstance(c, AmountDrift) and c.day <= day)

    def list_card_testing(self, day: date) -> list[CardTesting]:
        """The card testing that goes on on ``day``."""
        return [c for c in self.changes if isinstance(c, CardTesting) and c.day <= day]
