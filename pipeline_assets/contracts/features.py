"""The features, declared once, as data: entity, statistic, window and delay of each.

Every engine that computes features reads this list; the tables' contracts and the model's inputs are made from it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Entity(StrEnum):
    """Whose history a feature describes."""

    CUSTOMER = "customer"
    TERMINAL = "terminal"


@dataclass(frozen=True)
class Feature:
    """One feature of one transaction at its event time t.

    Attributes:
        name: The column.
        entity: Whose history it describes.
        statistic: What is computed over the window.
        window_days: Length w of the window; None where the statistic looks back over all the history that is kept.
        delay_days: 0 for (t - w, t]; d for (t - d - w, t - d].
        description: For a person, with the unit.
        reason_code: What a decision says when this feature raised the score.
        is_integer: Int64 rather than Float64.
        nullable: Whether it may be absent (no history).
        minimum: The least value it can have.
        maximum: The greatest value it can have.
    """

    name: str
    entity: Entity
    statistic: str
    window_days: int | None
    delay_days: int
    description: str
    reason_code: str
    is_integer: bool = False
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None


BASE_WINDOWS_DAYS: Final = (1, 7, 30)
LABEL_DELAY_DAYS: Final = 7  # a label is mature after this many days: Handbook, chapter 3
HISTORY_DAYS: Final = 84  # how far back a feature may look
MAX_LATENESS_DAYS: Final = 7  # a row may arrive this many days after its event


def _customer_base(window: int) -> tuple[Feature, ...]:
    return (
        Feature(
            f"customer_tx_count_{window}d", Entity.CUSTOMER, "tx_count", window, 0,
            f"payments of the customer in the last {window} d, this one included", "many_payments",
            is_integer=True, minimum=1,
        ),
        Feature(
            f"customer_amount_mean_{window}d", Entity.CUSTOMER, "amount_mean", window, 0,
            "mean amount in cents of those payments", "amounts_rising", minimum=0,
        ),
    )  # fmt: skip


def _terminal_base(window: int) -> tuple[Feature, ...]:
    return (
        Feature(
            f"terminal_tx_count_{window}d", Entity.TERMINAL, "tx_count", window, LABEL_DELAY_DAYS,
            f"payments at the terminal in a window of {window} d that ended {LABEL_DELAY_DAYS} d ago", "busy_terminal",
            is_integer=True, minimum=0,
        ),
        Feature(
            f"terminal_fraud_share_{window}d", Entity.TERMINAL, "fraud_share", window, LABEL_DELAY_DAYS,
            "share of reported frauds among those; 0 where there are none", "terminal_with_frauds",
            minimum=0, maximum=1,
        ),
    )  # fmt: skip


CUSTOMER_FEATURES: Final = tuple(f for w in BASE_WINDOWS_DAYS for f in _customer_base(w))
TERMINAL_FEATURES: Final = tuple(f for w in BASE_WINDOWS_DAYS for f in _terminal_base(w))
