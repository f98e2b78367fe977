"""CSV for people: a spreadsheet that opens it computes nothing, and what was written can be read back exactly.

A spreadsheet takes a cell for a formula by how it begins, and who knows its separators can begin a cell within a text.
So an apostrophe, which everybody sees, stands before each character that could begin a formula where a cell could
begin, and before an apostrophe there, by which it is known again: ``-5`` becomes ``'-5``, ``'x`` becomes ``''x``.
"""

import json
import unicodedata
from typing import Any, Final

import polars as pl

MARK: Final = "'"
_FORMULA: Final = "=+-@"  # and whatever Unicode calls the same in another width, height or font
_MORE: Final = frozenset({MARK, "\t", "\r", "\n", "\u2212"})
# After these a cell can begin: separators of any country's settings, quotes, ends of lines and of texts.
_SEPARATORS: Final = frozenset(",;|\"'`\t\r\n\x00\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029")
# A text that begins so and holds none of the others needs no mark: most do.
_HARMLESS_START: Final = r"^[0-9A-Za-z]"
_SEPARATED: Final = r"[,;|\"'`\x00\x09-\x0d\x1c-\x1f\x{85}\x{2028}\x{2029}]"


class MarkError(ValueError):
    """A text has an apostrophe where a cell can begin, but not one that :func:`neutralise` would have written."""


def neutralise(text: str) -> str:
    """Mark every place at which a spreadsheet could take ``text``, or a part of it, for a formula."""
    written = []
    at_start = True
    for letter in text:
        if at_start and _is_dangerous(letter):
            written.append(MARK)
        written.append(letter)
        at_start = _can_begin_after(letter, at_start)
    return "".join(written)


def restore(text: str) -> str:
    """Return the text that :func:`neutralise` was given; a text without marks is returned as it is.

    Raises:
        MarkError: An apostrophe stands where a mark would, and marks nothing.
    """
    read = []
    at_start, is_marked = True, False
    for letter in text:
        if at_start and not is_marked and letter == MARK:
            is_marked = True
            continue
        if is_marked and not _is_dangerous(letter):
            break
        is_marked = False
        read.append(letter)
        at_start = _can_begin_after(letter, at_start)
    if is_marked:
        raise MarkError("expected an apostrophe at the beginning of a cell to be written twice, found one")
    return "".join(read)


def _is_dangerous(letter: str) -> bool:
    return letter in _MORE or unicodedata.normalize("NFKC", letter)[:1] in tuple(_FORMULA)


def _can_begin_after(letter: str, at_start: bool) -> bool:
    if letter in _SEPARATORS:
        return True
    # What is blank or invisible begins nothing, but a cell that has only such before it has not begun.
    return at_start and (letter.isspace() or unicodedata.category(letter) in ("Cf", "Cc"))


def render_csv(frame: pl.DataFrame) -> str:
    """Write a table as CSV that is safe to open in a spreadsheet: header and texts neutralised, numbers as they are.

    Args:
        frame: Any columns. Lists and structs are written as JSON, bytes in hexadecimal.
    """
    columns = [_render(series) for series in frame]
    return pl.DataFrame([series.alias(neutralise(series.name)) for series in columns]).write_csv()


def _render(series: pl.Series) -> pl.Series:
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Date, pl.Time, pl.Null):
        return series
    if isinstance(series.dtype, pl.Datetime):
        return series
    text = show_as_text(series)
    is_harmless = text.str.contains(_HARMLESS_START) & ~text.str.contains(_SEPARATED)
    suspects = (~is_harmless.fill_null(value=True)).arg_true()
    marked = pl.Series([neutralise(value) for value in text.gather(suspects).to_list()], dtype=pl.String)
    return text.scatter(suspects, marked).alias(series.name)


def show_as_text(series: pl.Series) -> pl.Series:
    """Return a column of any type as text: lists and structs as JSON, bytes in hexadecimal."""
    if series.dtype == pl.String:
        return series
    texts = [None if value is None else _show(value) for value in series.to_list()]
    return pl.Series(series.name, texts, dtype=pl.String)


def _show(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)
