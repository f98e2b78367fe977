"""What lands on a day: the same bytes each time, and exactly the faults that were ordered."""

import io
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from pipeline_assets.contracts.vocabularies import Feed, FileStatus, Reason
from pipeline_assets.core.ingestion.intake import DayIntake, ingest_day
from pipeline_assets.core.ingestion.intake import LandedFile as Received
from pipeline_assets.core.ingestion.mapping import IngestionParams
from pipeline_assets.simulator.faults import (
    ROW_DEFECTS,
    CorruptFile,
    Corruption,
    Fault,
    LateRows,
    MalformedRows,
    MissingDay,
    RepeatedFile,
    RepeatedRows,
    read_faults,
)
from pipeline_assets.simulator.landing import LandedFile, landed_files
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World
from pipeline_assets.simulator.writing import Format, write_rows

DAY = date(2024, 2, 29)
WORLD = World(WorldParams(start=DAY - timedelta(days=30), n_customers=400, n_terminals=800, seed=1))
N = WORLD.simulate(DAY).transactions.height
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")


def land(*faults: Fault, day: date = DAY, file_format: Format = "parquet") -> list[LandedFile]:
    return landed_files(WORLD, day, faults, file_format)


def ingest(files: list[LandedFile]) -> DayIntake:
    """What the real intake makes of the files, which are of one day."""
    received = {feed: [Received(f.name, f.content) for f in files if f.feed is feed] for feed in Feed}
    return ingest_day(received, {}, files[0].day, IngestionParams())


def sum_ledger(intake: DayIntake, feed: Feed = Feed.TRANSACTIONS) -> dict[str, int]:
    rows = intake.ledger.filter(pl.col("feed") == feed)
    return {name.removeprefix("rows_"): int(rows[name].sum()) for name in rows.columns if name.startswith("rows_")}


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_day_without_faults_lands_as_one_file_a_feed_and_loses_nothing(file_format: Format) -> None:
    files = land(file_format=file_format)
    assert [file.name for file in files] == [f"chargebacks-{DAY}.{file_format}", f"transactions-{DAY}.{file_format}"]
    intake = ingest(files)
    day = WORLD.simulate(DAY)
    assert intake.kept[Feed.TRANSACTIONS].equals(day.transactions)
    assert intake.kept[Feed.CHARGEBACKS].equals(day.chargebacks)
    assert intake.quarantine.is_empty()


@pytest.mark.parametrize("file_format", FORMATS)
def test_equal_orders_land_as_equal_bytes(file_format: Format) -> None:
    faults = (RepeatedRows(DAY), LateRows(DAY, n_rows=9), MalformedRows(DAY, Reason.NEGATIVE), RepeatedFile(DAY))
    again = World(WORLD.params)
    assert land(*faults, file_format=file_format) == landed_files(again, DAY, faults, file_format)


def test_a_feed_without_rows_is_no_empty_jsonl_file() -> None:
    first = WORLD.params.start
    assert [file.feed for file in land(day=first, file_format="jsonl")] == [Feed.TRANSACTIONS]
    assert [file.feed for file in land(day=first, file_format="csv")] == [Feed.CHARGEBACKS, Feed.TRANSACTIONS]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("defect", ROW_DEFECTS)
def test_malformed_rows_end_in_quarantine_for_the_defect_that_was_ordered(defect: Reason, file_format: Format) -> None:
    intake = ingest(land(MalformedRows(DAY, defect, n_rows=7), file_format=file_format))
    assert intake.quarantine["reasons"].to_list() == [[defect]] * 7
    assert sum_ledger(intake) == {"landed": N, "kept": N - 7, "quarantined": 7, "duplicate": 0}
    assert intake.kept[Feed.TRANSACTIONS].join(WORLD.simulate(DAY).transactions, on=pl.all(), how="anti").is_empty()


def test_repeated_rows_are_so_many_duplicates() -> None:
    assert sum_ledger(ingest(land(RepeatedRows(DAY, n_rows=1_000)))) == {
        "landed": N + 1_000, "kept": N, "quarantined": 0, "duplicate": 1_000,
    }  # fmt: skip


@pytest.mark.parametrize("days_late", [1, 7])
def test_late_rows_are_missing_on_their_day_and_arrive_whole_later(days_late: int) -> None:
    fault = LateRows(DAY, days_late=days_late, n_rows=50)
    arrival = DAY + timedelta(days=days_late)
    on_time, later = ingest(land(fault)).kept, ingest(land(fault, day=arrival)).kept
    late = later[Feed.TRANSACTIONS].filter(pl.col("event_time").dt.date() == DAY)
    assert late.height == 50
    both = pl.concat([on_time[Feed.TRANSACTIONS], late]).sort("event_time", "transaction_id")
    assert both.equals(WORLD.simulate(DAY).transactions)
    assert land(fault, day=arrival + timedelta(days=1)) == land(day=arrival + timedelta(days=1))


def test_a_whole_day_can_be_late() -> None:
    fault = LateRows(DAY, days_late=2, n_rows=None)
    assert ingest(land(fault)).kept[Feed.TRANSACTIONS].is_empty()
    later = ingest(land(fault, day=DAY + timedelta(days=2))).kept[Feed.TRANSACTIONS]
    assert later.filter(pl.col("event_time").dt.date() == DAY).equals(WORLD.simulate(DAY).transactions)


