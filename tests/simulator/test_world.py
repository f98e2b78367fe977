"""The world: every day a pure function of its parameters, frauds as ordered, ids that tell nothing."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.contracts.tables import CHARGEBACKS, TRANSACTIONS
from pipeline_assets.simulator.params import AmountDrift, CardTesting, FraudPattern, NewCustomers, WorldParams
from pipeline_assets.simulator.world import Simulation, World

START = date(2024, 2, 20)
LAST = START + timedelta(days=99)


def make_world(**knobs: Any) -> World:
    small: dict[str, Any] = {"start": START, "n_customers": 300, "n_terminals": 600, "seed": 3}
    return World(WorldParams(**(small | knobs)))


def day(number: int) -> date:
    return START + timedelta(days=number)


def assert_equal(one: Simulation, other: Simulation) -> None:
    assert one.transactions.equals(other.transactions)
    assert one.truth.equals(other.truth)
    assert one.chargebacks.equals(other.chargebacks)


@pytest.fixture(scope="module")
def large() -> Simulation:
    """The Handbook's size: 100 days of 5,000 customers."""
    return World(WorldParams(start=START, seed=11)).simulate(START, LAST)


@pytest.fixture(scope="module")
def frauds(large: Simulation) -> pl.DataFrame:
    """All payments of the large world that are frauds, with their pattern."""
    return large.transactions.join(large.truth.filter(pl.col("fraud_pattern") > 0), on="transaction_id")


def test_every_frame_satisfies_its_contract_and_order(large: Simulation) -> None:
    TRANSACTIONS.schema.validate(large.transactions)
    CHARGEBACKS.schema.validate(large.chargebacks)
    assert large.transactions.equals(large.transactions.sort(TRANSACTIONS.order))
    assert large.chargebacks.equals(large.chargebacks.sort(CHARGEBACKS.order))
    assert large.truth["transaction_id"].equals(large.transactions["transaction_id"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 60), st.integers(0, 8), st.integers(0, 2**63 - 1))
def test_a_range_equals_its_days_one_by_one_in_any_order(first: int, more: int, seed: int) -> None:
    changes = (NewCustomers(day(9), 40), CardTesting(day(9), customer_rate=0.05), AmountDrift(day(30)))
    world = make_world(n_customers=80, seed=seed, changes=changes)
    days = [world.simulate(day(number)) for number in reversed(range(first, first + more + 1))]
    joined = Simulation(
        *(pl.concat([getattr(d, part) for d in reversed(days)]) for part in ("transactions", "truth", "chargebacks"))
    )
    assert_equal(world.simulate(day(first), day(first + more)), joined)


def test_tomorrow_does_not_change_yesterday_and_a_new_world_is_the_same_world() -> None:
    until_yesterday, until_today = make_world().simulate(day(0), day(40)), make_world().simulate(day(0), day(41))
    past = until_today.transactions.filter(pl.col("event_time").dt.date() <= day(40))
    assert past.equals(until_yesterday.transactions)
    assert until_today.chargebacks.head(until_yesterday.chargebacks.height).equals(until_yesterday.chargebacks)


def test_another_seed_is_another_world() -> None:
    one, other = make_world(seed=1), make_world(seed=2)
    assert not one.customers.equals(other.customers)
    assert not one.simulate(day(5)).transactions.equals(other.simulate(day(5)).transactions)


def test_payments_and_frauds_occur_at_the_expected_rates(large: Simulation) -> None:
    # 5,000 customers x 2 a day x the share of a normal(12 h, 20,000 s) that falls within the day
    assert large.transactions.height / 100 == pytest.approx(5_000 * 2 * 0.9692, rel=0.04)
    n = dict(large.truth["fraud_pattern"].value_counts().iter_rows())
    # Days of compromise within the 100: each day's 2 terminals count 28 days, 3 customers 14, cut at the end.
    terminal_days = sum(2 * min(28, 100 - d) for d in range(100))
    customer_days = sum(3 * min(14, 100 - d) for d in range(100))
    assert n[FraudPattern.COMPROMISED_TERMINAL] == pytest.approx(terminal_days * 0.969, rel=0.15)
    assert n[FraudPattern.COMPROMISED_CUSTOMER] == pytest.approx(customer_days * 1.938 / 3, rel=0.15)
    assert n[FraudPattern.LARGE_AMOUNT] / large.transactions.height == pytest.approx(489 / 872_795, rel=0.25)
    assert FraudPattern.CARD_TESTING not in n


def test_every_amount_above_the_large_amount_is_a_fraud(large: Simulation) -> None:
    rows = large.transactions.join(large.truth, on="transaction_id").filter(pl.col("amount_cents") > 22_000)
    assert rows.height > 100
    assert rows.filter(pl.col("fraud_pattern") == 0).is_empty()


