"""Scoring: every payment gets a decision from the highest rung that works, alone as in company, and says why."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.contracts.tables import SCORES, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.features import MODEL_FEATURES, make_model_inputs
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.scoring import (
    DecisionParams,
    FraudModel,
    ModelMismatchError,
    choose_canary_customers,
    join_features,
    score_payments,
)
from pipeline_assets.core.training import TrainedModel, TrainingParams, train

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = RulesParams()
CUSTOMER = [feature.name for feature in CUSTOMER_FEATURES]
TERMINAL = [feature.name for feature in TERMINAL_FEATURES]


@pytest.fixture(scope="module")
def payments(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    return make_training_set(3000)


@pytest.fixture(scope="module")
def trained(payments: pl.DataFrame) -> TrainedModel:
    return train(payments, TrainingParams(rounds=30, learning_rate=0.1))


@pytest.fixture(scope="module")
def models(trained: TrainedModel) -> dict[str, FraudModel]:
    return {name: FraudModel(name, trained.text.decode(), trained.card["typical_inputs"]) for name in ("new", "old")}


def entry(
    champion: str | None = "new",
    backup: str | None = None,
    canary: str | None = None,
    share: float = 0.0,
    days: int = 0,
    sequence: int = 0,
) -> ReleaseEntry:
    start = START + timedelta(days=days)
    return ReleaseEntry(start.date(), start, ReleaseAction.HOLD, "", champion, backup, canary, share, sequence=sequence)


def score(
    payments: pl.DataFrame,
    entries: list[ReleaseEntry],
    models: dict[str, FraudModel],
    params: DecisionParams = DecisionParams(),  # noqa: B008  # frozen
) -> pl.DataFrame:
    scored = score_payments(payments, entries, models, params, RULES)
    SCORES.schema.validate(scored)
    assert scored["transaction_id"].to_list() == payments["transaction_id"].to_list()
    return scored


def test_a_payment_is_scored_alone_as_in_company(payments: pl.DataFrame, models: dict[str, FraudModel]) -> None:
    entries = [entry("old"), entry("new", "old", canary="old", share=0.5, days=1, sequence=1)]
    some = payments.sample(150, seed=3)
    together = score(some, entries, models)
    assert together["decision"].n_unique() > 1
    assert together["rung"].n_unique() == 2
    alone = pl.concat([score(some[row], entries, models) for row in range(some.height)])
    assert alone.equals(together)


def test_the_score_is_the_models_own(payments: pl.DataFrame, models: dict[str, FraudModel]) -> None:
    found = score(payments, [entry()], models)
    assert (found["score"].to_numpy() == models["new"].predict(make_model_inputs(payments))).all()


@pytest.mark.parametrize(
    ("released", "available", "rung", "version", "degraded_by"),
    [
        (entry("new", "old"), {"new", "old"}, "champion", "new", []),
        (entry("new", "old"), {"old"}, "backup", "old", ["champion_unavailable"]),
        (entry("new", "old"), set(), "rules", RULES.version, ["champion_unavailable", "backup_unavailable"]),
        (entry("new"), set(), "rules", RULES.version, ["champion_unavailable"]),
        (entry(None), {"new"}, "rules", RULES.version, ["no_model_released"]),
        (None, {"new"}, "rules", RULES.version, ["no_model_released"]),
        (entry("new", "old", "c", 1.0), {"new"}, "champion", "new", ["canary_unavailable"]),
        (entry("old", None, "new", 1.0), {"new", "old"}, "canary", "new", []),
        (entry("old", None, "new", 0.0), {"new", "old"}, "champion", "old", []),
        (
            entry("x", "y", "z", 1.0), {"new"}, "rules", RULES.version,
            ["canary_unavailable", "champion_unavailable", "backup_unavailable"],
        ),
    ],
)  # fmt: skip
def test_a_payment_takes_the_highest_rung_that_works_and_says_what_was_in_the_way(
    payments: pl.DataFrame,
    models: dict[str, FraudModel],
    released: ReleaseEntry | None,
    available: set[str],
    rung: str,
    version: str,
    degraded_by: list[str],
) -> None:
    there = {name: model for name, model in models.items() if name in available}
    found = score(payments.head(50), [released] if released else [], there)
    assert set(found["rung"]) == {rung}
    assert set(found["model_version"]) == {version}
    assert found["degraded_by"].to_list() == [degraded_by] * 50


def test_a_payment_is_decided_by_the_entry_in_force_when_the_card_was_used(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    second = START + timedelta(days=1)
    entries = [entry("new", days=1, sequence=1), entry("old"), entry(None, days=50, sequence=2)]
    edge = payments.filter(
        pl.col("event_time").is_between(second - timedelta(minutes=1), second + timedelta(minutes=1))
    )
    assert score(edge, entries, models)["model_version"].to_list() == ["old", "new", "new"]
    before = payments.head(2).with_columns(event_time=pl.lit(START - timedelta(microseconds=1)))
    assert score(before, entries, models)["degraded_by"].to_list() == [["no_model_released"]] * 2


@pytest.mark.parametrize(
    ("missing", "codes"),
    [
        (CUSTOMER, ["customer_features_missing"]),
        (TERMINAL, ["terminal_features_missing"]),
        (CUSTOMER + TERMINAL, ["customer_features_missing", "terminal_features_missing"]),
    ],
)
@pytest.mark.parametrize("rung", ["champion", "rules"])
def test_a_payment_without_features_is_decided_and_says_so(
    payments: pl.DataFrame, models: dict[str, FraudModel], missing: list[str], codes: list[str], rung: str
) -> None:
    half = pl.int_range(pl.len()) % 2 == 0
    holes = payments.with_columns(pl.when(half).then(pl.col(name)).alias(name) for name in missing)
    entries = [entry()] if rung == "champion" else []
    basis = [] if rung == "champion" else ["no_model_released"]
    found, whole = score(holes, entries, models), score(payments, entries, models)
    assert found.filter(half).equals(whole.filter(half))
    assert found.filter(~half)["degraded_by"].to_list() == [basis + codes] * (payments.height // 2)
    assert set(found["rung"]) == {rung}


def test_what_is_missing_is_taken_as_typical_and_not_as_zero(
    payments: pl.DataFrame, models: dict[str, FraudModel], trained: TrainedModel
) -> None:
    holes = payments.with_columns(pl.lit(None, payments.schema[name]).alias(name) for name in TERMINAL)
    typical = payments.with_columns(
        pl.lit(trained.card["typical_inputs"][name]).cast(payments.schema[name]).alias(name) for name in TERMINAL
    )
    found, expected = score(holes, [entry()], models), score(typical, [entry()], models)
    assert found.drop("degraded_by").equals(expected.drop("degraded_by"))


def test_joined_features_keep_every_payment_in_its_order(payments: pl.DataFrame) -> None:
    shuffled = payments.sample(100, seed=1, shuffle=True)
    transactions = shuffled.select(TRANSACTIONS.columns)
    joined = join_features(
        transactions,
        payments.head(1500).select("transaction_id", *CUSTOMER),
        payments.select("transaction_id", *TERMINAL).clear(),
    )
    assert joined.select(TRANSACTIONS.columns).equals(transactions)
    n_known = transactions.filter(pl.col("transaction_id") < "t0001500").height
    assert joined["customer_tx_count_1d"].is_not_null().sum() == n_known
    assert joined["terminal_tx_count_1d"].is_null().all()


def naive_decision(p: float, amount: int, c: DecisionParams) -> str:
    costs = {
        "approve": p * (amount + c.chargeback_fee_cents),
        "review": c.review_cost_cents + (1 - c.review_detection_share) * (p * (amount + c.chargeback_fee_cents)),
        "decline": (1 - p) * (c.margin_share * amount + c.false_decline_cost_cents),
    }
    return min(costs, key=lambda name: costs[name])  # the first of equals, which is the mildest


@given(
    costs=st.builds(
        DecisionParams,
        chargeback_fee_cents=st.integers(0, 5000),
        review_cost_cents=st.integers(0, 2000),
        review_detection_share=st.floats(0, 1),
        false_decline_cost_cents=st.integers(0, 5000),
        margin_share=st.floats(0, 1),
    )
)
@settings(max_examples=25, deadline=None)
def test_the_decision_is_the_one_with_the_least_expected_cost(
    payments: pl.DataFrame, models: dict[str, FraudModel], costs: DecisionParams
) -> None:
    some = payments.head(60)
    found = score(some, [entry()], models, costs)
    expected = [naive_decision(p, a, costs) for p, a in zip(found["score"], some["amount_cents"], strict=True)]
    assert found["decision"].to_list() == expected


def test_of_equal_costs_the_milder_decision_is_taken(payments: pl.DataFrame, models: dict[str, FraudModel]) -> None:
    useless_review = DecisionParams(review_cost_cents=0, review_detection_share=0)
    assert "review" not in score(payments, [entry()], models, useless_review)["decision"].to_list()


def test_reasons_are_the_strongest_contributions_summed_by_code(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    found = score(payments, [entry()], models)
    codes = {"amount_cents": "high_amount", "is_weekend": "on_weekend", "is_night": "at_night"}
    codes |= {feature.name: feature.reason_code for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)}
    contributions = models["new"].explain(make_model_inputs(payments))
    for row, (decision, reasons) in enumerate(found.select("decision", "reason_codes").iter_rows()):
        if decision == "approve":
            assert reasons == []
            continue
        total: dict[str, float] = dict.fromkeys(codes.values(), 0.0)
        for name, value in zip(MODEL_FEATURES, contributions[row], strict=True):
            total[codes[name]] += value
        ranked = sorted((code for code in total if total[code] > 1e-12), key=lambda code: -total[code])[:3]
        assert [round(total[code], 9) for code in reasons] == [round(total[code], 9) for code in ranked]
        assert len(set(reasons)) == len(reasons)


def test_contributions_add_up_to_the_score(payments: pl.DataFrame, models: dict[str, FraudModel]) -> None:
    inputs = make_model_inputs(payments.head(200))
    explained, predicted = models["new"].explain(inputs).sum(axis=1), models["new"].predict(inputs)
    log_odds = np.log(predicted / (1 - predicted))
    np.testing.assert_allclose(explained - explained[0], log_odds - log_odds[0], atol=1e-9)


@given(share=st.floats(0, 1), more=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_a_canary_keeps_its_customers_and_gets_about_its_share(share: float, more: float) -> None:
    customers = pl.Series([f"c{number}" for number in range(4000)])
    chosen = choose_canary_customers(customers, "new", share)
    assert chosen.mean() == pytest.approx(share, abs=0.04)
    assert chosen.equals(choose_canary_customers(customers, "new", share))
    assert chosen.head(10).equals(choose_canary_customers(customers.head(10), "new", share))
    assert not (chosen & ~choose_canary_customers(customers, "new", max(share, more))).any()


def test_two_canaries_try_different_customers() -> None:
    customers = pl.Series([f"c{number}" for number in range(1000)])
    both = choose_canary_customers(customers, "one", 0.5) & choose_canary_customers(customers, "two", 0.5)
    assert both.mean() == pytest.approx(0.25, abs=0.05)


def test_no_payment_gives_no_score_and_the_tables_columns(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    assert score(payments.clear(), [entry()], models).is_empty()


def test_a_model_of_other_inputs_is_refused(trained: TrainedModel) -> None:
    text = trained.text.decode().replace("customer_tx_count_1d", "customer_tx_count_2d")
    with pytest.raises(ModelMismatchError, match="customer_tx_count_2d"):
        FraudModel("other", text, trained.card["typical_inputs"])


def test_the_past_is_scored_again_the_same_when_the_log_has_grown(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    first = [entry("old")]
    last = payments["event_time"].max()
    assert isinstance(last, datetime)
    days = (last.date() - date(2026, 1, 1)).days + 1
    grown = [*first, entry("new", days=days, sequence=1)]
    assert score(payments, first, models).equals(score(payments, grown, models))