def test_faults_of_one_day_take_different_rows() -> None:
    faults = (
        LateRows(DAY, n_rows=N - 30),
        MalformedRows(DAY, Reason.NEGATIVE),
        MalformedRows(DAY, Reason.MALFORMED, n_rows=10),
    )
    assert sum_ledger(ingest(land(*faults))) == {"landed": 30, "kept": 0, "quarantined": 30, "duplicate": 0}


@pytest.mark.parametrize("feed", list(Feed))
def test_a_repeated_file_has_the_same_bytes_under_another_name(feed: Feed) -> None:
    first, again = (file for file in land(RepeatedFile(DAY, feed=feed)) if file.feed is feed)
    assert first.content == again.content
    assert first.name < again.name
    statuses = ingest(land(RepeatedFile(DAY, feed=feed))).ledger.filter(pl.col("feed") == feed)["status"]
    assert statuses.to_list() == [FileStatus.ACCEPTED, FileStatus.REPEATED]


def test_a_file_can_come_again_days_later() -> None:
    later = DAY + timedelta(days=4)
    repeated = [file for file in land(RepeatedFile(DAY, days_later=4), day=later) if "again" in file.name]
    original = next(file for file in land() if file.feed is Feed.TRANSACTIONS)
    assert [file.content for file in repeated] == [original.content]
    assert repeated[0].day == later


def test_a_missing_day_brings_no_file_and_other_days_are_whole() -> None:
    assert land(MissingDay(DAY)) == []
    assert [file.feed for file in land(MissingDay(DAY, feed=Feed.CHARGEBACKS))] == [Feed.TRANSACTIONS]
    tomorrow = DAY + timedelta(days=1)
    assert land(MissingDay(DAY), day=tomorrow) == land(day=tomorrow)


@pytest.mark.parametrize("feed", list(Feed))
@pytest.mark.parametrize(
    ("file_format", "corruption"),
    [(f, c) for f in FORMATS for c in Corruption if (f, c) != ("parquet", Corruption.WRONG_ENCODING)],
)
def test_a_corrupt_file_never_passes_as_sound(file_format: Format, corruption: Corruption, feed: Feed) -> None:
    intake = ingest(land(CorruptFile(DAY, corruption, feed=feed), file_format=file_format))
    assert intake.quarantine.height > 0
    assert set(intake.quarantine["feed"]) == {feed}
    assert intake.kept[feed].height < (N if feed is Feed.TRANSACTIONS else WORLD.simulate(DAY).chargebacks.height)


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_a_truncated_text_ends_within_a_row_wherever_the_cut_falls(file_format: Format) -> None:
    rows = WORLD.simulate(DAY).transactions
    for n_rows in range(1, 60):
        whole = write_rows(rows.head(n_rows), file_format).splitlines()
        *lines, last = write_rows(rows.head(n_rows), file_format, Corruption.TRUNCATED).splitlines()
        assert lines == whole[: len(lines)]
        assert whole[len(lines)].startswith(last + b",")


def test_a_parquet_file_has_no_encoding_to_be_wrong() -> None:
    with pytest.raises(ValueError, match="expected csv or jsonl for wrong_encoding"):
        land(CorruptFile(DAY, Corruption.WRONG_ENCODING))


def test_times_are_written_as_iso_8601_in_utc() -> None:
    rows = WORLD.simulate(DAY).transactions.head(1)
    text = pl.read_csv(io.BytesIO(write_rows(rows, "csv")), infer_schema=False)["event_time"][0]
    assert text == rows["event_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")[0]


def test_more_rows_than_the_day_has_are_refused() -> None:
    with pytest.raises(ValueError, match=rf"faults\[1\]: late_rows on 2024-02-29: expected at most {N - 20} rows"):
        land(MalformedRows(DAY, Reason.NEGATIVE), LateRows(DAY, n_rows=N))


def test_faults_are_read_from_plain_data() -> None:
    described: list[dict[str, Any]] = [
        {"kind": "repeated_rows", "day": "2024-02-29"},
        {"kind": "malformed_rows", "day": DAY, "defect": "negative", "n_rows": 3},
    ]
    assert read_faults(described) == (RepeatedRows(DAY), MalformedRows(DAY, Reason.NEGATIVE, n_rows=3))


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"kind": "flood", "day": "2024-02-29"}, r"faults\[0\].*flood"),
        ({"kind": "late_rows", "day": "2024-02-29", "days_late": 8}, r"faults\[0.late_rows.days_late\].*found 8"),
        ({"kind": "late_rows"}, r"faults\[0.late_rows.day\]"),
        ({"kind": "malformed_rows", "day": "2024-02-29", "defect": "unreadable"}, "expected a defect of a row"),
        ({"kind": "missing_day", "day": "2024-02-29", "n_rows": 3}, r"faults\[0.missing_day.n_rows\]"),
    ],
)
def test_a_fault_that_is_not_understood_is_named(described: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_faults([described])
