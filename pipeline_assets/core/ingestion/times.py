"""From a source column of times to ours: UTC, microseconds. What no clock and no calendar ever shows is refused."""

import re
from collections.abc import Callable
from typing import Final

import polars as pl

from pipeline_assets.contracts.tables import UTC_MICROSECONDS
from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.core.ingestion.columns import TEXT_TYPES, Parsed, as_text, finish, refuse_column, when_undecodable
from pipeline_assets.core.ingestion.leap_seconds import SECOND, place_second_60
from pipeline_assets.core.ingestion.mapping import ISO, MICROSECONDS_BY_EPOCH, OFFSET_WORD, TimeColumn

# Years 1 to 9999. Far beyond, polars panics when it shows a time (2.1): such values never become times.
MIN_MICROSECONDS: Final = -62_135_596_800_000_000
MAX_MICROSECONDS: Final = 253_402_300_799_999_999
_ISO_TIME: Final = (
    r"^(?<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?<fraction>[0-9]{1,9}))?"
    r"(?:Z|(?<sign>[+-])(?<hours>[0-9]{2})(?::?(?<minutes>[0-9]{2}))?)?$"
)
_ISO_NAMES_ZONE: Final = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_INTEGER: Final = r"^[+-]?[0-9]{1,18}$"
_NUMBER: Final = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_MINUTE: Final = 60 * SECOND
_LARGEST_OFFSET: Final = 14 * 60  # minutes: Kiribati's; no zone has been farther from UTC since 1900
_NANOSECONDS_CUT_OFF: Final = (-(2**63), 2**63 - 1)  # where polars (2.1) puts INT96 times beyond its nanoseconds


def parse_times(raw: pl.Series, spec: TimeColumn) -> Parsed:
    """Times as UTC microseconds (finer digits are cut), years 1 to 9999.

    Timestamps of a parquet file need no format. A date without a time of day is refused: it would pass for midnight.
    So is a time that does not exist: an offset from UTC beyond 14:00 or with minutes above 59, an hour 24, a second 60
    that was no leap second (see :func:`pipeline_assets.core.ingestion.leap_seconds.place_second_60`), an hour that the
    zone's clock skipped.
    """
    expected = f"a time ({'YYYY-MM-DDThh:mm:ss, with or without zone' if spec.format == ISO else spec.format})"
    parser = _choose_parser(raw, spec)
    if parser is None:
        return refuse_column(raw, UTC_MICROSECONDS, expected)
    text = as_text(raw, integers=False) if raw.dtype.base_type() in TEXT_TYPES else raw
    assert text is not None
    micros = pl.col("micros")
    inside = micros.is_between(MIN_MICROSECONDS, MAX_MICROSECONDS)
    is_missing = pl.col("t").is_null() | ((pl.col("t") == "") if text.dtype == pl.String else pl.lit(value=False))
    reason = (
        when_undecodable()
        .when(is_missing).then(pl.lit(Reason.MISSING_VALUE.value))
        .when(micros.is_null()).then(pl.lit(Reason.WRONG_TYPE.value))
        .when(~inside).then(pl.lit(Reason.OUT_OF_RANGE.value))
    )  # fmt: skip
    frame = pl.DataFrame({"t": text, "raw_null": raw.is_null(), "micros": parser(text)})
    return finish(frame, pl.when(inside).then(micros).cast(UTC_MICROSECONDS), reason, expected)


def _choose_parser(raw: pl.Series, spec: TimeColumn) -> Callable[[pl.Series], pl.Series] | None:
    is_text = raw.dtype.base_type() in TEXT_TYPES
    if isinstance(raw.dtype, pl.Datetime):
        return lambda series: _read_timestamps(series, spec.time_zone)
    if spec.format in MICROSECONDS_BY_EPOCH:
        per_unit = MICROSECONDS_BY_EPOCH[spec.format]
        return (lambda series: _read_epochs(series, per_unit)) if is_text or raw.dtype.is_numeric() else None
    if not is_text:
        return None
    if spec.format == ISO:
        return lambda series: _read_iso(series, spec.time_zone)
    return lambda series: _read_pattern(series, spec)