def test_all_payments_of_a_compromised_terminal_are_frauds_for_28_days_at_most(
    large: Simulation, frauds: pl.DataFrame
) -> None:
    on_days = (
        frauds.filter(pl.col("fraud_pattern") == FraudPattern.COMPROMISED_TERMINAL)
        .select("terminal_id", pl.col("event_time").dt.date().alias("date"))
        .unique()
    )
    rows = large.transactions.join(large.truth, on="transaction_id").with_columns(date=pl.col("event_time").dt.date())
    assert (rows.join(on_days, on=["terminal_id", "date"])["fraud_pattern"] > 0).all()
    spans = on_days.group_by("terminal_id").agg((pl.col("date").max() - pl.col("date").min()).dt.total_days() + 1)
    days = spans["date"].to_numpy()
    assert (days <= 28).mean() > 0.95  # few are compromised twice
    assert np.median(days) > 20


def test_a_compromised_customer_pays_honestly_two_times_of_three(large: Simulation, frauds: pl.DataFrame) -> None:
    windows = (
        frauds.filter(pl.col("fraud_pattern") == FraudPattern.COMPROMISED_CUSTOMER)
        .group_by("customer_id")
        .agg(pl.col("event_time").min().alias("first"), pl.col("event_time").max().alias("end"))
    )
    inside = (
        large.transactions.join(large.truth, on="transaction_id")
        .join(windows, on="customer_id")
        .filter(pl.col("event_time") > pl.col("first"), pl.col("event_time") < pl.col("end"))
        .filter(pl.col("end") - pl.col("first") < timedelta(days=14))
    )
    share = (inside["fraud_pattern"] == FraudPattern.COMPROMISED_CUSTOMER).mean()
    assert 0.2 < share < 0.4  # type: ignore[operator] # the first and last, frauds by choice, are left out


def test_the_last_digit_of_an_amount_does_not_betray_a_multiplied_one(frauds: pl.DataFrame) -> None:
    stolen = frauds.filter(pl.col("fraud_pattern") == FraudPattern.COMPROMISED_CUSTOMER)["amount_cents"]
    assert (stolen % 5 == 0).mean() == pytest.approx(0.2, abs=0.05)


def test_every_fraud_and_nothing_else_is_reported_between_one_and_seven_days_later(
    large: Simulation, frauds: pl.DataFrame
) -> None:
    reports = large.chargebacks.join(frauds, on="transaction_id", how="left")
    delay = reports["reported_at"] - reports["event_time"]
    assert delay.null_count() == 0
    assert delay.min() > timedelta(days=1)  # type: ignore[operator]
    assert delay.max() <= timedelta(days=7)  # type: ignore[operator]
    assert delay.mean() / timedelta(days=1) == pytest.approx(4, abs=0.1)  # type: ignore[operator]
    mature = frauds.filter(pl.col("event_time").dt.date() < LAST - timedelta(days=7))
    assert mature.join(large.chargebacks, on="transaction_id", how="anti").is_empty()


@pytest.mark.parametrize("delay", [3.0, 7.0])
def test_with_equal_bounds_every_fraud_is_reported_after_exactly_that_delay(delay: float) -> None:
    happened = make_world(report_delay_min_days=delay, report_delay_max_days=delay).simulate(day(0), day(60))
    reports = happened.chargebacks.join(happened.transactions, on="transaction_id")
    assert reports.height > 50
    assert set(reports["reported_at"] - reports["event_time"]) == {timedelta(days=delay)}


def test_ids_rise_with_time_and_tell_nothing_of_fraud(large: Simulation) -> None:
    ids = large.transactions["transaction_id"]
    assert ids.is_sorted()
    assert ids.n_unique() == ids.len()
    place = ids.str.slice(1).cast(pl.Int64) % 10**7
    is_fraud = large.truth["fraud_pattern"] > 0
    assert place.filter(is_fraud).mean() == pytest.approx(place.mean(), rel=0.03)
    last_digit = large.truth.group_by(pl.col("transaction_id").str.slice(-1)).agg((pl.col("fraud_pattern") > 0).mean())
    assert last_digit["fraud_pattern"].max() < 1.3 * is_fraud.mean()  # type: ignore[operator]


def test_payments_of_one_second_occur(large: Simulation) -> None:
    assert large.transactions["event_time"].n_unique() < large.transactions.height


