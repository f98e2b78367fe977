"""From a source column to one of ours: identifiers and amounts, each value parsed or given a reason why not.

Vectorised for what files usually hold; exact decimal arithmetic, one by one, for the rest. Money passes through no
float arithmetic: a float amount is the decimal number that its shortest representation shows.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import polars as pl

from pipeline_assets.contracts.tables import MAX_AMOUNT_CENTS, MAX_ID_LENGTH
from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.core.ingestion.columns import Parsed, as_text, finish, refuse_column, when_undecodable
from pipeline_assets.core.ingestion.mapping import AmountColumn, Unit

_PLAIN_AMOUNT: Final = r"^-?[0-9]{1,13}(\.[0-9]{1,2})?$"  # exact in Int64 cents, without rounding
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
# Control, format and unassigned characters, line and paragraph separators, or white space at an end: two ids that look
# alike must be alike, and an id is one line wherever it is shown.
_UNCLEAN_ID: Final = r"[\p{C}\p{Zl}\p{Zp}]|^\s|\s$"


def parse_ids(raw: pl.Series) -> Parsed:
    """Identifiers: text as it is, integers as plain digits.

    Float columns are refused, whole numbers too: they come from integers with gaps and have lost digits above 2**53.
    """
    expected = f"text of 1 to {MAX_ID_LENGTH} characters without control characters or outer white space, or an integer"
    text = as_text(raw, integers=True)
    if text is None:
        return refuse_column(raw, pl.String, expected)
    t = pl.col("t")
    reason = (
        when_undecodable()
        .when(t.is_null() | (t == "")).then(pl.lit(Reason.MISSING_VALUE.value))
        .when(t.str.len_chars() > MAX_ID_LENGTH).then(pl.lit(Reason.TOO_LONG.value))
        .when(t.str.contains(_UNCLEAN_ID)).then(pl.lit(Reason.MALFORMED.value))
    )  # fmt: skip
    return finish(pl.DataFrame({"t": text, "raw_null": raw.is_null()}), t, reason, expected)


def parse_amounts(raw: pl.Series, spec: AmountColumn) -> Parsed:
    """Amounts in cents, 0 to ``MAX_AMOUNT_CENTS``.

    Amounts in major units are rounded half to even to two decimals, from the decimal number that text shows or that is
    the float's shortest representation (as ``repr`` gives it): 0.285 is 28 cents in every format. Amounts in cents must
    be whole.
    """
    expected = f"{'a whole number of cents' if spec.unit is Unit.CENTS else 'a decimal number'} from 0"
    expected = f"{expected} to {MAX_AMOUNT_CENTS // (1 if spec.unit is Unit.CENTS else 100)}"
    factor = 1 if spec.unit is Unit.CENTS else 100
    if raw.dtype.is_integer():
        frame, cents, exact = _from_integers(raw, factor)
    elif raw.dtype.is_float():
        frame, cents, exact = _from_floats(raw.cast(pl.Float64), factor)
    else:
        text = as_text(raw, integers=False)
        if text is None:
            return refuse_column(raw, pl.Int64, expected)
        frame, cents, exact = _from_texts(text, factor)
    frame = frame.with_columns(cents=pl.when(exact).then(cents), reason=pl.lit(None, pl.String), raw_null=raw.is_null())
    frame = _resolve_rest(frame, spec.unit)
    value = pl.col("cents")
    reason = (
        when_undecodable()
        .when(pl.col("reason").is_not_null()).then(pl.col("reason"))
        .when(value.is_null()).then(pl.lit(Reason.MISSING_VALUE.value))
        .when(value < 0).then(pl.lit(Reason.NEGATIVE.value))
        .when(value > MAX_AMOUNT_CENTS).then(pl.lit(Reason.OUT_OF_RANGE.value))
    )  # fmt: skip
    return finish(frame, value, reason, expected)


def _from_integers(raw: pl.Series, factor: int) -> tuple[pl.DataFrame, pl.Expr, pl.Expr]:
    whole = pl.col("t").cast(pl.Int64, strict=False)
    small = whole.is_between(-MAX_AMOUNT_CENTS, MAX_AMOUNT_CENTS)  # times 100 stays far within Int64
    return pl.DataFrame({"t": raw}), whole * factor, small


def _from_floats(raw: pl.Series, factor: int) -> tuple[pl.DataFrame, pl.Expr, pl.Expr]:
    x = pl.col("t")
    nearest = (x * factor).round()
    # Division rounds correctly: if n / 100 gives x again, then x is the float of n cents, exactly.
    exact = x.is_finite() & (x.abs() <= MAX_AMOUNT_CENTS) & (nearest / factor == x)
    return pl.DataFrame({"t": raw}), pl.when(exact).then(nearest).cast(pl.Int64), exact


def _from_texts(text: pl.Series, factor: int) -> tuple[pl.DataFrame, pl.Expr, pl.Expr]:
    t = pl.col("t")
    plain = t.str.contains(_PLAIN_AMOUNT if factor == 100 else r"^-?[0-9]{1,15}$")
    if factor == 1:
        return pl.DataFrame({"t": text}), t.cast(pl.Int64, strict=False), plain
    parts = text.to_frame("t").select("t", parts=t.str.splitn(".", 2)).unnest("parts").rename({"field_0": "whole"})
    fraction = pl.col("field_1").fill_null("").str.pad_end(2, "0").cast(pl.Int64, strict=False)
    whole = pl.col("whole").cast(pl.Int64, strict=False)
    # "-0.50": the sign is in the text, not in its whole part. The sum would go wrong for it, so it takes the other way.
    return parts, whole * 100 + fraction, plain & ~t.str.starts_with("-")


def _resolve_rest(frame: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    rest = frame.with_row_index("i").filter(pl.col("cents").is_null() & pl.col("t").is_not_null())
    if rest.is_empty():
        return frame
    resolved = [_to_cents(str(value), unit) for value in rest["t"].to_list()]
    cents = pl.Series([one if isinstance(one, int) else None for one in resolved], dtype=pl.Int64)
    reasons = pl.Series([one.value if isinstance(one, Reason) else None for one in resolved], dtype=pl.String)
    # Scatter by position: a join would reorder or copy the columns that need nothing.
    return frame.with_columns(
        frame["cents"].scatter(rest["i"], cents),
        frame["reason"].scatter(rest["i"], reasons),
    )


def _to_cents(text: str, unit: Unit) -> int | Reason:
    if _NOT_FINITE.fullmatch(text):
        return Reason.NOT_FINITE
    if not _NUMBER.fullmatch(text):
        return Reason.MISSING_VALUE if text == "" else Reason.WRONG_TYPE
    number = Decimal(text)
    if number < 0:
        return Reason.NEGATIVE
    if number > MAX_AMOUNT_CENTS:  # before any arithmetic: 1e400 has no place in a fixed precision
        return Reason.OUT_OF_RANGE
    if unit is Unit.MAJOR:
        return int(number.quantize(Decimal("0.01"), ROUND_HALF_EVEN).scaleb(2))
    return int(number) if number == number.to_integral_value() else Reason.WRONG_TYPE
