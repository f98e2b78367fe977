"""Scoring: every payment gets a decision from the highest rung that works, alone as in company, and says why."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature
from pipeline_assets.contracts.tables import SCORES, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.features import MODEL_FEATURES, make_model_inputs
from pipeline_assets.core.fraud_model import (
    Flags,
    Floats,
    FraudModel,
    Model,
    ModelFailedError,
    ModelMismatchError,
    ModelTimeoutError,
)
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.rules import RulesParams, score_by_rules
from pipeline_assets.core.scoring import (
    choose_canary_customers,
    join_features,
    list_deciding_versions,
    score_payments,
)
from pipeline_assets.core.training import TrainedModel, TrainingParams, train

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = RulesParams()
CUSTOMER = [feature.name for feature in CUSTOMER_FEATURES]
TERMINAL = [feature.name for feature in TERMINAL_FEATURES]


class Stub:
    """A model that says of each payment what a test wants, by its amount in cents, or raises it."""

    def __init__(self, version: str, answer: Callable[[Floats], Floats] | Exception) -> None:
        self.version = version
        self.answer = answer

    def predict(self, inputs: Floats) -> Floats:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(inputs[:, MODEL_FEATURES.index("amount_cents")])

    def explain(self, inputs: Floats) -> Floats:
        explained = np.zeros((len(inputs), len(MODEL_FEATURES)))
        explained[:, MODEL_FEATURES.index("is_night")] = 1.0  # which neither the rules nor a trained model say alone
        return explained

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        pass


def edit_leaves(text: str, edit: Callable[[int, str], str]) -> str:
    """A model's text with other leaf values: ``edit`` gets the place of each in its tree."""
    text = re.sub(r"(?m)^tree_sizes=.*\n", "", text)  # without the sizes LightGBM reads tree after tree

    def replace(found: re.Match[str]) -> str:
        return "leaf_value=" + " ".join(edit(place, value) for place, value in enumerate(found[1].split()))

    return re.sub(r"(?m)^leaf_value=(.*)$", replace, text)


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
    failed_over: bool = False,
) -> ReleaseEntry:
    start = START + timedelta(days=days)
    return ReleaseEntry(
        start.date(), start, ReleaseAction.HOLD, "", champion, backup, canary, share, sequence=sequence,
        failed_over_since=start.date() if failed_over else None,
    )  # fmt: skip


def score(
    payments: pl.DataFrame,
    entries: list[ReleaseEntry],
    models: Mapping[str, Model],
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
        (entry("new", "old", failed_over=True), {"new", "old"}, "backup", "old", ["champion_suspended"]),
        (entry("new", "old", "new", 1.0, failed_over=True), {"new", "old"}, "backup", "old", ["champion_suspended"]),
        (
            entry("new", "old", failed_over=True), {"new"}, "rules", RULES.version,
            ["champion_suspended", "backup_unavailable"],
        ),
        (entry("new", failed_over=True), {"new"}, "rules", RULES.version, ["champion_suspended"]),
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
    ("answer", "problem"),
    [(ModelTimeoutError(), "timed_out"), (ModelFailedError(), "unavailable"), (lambda a: a * np.nan, "invalid")],
)
def test_a_model_that_gives_nothing_sends_its_payments_down_the_ladder(
    payments: pl.DataFrame,
    models: dict[str, FraudModel],
    answer: Callable[[Floats], Floats] | Exception,
    problem: str,
) -> None:
    broken = {name: Stub(name, answer) for name in ("c", "new", "old")}
    last = score(payments, [entry("new", "old", "c", 1.0)], broken)
    by_rules = score(payments, [], {})
    assert last.drop("degraded_by").equals(by_rules.drop("degraded_by"))
    said = [f"canary_{problem}", f"champion_{problem}", f"backup_{problem}"]
    assert last["degraded_by"].to_list() == [said] * payments.height
    saved = score(payments, [entry("new", "old", "c", 1.0)], {**broken, "old": models["old"]})
    well = score(payments, [entry("old")], models)
    assert saved.drop("degraded_by", "rung").equals(well.drop("degraded_by", "rung"))
    assert saved["degraded_by"].to_list() == [said[:2]] * payments.height
    assert set(saved["rung"]) == {"backup"}


NONSENSE = st.sampled_from([np.nan, np.inf, -np.inf, -1e-9, 1 + 1e-9, 2.0])


@given(st.lists(st.tuples(NONSENSE | st.floats(0, 1), NONSENSE | st.floats(0, 1)), min_size=1, max_size=25))
@settings(max_examples=25, deadline=None)
def test_each_payment_goes_down_until_a_score_is_a_probability_alone_as_in_company(
    payments: pl.DataFrame, answers: list[tuple[float, float]]
) -> None:
    some = payments.head(len(answers)).with_columns(amount_cents=pl.int_range(pl.len(), dtype=pl.Int64))
    champion, backup = (np.array(column) for column in zip(*answers, strict=True))
    known: dict[str, Model] = {
        "new": Stub("new", lambda amounts: champion[amounts.astype(int)]),
        "old": Stub("old", lambda amounts: backup[amounts.astype(int)]),
    }
    entries = [entry("new", "old")]
    together = score(some, entries, known)
    for row, (first, second) in zip(together.iter_rows(named=True), answers, strict=True):
        if 0 <= first <= 1:
            expected: tuple[object, ...] = ("champion", first, [])
        elif 0 <= second <= 1:
            expected = ("backup", second, ["champion_invalid"])
        else:
            by_rules = score_by_rules(some, RULES).score[together["transaction_id"].index_of(row["transaction_id"])]
            expected = ("rules", by_rules, ["champion_invalid", "backup_invalid"])
        assert (row["rung"], row["score"], row["degraded_by"]) == expected
    assert pl.concat([score(some[row], entries, known) for row in range(some.height)]).equals(together)


