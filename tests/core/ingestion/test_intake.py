"""The laws of the intake: landed = kept + quarantined + duplicate, whatever lands, in whatever order and format."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.tables import CHARGEBACKS, LEDGER, QUARANTINE, TRANSACTIONS
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
PARAMS = IngestionParams()
Row = dict[str, Any]


def row(name: str, amount: Any = 100, day: date = DAY, time: str = "10:00:00") -> Row:
    return {
        "transaction_id": name,
        "event_time": f"{day}T{time}.000000Z",
        "customer_id": "c1",
        "terminal_id": "m1",
        "amount_cents": str(amount),
    }


def render(kind: str, rows: Sequence[Row]) -> bytes:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(row("x"), pl.String))
    if kind == "parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        return buffer.getvalue()
    if kind == "csv":
        return frame.write_csv().encode()
    return "".join(json.dumps(one) + "\n" for one in rows).encode() or b"\n\n"


def ingest(
    files: Sequence[LandedFile], recent: pl.DataFrame | None = None, day: date = DAY, feed: Feed = Feed.TRANSACTIONS
) -> DayIntake:
    intake = ingest_day({feed: files}, {} if recent is None else {feed: recent}, day, PARAMS)
    finding = check_rows_are_conserved(
        [recount_file(feed, file) for file in files], intake.kept, intake.quarantine, intake.ledger
    )
    assert finding.passed, finding.explanation
    for table, frame in (
        (TRANSACTIONS, intake.kept[Feed.TRANSACTIONS]),
        (CHARGEBACKS, intake.kept[Feed.CHARGEBACKS]),
        (QUARANTINE, intake.quarantine),
        (LEDGER, intake.ledger),
    ):
        table.schema.validate(frame)
        assert frame.equals(frame.sort(table.order))
    return intake


def csv(name: str, *rows: Row) -> LandedFile:
    return LandedFile(name, render("csv", rows))


def kept(intake: DayIntake) -> dict[str, int]:
    return dict(intake.kept[Feed.TRANSACTIONS].select("transaction_id", "amount_cents").rows())


def quarantined(intake: DayIntake) -> list[tuple[str, int | None, str]]:
    return intake.quarantine.select("source_file", "row_number", pl.col("reasons").list.join(" ")).rows()


rows_of_all_kinds = st.builds(
    row,
    name=st.sampled_from(["a", "b", "c", "d", "e", "", " f", "x" * 70]),
    amount=st.sampled_from([1, 2, 0, -1, "1,5", "nan", "1e400", ""]),
    day=st.sampled_from([DAY - timedelta(days=back) for back in (0, 1, 7, 8, -1)]),
    time=st.sampled_from(["00:00:00", "10:00:00", "23:59:59", "25:00:00"]),
)
days_of_files = st.lists(
    st.tuples(st.sampled_from(["csv", "jsonl", "parquet"]), st.lists(rows_of_all_kinds, max_size=12)), max_size=5
)


@settings(max_examples=30, deadline=None)
@given(files=days_of_files, again=st.booleans(), shuffle=st.randoms(use_true_random=False))
def test_every_landed_row_is_kept_quarantined_or_a_duplicate_whatever_the_order_of_files(
    files: list[tuple[str, list[Row]]], again: bool, shuffle: Any
) -> None:
    landed = [LandedFile(f"f{n}.{kind}", render(kind, rows)) for n, (kind, rows) in enumerate(files)]
    if again and landed:
        landed.append(LandedFile(f"again.{landed[0].name.rpartition('.')[2]}", landed[0].content))
    intake = ingest(landed)
    ledger = intake.ledger
    n_rows = sum(len(rows) for _, rows in files) + (len(files[0][1]) if again and files else 0)
    assert ledger["rows_landed"].sum() == n_rows
    ends = ledger["rows_kept"] + ledger["rows_quarantined"] + ledger["rows_duplicate"]
    assert ends.to_list() == ledger["rows_landed"].to_list()
    shuffle.shuffle(landed)
    other = ingest(landed)
    assert other.kept[Feed.TRANSACTIONS].equals(intake.kept[Feed.TRANSACTIONS])
    assert other.quarantine.equals(intake.quarantine)
    assert other.ledger.equals(intake.ledger)


@settings(max_examples=12, deadline=None)
@given(rows=st.lists(rows_of_all_kinds, min_size=1, max_size=15))
def test_csv_jsonl_and_parquet_of_the_same_rows_end_the_same(rows: list[Row]) -> None:
    intakes = [ingest([LandedFile(f"a.{kind}", render(kind, rows))]) for kind in ("csv", "jsonl", "parquet")]
    for other in intakes[1:]:
        assert other.kept[Feed.TRANSACTIONS].equals(intakes[0].kept[Feed.TRANSACTIONS])
        assert [entry[1:] for entry in quarantined(other)] == [entry[1:] for entry in quarantined(intakes[0])]


@settings(max_examples=12, deadline=None)
@given(files=days_of_files)
def test_a_row_that_was_kept_is_never_kept_again_on_a_later_day(files: list[tuple[str, list[Row]]]) -> None:
    landed = [LandedFile(f"f{n}.{kind}", render(kind, rows)) for n, (kind, rows) in enumerate(files)]
    first = ingest(landed).kept[Feed.TRANSACTIONS]
    for later in (1, PARAMS.max_lateness_days, PARAMS.max_lateness_days + 1):
        recent = first if later <= PARAMS.max_lateness_days else first.clear()
        again = ingest(landed, recent, DAY + timedelta(days=later)).kept[Feed.TRANSACTIONS]
        assert again.join(first, on=first.columns, how="semi").is_empty()


def test_the_earlier_file_by_name_wins_and_then_the_earlier_row() -> None:
    intake = ingest([csv("b.csv", row("x", 2), row("y", 2)), csv("a.csv", row("x", 1), row("x", 3), row("x", 1))])
    assert kept(intake) == {"x": 1, "y": 2}
    assert quarantined(intake) == [("a.csv", 2, "id_reused"), ("b.csv", 1, "id_reused")]
    assert intake.ledger["rows_duplicate"].to_list() == [1, 0]


def test_an_earlier_day_wins_over_all_files_of_the_day() -> None:
    recent = ingest([csv("a.csv", row("x", 1))]).kept[Feed.TRANSACTIONS]
    intake = ingest([csv("0.csv", row("x", 2), row("x", 1), row("y"))], recent, DAY + timedelta(days=1))
    assert kept(intake) == {"y": 100}
    assert quarantined(intake) == [("0.csv", 1, "id_reused")]
    assert intake.ledger["rows_duplicate"].to_list() == [1]


def test_a_good_row_after_a_bad_one_of_the_same_id_is_kept() -> None:
    intake = ingest([csv("a.csv", row("x", -1), row("x", 5, DAY - timedelta(days=8)), row("x", 7))])
    assert kept(intake) == {"x": 7}
    assert quarantined(intake) == [("a.csv", 1, "negative"), ("a.csv", 2, "too_late")]


def test_the_window_of_arrival_is_closed_at_its_beginning_and_open_at_its_end() -> None:
    first, last = DAY - timedelta(days=7), DAY + timedelta(days=1)
    rows = [row("early", day=first - timedelta(days=1), time="23:59:59"), row("first", day=first, time="00:00:00")]
    rows += [row("last", time="23:59:59"), row("next", day=last, time="00:00:00")]
    intake = ingest([csv("a.csv", *rows)])
    assert set(kept(intake)) == {"first", "last"}
    assert quarantined(intake) == [("a.csv", 1, "too_late"), ("a.csv", 4, "in_future")]


def test_a_late_row_that_repeats_a_recent_one_is_a_duplicate_and_no_fault() -> None:
    late = row("x", day=DAY - timedelta(days=6))
    recent = ingest([csv("a.csv", late)]).kept[Feed.TRANSACTIONS]
    intake = ingest([csv("b.csv", late)], recent, DAY + timedelta(days=3))
    assert (quarantined(intake), intake.ledger["rows_duplicate"].to_list()) == ([], [1])


def test_a_file_that_lands_twice_on_a_day_is_a_repeat_bad_rows_and_all() -> None:
    intake = ingest([csv("a.csv", row("x"), row("y", -1)), csv("b.csv", row("x"), row("y", -1))])
    counts = intake.ledger.select("status", "rows_kept", "rows_quarantined", "rows_duplicate").rows()
    assert counts == [(FileStatus.ACCEPTED, 1, 1, 0), (FileStatus.REPEATED, 0, 0, 2)]


def test_the_same_bytes_under_another_format_are_no_repeat() -> None:
    content = render("csv", [row("x")])
    intake = ingest([LandedFile("a.txt", content), LandedFile("b.csv", content)])
    assert intake.ledger["status"].to_list() == [FileStatus.REFUSED, FileStatus.ACCEPTED]


def test_chargebacks_are_judged_by_the_time_of_their_report() -> None:
    content = b"transaction_id,reported_at\nx,2026-03-10T09:00:00Z\nx,2026-03-10T09:00:00Z\ny,2026-03-11T00:00:00Z\n"
    intake = ingest([LandedFile("c.csv", content)], feed=Feed.CHARGEBACKS)
    assert intake.kept[Feed.CHARGEBACKS].rows() == [("x", datetime(2026, 3, 10, 9, tzinfo=UTC))]
    assert intake.quarantine["reasons"].to_list() == [["in_future"]]
    assert intake.ledger["rows_duplicate"].to_list() == [1]


def test_both_feeds_of_a_day_are_accounted_for_apart_even_under_one_file_name() -> None:
    chargebacks = LandedFile("a.csv", b"transaction_id,reported_at\nx,2026-03-10T09:00:00Z\n")
    intake = ingest_day({Feed.TRANSACTIONS: [csv("a.csv", row("x"))], Feed.CHARGEBACKS: [chargebacks]}, {}, DAY, PARAMS)
    assert intake.ledger.select("feed", "source_file", "rows_kept").rows() == [
        ("chargebacks", "a.csv", 1),
        ("transactions", "a.csv", 1),
    ]


def test_a_day_without_files_gives_empty_tables() -> None:
    intake = ingest([])
    assert (intake.quarantine.height, intake.ledger.height, kept(intake)) == (0, 0, {})
