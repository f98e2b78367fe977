"""The rules: they need nothing but the payment, and know no worse of a payment than the worst rule that fires."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.core.rules import RulesParams, score_by_rules

PARAMS = RulesParams(
    base_score=0.01,
    high_amount_cents=1000,
    high_amount_score=0.5,
    unusual_amount_ratio=4,
    unusual_amount_score=0.2,
    terminal_fraud_share=0.3,
    terminal_score=0.6,
)


def payment(amount: int, ratio: float | None, share: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"amount_cents": [amount], "customer_amount_ratio": [ratio], "terminal_fraud_share_7d": [share]},
        schema={
            "amount_cents": pl.Int64,
            "customer_amount_ratio": pl.Float64,
            "terminal_fraud_share_7d": pl.Float64,
        },
    )


@pytest.mark.parametrize(
    ("amount", "ratio", "share", "honest", "codes"),
    [
        (999, 3.9, 0.29, 0.99, []),
        (1000, None, None, 0.99 * 0.5, ["high_amount"]),
        (10, 4.0, None, 0.99 * 0.8, ["unusual_amount"]),
        (10, None, 0.3, 0.99 * 0.4, ["terminal_with_frauds"]),
        (
            1000,
            4.0,
            0.3,
            0.99 * 0.5 * 0.8 * 0.4,
            ["terminal_with_frauds", "high_amount", "unusual_amount"],
        ),
        (0, None, None, 0.99, []),
    ],
)
def test_each_rule_fires_from_its_threshold_on_and_the_strongest_is_named_first(
    amount: int, ratio: float | None, share: float | None, honest: float, codes: list[str]
) -> None:
    found = score_by_rules(payment(amount, ratio, share), PARAMS)
    assert found.score[0] == pytest.approx(1 - honest)
    assert found.reason_codes == [codes]


@given(
    amounts=st.lists(st.integers(0, 10**11), min_size=1, max_size=5),
    ratio=st.none() | st.floats(0, 1e9),
    share=st.none() | st.floats(0, 1),
)
@settings(max_examples=30, deadline=None)
def test_a_higher_amount_is_never_safer_and_every_score_is_a_probability(
    amounts: list[int], ratio: float | None, share: float | None
) -> None:
    frame = pl.concat([payment(amount, ratio, share) for amount in sorted(amounts)])
    score = score_by_rules(frame, PARAMS).score
    assert ((score >= 0) & (score <= 1)).all()
    assert (score[1:] >= score[:-1]).all()


def test_another_threshold_is_another_version() -> None:
    assert RulesParams(high_amount_cents=1).version != RulesParams(high_amount_cents=2).version
    assert RulesParams().version == RulesParams().version
