"""Times that no clock and no calendar ever showed are refused, in every format; those that exist are exact."""

import warnings
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.core.ingestion import TimeColumn
from pipeline_assets.core.ingestion.times import parse_times

SPACED = "%Y-%m-%d %H:%M:%S %z"
FINE = "%Y-%m-%d %H:%M:%S%.f %z"
MOMENTS = st.integers(0, 200 * 366 * 86_400_000_000).map(
    lambda micros: datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(microseconds=micros)
)
BEFORE_2017 = datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def read(value: Any, pattern: str = "iso", zone: str = "UTC") -> datetime | str:
    """The one time, or the reason why it is none."""
    raw = value if isinstance(value, pl.Series) else pl.Series([value])
    parsed = parse_times(raw, TimeColumn("t", pattern, zone))
    (time,), (reason,) = parsed.values.to_list(), parsed.reasons.to_list()
    assert (time is None) != (reason is None)
    outcome: datetime | str = reason if time is None else time
    return outcome


@pytest.mark.parametrize(
    "offset",
    ["+14:01", "-14:01", "+15", "+24:00", "+99:99", "-99:99", "+02:60", "-00:99", "+1401", "+0260", "+14:59"],
)
def test_an_offset_that_no_zone_has_is_refused_and_shifts_nothing(offset: str) -> None:
    assert read(f"2026-03-10T12:00:00{offset}") == "wrong_type"
    assert read(f"2026-03-10T12:00:00{offset}", zone="Europe/Berlin") == "wrong_type"


@pytest.mark.parametrize(
    ("offset", "pattern"),
    [
        ("+14:01", SPACED), ("-1401", SPACED), ("+23:59", SPACED), ("-2359", SPACED), ("+02:60", SPACED),
        ("+99:99", SPACED), ("+15:00", SPACED.replace("%z", "%:z")), ("+23", SPACED.replace("%z", "%#z")),
        ("-17:00", "%+"),
    ],
)  # fmt: skip
def test_an_offset_that_no_zone_has_is_refused_in_a_pattern_too(offset: str, pattern: str) -> None:
    assert read(f"2026-03-10 12:00:00 {offset}", pattern) == "wrong_type"


@pytest.mark.parametrize(
    ("text", "pattern", "hour"),
    [
        ("2026-03-10T12:00:00+14:00", "iso", -2), ("2026-03-10T12:00:00-14:00", "iso", 26),
        ("2026-03-10 12:00:00 +14:00", SPACED, -2), ("2026-03-10 12:00:00 -1400", SPACED, 26),
        ("2026-03-10 12:00:00+0200", "%Y-%m-%d %H:%M:%S%z", 10),
        ("[10/Mar/2026:12:00:00 -0700]", "[%d/%b/%Y:%H:%M:%S %z]", 19),
        ("2026-03-10T12:00:00+02:00", "%+", 10), ("2026-03-10 12:00:00 +02:00", "%+", 10),
        ("2026-03-10T12:00:00Z", "%+", 12), ("+02:00 2026-03-10 12:00:00", "%z %Y-%m-%d %H:%M:%S", 10),
    ],
)  # fmt: skip
def test_an_offset_that_there_is_is_taken_wherever_the_pattern_has_it(text: str, pattern: str, hour: int) -> None:
    assert read(text, pattern) == datetime(2026, 3, 10, tzinfo=UTC) + timedelta(hours=hour)


@pytest.mark.parametrize("pattern", ["%H:%M:%S%z%.f", "%z%Y", "%:z-%d"])
def test_a_pattern_whose_offset_runs_into_the_next_directive_is_refused_when_it_is_read(pattern: str) -> None:
    with pytest.raises(ValidationError, match="white space between %z and the next directive"):
        TimeColumn("t", pattern)


