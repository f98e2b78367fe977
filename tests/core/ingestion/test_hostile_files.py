"""Files as they really come, byte for byte: what each ends as, and that its neighbours go through."""

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipeline_assets.contracts.tables import LEDGER, QUARANTINE, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed, FileStatus
from pipeline_assets.core.ingestion import (
    DayIntake,
    IngestionParams,
    LandedFile,
    check_rows_are_conserved,
    ingest_day,
    recount_file,
)

DAY = date(2026, 3, 10)
HEADER = b"transaction_id,event_time,customer_id,terminal_id,amount_cents\n"
GOOD = b"t1,2026-03-10T10:00:00Z,c1,m1,100\n"
ROW = {
    "transaction_id": "t1",
    "event_time": "2026-03-10T10:00:00Z",
    "customer_id": "c1",
    "terminal_id": "m1",
    "amount_cents": 100,
}
TEN = datetime(2026, 3, 10, 10, tzinfo=UTC)
NEIGHBOUR = LandedFile("zz-neighbour.csv", HEADER + GOOD.replace(b"t1", b"neighbour"))


def ingest(*files: LandedFile, params: IngestionParams | None = None) -> DayIntake:
    """The intake of the day, which satisfies every contract and conserves every row."""
    intake = ingest_day({Feed.TRANSACTIONS: files}, {}, DAY, params or IngestionParams())
    recounts = [recount_file(Feed.TRANSACTIONS, file) for file in files]
    finding = check_rows_are_conserved(recounts, intake.kept, intake.quarantine, intake.ledger)
    assert finding.passed, finding.explanation
    TRANSACTIONS.schema.validate(intake.kept[Feed.TRANSACTIONS])
    QUARANTINE.schema.validate(intake.quarantine)
    LEDGER.schema.validate(intake.ledger)
    return intake


def judge(name: str, content: bytes) -> tuple[list[str], list[tuple[int | None, str]]]:
    """The kept ids and the quarantined (row number, reasons) of one file that lands beside a good one."""
    intake = ingest(LandedFile(name, content), NEIGHBOUR)
    kept = intake.kept[Feed.TRANSACTIONS]["transaction_id"].to_list()
    assert "neighbour" in kept
    for row in intake.quarantine.iter_rows(named=True):
        assert "expected" in row["problems"] or "found" in row["problems"]
        assert len(row["problems"]) < 1500
        if row["received"] is not None:
            json.loads(row["received"], parse_int=str)
    entries = intake.quarantine.select("row_number", pl.col("reasons").list.join(" ")).rows()
    return sorted(set(kept) - {"neighbour"}), entries


def csv(*rows: bytes) -> bytes:
    return HEADER + b"".join(row + b"\n" for row in rows)


def line(**changes: Any) -> bytes:
    row = {**ROW, **changes}
    return json.dumps({name: value for name, value in row.items() if value is not ...}).encode() + b"\n"


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def typed(**changes: Any) -> pl.DataFrame:
    return pl.DataFrame({**{name: [value] for name, value in ROW.items()}, **changes})


