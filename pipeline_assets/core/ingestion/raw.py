"""What reading gives, whatever the format: rows in the source's own columns, broken rows, or a refusal."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.core.ingestion.times import MAX_MICROSECONDS, MIN_MICROSECONDS

BOM: Final = b"\xef\xbb\xbf"  # the UTF-8 mark that spreadsheets write before the first character
_DAY: Final = 86_400_000_000  # microseconds
_SHOWN_CHARACTERS: Final = 80  # of a value in an error: enough to recognise it


@dataclass(frozen=True)
class BrokenRow:
    """A row that is no row of the file's columns: its number, why, and the row as received, as JSON."""

    row_number: int
    reason: Reason
    problem: str
    received: str


@dataclass(frozen=True)
class RawFile:
    """The rows of a file.

    Attributes:
        frame: The well-formed rows in the source's columns: text (csv, jsonl) or the file's types (parquet).
        numbers: The number of each of them among the file's data rows, from 1.
        broken: The other rows.
        lines: The rows of ``frame`` as received, where that is not what ``frame`` shows (jsonl).
    """

    frame: pl.DataFrame
    numbers: pl.Series
    broken: tuple[BrokenRow, ...] = ()
    lines: tuple[str, ...] | None = None

    @property
    def n_rows(self) -> int:
        """All rows of the file."""
        return self.frame.height + len(self.broken)


@dataclass(frozen=True)
class Refusal:
    """Why a whole file was refused: reason codes, a text for a person, and its number of rows (0 if unknown)."""

    reasons: tuple[Reason, ...]
    problem: str
    n_rows: int = 0


def number_rows(count: int) -> pl.Series:
    """1, 2, ... ``count``."""
    return pl.int_range(1, count + 1, dtype=pl.Int64, eager=True)


def shorten(value: str) -> str:
    """A value for an error message: quoted, one line, its beginning only."""
    if len(value) <= _SHOWN_CHARACTERS:
        return repr(value)
    return f"{value[:_SHOWN_CHARACTERS]!r}... ({len(value)} characters)"


def show_values(series: pl.Series) -> list[str]:
    """The values of a source column for an error message."""
    return ["nothing" if value is None else shorten(str(value)) for value in _plain(series).to_list()]


def render_rows(raw: RawFile, positions: Sequence[int]) -> list[str]:
    """The rows at ``positions`` of ``raw.frame`` as received, each as JSON."""
    if raw.lines is not None:
        return [raw.lines[position] for position in positions]
    picked = raw.frame[list(positions)]
    plain = pl.DataFrame({series.name: _plain(series) for series in picked}) if picked.height else picked
    return [json.dumps(row, ensure_ascii=False, default=str) for row in plain.to_dicts()]


def _plain(series: pl.Series) -> pl.Series:
    """The column in types that JSON holds exactly: other numbers and times as text."""
    dtype = series.dtype
    if isinstance(dtype, pl.Datetime):
        per_micro = {"ms": 1_000, "us": 1, "ns": 1}[dtype.time_unit or "us"]
        return _show_times(series, MIN_MICROSECONDS // per_micro, MAX_MICROSECONDS // per_micro)
    if dtype == pl.Date:
        return _show_times(series, MIN_MICROSECONDS // _DAY, MAX_MICROSECONDS // _DAY)
    if dtype.is_float():
        infinite = series.is_nan() | series.is_infinite()
        return series if not infinite.any() else series.cast(pl.String)
    if dtype == pl.Binary:
        return pl.Series([_plain_bytes(value) for value in series.to_list()], dtype=pl.String)
    if dtype.is_nested() or dtype == pl.Duration:
        return pl.Series([_plain_value(series, i) for i in range(len(series))], dtype=pl.String)
    return series.cast(pl.String) if dtype.is_decimal() or dtype.base_type() in (pl.Categorical, pl.Enum) else series


def _show_times(series: pl.Series, lower: int, upper: int) -> pl.Series:
    """Times or dates as text; outside of what can be shown, as the counts that they are."""
    counts = series.to_physical()
    shown = counts.is_between(lower, upper)
    times = pl.select(pl.when(shown).then(series)).to_series().cast(pl.String)
    return pl.select(pl.when(shown).then(times).otherwise(counts.cast(pl.String))).to_series()


def _plain_value(series: pl.Series, position: int) -> str | None:
    """A list, a struct or a duration as text; one that Python cannot hold (a date in year 5,000,000) as its counts."""
    try:
        value = series[position : position + 1].to_list()[0]
    except (pl.exceptions.PanicException, OverflowError, ValueError):
        value = series[position : position + 1].to_physical().to_list()[0]
    if series.dtype.is_nested():
        return json.dumps(value, default=str)
    return None if value is None else str(value)


def _plain_bytes(value: bytes | None) -> Any:
    return None if value is None else value.decode("utf-8", "backslashreplace")
