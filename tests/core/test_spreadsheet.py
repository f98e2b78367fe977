"""CSV for people: nothing in it is a formula to a spreadsheet, and every text comes back as it was."""

import csv
import io
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_assets.core.ingestion.raw import RawFile
from pipeline_assets.core.ingestion.text_formats import read_csv
from pipeline_assets.core.spreadsheet import MarkError, neutralise, render_csv, restore

PIECES = st.sampled_from(
    list("=+-@'\",;\t\r\n| a1`\x00\xa0\u200b\ufeff\uff1d\uff0b\uff0d\uff20\u2212\u207a\ufe66\u2028")
)
TEXTS = st.text() | st.lists(PIECES | st.text(max_size=2), max_size=12).map("".join)
DANGEROUS = re.compile(r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212\u207a\u207c\u208a\u208c]")


@settings(max_examples=100)
@given(TEXTS)
@example("'")
@example("''")
@example("'=1+1")
@example("''=1+1")
@example("\t'\r\n-")
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert restore(neutralise(text)) == text


@settings(max_examples=100)
@given(TEXTS, TEXTS)
def test_two_texts_are_never_written_alike(one: str, other: str) -> None:
    assert (neutralise(one) == neutralise(other)) == (one == other)


@settings(max_examples=100)
@given(TEXTS, st.sampled_from([",", ";", "\t", "|", '"', "'", "\n", "\r"]))
def test_whatever_separates_cells_none_begins_with_a_formula(text: str, separator: str) -> None:
    for cell in neutralise(text).split(separator):
        begun = "".join(c for c in cell if not (c.isspace() or unicodedata.category(c) in ("Cf", "Cc")))
        is_marked = separator == "'"  # then the mark itself is what separates
        assert is_marked or not DANGEROUS.match(begun), (text, cell)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"), ("+49", "'+49"), ("-5", "'-5"), ("@a", "'@a"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("\nx", "'\nx"), ("\uff1d1", "'\uff1d1"), ("\uff20a", "'\uff20a"), (" =1", " '=1"), ("\ufeff=1", "\ufeff'=1"),
        ("a;=1", "a;'=1"), ("a\n=1", "a\n'=1"), ('a"=1', 'a"\'=1'), ("a,b;\t@c", "a,b;'\t'@c"), ("'x", "''x"),
        ("a-5", "a-5"), ("c1", "c1"), ("a - b", "a - b"), ("2026-03-10T10:00:00Z", "2026-03-10T10:00:00Z"), ("", ""),
        ("Müller", "Müller"), ("x=1", "x=1"),
    ],
)  # fmt: skip
def test_only_what_could_be_a_formula_is_marked_and_visibly(text: str, written: str) -> None:
    assert neutralise(text) == written


@pytest.mark.parametrize("text", ["'x", "'", "a,'b", "' ", "x;'y", "''" + "'x"])
def test_an_apostrophe_that_nobody_wrote_as_a_mark_is_refused_and_not_taken_away(text: str) -> None:
    with pytest.raises(MarkError, match="written twice"):
        restore(text)


@settings(max_examples=100)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_every_text_goes_through_the_file_and_back(texts: list[str]) -> None:
    content = render_csv(pl.DataFrame({"n": range(len(texts)), "t": texts})).encode()
    read = read_csv(content)
    assert isinstance(read, RawFile)
    assert [restore(text or "") for text in read.frame["t"]] == texts
    assert read.broken == ()


def test_numbers_and_times_stay_and_everything_else_is_text() -> None:
    frame = pl.DataFrame(
        {
            "f": [-12.5], "i": [-3], "d": [Decimal("-1.50")], "b": [True], "day": [date(2026, 3, 10)],
            "t": [datetime(2026, 3, 10, tzinfo=UTC)], "text": ["-12.5"], "list": [["=1", "b"]], "struct": [{"a": "@"}],
            "bytes": [b"=\xff"], "span": [timedelta(days=-1)], "=header": ["x"], "none": [None],
        }
    )  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(render_csv(frame), newline=""))
    assert (row["f"], row["i"], row["d"], row["b"], row["day"]) == ("-12.5", "-3", "-1.50", "true", "2026-03-10")
    assert (row["text"], row["list"], row["bytes"]) == ("'-12.5", '["\'=1", "b"]', "3dff")
    assert (row["span"], row["'=header"], row["none"]) == ("'-1 day, 0:00:00", "x", "")


def test_what_is_not_there_stays_not_there() -> None:
    values: list[Any] = [None, "", "=", None, "a"]
    assert render_csv(pl.DataFrame({"t": values, "n": range(5)})) == 't,n\n,0\n"",1\n\'=,2\n,3\na,4\n'