FAR = pl.DataFrame({"t": [2**62]}).select(pl.col("t").cast(pl.Datetime("us")))["t"]  # the year 148108
LATE = pl.Series([2**30], dtype=pl.Int32).cast(pl.Date)
LATES = pl.Series([[2**30]], dtype=pl.List(pl.Int32)).cast(pl.List(pl.Date))
LONG = pl.Series([2**62]).cast(pl.Duration("ms"))
PARQUET = parquet(typed())
REFUSED_FILES = {
    "empty csv": ("a.csv", b"", "unreadable"),
    "empty jsonl": ("a.jsonl", b"", "unreadable"),
    "empty parquet": ("a.parquet", b"", "unreadable"),
    "blank csv": ("a.csv", b"\n \n", "unreadable"),
    "only a byte order mark": ("a.csv", b"\xef\xbb\xbf", "unreadable"),
    "truncated parquet": ("a.parquet", PARQUET[: len(PARQUET) // 2], "unreadable"),
    "parquet with rotten bytes": ("a.parquet", PARQUET[:40] + b"\xff" * 40 + PARQUET[80:], "unreadable"),
    "csv that is called parquet": ("a.parquet", csv(GOOD), "unreadable"),
    "parquet that is called csv": ("a.csv", PARQUET, "unreadable"),
    "parquet that is called jsonl": ("a.jsonl", PARQUET, "unreadable"),
    "jsonl that is called csv": ("a.csv", line(), "extra_column missing_column"),
    "unknown extension": ("a.xlsx", csv(GOOD), "unknown_format"),
    "no extension": ("transactions", csv(GOOD), "unknown_format"),
    "compressed": ("a.csv.gz", b"\x1f\x8b\x08rest", "unknown_format"),
    "missing column": ("a.csv", HEADER.replace(b",amount_cents", b"") + b"t1,x,c,m\nt2,x,c,m\n", "missing_column"),
    "extra column": ("a.csv", HEADER[:-1] + b",currency\n" + GOOD[:-1] + b",EUR\n", "extra_column"),
    "extra parquet column": ("a.parquet", parquet(typed(currency=["EUR"])), "extra_column"),
    "missing parquet column": ("a.parquet", parquet(typed().drop("amount_cents")), "missing_column"),
    "no header": ("a.csv", GOOD, "extra_column missing_column"),
    "semicolons": ("a.csv", csv(GOOD).replace(b",", b";"), "extra_column missing_column"),
    "a name twice in the header": ("a.csv", HEADER[:-1] + b",amount_cents\n" + GOOD[:-1] + b",5\n", "malformed"),
    "header in UTF-16": ("a.csv", csv(GOOD).decode().encode("utf-16"), "wrong_encoding"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "reasons"), REFUSED_FILES.values(), ids=REFUSED_FILES)
def test_a_file_that_cannot_be_read_as_rows_is_refused_with_one_entry(name: str, content: bytes, reasons: str) -> None:
    assert judge(name, content) == ([], [(None, reasons)])


GOOD_FILES = {
    "plain": ("a.csv", csv(GOOD[:-1]), ["t1"]),
    "header only": ("a.csv", HEADER, []),
    "header only, no line end": ("a.csv", HEADER[:-1], []),
    "no line end": ("a.csv", HEADER + GOOD[:-1], ["t1"]),
    "byte order mark": ("a.csv", b"\xef\xbb\xbf" + HEADER + GOOD, ["t1"]),
    "byte order mark and quotes": ("a.csv", b'\xef\xbb\xbf"transaction_id"' + HEADER[14:] + GOOD, ["t1"]),
    "carriage returns and line feeds": ("a.csv", (HEADER + GOOD).replace(b"\n", b"\r\n"), ["t1"]),
    "carriage returns": ("a.csv", (HEADER + GOOD).replace(b"\n", b"\r"), ["t1"]),
    "blank lines": ("a.csv", b"\n\n" + HEADER + b"\n" + GOOD + b"\n\n", ["t1"]),
    "quoted": ("a.csv", HEADER + b'"t1","2026-03-10T10:00:00Z","c,1","m1","100"\n', ["t1"]),
    "a doubled quote in an id": ("a.csv", HEADER + b'"t""1",2026-03-10T10:00:00Z,c1,m1,100\n', ['t"1']),
    "columns in another order": ("a.csv", typed().select(reversed(ROW)).write_csv().encode(), ["t1"]),
    "upper case extension": ("A.CSV", HEADER + GOOD, ["t1"]),
    "amount zero": ("a.csv", HEADER + GOOD.replace(b",100", b",0"), ["t1"]),
    "utf-8 ids": ("a.csv", HEADER + "ид,2026-03-10T10:00:00,Müller,m1,5\n".encode(), ["ид"]),
    "jsonl": ("a.jsonl", line(), ["t1"]),
    "jsonl with blank lines and a mark": ("a.jsonl", b"\xef\xbb\xbf\r\n" + line()[:-1] + b"\r\n\r\n", ["t1"]),
    "jsonl with letters beyond ASCII": ("a.jsonl", line().replace(b"c1", "c\u00d71".encode()), ["t1"]),
    "jsonl with numbers as ids": ("a.jsonl", line(transaction_id=17), ["17"]),
    "jsonl with text as amount": ("a.jsonl", line(amount_cents="100"), ["t1"]),
    "parquet": ("a.parquet", PARQUET, ["t1"]),
    "parquet without rows": ("a.parquet", parquet(typed().clear()), []),
    "parquet with integer ids": ("a.parquet", parquet(typed(transaction_id=[2**63 - 1])), [str(2**63 - 1)]),
    "parquet with categories": ("a.parquet", parquet(typed().cast({"terminal_id": pl.Categorical})), ["t1"]),
    "parquet with decimals": ("a.parquet", parquet(typed(amount_cents=[Decimal(100)])), ["t1"]),
    "parquet with timestamps": ("a.parquet", parquet(typed(event_time=[TEN])), ["t1"]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "ids"), GOOD_FILES.values(), ids=GOOD_FILES)
def test_a_file_that_is_only_unusual_is_kept(name: str, content: bytes, ids: list[str]) -> None:
    assert judge(name, content) == (ids, [])


BAD_ROWS = {
    "too few fields": ("a.csv", csv(b"x,y", GOOD[:-1]), "malformed"),
    "too many fields": ("a.csv", csv(GOOD[:-1].replace(b"t1", b"x") + b",7", GOOD[:-1]), "malformed"),
    "one field too many, one too few": ("a.csv", csv(b"x,y,z,2,3,4", GOOD[:-1], b"x,y,z,2"), "malformed"),
    "latin-1": ("a.csv", csv("café,2026-03-10T10:00:00,c,m,5".encode("latin-1"), GOOD[:-1]), "wrong_encoding"),
    "all fields empty": ("a.csv", csv(b",,,,", GOOD[:-1]), "missing_value"),
    "no id": ("a.csv", csv(GOOD[2:-1], GOOD[:-1]), "missing_value"),
    "a line break in an id": ("a.csv", csv(b'"x\ny",2026-03-10T10:00:00,c,m,5', GOOD[:-1]), "malformed"),
    "an id of a megabyte": ("a.csv", csv(b"x" * 10**6 + GOOD[2:-1], GOOD[:-1]), "too_long"),
    "a quoted id of a megabyte": ("a.csv", csv(b'"' + b"x" * 10**6 + b'"' + GOOD[2:-1], GOOD[:-1]), "too_long"),
    "white space around an id": ("a.csv", csv(b" x" + GOOD[2:-1], GOOD[:-1]), "malformed"),
    "a null byte": ("a.csv", csv(b"a\x00b" + GOOD[2:-1], GOOD[:-1]), "malformed"),
    "negative": ("a.csv", csv(GOOD[:-4].replace(b"t1", b"x") + b"-1", GOOD[:-1]), "negative"),
    "2**63": ("a.csv", csv(GOOD[:-4].replace(b"t1", b"x") + b"9223372036854775808", GOOD[:-1]), "out_of_range"),
    "1e400": ("a.csv", csv(GOOD[:-4].replace(b"t1", b"x") + b"1e400", GOOD[:-1]), "out_of_range"),
    "not a number": ("a.csv", csv(GOOD[:-4].replace(b"t1", b"x") + b"nan", GOOD[:-1]), "not_finite"),
    "1970": ("a.csv", csv(GOOD[:-1].replace(b"t1", b"x").replace(b"2026", b"1970"), GOOD[:-1]), "too_late"),
    "9999": ("a.csv", csv(GOOD[:-1].replace(b"t1", b"x").replace(b"2026", b"9999"), GOOD[:-1]), "in_future"),
    "several faults": ("a.csv", csv(b",never,c,m,-5", GOOD[:-1]), "missing_value negative wrong_type"),
    "no JSON": ("a.jsonl", b"transaction t2\n" + line(), "malformed"),
    "JSON cut short": ("a.jsonl", line(transaction_id="t2")[:40] + b"\n" + line(), "malformed"),
    "an array": ("a.jsonl", b'["t2"]\n' + line(), "malformed"),
    "a bare null": ("a.jsonl", b"null\n" + line(), "malformed"),
    "deep nesting": ("a.jsonl", b"[" * 100_000 + b"\n" + line(), "malformed"),
    "a key twice": ("a.jsonl", b'{"amount_cents":1,' + line()[1:] + line(), "malformed"),
    "an absent key": ("a.jsonl", line(customer_id=...) + line(), "missing_value"),
    "a null": ("a.jsonl", line(customer_id=None) + line(), "missing_value"),
    "an unknown key": ("a.jsonl", line(currency="EUR") + line(), "extra_column"),
    "a fraction as id": ("a.jsonl", line(transaction_id=1.0) + line(), "wrong_type"),
    "true as id": ("a.jsonl", line(transaction_id=True) + line(), "wrong_type"),
    "an object as amount": ("a.jsonl", line(amount_cents={"eur": 1}) + line(), "wrong_type"),
    "NaN": ("a.jsonl", line(amount_cents=float("nan")) + line(), "not_finite"),
    "a huge integer": ("a.jsonl", line().replace(b"100", b"9" * 6000) + line(), "out_of_range"),
    "half a surrogate pair": ("a.jsonl", line(customer_id="\ud83d") + line(), "wrong_encoding"),
    "latin-1 in jsonl": ("a.jsonl", line(customer_id="X").replace(b"X", b"\xe9") + line(), "wrong_encoding"),
    "float ids": ("a.parquet", parquet(typed(customer_id=[1.0])), "wrong_type"),
    "dates": ("a.parquet", parquet(typed(event_time=[DAY])), "wrong_type"),
    "nested": ("a.parquet", parquet(typed(customer_id=[["c1", "c2"]])), "wrong_type"),
    "durations": ("a.parquet", parquet(typed(customer_id=[timedelta(days=1)])), "wrong_type"),
    "bytes that are no text": ("a.parquet", parquet(typed(customer_id=[b"\xff\xfe"])), "wrong_encoding"),
    "infinite": ("a.parquet", parquet(typed(amount_cents=[float("inf")])), "not_finite"),
    "all null": ("a.parquet", parquet(typed(amount_cents=[None])), "missing_value"),
    "dates in year 2941757": ("a.parquet", parquet(typed(event_time=LATE)), "wrong_type"),
    "durations of 146 million years": ("a.parquet", parquet(typed(customer_id=LONG)), "wrong_type"),
    "a list of dates in year 2941757": ("a.parquet", parquet(typed(customer_id=LATES)), "wrong_type"),
    "second 60": ("a.csv", csv(GOOD[:-1].replace(b"t1", b"x").replace(b"00Z", b"60Z"), GOOD[:-1]), "wrong_type"),
    "offset +99:99": ("a.csv", csv(GOOD[:-1].replace(b"t1", b"x").replace(b"Z", b"+99:99"), GOOD[:-1]), "wrong_type"),
    "offset +99:99 in jsonl": ("a.jsonl", line(event_time="2026-03-10T10:00:00+99:99") + line(), "wrong_type"),
    "a line separator": ("a.csv", csv("x\u2028y".encode() + GOOD[2:-1], GOOD[:-1]), "malformed"),
    "a paragraph separator": ("a.jsonl", line(customer_id="x\u2029y") + line(), "malformed"),
    "a next line": ("a.parquet", parquet(typed(terminal_id=["x\u0085y"])), "malformed"),
    "the year 148108": ("a.parquet", parquet(typed(event_time=FAR)), "out_of_range"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "reasons"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_quarantined_and_the_other_rows_go_on(name: str, content: bytes, reasons: str) -> None:
    kept, entries = judge(name, content)
    assert kept == ([] if name.endswith("parquet") else ["t1"])
    assert entries[0] == (1, reasons)
    assert {found for _, found in entries} == {reasons}


def test_an_unclosed_quote_takes_the_rest_of_the_file_and_nothing_is_lost() -> None:
    content = csv(GOOD[:-1], b'"t2,2026-03-10T10:00:00Z,c1,m1,100', b"t3,2026-03-10T10:00:00Z,c1,m1,100")
    assert judge("a.csv", content) == (["t1"], [(2, "malformed")])


def test_nothing_of_a_row_is_lost_in_quarantine() -> None:
    long = "x" * 10**6
    rows = [f"{long},2026-03-10T10:00:00Z,c1,m1,5".encode(), b"\xe9,2026-03-10T10:00:00Z,c1,m1,5", b"a,b"]
    received = ingest(LandedFile("a.csv", csv(*rows))).quarantine["received"].to_list()
    assert json.loads(received[0])["transaction_id"] == long
    assert json.loads(received[1])["transaction_id"].encode("utf-8", "surrogateescape") == b"\xe9"
    assert json.loads(received[2]) == ["a", "b"]


def test_an_error_names_column_expected_and_found() -> None:
    intake = ingest(LandedFile("a.csv", csv(b"t1,2026-03-10T10:00:00Z,c1,m1,1;5")))
    assert intake.quarantine.row(0, named=True)["problems"] == (
        "amount_cents: expected a whole number of cents from 0 to 100000000000, found '1;5'"
    )
    intake = ingest(LandedFile("a.csv", b"transaction_id,when\n"))
    assert "missing event_time, customer_id, terminal_id, amount_cents" in intake.quarantine["problems"][0]
    assert "found 'when', neither mapped nor in ignored_columns" in intake.quarantine["problems"][0]


def test_the_rows_of_a_refused_file_are_counted_as_quarantined_where_they_can_be_counted() -> None:
    intake = ingest(LandedFile("a.csv", b"transaction_id\nt1\nt2\n"), LandedFile("b.csv", b""))
    counts = intake.ledger.select("status", "rows_landed", "rows_quarantined").rows()
    assert counts == [(FileStatus.REFUSED, 2, 2), (FileStatus.REFUSED, 0, 0)]


@pytest.mark.parametrize("cut", range(1, len(PARQUET), 97))
def test_a_parquet_file_cut_anywhere_is_refused(cut: int) -> None:
    assert judge("a.parquet", PARQUET[:cut]) == ([], [(None, "unreadable")])


@pytest.mark.parametrize("render", [lambda f: f.write_csv().encode(), lambda f: f.write_ndjson().encode(), parquet])
def test_every_format_gives_the_same_rows(render: Callable[[pl.DataFrame], bytes]) -> None:
    frame = pl.concat([typed(transaction_id=[f"t{n}"], amount_cents=[n * 7]) for n in range(50)])
    name = {b"t": "a.csv", b"{": "a.jsonl", b"P": "a.parquet"}[render(frame)[:1]]
    kept = ingest(LandedFile(name, render(frame))).kept[Feed.TRANSACTIONS]
    expected = frame.with_columns(event_time=pl.lit(datetime(2026, 3, 10, 10, tzinfo=UTC)).dt.cast_time_unit("us"))
    assert kept.equals(expected.sort("event_time", "transaction_id"))
