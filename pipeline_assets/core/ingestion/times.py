"""From a source column of times to ours: UTC, microseconds."""

from collections.abc import Callable
from typing import Final

import polars as pl

from pipeline_assets.contracts.tables import UTC_MICROSECONDS
from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.core.ingestion.columns import TEXT_TYPES, Parsed, as_text, finish, refuse_column, when_undecodable
from pipeline_assets.core.ingestion.mapping import ISO, MICROSECONDS_BY_EPOCH, TimeColumn

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
_MICROSECONDS_A_MINUTE: Final = 60_000_000


def parse_times(raw: pl.Series, spec: TimeColumn) -> Parsed:
    """Times as UTC microseconds (finer digits are cut), years 1 to 9999.

    Timestamps of a parquet file need no format. A date without a time of day is refused: it would pass for midnight.
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
        micros = physical // 1_000
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
    clock = pl.concat_str("date", pl.lit("T"), "time").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    fraction = pl.col("fraction").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    minutes = pl.col("hours").cast(pl.Int64) * 60 + pl.col("minutes").cast(pl.Int64).fill_null(0)
    offset = pl.when(pl.col("sign") == "-").then(-minutes).otherwise(minutes).fill_null(0) * _MICROSECONDS_A_MINUTE
    frame = parts.select(t=clock.to_physical() + fraction - offset)
    if zone == "UTC":
        return frame["t"]
    local = _localise(frame["t"], zone)
    named = series.str.contains(_ISO_NAMES_ZONE)
    return pl.select(t=pl.when(named).then(frame["t"]).otherwise(local))["t"]


def _read_pattern(series: pl.Series, spec: TimeColumn) -> pl.Series:
    read = series.str.to_datetime(spec.format, strict=False, time_unit="us")
    assert isinstance(read.dtype, pl.Datetime)
    micros = read.to_physical()
    return micros if read.dtype.time_zone else _localise(micros, spec.time_zone)


def _localise(micros: pl.Series, zone: str) -> pl.Series:
    """Wall-clock times of ``zone`` as UTC; null where the zone skips the hour."""
    if zone == "UTC":
        return micros
    t = pl.col("t")
    inside = t.is_between(MIN_MICROSECONDS, MAX_MICROSECONDS)
    local = pl.when(inside).then(t).cast(pl.Datetime("us"))
    utc = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").to_physical()
    return micros.to_frame("t").select(pl.when(inside).then(utc).otherwise(t))["t"]
