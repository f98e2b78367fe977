"""The laws of the features, and a reference that says them row by row, with no index and no state."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE
from pipeline_assets.core.features import FeatureTables, compute_features

START = date(2026, 1, 1)
DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Payment:
    event_time: datetime
    transaction_id: str
    customer_id: str
    terminal_id: str
    amount_cents: int
    arrival_date: date


@dataclass(frozen=True, order=True)
class Report:
    arrival_date: date
    reported_at: datetime
    transaction_id: str


class World:
    """Payments and reports, and what each payment may know of the others."""

    def __init__(self, payments: list[Payment], reports: list[Report]) -> None:
        self.payments = sorted(payments)
        self.reports = reports
        self.first_report: dict[str, Report] = {}
        days = {payment.transaction_id: payment.event_time.date() for payment in payments}
        for report in sorted(reports):
            if report.transaction_id in days and report.arrival_date >= days[report.transaction_id]:
                self.first_report.setdefault(report.transaction_id, report)

    def before(self, now: Payment, *, days: int) -> list[Payment]:
        """What was seen when ``now`` was made, in the last ``days``, without ``now``."""
        return [
            p
            for p in self.payments
            if (p.event_time, p.transaction_id) < (now.event_time, now.transaction_id)
            and p.arrival_date <= now.arrival_date
            and p.event_time > now.event_time - days * DAY
        ]

    def is_known_fraud(self, payment: Payment, now: Payment) -> bool:
        report = self.first_report.get(payment.transaction_id)
        return report is not None and report.reported_at <= now.event_time and report.arrival_date <= now.arrival_date

    def usual(self, now: Payment) -> tuple[list[Payment], int, int]:
        """The customer's honest payments, and count and total of the usual ones among them."""
        own = [p for p in self.before(now, days=42) if p.customer_id == now.customer_id][-128:]
        honest = [p for p in own if not self.is_known_fraud(p, now)]
        count, total = len(honest), sum(p.amount_cents for p in honest)
        for _ in range(2):
            kept = [p.amount_cents for p in honest if p.amount_cents * count <= 3 * total]
            count, total = len(kept), sum(kept)
        return honest, count, total

    def ratio(self, now: Payment) -> float | None:
        _, count, total = self.usual(now)
        return now.amount_cents * count / total if total else None

    def customer_features(self, now: Payment) -> dict[str, Any]:
        row: dict[str, Any] = {"arrival_date": now.arrival_date, "transaction_id": now.transaction_id}
        for w in (1, 7, 30):
            own = [p.amount_cents for p in self.before(now, days=w) if p.customer_id == now.customer_id]
            own.append(now.amount_cents)
            row |= {f"customer_tx_count_{w}d": len(own), f"customer_amount_mean_{w}d": sum(own) / len(own)}
        honest, count, total = self.usual(now)
        outliers = [p for p in honest if p.amount_cents * count > 3 * total]
        recent = [p.amount_cents for p in outliers if p.event_time > now.event_time - 14 * DAY]
        return row | {
            "customer_amount_ratio": self.ratio(now),
            "customer_days_since_outlier": _days(outliers[-1], now) if outliers else 42,
            "customer_largest_ratio_14d": max(recent) * count / total if recent and total else 0.0,
            "customer_outlier_count_7d": sum(p.event_time > now.event_time - 7 * DAY for p in outliers),
        }

    def terminal_features(self, now: Payment) -> dict[str, Any]:
        row: dict[str, Any] = {"arrival_date": now.arrival_date, "transaction_id": now.transaction_id}
        own = [p for p in self.before(now, days=42) if p.terminal_id == now.terminal_id]
        mature = [p for p in own if p.event_time <= now.event_time - 7 * DAY]
        for w in (1, 7, 30):
            inside = [p for p in mature if p.event_time > now.event_time - (7 + w) * DAY]
            frauds = sum(self.is_known_fraud(p, now) for p in inside)
            row[f"terminal_tx_count_{w}d"] = len(inside)
            row[f"terminal_fraud_share_{w}d"] = frauds / len(inside) if inside else 0.0
        honest = [p for p in mature if not self.is_known_fraud(p, now)]
        known = [p for p in own if self.is_known_fraud(p, now)][-128:]
        run = [p for p in known if not honest or p > honest[-1]]
        ratios = [(p, ratio) for p in run if (ratio := self.ratio(p)) is not None]
        ordinary = [p for p, ratio in ratios if ratio <= 3]
        return row | {
            "terminal_fraud_run": len(run),
            "terminal_ordinary_fraud_run": len(ordinary),
            "terminal_days_since_ordinary_fraud": _days(ordinary[0], now) if ordinary else 42,
            "terminal_least_fraud_ratio": min((ratio for _, ratio in ratios), default=None),
            "terminal_days_since_honest": _days(honest[-1], now) if honest else 42,
        }


