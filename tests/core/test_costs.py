"""What decisions cost: the cheapest is chosen, and the labels given it is what each outcome costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions, measure_costs, tell_money

COSTS = st.builds(
    DecisionParams,
    chargeback_fee_cents=st.integers(0, 5000),
    review_cost_cents=st.integers(0, 2000),
    review_detection_share=st.floats(0, 1),
    false_decline_cost_cents=st.integers(0, 5000),
    margin_share=st.floats(0, 1),
)
PAYMENT = st.tuples(st.integers(0, 10**8), st.booleans(), st.integers(0, 2), st.floats(0, 1))
PAYMENTS = st.lists(PAYMENT, min_size=1, max_size=30)
Payments = list[tuple[int, bool, int, float]]  # amount in cents, is fraud, decision, score


def naive_cost(amount: int, decision: str, params: DecisionParams, *, is_fraud: bool) -> float:
    lost = amount + params.chargeback_fee_cents if is_fraud else 0
    if decision == "approve":
        return lost
    if decision == "review":
        return params.review_cost_cents + (1 - params.review_detection_share) * lost
    return 0 if is_fraud else params.margin_share * amount + params.false_decline_cost_cents


def arrays(payments: Payments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    amount, is_fraud, decision, score = zip(*payments, strict=True)
    return np.array(amount), np.array(is_fraud), np.array(decision), np.array(score)


def cost(payments: Payments, params: DecisionParams) -> list[int]:
    amounts, is_fraud, decision, _ = arrays(payments)
    found: list[int] = measure_costs(amounts, is_fraud, decision, params).tolist()
    return found


@given(payments=PAYMENTS, params=COSTS)
def test_a_decision_costs_what_its_outcome_costs_to_the_cent(payments: Payments, params: DecisionParams) -> None:
    expected = [
        naive_cost(amount, DECISIONS[decision], params, is_fraud=is_fraud) for amount, is_fraud, decision, _ in payments
    ]
    assert cost(payments, params) == pytest.approx(expected, abs=0.51)


@given(payments=PAYMENTS, params=COSTS)
def test_the_decision_is_the_one_with_the_least_expected_cost_and_of_equals_the_mildest(
    payments: Payments, params: DecisionParams
) -> None:
    amounts, _, _, score = arrays(payments)
    chosen = choose_decisions(score, amounts, params)
    for (amount, _, _, p), choice in zip(payments, chosen, strict=True):
        loss = p * (amount + params.chargeback_fee_cents)
        expected = [
            loss,
            params.review_cost_cents + (1 - params.review_detection_share) * loss,
            (1 - p) * (params.margin_share * amount + params.false_decline_cost_cents),
        ]
        assert choice == expected.index(min(expected))


@given(payments=PAYMENTS, params=COSTS)
def test_whoever_knows_the_labels_pays_no_more_than_anybody_on_any_payment(
    payments: Payments, params: DecisionParams
) -> None:
    amounts, is_fraud, decision, _ = arrays(payments)
    perfect = choose_decisions(is_fraud.astype(np.float64), amounts, params)
    knowing, other = (measure_costs(amounts, is_fraud, one, params) for one in (perfect, decision))
    assert (knowing <= other).all()
    assert (knowing >= 0).all()


@given(payments=PAYMENTS, params=COSTS, shuffled=st.randoms())
def test_costs_of_payments_add_up_in_any_order_to_the_cent(
    payments: Payments, params: DecisionParams, shuffled: object
) -> None:
    alone = [cost([payment], params)[0] for payment in payments]
    other = list(payments)
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    assert sum(cost(other, params)) == sum(cost(payments, params)) == sum(alone)


def test_money_is_told_in_major_units() -> None:
    assert [tell_money(cents) for cents in (0, 5, 123_456_789, -150)] == ["0.00", "0.05", "1,234,567.89", "-1.50"]
