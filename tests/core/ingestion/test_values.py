"""Single values: what each column accepts, from every type that a file may bring."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.contracts.tables import MAX_AMOUNT_CENTS
from pipeline_assets.core.ingestion import AmountColumn, IngestionParams, LabelColumn, TimeColumn, TransactionsMapping
from pipeline_assets.core.ingestion.columns import Parsed
from pipeline_assets.core.ingestion.mapping import Unit
from pipeline_assets.core.ingestion.times import parse_times
from pipeline_assets.core.ingestion.values import parse_amounts, parse_ids

MAJOR, CENTS = AmountColumn("a", Unit.MAJOR), AmountColumn("a")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def outcome(parsed: Parsed) -> Any:
    """The one value, or its reason; never both, never neither."""
    (value,), (reason,) = parsed.values.to_list(), parsed.reasons.to_list()
    assert (value is None) != (reason is None)
    return reason if value is None else value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 1200), ("12.3", 1230), ("12.34", 1234), ("0", 0), ("-0", 0), ("-0.00", 0), ("+3", 300), (".5", 50),
        ("1.", 100), ("1e1", 1000), ("1E-2", 1), ("12.345", 1234), ("12.355", 1236), ("0.285", 28),
        ("12.340000000000001", 1234), ("1000000000", MAX_AMOUNT_CENTS), ("1e-999999999", 0),
        ("1000000000.01", "out_of_range"), ("1e400", "out_of_range"), ("9" * 5000, "out_of_range"),
        ("9223372036854775808", "out_of_range"), ("-1", "negative"), ("-0.001", "negative"),
        ("-0.50", "negative"), ("-1e400", "negative"),
        ("NaN", "not_finite"), ("inf", "not_finite"), ("-Infinity", "not_finite"), ("", "missing_value"),
        ("1,5", "wrong_type"), ("0x10", "wrong_type"), ("\u0661", "wrong_type"), (" 1", "wrong_type"),
        ("1_000", "wrong_type"),
        ("1 000", "wrong_type"), ("€5", "wrong_type"), ("true", "wrong_type"), ("sNaN", "wrong_type"),
        ("1e", "wrong_type"),
    ],
)  # fmt: skip
def test_an_amount_written_as_text_is_exact_or_refused(text: str, expected: int | str) -> None:
    assert outcome(parse_amounts(pl.Series([text]), MAJOR)) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series([12.34]), 1234), (pl.Series([0.285]), 28), (pl.Series([1.005]), 100), (pl.Series([-0.0]), 0),
        (pl.Series([12.34], dtype=pl.Float32), 1234), (pl.Series([0.1 + 0.2]), 30), (pl.Series([7]), 700),
        (pl.Series([Decimal("12.34")]), 1234), (pl.Series([Decimal("12.345")]), 1234), (pl.Series([b"12.34"]), 1234),
        (pl.Series(["12.34"], dtype=pl.Categorical), 1234), (pl.Series([float("nan")]), "not_finite"),
        (pl.Series([float("-inf")]), "not_finite"), (pl.Series([-0.01]), "negative"), (pl.Series([-5]), "negative"),
        (pl.Series([1e300]), "out_of_range"), (pl.Series([2**63], dtype=pl.UInt64), "out_of_range"),
        (pl.Series([2**62]), "out_of_range"), (pl.Series([-(2**63)]), "negative"), (pl.Series([True]), "wrong_type"),
        (pl.Series([date(2026, 3, 10)]), "wrong_type"), (pl.Series([[1]]), "wrong_type"),
        (pl.Series([None]), "missing_value"),
        (pl.Series([None], dtype=pl.Float64), "missing_value"), (pl.Series([b"\xff"]), "wrong_encoding"),
    ],
)  # fmt: skip
def test_an_amount_of_a_parquet_type_is_exact_or_refused(raw: pl.Series, expected: int | str) -> None:
    assert outcome(parse_amounts(raw, MAJOR)) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series(["5"]), 5), (pl.Series(["5.0"]), 5), (pl.Series([5.0]), 5), (pl.Series([5]), 5),
        (pl.Series(["5.5"]), "wrong_type"), (pl.Series([5.5]), "wrong_type"),
        (pl.Series([MAX_AMOUNT_CENTS]), MAX_AMOUNT_CENTS),
        (pl.Series([MAX_AMOUNT_CENTS + 1]), "out_of_range"), (pl.Series([str(MAX_AMOUNT_CENTS + 1)]), "out_of_range"),
    ],
)  # fmt: skip
def test_cents_are_whole(raw: pl.Series, expected: int | str) -> None:
    assert outcome(parse_amounts(raw, CENTS)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.floats(0, MAX_AMOUNT_CENTS / 100) | st.integers(0, MAX_AMOUNT_CENTS).map(lambda n: n / 100), max_size=20
    )
)
def test_a_float_amount_is_the_decimal_it_shows_rounded_half_to_even(amounts: list[float]) -> None:
    expected = [int(Decimal(repr(x)).quantize(Decimal("0.01"), ROUND_HALF_EVEN) * 100) for x in amounts]
    assert parse_amounts(pl.Series(amounts, dtype=pl.Float64), MAJOR).values.to_list() == expected
    assert parse_amounts(pl.Series([repr(x) for x in amounts], dtype=pl.String), MAJOR).values.to_list() == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series(["a-1"]), "a-1"), (pl.Series(["ключ"]), "ключ"), (pl.Series([17]), "17"), (pl.Series([b"a"]), "a"),
        (pl.Series([17], dtype=pl.UInt8), "17"), (pl.Series(["a"], dtype=pl.Categorical), "a"),
        (pl.Series(["a b"]), "a b"),
        (pl.Series([Decimal(17)], dtype=pl.Decimal(20, 0)), "17"), (pl.Series(["x" * 64]), "x" * 64),
        (pl.Series(["1.0"]), "1.0"),
        (pl.Series(["x" * 65]), "too_long"), (pl.Series(["x" * 1_000_000]), "too_long"),
        (pl.Series([""]), "missing_value"),
        (pl.Series([None]), "missing_value"), (pl.Series([" a"]), "malformed"), (pl.Series(["a\n"]), "malformed"),
        (pl.Series([" "]), "malformed"), (pl.Series(["a\x00b"]), "malformed"), (pl.Series(["a\u200bb"]), "malformed"),
        (pl.Series(["a\u2028b"]), "malformed"), (pl.Series(["a\u2029b"]), "malformed"),
        (pl.Series(["a\u0085b"]), "malformed"), (pl.Series(["a\u000bb"]), "malformed"),
        (pl.Series(["a\u000cb"]), "malformed"), (pl.Series(["a\u202eb"]), "malformed"),
        (pl.Series(["a\x7fb"]), "malformed"), (pl.Series(["a\ue000b"]), "malformed"),
        (pl.Series([1.0]), "wrong_type"), (pl.Series([True]), "wrong_type"),
        (pl.Series([Decimal("1.5")]), "wrong_type"),
        (pl.Series([{"a": 1}]), "wrong_type"), (pl.Series([b"\xff"]), "wrong_encoding"),
    ],
)  # fmt: skip
def test_an_id_is_text_or_an_integer_and_never_changed(raw: pl.Series, expected: str) -> None:
    assert outcome(parse_ids(raw)) == expected


def at(hour: int, minute: int = 0, second: int = 0, micro: int = 0) -> datetime:
    return datetime(2026, 3, 10, hour, minute, second, micro, tzinfo=UTC)


def stamp(count: int, unit: Any, zone: str | None = None) -> pl.Series:
    return pl.Series([count], dtype=pl.Int64).to_frame("t").select(pl.col("t").cast(pl.Datetime(unit, zone)))["t"]


@pytest.mark.parametrize(
    ("raw", "spec", "expected"),
    [
        ("2026-03-10T12:00:00", {}, NOON), ("2026-03-10 12:00:00", {}, NOON), ("2026-03-10T12:00:00Z", {}, NOON),
        ("2026-03-10T14:00:00+02:00", {}, NOON), ("2026-03-10T06:30:00-0530", {}, NOON),
        ("2026-03-10T14:00:00+02", {}, NOON),
        ("2026-03-10T12:00:00.1234567", {}, at(12, micro=123456)), ("2026-03-10T12:00:00.5Z", {}, at(12, micro=500000)),
        ("2026-03-10T13:00:00", {"time_zone": "Europe/Berlin"}, NOON),
        ("2026-03-10T12:00:00Z", {"time_zone": "Europe/Berlin"}, NOON),
        ("2026-10-25T02:30:00", {"time_zone": "Europe/Berlin"}, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-03-29T02:30:00", {"time_zone": "Europe/Berlin"}, "wrong_type"),
        ("9999-12-31T23:59:59", {}, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", {}, "out_of_range"), ("2026-02-30T12:00:00", {}, "wrong_type"),
        ("2026-03-10", {}, "wrong_type"), ("2026-3-10T12:00:00", {}, "wrong_type"), ("yesterday", {}, "wrong_type"),
        ("٢٠٢٦-03-10T12:00:00", {}, "wrong_type"), ("2026-03-10T25:00:00", {}, "wrong_type"), ("", {}, "missing_value"),
        ("10/03/2026 12:00", {"format": "%d/%m/%Y %H:%M"}, NOON),
        ("10/03/2026", {"format": "%d/%m/%Y %H:%M"}, "wrong_type"),
        ("10/03/2026 14:00 +0200", {"format": "%d/%m/%Y %H:%M %z"}, NOON),
        ("10/03/2026 13:00", {"format": "%d/%m/%Y %H:%M", "time_zone": "Europe/Berlin"}, NOON),
        ("1773144000", {"format": "epoch_s"}, NOON), ("1773144000.25", {"format": "epoch_s"}, at(12, micro=250000)),
        (1773144000, {"format": "epoch_s"}, NOON), (1773144000000, {"format": "epoch_ms"}, NOON),
        (1773144000.25, {"format": "epoch_s"}, at(12, micro=250000)), (2**62, {"format": "epoch_s"}, "out_of_range"),
        ("9" * 40, {"format": "epoch_us"}, "out_of_range"), (float("inf"), {"format": "epoch_s"}, "out_of_range"),
        (float("nan"), {"format": "epoch_s"}, "wrong_type"), ("12h", {"format": "epoch_s"}, "wrong_type"),
        (1773144000, {}, "wrong_type"), (date(2026, 3, 10), {}, "wrong_type"), (None, {}, "missing_value"),
    ],
)  # fmt: skip
def test_a_time_is_utc_microseconds_or_refused(raw: Any, spec: dict[str, str], expected: datetime | str) -> None:
    assert outcome(parse_times(pl.Series([raw]), TimeColumn("t", **spec))) == expected


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_timestamps_of_every_unit_and_zone_give_the_same_time(unit: str, zone: str | None) -> None:
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    raw = stamp(1773144000 * per_second, unit, zone)
    assert outcome(parse_times(raw, TimeColumn("t"))) == NOON
    if zone is None:
        assert outcome(parse_times(raw, TimeColumn("t", time_zone="Europe/Berlin"))) == at(11)


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("count", [2**62, -(2**62)])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_timestamp_outside_years_1_to_9999_is_refused_and_does_not_overflow(unit: str, count: int, zone: str) -> None:
    assert outcome(parse_times(stamp(count, unit), TimeColumn("t", time_zone=zone))) == "out_of_range"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TimeColumn("t", time_zone="Mars/Olympus"), "IANA time zone"),
        (lambda: TimeColumn("t", format="dd.mm.yyyy"), "strptime pattern"),
        (lambda: TransactionsMapping(customer_id="terminal_id"), "terminal_id"),
        (lambda: TransactionsMapping(ignored_columns=("customer_id",)), "customer_id"),
        (lambda: IngestionParams(labels=LabelColumn("TX_FRAUD")), "ignored_columns"),
        (lambda: IngestionParams(max_lateness_days=8), "less than or equal to 7"),
        (lambda: IngestionParams(max_quarantine_share=1), "less than 1"),
        (lambda: IngestionParams(lateness=3), "nexpected keyword"),  # type: ignore[call-arg]
    ],
)
def test_a_wrong_parameter_is_refused_with_what_was_expected(build: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build()