def _days(earlier: Payment, now: Payment) -> int:
    return (now.event_time.date() - earlier.event_time.date()).days


def at(hours: float) -> datetime:
    return datetime.combine(START, datetime.min.time(), UTC) + timedelta(hours=hours)


def frame_of(items: list[Any], kind: type) -> pl.DataFrame:
    types: dict[Any, Any] = {datetime: pl.Datetime("us", "UTC"), date: pl.Date, int: pl.Int64, str: pl.String}
    return pl.DataFrame([vars(item) for item in items], {f: types[t] for f, t in kind.__annotations__.items()})


def compute(world: World, first: date, last: date) -> FeatureTables:
    return compute_features(frame_of(world.payments, Payment), frame_of(world.reports, Report), first, last)


EVERY_ROW = pl.lit(True)


def assert_same(left: FeatureTables, right: FeatureTables, rows: pl.Expr = EVERY_ROW) -> None:
    for mine, other in ((left.customer, right.customer), (left.terminal, right.terminal)):
        assert_frame_equal(mine.filter(rows), other.filter(rows), check_exact=True)


def refer(world: World, first: date, last: date) -> FeatureTables:
    wanted = [p for p in world.payments if first <= p.arrival_date <= last]
    wanted.sort(key=lambda p: (p.arrival_date, p.transaction_id))
    customer, terminal = CUSTOMER_FEATURES_TABLE.empty().schema, TERMINAL_FEATURES_TABLE.empty().schema
    return FeatureTables(
        pl.DataFrame([world.customer_features(p) for p in wanted], {"arrival_date": pl.Date, **customer}),
        pl.DataFrame([world.terminal_features(p) for p in wanted], {"arrival_date": pl.Date, **terminal}),
    )


# Whole and half days, so that ties and the ends of windows are common; few entities, so that histories are long.
HOURS = st.integers(0, 100 * 2).map(lambda halves: 12 * halves) | st.floats(0, 2400, width=16)


@st.composite
def worlds(draw: st.DrawFn, hours: st.SearchStrategy[float] = HOURS) -> World:
    """Payments of which some came late, reports of which some came early, late, twice, or for nothing we know."""
    ids = draw(st.permutations([str(i) for i in range(draw(st.integers(1, 30)))]))
    payments = []
    for transaction_id in ids:
        time = at(draw(hours))
        late = draw(st.sampled_from([0, 0, 0, 0, 1, 3, 7]))
        payments.append(
            Payment(
                time, transaction_id, draw(st.sampled_from("ab")), draw(st.sampled_from("xy")),
                draw(st.sampled_from([0, 100, 101, 150, 1000, 90_000])), time.date() + late * DAY,
            )
        )  # fmt: skip
    reports = []
    for payment in draw(st.lists(st.sampled_from(payments), max_size=20)):
        reported = payment.event_time + draw(st.sampled_from([0, 1, 2.5, 7, 7, 7, 9])) * DAY
        late = draw(st.sampled_from([-3, 0, 0, 0, 1, 6]))
        reports.append(Report(reported.date() + late * DAY, reported, payment.transaction_id))
    return World(payments, [*reports, Report(START, at(0), "unknown")])


LAW = settings(max_examples=30, deadline=None)
END = START + 108 * DAY