def test_the_model_that_decided_is_the_one_that_is_explained(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    """The champion refuses the dearer half."""
    middle = np.median(payments["amount_cents"].to_numpy())
    champion = Stub("new", lambda amounts: np.where(amounts > middle, np.nan, 0.9))
    found = score(payments, [entry("new", "old")], {"new": champion, "old": models["old"]})
    alone = score(payments, [entry("old")], models)
    is_dear = payments["amount_cents"] > middle
    assert found.filter(is_dear)["reason_codes"].equals(alone.filter(is_dear)["reason_codes"])
    assert set(found.filter(~is_dear & (found["decision"] != "approve"))["reason_codes"].list.join("+")) == {"at_night"}


def test_a_model_that_cannot_explain_in_time_has_not_answered(payments: pl.DataFrame) -> None:
    class Slow(Stub):
        def explain(self, inputs: Floats) -> Floats:
            raise ModelTimeoutError

    found = score(payments, [entry("new")], {"new": Slow("new", lambda amounts: np.full(len(amounts), 0.9))})
    assert found["degraded_by"].to_list() == [["champion_timed_out"]] * payments.height


def test_an_error_that_is_our_own_is_loud(payments: pl.DataFrame) -> None:
    with pytest.raises(ZeroDivisionError):
        score(payments, [entry("new")], {"new": Stub("new", ZeroDivisionError())})


@pytest.mark.parametrize(
    ("edit", "has_invalid"),
    [
        (lambda place, value: "nan" if place == 2 else value, True),
        (lambda place, value: "-inf" if place == 2 else "inf" if place == 1 else value, True),
        (lambda place, value: str(-float(value)), False),
        (lambda place, value: "0.01", False),
    ],
    ids=["nan", "infinite", "inverted", "constant"],
)
def test_a_broken_model_decides_where_it_can_and_the_same_bytes_each_time(
    payments: pl.DataFrame,
    trained: TrainedModel,
    models: dict[str, FraudModel],
    edit: Callable[[int, str], str],
    has_invalid: bool,
) -> None:
    def rescore(rows: pl.DataFrame) -> pl.DataFrame:
        text = edit_leaves(trained.text.decode(), edit)
        broken = FraudModel("broken", text, trained.card["typical_inputs"])
        return score(rows, [entry("broken", "old")], {"broken": broken, "old": models["old"]})

    found = rescore(payments)
    by_champion = found.filter(rung="champion")
    assert by_champion.height > 0
    assert (by_champion.height < payments.height) == has_invalid
    assert by_champion["degraded_by"].list.len().sum() == 0
    others = found.filter(rung="backup")
    assert by_champion.height + others.height == payments.height
    assert set(others["degraded_by"].list.join("+")) <= {"champion_invalid"}
    alone = score(payments, [entry("old")], models).filter(found["rung"] == "backup")
    assert others.drop("rung", "degraded_by").equals(alone.drop("rung", "degraded_by"))
    assert rescore(payments).equals(found)
    assert rescore(payments.reverse()).reverse().equals(found)


def test_a_log_of_many_years_is_read_as_one_of_few_entries(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    days = range(-3000, 100)
    entries = [entry("new" if day % 2 else "old", days=day, sequence=day + 3000) for day in days]
    found = score(payments, entries, models)
    first_days = (payments["event_time"].dt.date() - date(2026, 1, 1)).dt.total_days()
    assert found["model_version"].to_list() == ["new" if day % 2 else "old" for day in first_days]


def test_only_who_may_decide_is_loaded() -> None:
    assert list_deciding_versions(entry("a", "b", "c", 0.1)) == {"a", "b", "c"}
    assert list_deciding_versions(entry("a", None)) == {"a"}
    assert list_deciding_versions(entry("a", "b", "c", 0.1, failed_over=True)) == {"b"}
    assert list_deciding_versions(entry(None)) == set()


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


def test_a_text_that_is_no_model_is_refused(trained: TrainedModel) -> None:
    with pytest.raises(ModelMismatchError, match="text format"):
        FraudModel("other", "no model", trained.card["typical_inputs"])


def test_a_model_that_gives_several_numbers_a_row_has_failed(trained: TrainedModel, payments: pl.DataFrame) -> None:
    text = trained.text.decode().replace("objective=binary sigmoid:1", "objective=multiclass num_class:2")
    text = text.replace("num_class=1", "num_class=2").replace("num_tree_per_iteration=1", "num_tree_per_iteration=2")
    model = FraudModel("two", text, trained.card["typical_inputs"])
    with pytest.raises(ModelFailedError, match="one score a row"):
        model.predict(make_model_inputs(payments))


def test_the_past_is_scored_again_the_same_when_the_log_has_grown(
    payments: pl.DataFrame, models: dict[str, FraudModel]
) -> None:
    first = [entry("old")]
    last = payments["event_time"].max()
    assert isinstance(last, datetime)
    days = (last.date() - date(2026, 1, 1)).days + 1
    grown = [*first, entry("new", days=days, sequence=1)]
    assert score(payments, first, models).equals(score(payments, grown, models))