@pytest.mark.parametrize("n_terminals", [1, 30, 2_000])
def test_customers_pay_at_terminals_within_reach_in_worlds_of_any_size(n_terminals: int) -> None:
    rows = make_world(n_terminals=n_terminals).simulate(day(0), day(60)).transactions
    used = rows.group_by("customer_id").agg(pl.col("terminal_id").n_unique(), pl.len())
    visited = used.filter(pl.col("len") > 100)["terminal_id"].to_numpy()
    assert visited.max() <= min(n_terminals, 130)  # 78.5 in reach on average
    assert np.median(visited) > min(n_terminals, 78) / 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_customer_visits_the_terminals_within_reach_and_no_others(seed: int) -> None:
    world = make_world(n_customers=1, n_terminals=2_000, daily_payments_max=200.0, seed=seed)
    rows = world.simulate(day(0), day(99)).transactions
    x, y = world._people.x[0], world._people.y[0]
    distance = ((world._grid.x - x) ** 2 + (world._grid.y - y) ** 2) ** 0.5
    near = world.terminals["terminal_id"].filter(pl.Series(distance <= world.params.radius))
    counts = rows["terminal_id"].value_counts()["count"].to_numpy()
    assert counts.mean() > 20
    assert set(rows["terminal_id"]) == set(near)
    assert counts.var() == pytest.approx(counts.mean(), rel=0.7)  # uniform among them: a Poisson's variance


def test_customers_with_no_terminal_in_reach_pay_nothing() -> None:
    assert make_world(terminals_in_reach=1e-9).simulate(day(0), day(3)).transactions.is_empty()


def test_a_world_twice_as_large_makes_twice_the_payments_and_keeps_the_fraud_mix() -> None:
    small, big = (
        make_world(n_customers=n, n_terminals=2 * n).simulate(day(30), day(60)) for n in (1_500, 3_000)
    )  # fmt: skip
    assert big.transactions.height == pytest.approx(2 * small.transactions.height, rel=0.08)
    rates = [(s.truth["fraud_pattern"] > 0).mean() for s in (small, big)]
    assert rates[0] == pytest.approx(rates[1], rel=0.3)


def test_changes_take_effect_on_their_day_and_leave_the_days_before_alone() -> None:
    changes = (AmountDrift(day(10), factor=2.0), NewCustomers(day(10), 100), CardTesting(day(10), customer_rate=0.05))
    plain, changed = make_world(), make_world(changes=changes)
    assert_equal(plain.simulate(day(0), day(9)), changed.simulate(day(0), day(9)))
    before, after = plain.simulate(day(10), day(30)), changed.simulate(day(10), day(30))
    known = after.transactions.join(after.truth, on="transaction_id")
    tests = known.filter(pl.col("fraud_pattern") == FraudPattern.CARD_TESTING)
    assert tests.height == 21 * 20 * 8  # days x 5 % of 400 customers x payments of a burst
    assert tests["event_time"].dt.hour().is_between(1, 4).all()
    assert tests["amount_cents"].is_between(100, 1_000).all()  # 0.50 to 5.00, doubled
    honest = known.filter(pl.col("fraud_pattern") == 0)
    assert honest["customer_id"].n_unique() > before.transactions["customer_id"].n_unique() + 70
    assert honest["amount_cents"].mean() == pytest.approx(2 * before.transactions["amount_cents"].mean(), rel=0.15)  # type: ignore[operator]


def test_weekends_can_be_quiet() -> None:
    rows = make_world(weekend_activity=0.25).simulate(day(0), day(27)).transactions
    n = rows.group_by(pl.col("event_time").dt.weekday() >= 6).len().sort("event_time")["len"].to_list()
    assert n[1] / 8 == pytest.approx(0.25 * n[0] / 20, rel=0.15)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"n_customers": 0}, "n_customers"),
        ({"terminal_rate": 1.5}, "terminal_rate"),
        ({"colour": "red"}, "colour"),
        ({"mean_amount_min": 200.0}, "mean_amount: expected the lower bound"),
        ({"report_delay_min_days": 6.0, "report_delay_max_days": 5.0}, "report_delay: expected the lower bound"),
        ({"report_delay_max_days": 8.0}, "report_delay_max_days"),
        ({"n_customers": 5_000_000, "daily_payments_max": 100.0}, "expected at most 5,000,000 payments a day"),
        ({"changes": [{"kind": "amount_drift", "day": "2024-01-01"}]}, "expected days from 2024-02-20 on"),
        ({"changes": [{"kind": "earthquake", "day": "2024-03-01"}]}, "earthquake"),
    ],
)
def test_a_wrong_parameter_is_named(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_world(**knobs)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [(-1, 3, "expected a day from 2024-02-20 to"), (5, 4, "expected a last day not before"), (0, 10_000, "found 2051")],
)
def test_days_outside_the_world_are_refused(first: int, last: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_world().simulate(day(first), day(last))
