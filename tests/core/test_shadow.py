"""Shadow evidence: every model on the same payments, by itself, on what was known by the end of the day."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.features import Feature
from pipeline_assets.contracts.tables import MODEL_HEALTH
from pipeline_assets.core.costs import DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.evaluation import TestSet, evaluate
from pipeline_assets.core.features import MODEL_FEATURES
from pipeline_assets.core.fraud_model import Flags, Floats, Model, ModelFailedError, ModelTimeoutError
from pipeline_assets.core.rules import RulesParams, score_by_rules
from pipeline_assets.core.shadow import SCORE_BIN_EDGES, SCORE_BINS, judge_payments, measure_health

DAY = date(2026, 1, 9)  # labels of January 2 mature at its end
MATURED = date(2026, 1, 2)
RULES, COSTS = RulesParams(), DecisionParams()
TOP_CARDS = 5
Signals = dict[str, float | None]


class Stub:
    """A model that says of each payment what a test wants, by its amount in cents, or raises it."""

    version = "stub"

    def __init__(self, answer: Callable[[Floats], Floats] | Exception) -> None:
        self.answer = answer

    def predict(self, inputs: Floats) -> Floats:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(inputs[:, MODEL_FEATURES.index("amount_cents")])

    def explain(self, inputs: Floats) -> Floats:
        raise NotImplementedError

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        pass


def rank_by_amount(amounts: Floats) -> Floats:
    return np.asarray(amounts / (amounts + 20_000))


MODELS: dict[str, Model | None] = {
    "by amount": Stub(rank_by_amount),
    "inverted": Stub(lambda amounts: 1 - rank_by_amount(amounts)),
    "often wrong": Stub(lambda amounts: np.where(amounts % 3 == 0, np.nan, np.where(amounts % 3 == 1, 1.5, 0.5))),
    "slow": Stub(ModelTimeoutError()),
    "failed": Stub(ModelFailedError()),
    "absent": None,
}


@pytest.fixture(scope="module")
def payments(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    """Payments from January 1 on, one a minute; every eleventh arrives days late; some lack features."""
    rows = make_training_set(14_000).gather_every(5)
    number = pl.int_range(pl.len())
    late = pl.when(number % 11 == 0).then(number % 9).otherwise(0)
    return rows.with_columns(
        pl.when(number % 7 != 0).then("customer_tx_count_1d"),
        arrival_date=pl.col("event_time").dt.date() + pl.duration(days=late),
    )


@pytest.fixture(scope="module")
def chargebacks(payments: pl.DataFrame) -> pl.DataFrame:
    """Reports of the frauds, made half a day to ten days after them; some arrive a day after they were made."""
    number = pl.int_range(pl.len())
    return (
        payments.filter("is_fraud")
        .select("transaction_id", reported_at=pl.col("event_time") + pl.duration(hours=12 + 24 * (number % 10)))
        .with_columns(arrival_date=pl.col("reported_at").dt.date() + pl.duration(days=number % 2))
    )


def measure(
    payments: pl.DataFrame,
    chargebacks: pl.DataFrame,
    models: dict[str, Model | None] = MODELS,
    day: date = DAY,
) -> dict[str, Signals]:
    judged = judge_payments(payments.drop("is_fraud"), models, COSTS, RULES)
    table = measure_health(judged, chargebacks, day, [*models, RULES.version], TOP_CARDS)
    MODEL_HEALTH.schema.validate(table)
    assert table.equals(table.sort(MODEL_HEALTH.order))
    found: dict[str, Signals] = {}
    for version, signal, value in table.iter_rows():
        found.setdefault(version, {})[signal] = value
    return found


@pytest.fixture(scope="module")
def found(payments: pl.DataFrame, chargebacks: pl.DataFrame) -> dict[str, Signals]:
    return measure(payments, chargebacks)


@pytest.fixture(scope="module")
def arrived(payments: pl.DataFrame) -> pl.DataFrame:
    return payments.filter(pl.col("arrival_date") == DAY)


@pytest.fixture(scope="module")
def mature(payments: pl.DataFrame, chargebacks: pl.DataFrame) -> pl.DataFrame:
    known = chargebacks.filter(pl.col("reported_at").dt.date() <= DAY, pl.col("arrival_date") <= DAY)
    rows = payments.filter(pl.col("event_time").dt.date() == MATURED, pl.col("arrival_date") <= DAY)
    return rows.with_columns(is_fraud=pl.col("transaction_id").is_in(known["transaction_id"].to_list()))


def test_leading_signals_are_of_what_arrived_on_the_day(found: dict[str, Signals], arrived: pl.DataFrame) -> None:
    signals, amounts = found["by amount"], arrived["amount_cents"].to_numpy()
    score = rank_by_amount(amounts)
    choice = choose_decisions(score, amounts, COSTS)
    shares = [signals[name] for name in ("approved_share", "reviewed_share", "declined_share")]
    assert shares == [(choice == number).mean() for number in range(3)]
    assert min(filter(None, shares), default=0) > 0
    assert signals["flagged_share"] == (choice > 0).mean()
    assert signals["n_payments"] == arrived.height > 100
    assert (signals["n_invalid"], signals["timed_out"], signals["unavailable"]) == (0, 0, 0)
    assert signals["score_mean"] == pytest.approx(score.mean())
    counts = np.histogram(score, [0, *SCORE_BIN_EDGES, 1])[0]
    assert [signals[name] for name in SCORE_BINS] == counts.tolist()


def test_mature_signals_are_those_of_the_protocol_on_the_day_that_matured(
    found: dict[str, Signals], mature: pl.DataFrame
) -> None:
    amounts, labels = mature["amount_cents"].to_numpy(), mature["is_fraud"].to_numpy()
    score = rank_by_amount(amounts)
    report = evaluate(TestSet(mature, 0, 0), score, TOP_CARDS)
    signals = found["by amount"]
    assert (signals["mature_n_payments"], signals["mature_n_frauds"]) == (mature.height, labels.sum())
    assert signals["mature_average_precision"] == report.average_precision
    assert signals["mature_card_precision"] == report.card_precision > 0
    costs = measure_costs(amounts, labels, choose_decisions(score, amounts, COSTS), COSTS)
    assert signals["mature_cost_cents"] == costs.sum() > 0
    assert 5 < labels.sum() < mature.height


def test_where_a_model_gives_no_probability_what_the_rules_would_have_done_counts(
    found: dict[str, Signals], arrived: pl.DataFrame, mature: pl.DataFrame
) -> None:
    signals = found["often wrong"]
    is_valid = arrived["amount_cents"].to_numpy() % 3 == 2
    assert signals["n_invalid"] == (~is_valid).sum() > 0
    assert signals["score_mean"] == 0.5
    assert signals["score_bin_08"] == is_valid.sum()
    served = np.where(mature["amount_cents"].to_numpy() % 3 == 2, 0.5, score_by_rules(mature, RULES).score)
    report = evaluate(TestSet(mature, 0, 0), served, TOP_CARDS)
    assert signals["mature_average_precision"] == report.average_precision
    choice = choose_decisions(
        np.where(is_valid, 0.5, score_by_rules(arrived, RULES).score), arrived["amount_cents"].to_numpy(), COSTS
    )
    assert signals["flagged_share"] == (choice > 0).mean()


def test_a_model_that_does_not_answer_in_time_would_have_left_all_to_the_rules(found: dict[str, Signals]) -> None:
    slow, rules = found["slow"], found[RULES.version]
    its_own = {"timed_out", "n_invalid", "score_mean", *SCORE_BINS}
    assert all(slow[name] == rules[name] for name in slow.keys() - its_own)
    assert slow["timed_out"] == 1
    assert slow["n_invalid"] == slow["n_payments"]
    assert slow["score_mean"] is None
    assert {slow[name] for name in SCORE_BINS} == {0}


def test_of_a_model_that_cannot_be_asked_only_that_is_said(found: dict[str, Signals]) -> None:
    assert found["failed"] == found["absent"] == {"unavailable": 1}


def test_every_model_is_measured_on_the_same_payments(found: dict[str, Signals]) -> None:
    measured = [signals for signals in found.values() if signals != {"unavailable": 1}]
    for name in ("n_payments", "mature_n_payments", "mature_n_frauds"):
        assert len({signals[name] for signals in measured}) == 1
    for signals in measured:
        assert sum(signals[name] or 0 for name in ("n_invalid", *SCORE_BINS)) == signals["n_payments"]


@given(names=st.sets(st.sampled_from(sorted(MODELS))), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_neither_other_models_nor_the_order_of_rows_matter(
    payments: pl.DataFrame, chargebacks: pl.DataFrame, found: dict[str, Signals], names: set[str], seed: int
) -> None:
    shuffled = payments.sample(fraction=1, shuffle=True, seed=seed)
    some = measure(shuffled, chargebacks.reverse(), {name: MODELS[name] for name in names})
    assert some == {name: found[name] for name in (*names, RULES.version)}


def test_what_comes_after_the_day_never_changes_it(
    payments: pl.DataFrame, chargebacks: pl.DataFrame, found: dict[str, Signals]
) -> None:
    end = datetime.combine(DAY + timedelta(days=1), datetime.min.time(), UTC)
    known = chargebacks.filter(pl.col("arrival_date") <= DAY, pl.col("reported_at") < end)
    assert 0 < known.height < chargebacks.height
    assert measure(payments.filter(pl.col("arrival_date") <= DAY), known) == found


def test_payments_of_other_days_do_not_matter(
    payments: pl.DataFrame, chargebacks: pl.DataFrame, found: dict[str, Signals]
) -> None:
    needed = (pl.col("arrival_date") == DAY) | (pl.col("event_time").dt.date() == MATURED)
    assert measure(payments.filter(needed), chargebacks) == found


def test_the_bins_of_two_days_can_be_added(payments: pl.DataFrame, chargebacks: pl.DataFrame) -> None:
    other = DAY - timedelta(days=1)
    days = [measure(payments, chargebacks, day=day)["by amount"] for day in (other, DAY)]
    both = payments.with_columns(arrival_date=pl.col("arrival_date").replace({other: DAY}))
    pooled = measure(both, chargebacks)["by amount"]
    assert [pooled[name] for name in SCORE_BINS] == [sum(day[name] or 0 for day in days) for name in SCORE_BINS]


def test_what_is_undefined_is_null(payments: pl.DataFrame, chargebacks: pl.DataFrame) -> None:
    empty = measure(payments.clear(), chargebacks)["by amount"]
    undefined = {
        "approved_share", "reviewed_share", "declined_share", "flagged_share", "score_mean",
        "mature_average_precision", "mature_card_precision",
    }  # fmt: skip
    assert {name for name, value in empty.items() if value is None} == undefined
    assert {value for name, value in empty.items() if name not in undefined} == {0}
    no_frauds = measure(payments, chargebacks.clear())["by amount"]
    assert {name for name, value in no_frauds.items() if value is None} == {"mature_average_precision"}
    assert no_frauds["mature_card_precision"] == 0


def test_the_bins_divide_where_frauds_are_rare() -> None:
    assert len(SCORE_BINS) == len(SCORE_BIN_EDGES) + 1 == 12
    log_odds = np.log(np.array(SCORE_BIN_EDGES) / (1 - np.array(SCORE_BIN_EDGES)))
    assert np.diff(log_odds) == pytest.approx(1, abs=2e-3)