@settings(LAW, max_examples=12)
@given(worlds())
def test_the_kernels_equal_the_reference_bit_for_bit(world: World) -> None:
    assert_same(compute(world, START, END), refer(world, START, END))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_busy_entity_is_exact_beyond_the_rows_that_are_looked_back_on(seed: int) -> None:
    world = make_busy_world(Random(seed))
    assert_same(compute(world, START, END), refer(world, START, END))


def make_busy_world(random: Random, *, payments: int = 700, days: int = 35) -> World:
    """One customer at one terminal, half of the payments frauds, a quarter of all rows late."""
    made, reports = [], []
    for i in range(payments):
        time = at(random.randrange(days * 24))
        late = random.choice([0, 0, 0, random.randrange(8)])
        amount = random.choice([100, 100, 110, 90, 1000])
        made.append(Payment(time, str(i), "a", "x", amount, time.date() + late * DAY))
        if time < at(24 * 14) or random.random() < 0.4:
            reported = time + random.choice([1, 7, 7, 10]) * DAY
            reports.append(Report(reported.date() + random.choice([0, 0, 3]) * DAY, reported, str(i)))
    return World(made, reports)


@LAW
@given(worlds(), st.integers(0, 108))
def test_what_arrives_later_never_changes_past_features(world: World, days: int) -> None:
    last = START + days * DAY
    past = World(
        [p for p in world.payments if p.arrival_date <= last], [r for r in world.reports if r.arrival_date <= last]
    )
    assert_same(compute(world, START, last), compute(past, START, last))


@LAW
@given(worlds(), st.data())
def test_what_happens_later_never_changes_past_features(world: World, data: st.DataObject) -> None:
    now = data.draw(st.sampled_from(world.payments))
    # Of several reports of a payment the first to arrive counts; what ingestion keeps is also the first reported.
    reports = [r for r in world.first_report.values() if r.reported_at <= now.event_time]
    past = World([p for p in world.payments if p <= now], reports)
    mine = pl.col("transaction_id") == now.transaction_id
    assert_same(compute(world, START, END), compute(past, START, END), mine)


@LAW
@given(worlds(), st.randoms(use_true_random=False))
def test_row_order_is_irrelevant(world: World, random: Random) -> None:
    expected = compute(world, START, END)
    random.shuffle(world.payments)
    random.shuffle(world.reports)
    assert_same(compute(world, START, END), expected)


@pytest.mark.parametrize("seed", range(5))
def test_a_day_alone_from_its_92_partitions_equals_the_day_within_a_range(seed: int) -> None:
    world = make_busy_world(Random(seed), payments=150, days=108)
    within = compute(world, START + 10 * DAY, END)
    for day in (START + days * DAY for days in range(92, 109)):
        window = World(
            [p for p in world.payments if day - 91 * DAY <= p.arrival_date <= day],
            [r for r in world.reports if day - 91 * DAY <= r.arrival_date <= day],
        )
        assert_same(compute(window, day, day), within, pl.col("arrival_date") == day)


@LAW
@given(worlds())
def test_batch_equals_one_by_one(world: World) -> None:
    batch = compute(world, START, END)
    days = [compute(world, day, day) for day in sorted({p.arrival_date for p in world.payments})]
    together = FeatureTables(pl.concat([day.customer for day in days]), pl.concat([day.terminal for day in days]))
    assert_same(batch, together)


def test_a_range_without_payments_gives_empty_tables_of_the_right_types() -> None:
    world = World([], [])
    assert_same(compute(world, START, END), refer(world, START, END))


@LAW
@given(worlds())
def test_the_tables_satisfy_their_contracts(world: World) -> None:
    tables = compute(world, START, END)
    CUSTOMER_FEATURES_TABLE.schema.validate(tables.customer.drop("arrival_date"))
    TERMINAL_FEATURES_TABLE.schema.validate(tables.terminal.drop("arrival_date"))


@pytest.mark.parametrize("lateness", [-1, 8])
def test_a_row_that_arrived_at_an_impossible_time_is_refused(lateness: int) -> None:
    payment = Payment(at(240), "1", "a", "x", 100, at(240).date() + lateness * DAY)
    with pytest.raises(ValueError, match="expected every row to arrive 0 to 7 days after its event, found 1"):
        compute(World([payment], []), START, END)