@settings(deadline=None)
@given(
    MOMENTS,
    st.integers(-24 * 60, 24 * 60),
    st.sampled_from(
        [("iso", "%Y-%m-%dT%H:%M:%S.%f", ""), (SPACED.replace("%S", "%S%.f"), "%Y-%m-%d %H:%M:%S.%f", " ")]
    ),
)
def test_every_time_with_an_offset_is_exact_up_to_14_hours_and_refused_beyond(
    moment: datetime, minutes: int, form: tuple[str, str, str]
) -> None:
    pattern, rendering, space = form
    sign = "-" if minutes < 0 else "+"
    text = f"{moment.strftime(rendering)}{space}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    expected = (moment - timedelta(minutes=minutes)).replace(tzinfo=UTC) if abs(minutes) <= 840 else "wrong_type"
    assert read(text, pattern) == expected


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2016-12-31T23:59:60Z", "UTC"), ("2016-12-31T23:59:60.999Z", "UTC"), ("2017-01-01T00:59:60+01:00", "UTC"),
        ("2017-01-01T05:29:60+05:30", "UTC"), ("2016-12-31T09:59:60-14:00", "UTC"),
        ("2017-01-01T00:59:60", "Europe/Berlin"), ("2016-12-31T18:59:60", "America/New_York"),
        ("2016-12-31T23:59:60Z", "Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_leap_second_is_the_last_microsecond_before_it_in_every_zone(text: str, zone: str) -> None:
    assert read(text, zone=zone) == BEFORE_2017


@pytest.mark.parametrize(
    ("text", "pattern", "zone"),
    [
        ("2016-12-31 23:59:60", "%Y-%m-%d %H:%M:%S", "UTC"), ("2016-12-31 23:59: 60", "%Y-%m-%d %T", "UTC"),
        ("01.01.2017 00:59:60", "%d.%m.%Y %H:%M:%S", "Europe/Berlin"),
        ("2016-12-31 18:59:60 -0500", SPACED, "UTC"), ("20161231235960", "%Y%m%d%H%M%S", "UTC"),
        ("2016-366 23:59:60.060606", "%Y-%j %H:%M:%S%.f", "UTC"), ("2017-01-01T00:59:60.5+01:00", "%+", "UTC"),
    ],
)  # fmt: skip
def test_a_leap_second_is_found_in_every_pattern(text: str, pattern: str, zone: str) -> None:
    assert read(text, pattern, zone) == BEFORE_2017


@pytest.mark.parametrize(
    ("text", "pattern", "zone"),
    [
        ("2026-03-10T12:00:60Z", "iso", "UTC"), ("2026-12-31T23:59:60Z", "iso", "UTC"),
        ("2016-12-31T23:59:60", "iso", "Europe/Berlin"), ("2016-12-31T23:59:60+01:00", "iso", "UTC"),
        ("1971-12-31T23:59:60Z", "iso", "UTC"), ("2016-12-31T23:59:61Z", "iso", "UTC"),
        ("2016-12-31T23:60:00Z", "iso", "UTC"), ("2016-12-31T24:00:00Z", "iso", "UTC"),
        ("2016-12-31 22:59:60", "%Y-%m-%d %H:%M:%S", "UTC"), ("2026-03-10 12:00:60", "%Y-%m-%d %H:%M:%S", "UTC"),
        ("2026-03-10 12:00: 60", "%Y-%m-%d %H:%M:%S", "UTC"), ("2060-03-10 12:00:60.060", "%Y-%m-%d %T%.f", "UTC"),
        ("20260310120060", "%Y%m%d%H%M%S", "UTC"), ("12:00:60 PM 03/10/26", "%r %D", "UTC"),
        ("Tue Mar 10 12:00:60 2026", "%c", "UTC"), ("2026-03-10 12:00:60 +0000", SPACED, "UTC"),
        ("2026-03-10T12:00:60Z", "%+", "UTC"), ("2026-03-10 24:00", "%Y-%m-%d %H:%M", "UTC"),
        ("30.02.2026 10:00", "%d.%m.%Y %H:%M", "UTC"), ("00.03.2026 10:00", "%d.%m.%Y %H:%M", "UTC"),
        ("2026-366 12:00", "%Y-%j %H:%M", "UTC"), ("2026-03-00T10:00:00Z", "iso", "UTC"),
        ("2026-00-10T10:00:00Z", "iso", "UTC"), ("2026-13-10T10:00:00Z", "iso", "UTC"),
        ("2026-02-29T10:00:00Z", "iso", "UTC"), ("2026-03-10T12:00:00.1234567891Z", "iso", "UTC"),
    ],
)  # fmt: skip
def test_a_time_that_does_not_exist_is_refused_and_not_taken_for_another(text: str, pattern: str, zone: str) -> None:
    assert read(text, pattern, zone) == "wrong_type"


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("2060-06-06 06:00:00", "%Y-%m-%d %H:%M:%S", datetime(2060, 6, 6, 6, tzinfo=UTC)),
        ("1773144060", "%s", datetime(2026, 3, 10, 12, 1, tzinfo=UTC)),
        ("2026-060 12:00:00.600060", "%Y-%j %H:%M:%S%.f", datetime(2026, 3, 1, 12, 0, 0, 600060, tzinfo=UTC)),
        ("1960-02-29 12:00", "%Y-%m-%d %H:%M", datetime(1960, 2, 29, 12, tzinfo=UTC)),
    ],
)
def test_a_60_that_is_no_second_changes_nothing(text: str, pattern: str, expected: datetime) -> None:
    assert read(text, pattern) == expected


