"""The two checks of ingestion: each passes on what is right and fails on every way of losing or bending a row."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
import pytest

from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.ingestion import (
    IngestionParams,
    LandedFile,
    Recount,
    check_quarantine_share,
    check_rows_are_conserved,
    ingest_day,
    recount_file,
)

DAY = date(2026, 3, 10)
HEADER = "transaction_id,event_time,customer_id,terminal_id,amount_cents\n"


def landed(name: str, *ids: str) -> LandedFile:
    rows = "".join(f"{one},2026-03-10T10:00:00Z,c1,m1,100\n" for one in ids)
    return LandedFile(name, (HEADER + rows).encode())


FILES = (
    landed("a.csv", "x", "y", "x", ""),
    landed("b.csv", "z", "x"),
    landed("c.csv", "z", "x"),
    LandedFile("d.csv", b"id\n1\n2\n"),
    LandedFile("e.parquet", b"PAR1"),
)


@dataclass(frozen=True)
class World:
    """What the check sees: right as it is made here, to be bent by a test."""

    recounts: tuple[Recount, ...]
    kept: pl.DataFrame
    quarantine: pl.DataFrame
    ledger: pl.DataFrame

    def check(self) -> Finding:
        return check_rows_are_conserved(self.recounts, {Feed.TRANSACTIONS: self.kept}, self.quarantine, self.ledger)

    def with_entry(self, name: str, **values: object) -> "World":
        changes = [
            pl.when(pl.col("source_file") == name).then(pl.lit(v)).otherwise(k).alias(k) for k, v in values.items()
        ]
        return replace(self, ledger=self.ledger.with_columns(changes))

    def with_recount(self, position: int, **values: object) -> "World":
        recounts = list(self.recounts)
        recounts[position] = replace(recounts[position], **values)  # type: ignore[arg-type]
        return replace(self, recounts=tuple(recounts))


def make_world() -> World:
    intake = ingest_day({Feed.TRANSACTIONS: FILES}, {}, DAY, IngestionParams())
    recounts = tuple(recount_file(Feed.TRANSACTIONS, file) for file in FILES)
    return World(recounts, intake.kept[Feed.TRANSACTIONS], intake.quarantine, intake.ledger)


def test_rows_are_conserved_where_nothing_was_lost() -> None:
    finding = make_world().check()
    assert finding.passed
    assert finding.explanation == "10 landed = 3 kept + 3 quarantined + 4 duplicate, recounted from 5 files"
    assert finding.facts["files"] == 5


BENT: dict[str, tuple[Callable[[World], World], str]] = {
    "a kept row is missing": (lambda w: replace(w, kept=w.kept.head(2)), "expected 3 rows as in the ledger, found 2"),
    "a row was kept twice": (lambda w: replace(w, kept=pl.concat([w.kept, w.kept.head(1)])), "found 4 in the table"),
    "quarantine lost a row": (
        lambda w: replace(w, quarantine=w.quarantine.filter(pl.col("row_number").is_null())),
        "a.csv: expected 1 rows and 0 entries for the whole file in quarantine, found 0 and 0",
    ),
    "quarantine holds a row twice for another": (
        lambda w: replace(
            w.with_entry("a.csv", rows_quarantined=2, rows_duplicate=0), quarantine=pl.concat([w.quarantine] * 2)
        ),
        "a.csv: expected 2 rows and 0 entries",
    ),
    "quarantine lost the entry of a refused file": (
        lambda w: replace(w, quarantine=w.quarantine.filter(pl.col("source_file") != "e.parquet")),
        "e.parquet: expected 0 rows and 1 entries",
    ),
    "quarantine holds a row of no file": (
        lambda w: replace(w, quarantine=w.quarantine.with_columns(source_file=pl.lit("other.csv"))),
        "other.csv: in quarantine, but not in the ledger",
    ),
    "the ledger counts fewer rows than landed": (
        lambda w: w.with_entry("a.csv", rows_landed=3, rows_kept=1),
        "a.csv: expected 4 rows as counted in the file, found 3",
    ),
    "the ledger does not add up": (
        lambda w: w.with_entry("a.csv", rows_duplicate=0),
        "a.csv: expected 4 rows, found 2 kept",
    ),
    "a file has more rows than were ingested": (
        lambda w: w.with_recount(0, n_rows=9),
        "a.csv: expected 9 rows as counted",
    ),
    "a file was changed": (lambda w: w.with_recount(1, md5="0" * 32), "b.csv: expected md5"),
    "a file vanished": (lambda w: replace(w, recounts=w.recounts[1:]), "a.csv: in the ledger, but no longer landed"),
    "a repeat has no original": (lambda w: w.with_entry("c.csv", md5="0" * 32), "no other file has its bytes"),
    "what cannot be read was accepted": (
        lambda w: w.with_entry("e.parquet", status="accepted"),
        "cannot be read as rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("bend", "message"), BENT.values(), ids=BENT)
def test_rows_are_not_conserved_where(bend: Callable[[World], World], message: str) -> None:
    finding = bend(make_world()).check()
    assert not finding.passed
    assert finding.level is Level.ERROR
    assert message in finding.explanation
    assert "materialize" in finding.explanation


def test_a_file_that_landed_after_ingestion_is_a_warning() -> None:
    world = make_world()
    late = recount_file(Feed.TRANSACTIONS, landed("late.csv", "q"))
    finding = replace(world, recounts=(*world.recounts, late)).check()
    assert (finding.passed, finding.level) == (False, Level.WARN)
    assert "landed after ingestion: transactions/late.csv" in finding.explanation


def test_the_recount_does_not_need_ingestion_to_be_right() -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"any": range(7)}).write_parquet(buffer)
    counts = {
        "a.csv": (b'h,i\n1,"2\n3"\n\n4\n', 2), "b.CSV": (b"\xef\xbb\xbfh\r\n1\r\n", 1), "c.jsonl": (b"{}\n\n[]\nx", 3),
        "d.parquet": (buffer.getvalue(), 7), "e.parquet": (buffer.getvalue()[:-9], None), "f.txt": (b"1\n", None),
        "g.csv": (b"", None), "h.csv": (buffer.getvalue(), None), "i.csv": (b"h\n", 0),
    }  # fmt: skip
    for name, (content, expected) in counts.items():
        assert recount_file(Feed.TRANSACTIONS, LandedFile(name, content)).n_rows == expected, name


def judge_share(*files: LandedFile, limit: float = 0.5) -> Finding:
    params = IngestionParams(max_quarantine_share=limit)
    return check_quarantine_share(ingest_day({Feed.TRANSACTIONS: files}, {}, DAY, params).ledger, params)


def test_no_malformed_row_passes_and_so_does_a_day_without_files() -> None:
    assert judge_share(landed("a.csv", "x", "x")).passed
    assert judge_share().passed


def test_few_malformed_rows_are_a_warning_and_many_an_error() -> None:
    few, many = judge_share(landed("a.csv", "x", "")), judge_share(landed("a.csv", "x", "", ""))
    assert (few.passed, few.level, many.passed, many.level) == (False, Level.WARN, False, Level.ERROR)
    assert few.facts["quarantine_share"] == 0.5
    assert "2 of 3 landed rows" in many.explanation
    assert "replay" in many.explanation


def test_a_refused_file_is_a_warning_among_good_rows_and_an_error_alone() -> None:
    unreadable = LandedFile("z.parquet", b"PAR1")
    among = judge_share(landed("a.csv", "x", "y"), unreadable)
    assert (among.passed, among.level) == (False, Level.WARN)
    assert "1 of 2 files were refused" in among.explanation
    assert judge_share(unreadable).level is Level.ERROR
    assert judge_share(landed("a.csv", "x"), LandedFile("b.csv", b"id\n1\n2\n")).level is Level.ERROR
