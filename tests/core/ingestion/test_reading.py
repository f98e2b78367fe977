"""Files that are read together: each is as if it had been read alone, and a small one costs next to nothing."""

import io
import time
from datetime import date

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.ingestion import IngestionParams, LandedFile, TransactionsMapping, ingest_day
from pipeline_assets.core.ingestion.judging import judge_files, judge_rows
from pipeline_assets.core.ingestion.raw import RawFile, Refusal
from pipeline_assets.core.ingestion.reading import read_file, read_files
from pipeline_assets.core.ingestion.text_formats import read_csv, read_csvs

DAY = date(2026, 3, 10)
NAMES = tuple(IngestionParams().transactions.__dataclass_fields__)[:5]
HEADER = ",".join(NAMES).encode()
FIELDS = (b"", b"t1", b"t2", b"2026-03-10T10:00:00Z", b"nie", b"7", b"-1", b'"q,x"', b"\xff", "ü".encode(), b" ", b"#c")
LINES = st.lists(st.sampled_from(FIELDS), min_size=0, max_size=6).map(b",".join) | st.just(b"t1,x,c,m,7")
CSVS = st.builds(
    lambda mark, header, lines, end, last: mark + end.join([header, *lines]) + (end if last else b""),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([HEADER, HEADER, HEADER, HEADER + b",more", b",".join(reversed(HEADER.split(b","))), b"a,a", b"5"]),
    st.lists(LINES, max_size=3),
    st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]),
    st.booleans(),
)


def describe(read: RawFile | Refusal) -> str:
    if isinstance(read, Refusal):
        return repr(read)
    rows = read.frame.to_dict(as_series=False)
    return repr((rows, read.frame.schema, read.numbers.to_list(), read.broken, read.lines))


@settings(deadline=None)
@given(st.lists(CSVS, max_size=6))
def test_csv_files_that_are_read_together_are_what_each_is_alone(contents: list[bytes]) -> None:
    assert [describe(one) for one in read_csvs(contents)] == [describe(read_csv(content)) for content in contents]


def row(number: int, time: str, amount: object) -> pl.DataFrame:
    return pl.DataFrame(dict(zip(NAMES, ([f"t{number}"], [time], ["c"], ["m"], [amount]), strict=True)))


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


TIMES = st.sampled_from(["2026-03-10T10:00:00Z", "2026-03-10T10:00:60Z", ""])
ROWS = st.builds(row, st.integers(0, 9), TIMES, st.sampled_from([1, -1, 1.5, float("inf"), float("nan"), "x"]))
FILES = (
    ROWS.map(lambda frame: ("a.csv", frame.write_csv().encode()))
    | ROWS.map(lambda frame: ("a.jsonl", frame.write_ndjson().encode()))
    | st.builds(lambda one, two: ("a.parquet", parquet(pl.concat([one, two], how="vertical_relaxed"))), ROWS, ROWS)
    | CSVS.map(lambda content: ("a.csv", content))
)


GOOD = row(1, "2026-03-10T10:00:00Z", 1)
CSV, JSONL = ("a.csv", GOOD.write_csv().encode()), ("a.jsonl", GOOD.write_ndjson().encode())
HALF, INFINITE = (("a.parquet", parquet(row(2, "", amount))) for amount in (1.5, float("inf")))


@settings(deadline=None)
@given(st.lists(FILES, max_size=6))
@example([CSV, JSONL, CSV])
@example([HALF, INFINITE, HALF])
def test_files_that_are_judged_together_have_the_rows_and_the_faults_of_each_alone(
    files: list[tuple[str, bytes]],
) -> None:
    mapping = TransactionsMapping()
    read = read_files([(name, content, mapping) for name, content in files])
    assert [describe(one) for one in read] == [describe(read_file(name, content, mapping)) for name, content in files]
    accepted = {number: (one, mapping) for number, one in enumerate(read) if isinstance(one, RawFile)}
    rows, faults = judge_files(accepted, Feed.TRANSACTIONS)
    for number, (one, _) in accepted.items():
        alone = judge_rows(one, Feed.TRANSACTIONS, mapping)
        assert faults[number] == alone.faults
        ours = rows.filter(file=number).drop("file")
        assert ours.equals(alone.values.filter(alone.is_clean).drop("file"))
    assert rows.equals(rows.sort("file", "position"))


def test_each_row_of_a_thousand_small_files_keeps_its_file_and_its_number() -> None:
    head = HEADER + b"\n"
    rows = b"t%d,2026-03-10T10:00:00Z,c,m,%s\nlate%d,2026-01-01T10:00:00Z,c,m,1\n"
    files = [LandedFile(f"{n:04}.csv", head + rows % (n, b"x" if n % 3 == 0 else b"7", n)) for n in range(1000)]
    before = time.process_time()
    intake = ingest_day({Feed.TRANSACTIONS: files}, {}, DAY, IngestionParams())
    seconds = time.process_time() - before
    found = intake.quarantine.select("source_file", "row_number", pl.col("reasons").list.first()).rows()
    expected = [(f"{n:04}.csv", 1, "wrong_type") for n in range(0, 1000, 3)]
    expected += [(f"{n:04}.csv", 2, "too_late") for n in range(1000)]
    assert sorted(found) == sorted(expected)
    assert intake.kept[Feed.TRANSACTIONS].height == 666
    assert intake.ledger["rows_landed"].to_list() == [2] * 1000
    assert seconds < 4  # by CPU; each file by itself took twice as long


def test_a_panic_of_the_reader_is_told_in_words_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> pl.DataFrame:
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value: ComputeError")

    content = parquet(row(1, "2026-03-10T10:00:00Z", 7))
    monkeypatch.setattr(pl, "read_parquet", panic)
    read = read_file("a.parquet", content, IngestionParams().transactions)
    assert isinstance(read, Refusal)
    assert read.problem == (
        "file: expected a parquet file that can be read, "
        "found a column of an unknown type or time zone, or rotten bytes"
    )
    assert read.n_rows == 1
