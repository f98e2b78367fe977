"""A source column as one of ours: the values that were accepted, and a reason code for each that was not."""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pipeline_assets.contracts.vocabularies import Reason

TEXT_TYPES: Final = frozenset({pl.String, pl.Categorical, pl.Enum, pl.Binary, pl.Null})


@dataclass(frozen=True)
class Parsed:
    """A source column as one of ours.

    Attributes:
        values: The parsed values; null where there is a reason.
        reasons: The reason code of each value that was not accepted, null elsewhere.
        expected: For a person: what was expected where a reason is given.
    """

    values: pl.Series
    reasons: pl.Series
    expected: str


def as_text(raw: pl.Series, *, integers: bool) -> pl.Series | None:
    """The column as text, or None where its type does not hold text (or decimal numbers, or integers if wanted).

    Bytes that are no UTF-8 become null.
    """
    if raw.dtype == pl.Binary:
        # A strict=False cast raises on invalid bytes (polars 2.1), so that each value is decoded on its own.
        return pl.Series([_decode(value) for value in raw.to_list()], dtype=pl.String)
    if raw.dtype.base_type() in TEXT_TYPES or (integers and raw.dtype.is_integer()):
        return raw.cast(pl.String)
    if isinstance(raw.dtype, pl.Decimal) and (raw.dtype.scale == 0 or not integers):
        return raw.cast(pl.String)
    return None


def _decode(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def when_undecodable() -> Any:
    """The first branch of a reason: text ``t`` is null although the raw value was not."""
    return pl.when(pl.col("t").is_null() & ~pl.col("raw_null")).then(pl.lit(Reason.WRONG_ENCODING.value))


def finish(frame: pl.DataFrame, value: pl.Expr, reason: pl.Expr, expected: str) -> Parsed:
    """The parsed column: ``value`` where ``reason`` is null."""
    done = frame.select(value=value, reason=reason.otherwise(None) if hasattr(reason, "otherwise") else reason)
    return Parsed(done.select(pl.when(pl.col("reason").is_null()).then("value"))["value"], done["reason"], expected)


def refuse_column(raw: pl.Series, dtype: Any, expected: str) -> Parsed:
    """A column whose type cannot hold our values: each value that is there is of the wrong type."""
    reasons = raw.is_null().replace_strict(
        [True, False], [Reason.MISSING_VALUE.value, Reason.WRONG_TYPE.value], return_dtype=pl.String
    )
    return Parsed(pl.Series([None] * len(raw), dtype=dtype), reasons, expected)
