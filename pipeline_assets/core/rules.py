"""The rules: the last rung of the ladder, which needs no model and works with whatever is known of a payment."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

HIGH_AMOUNT: Final = "high_amount"


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class RulesParams:
    """The thresholds of the rules, and how likely a fraud is where one of them fires.

    Attributes:
        base_score: Probability of fraud where no rule fires.
        high_amount_cents: An amount that is high for anybody.
        high_amount_score: Probability of fraud from that amount on.
        unusual_amount_ratio: An amount that is high for this customer: over his usual one.
        unusual_amount_score: Probability of fraud from that ratio on.
        terminal_fraud_share: A share of frauds at the terminal, over a week, that no honest terminal has.
        terminal_score: Probability of fraud from that share on.
    """

    base_score: float = Field(default=0.003, ge=0, lt=1)
    high_amount_cents: int = Field(default=20_000, gt=0)
    high_amount_score: float = Field(default=0.6, ge=0, lt=1)
    unusual_amount_ratio: float = Field(default=4.0, gt=0)
    unusual_amount_score: float = Field(default=0.3, ge=0, lt=1)
    terminal_fraud_share: float = Field(default=0.2, gt=0, le=1)
    terminal_score: float = Field(default=0.6, ge=0, lt=1)

    @property
    def version(self) -> str:
        """Name of this rule set; other thresholds have another name."""
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return f"rules-{hashlib.md5(content, usedforsecurity=False).hexdigest()[:12]}"


@dataclass(frozen=True)
class RuleScores:
    """What the rules say of some payments.

    Attributes:
        score: Probability of fraud of each payment.
        reason_codes: Of each payment the rules that fired, strongest first.
    """

    score: npt.NDArray[np.float64]
    reason_codes: list[list[str]]


def score_by_rules(payments: pl.DataFrame, params: RulesParams) -> RuleScores:
    """Score payments by rules. They are taken as independent: a payment is honest if it is so in the view of each.

    Args:
        payments: ``amount_cents``, ``customer_amount_ratio`` and ``terminal_fraud_share_7d``; a rule whose column is
            null does not fire.
        params: The thresholds.
    """
    rules = (
        (HIGH_AMOUNT, pl.col("amount_cents") >= params.high_amount_cents, params.high_amount_score),
        ("unusual_amount", pl.col("customer_amount_ratio") >= params.unusual_amount_ratio, params.unusual_amount_score),
        (
            "terminal_with_frauds",
            pl.col("terminal_fraud_share_7d") >= params.terminal_fraud_share,
            params.terminal_score,
        ),
    )
    strongest_first = sorted(rules, key=lambda rule: -rule[2])
    fired = payments.select(condition.fill_null(value=False).alias(code) for code, condition, _ in strongest_first)
    honest = np.full(payments.height, 1 - params.base_score)
    for code, _, score in strongest_first:
        honest *= np.where(fired[code].to_numpy(), 1 - score, 1.0)
    codes = [[code for code, does in row.items() if does] for row in fired.iter_rows(named=True)]
    return RuleScores(1 - honest, codes)