@settings(deadline=None)
@given(
    MOMENTS,
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
    st.sampled_from(["iso", "%Y-%m-%dT%H:%M:%S", "%FT%T"]),
)
def test_no_second_60_of_an_ordinary_minute_is_ever_accepted(moment: datetime, zone: str, pattern: str) -> None:
    text = moment.strftime("%Y-%m-%dT%H:%M:60")
    utc = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if (utc.month, utc.day) in ((6, 30), (12, 31)) and (utc.hour, utc.minute) == (23, 59):
        return
    assert read(text, pattern, zone) == "wrong_type"


def test_all_27_leap_seconds_are_known_and_no_other() -> None:
    ends = [date(year, month, day) for year in range(1970, 2027) for month, day in ((6, 30), (12, 31))]
    found = [day for day in ends if read(f"{day}T23:59:60Z") != "wrong_type"]
    assert len(found) == 27
    assert (found[0], found[-1]) == (date(1972, 6, 30), date(2016, 12, 31))


@pytest.mark.parametrize("text", ["0000-03-10T10:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_a_time_outside_years_1_to_9999_is_out_of_range(text: str) -> None:
    assert read(text) == "out_of_range"


@pytest.mark.parametrize("count", [2**63 - 1, -(2**63)])
def test_a_nanosecond_timestamp_that_was_cut_off_at_the_end_of_its_range_is_out_of_range(count: int) -> None:
    raw = pl.Series([count], dtype=pl.Int64).cast(pl.Datetime("ns"))
    assert read(raw) == "out_of_range"


def test_finer_digits_than_microseconds_are_cut_in_every_format() -> None:
    expected = datetime(2026, 3, 10, 12, 0, 0, 123456, tzinfo=UTC)
    assert read("2026-03-10T12:00:00.123456999Z") == expected
    assert read("2026-03-10 12:00:00.123456999", "%Y-%m-%d %H:%M:%S%.f") == expected
    nanoseconds = int(expected.replace(microsecond=0).timestamp()) * 10**9 + 123_456_999
    assert read(pl.Series([nanoseconds]).cast(pl.Datetime("ns"))) == expected


def test_a_large_column_of_round_minutes_is_read_by_a_pattern_without_a_warning() -> None:
    texts = [f"2060-{month:02}-06 10:{minute:02}:00" for month in range(1, 13) for minute in range(60)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parsed = parse_times(pl.Series(texts), TimeColumn("t", "%Y-%m-%d %H:%M:%S"))
    assert parsed.reasons.null_count() == len(texts)
