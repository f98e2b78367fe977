"""What decisions cost: what they are expected to when they are taken, and what they did once the labels are known."""

from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.contracts.vocabularies import Decision

DECISIONS: Final = (str(Decision.APPROVE), str(Decision.REVIEW), str(Decision.DECLINE))  # the mildest first
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.bool_]


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class DecisionParams:
    """What each outcome costs, in cents; the decision is the one with the least expected cost.

    With the probability of fraud p and the amount a:
    approve costs p (a + chargeback fee); decline costs (1 - p) (margin share a + false decline cost);
    review costs the review, and p (1 - detection share) (a + chargeback fee).

    Attributes:
        chargeback_fee_cents: What a chargeback costs beyond the amount.
        review_cost_cents: An analyst's time.
        review_detection_share: Share of frauds that a review finds; it lets all honest payments pass.
        false_decline_cost_cents: What an honest customer turned away costs beyond the lost margin.
        margin_share: The margin on a payment as a share of its amount.
    """

    chargeback_fee_cents: int = Field(default=2000, ge=0)
    review_cost_cents: int = Field(default=300, ge=0)
    review_detection_share: float = Field(default=0.9, ge=0, le=1)
    false_decline_cost_cents: int = Field(default=1500, ge=0)
    margin_share: float = Field(default=0.05, ge=0, le=1)


def choose_decisions(score: Floats, amounts: Floats | Integers, params: DecisionParams) -> Integers:
    """The decision on each payment with the least expected cost, as an index into DECISIONS; of equals the milder.

    Each payment's depends on no other. A score that is no number approves: whoever scores has to refuse it before.

    Args:
        score: The probability of fraud of each payment.
        amounts: Its amount in cents.
        params: What each outcome costs.
    """
    cheapest: Integers = _expect_costs(score, amounts, params).argmin(axis=0)
    return cheapest


def measure_costs(amounts: Floats | Integers, is_fraud: Labels, decision: Integers, params: DecisionParams) -> Integers:
    """What each decision cost, the label given, in whole cents, so that sums depend neither on order nor on machine.

    The terms are those of the expected cost, with a probability of fraud of 0 or 1.

    Args:
        amounts: The amount of each payment in cents.
        is_fraud: Whether it was a fraud.
        decision: What was done, as an index into DECISIONS.
        params: What each outcome costs.
    """
    costs = _expect_costs(is_fraud.astype(np.float64), amounts, params)
    taken: Floats = np.take_along_axis(costs, decision[None, :], axis=0)[0]
    return np.rint(taken).astype(np.int64)


def tell_money(cents: float) -> str:
    """An amount for a person, in the currency's major unit."""
    return f"{cents / 100:,.2f}"


def _expect_costs(probability: Floats, amounts: Floats | Integers, params: DecisionParams) -> Floats:
    """A row for each of DECISIONS, a column for each payment."""
    loss = probability * (amounts + params.chargeback_fee_cents)
    review = params.review_cost_cents + (1 - params.review_detection_share) * loss
    decline = (1 - probability) * (params.margin_share * amounts + params.false_decline_cost_cents)
    return np.stack([loss, review, decline])