def _read_timestamps(series: pl.Series, zone: str) -> pl.Series:
    assert isinstance(series.dtype, pl.Datetime)
    physical = pl.col("t").to_physical()
    if series.dtype.time_unit == "ns":
        is_cut_off = physical.is_in(list(_NANOSECONDS_CUT_OFF))
        micros = pl.when(is_cut_off).then(MAX_MICROSECONDS + 1).otherwise(physical // 1_000).alias("t")
    else:
        micros = _scale(physical, 1_000 if series.dtype.time_unit == "ms" else 1)
    read = series.to_frame("t").select(micros)["t"]
    return read if series.dtype.time_zone else _localise(read, zone)


def _scale(units: pl.Expr, micros_per_unit: int) -> pl.Expr:
    # Clipped just outside what is accepted, before the product could overflow and come back as an innocent time.
    lower, upper = MIN_MICROSECONDS // micros_per_unit - 1, MAX_MICROSECONDS // micros_per_unit + 1
    return units.clip(lower, upper).cast(pl.Int64) * micros_per_unit


def _read_epochs(series: pl.Series, micros_per_unit: int) -> pl.Series:
    t = pl.col("t")
    if series.dtype == pl.String:
        whole = pl.when(t.str.contains(_INTEGER)).then(t).cast(pl.Int64, strict=False)
        number = pl.when(t.str.contains(_NUMBER)).then(t).cast(pl.Float64, strict=False)
    elif series.dtype.is_integer():
        whole, number = t.cast(pl.Int64, strict=False), t.cast(pl.Float64)
    else:
        whole, number = pl.lit(None, pl.Int64), t.cast(pl.Float64)
    number = pl.when(number.is_nan().not_()).then(number)
    bounded = (number * micros_per_unit).round().clip(MIN_MICROSECONDS - 1_000, MAX_MICROSECONDS + 1_000)
    micros = pl.coalesce(_scale(whole, micros_per_unit), bounded.cast(pl.Int64))
    return series.to_frame("t").select(t=micros)["t"]


def _read_iso(series: pl.Series, zone: str) -> pl.Series:
    parts = series.to_frame("t").select(pl.col("t").str.extract_groups(_ISO_TIME)).unnest("t")
    time = pl.col("time").str.replace(":60$", ":59")
    clock = pl.concat_str("date", pl.lit("T"), time).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    fraction = pl.col("fraction").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    hours, minutes = pl.col("hours").cast(pl.Int64), pl.col("minutes").cast(pl.Int64).fill_null(0)
    offset = hours * 60 + minutes
    exists = pl.col("hours").is_null() | ((minutes < 60) & (offset <= _LARGEST_OFFSET))
    shift = pl.when(pl.col("sign") == "-").then(-offset).otherwise(offset).fill_null(0) * _MINUTE
    read = parts.select(
        t=pl.when(exists).then(clock.to_physical() + fraction - shift),
        is_second_60=pl.col("time").str.ends_with(":60").fill_null(value=False),
    )
    if zone != "UTC":
        named = series.str.contains(_ISO_NAMES_ZONE)
        local = _localise(read["t"], zone)
        read = read.with_columns(t=pl.when(named).then(pl.col("t")).otherwise(local))
    return read.select(t=place_second_60(pl.col("t"), pl.col("is_second_60")))["t"]


def _read_pattern(series: pl.Series, spec: TimeColumn) -> pl.Series:
    read = _parse(series, spec.format)
    assert isinstance(read.dtype, pl.Datetime)
    micros = read.to_physical().rename("t")
    sixty = _find_seconds_60(series, micros, spec.format)
    frame = pl.DataFrame({"t": micros, "before": sixty})
    if read.dtype.time_zone:
        offset = _parse_wall_clock(series, spec.format) - micros
        exists = pl.lit(offset.abs() <= _LARGEST_OFFSET * _MINUTE)
        frame = frame.with_columns(t=pl.when(exists).then(pl.coalesce("before", "t")))
    else:
        local = _localise(frame.select(pl.coalesce("before", "t").alias("t"))["t"], spec.time_zone)
        frame = frame.with_columns(t=local)
    return frame.select(t=place_second_60(pl.col("t"), pl.col("before").is_not_null()))["t"]


def _parse(series: pl.Series, pattern: str) -> pl.Series:
    return series.str.to_datetime(pattern, strict=False, time_unit="us")


def _parse_wall_clock(series: pl.Series, pattern: str) -> pl.Series:
    """The times as the clock showed them: polars gives UTC and keeps no offset, but skips a word for ``%Z``."""
    if pattern == "%+":  # ISO 8601 with offset: a T or white space before the time
        return _parse(series.str.replace("[Tt]", " "), "%Y-%m-%d %H:%M:%S%.f %Z").to_physical()
    wall = re.sub(OFFSET_WORD, lambda found: "%Z" if found["offset"] else found[0], pattern)
    return _parse(series, wall).to_physical()


def _find_seconds_60(series: pl.Series, micros: pl.Series, pattern: str) -> pl.Series:
    """The time one second before, where the second in the text is 60; null elsewhere.

    Polars reads second 60 as the next minute's 0 and does not say so. It was one, wherever in the text it stands, if
    writing 59 for a 60 gives one second less.
    """
    found: list[int | None] = [None] * len(series)
    is_suspect = (micros % _MINUTE).is_between(0, SECOND - 1) & series.str.contains("60", literal=True)
    if "%s" in pattern.replace("%%", "") or not is_suspect.any():  # of an epoch, 60 is a part like any other
        return pl.Series("before", found, dtype=pl.Int64)
    positions = is_suspect.arg_true().to_list()
    variants = [
        (position, text[: place.start()] + "59" + text[place.end() :])
        for position, text in zip(positions, series.gather(positions).to_list(), strict=True)
        for place in re.finditer("60", text)
    ]
    before = _parse(pl.Series([text for _, text in variants], dtype=pl.String), pattern).to_physical()
    for (position, _), moment in zip(variants, before.to_list(), strict=True):
        if moment is not None and moment == micros[position] - SECOND:
            found[position] = moment
    return pl.Series("before", found, dtype=pl.Int64)


def _localise(micros: pl.Series, zone: str) -> pl.Series:
    """Wall-clock times of ``zone`` as UTC; null where the zone skips the hour."""
    if zone == "UTC":
        return micros
    t = pl.col("t")
    inside = t.is_between(MIN_MICROSECONDS, MAX_MICROSECONDS)
    local = pl.when(inside).then(t).cast(pl.Datetime("us"))
    utc = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").to_physical()
    return micros.to_frame("t").select(pl.when(inside).then(utc).otherwise(t))["t"]
