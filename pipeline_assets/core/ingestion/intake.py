"""The intake of one day: which landed rows are kept, which are quarantined and why, which came before."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from pipeline_assets.contracts.tables import LEDGER, QUARANTINE
from pipeline_assets.contracts.vocabularies import Feed, FileStatus, Reason
from pipeline_assets.core.ingestion.judging import Fault, judge_files
from pipeline_assets.core.ingestion.mapping import (
    TABLE_OF_FEED,
    TIME_COLUMN_OF_FEED,
    FeedMapping,
    IngestionParams,
    choose_mapping,
)
from pipeline_assets.core.ingestion.raw import RawFile, Refusal, render_rows, shorten
from pipeline_assets.core.ingestion.reading import find_format, read_files

_ID: Final = "transaction_id"
_DUPLICATE: Final = "duplicate"  # beside the reason codes, as an outcome of a row


@dataclass(frozen=True)
class LandedFile:
    """A file as it lies in the landing zone: its name and its bytes."""

    name: str
    content: bytes


def digest_files(files: Mapping[Feed, Sequence[LandedFile]]) -> str:
    """Hash (md5) of everything that landed on a day: names and bytes, in whatever order."""
    return digest_hashes(
        {
            f"{feed}/{file.name}": hashlib.md5(file.content, usedforsecurity=False).hexdigest()
            for feed, landed in files.items()
            for file in landed
        }
    )


def digest_hashes(files: Mapping[str, str]) -> str:
    """The same by the hashes of the files: md5 by ``feed/name``."""
    lines = sorted(f"{name} {md5}" for name, md5 in files.items())
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class DayIntake:
    """What became of everything that landed on one day.

    Attributes:
        kept: By feed, the rows that are accepted: the feed's table, sorted by its order.
        quarantine: The table ``quarantine``.
        ledger: The table ``ledger``: for each file, landed = kept + quarantined + duplicate.
    """

    kept: Mapping[Feed, pl.DataFrame]
    quarantine: pl.DataFrame
    ledger: pl.DataFrame


@dataclass
class _File:
    """A landed file and what is known of it; ``raw`` is None where it was refused or repeated."""

    name: str
    md5: str
    status: FileStatus = FileStatus.ACCEPTED
    n_rows: int = 0
    faults: list[Fault] = field(default_factory=list)
    raw: RawFile | None = None


def ingest_day(
    files: Mapping[Feed, Sequence[LandedFile]], recent: Mapping[Feed, pl.DataFrame], day: date, params: IngestionParams
) -> DayIntake:
    """Judge every row that landed on ``day``; each ends as kept, quarantined or duplicate, in exactly one of them.

    A row is accepted if every column parses, its time lies in [day - ``max_lateness_days``, day + 1), and no other row
    of its id came first. The order is: earlier days, then the files of the day by name, then the rows of a file; the
    order in which files are passed is irrelevant. A repeat (same id, same content) is a duplicate, late or not; another
    content under the id of an accepted row is quarantined as ``id_reused``. Rows with faults take no part in this: a
    good row after a bad one of the same id is kept. A file whose bytes came earlier on the day, in the same format and
    under another name, is a duplicate as a whole.

    Repeats of earlier days are found in ``recent`` alone, and it is enough: a row that was kept on day A has a time
    before A + 1, so that its repeat after day A + ``max_lateness_days`` is too late and goes to quarantine. (What is
    not found is an id used again, with another content and a new time, more than ``max_lateness_days`` later.)

    Args:
        files: The landed files of the day, by feed; a feed may be absent.
        recent: The kept rows of the ``max_lateness_days`` days before ``day``, by feed, in the order of the days.
        day: The day on which the files landed.
        params: What is expected and tolerated.
    """
    kept: dict[Feed, pl.DataFrame] = {}
    quarantine, ledger = [QUARANTINE.empty()], [LEDGER.empty()]
    for feed, table in TABLE_OF_FEED.items():
        read, rows = _read_files(feed, files.get(feed, ()), params)
        settled = _settle(feed, rows, recent.get(feed, table.empty()), day, params)
        _add_faults(feed, read, settled, day, params)
        kept[feed] = settled.filter(pl.col("outcome").is_null()).select(table.columns).sort(table.order)
        quarantine.append(_build_quarantine(feed, read))
        ledger.append(_build_ledger(feed, read, settled))
    return DayIntake(kept, pl.concat(quarantine).sort(QUARANTINE.order), pl.concat(ledger).sort(LEDGER.order))


def _read_files(feed: Feed, landed: Sequence[LandedFile], params: IngestionParams) -> tuple[list[_File], pl.DataFrame]:
    """The files in the order of their names, and the clean rows of all of them; ``file`` is the place in the list."""
    files: list[_File] = []
    firsts: dict[tuple[str, str, FeedMapping], int] = {}
    wanted: dict[int, tuple[str, bytes, FeedMapping]] = {}
    repeats: dict[int, int] = {}
    for number, file in enumerate(sorted(landed, key=lambda one: one.name)):
        md5 = hashlib.md5(file.content, usedforsecurity=False).hexdigest()
        mapping = choose_mapping(file.name, params.mapping_of(feed))
        files.append(_File(file.name, md5))
        # The same bytes mean the same rows only if they are read in the same way.
        first = firsts.setdefault((md5, find_format(file.name), mapping), number)
        if first == number:
            wanted[number] = (file.name, file.content, mapping)
        else:
            repeats[number] = first
    accepted: dict[int, tuple[RawFile, FeedMapping]] = {}
    for number, raw in zip(wanted, read_files(list(wanted.values())), strict=True):
        files[number].n_rows = raw.n_rows
        if isinstance(raw, Refusal):
            files[number].status = FileStatus.REFUSED
            files[number].faults = [Fault(None, raw.reasons, raw.problem, None)]
        else:
            files[number].raw = raw
            accepted[number] = (raw, wanted[number][2])
    for number, first in repeats.items():
        files[number].status, files[number].n_rows = FileStatus.REPEATED, files[first].n_rows
    rows, faults = judge_files(accepted, feed)
    for number, found in faults.items():
        files[number].faults = found
    return files, rows


def _settle(feed: Feed, rows: pl.DataFrame, recent: pl.DataFrame, day: date, params: IngestionParams) -> pl.DataFrame:
    """The clean rows of all files in order, with ``outcome``: null is kept."""
    table, time = TABLE_OF_FEED[feed], TIME_COLUMN_OF_FEED[feed]
    first, end = _find_window(day, params)
    before = _match(rows, recent, table.columns)
    rows = rows.with_columns(
        outcome=pl.when(before == "same").then(pl.lit(_DUPLICATE))
        .when(pl.col(time) < first).then(pl.lit(Reason.TOO_LATE.value))
        .when(pl.col(time) >= end).then(pl.lit(Reason.IN_FUTURE.value))
        .when(before == "other").then(pl.lit(Reason.ID_REUSED.value))
    ).with_row_index("order")  # fmt: skip
    left = rows.filter(pl.col("outcome").is_null())
    winners = left.unique(_ID, keep="first", maintain_order=True)
    if winners.height == left.height:
        return rows
    losers = left.join(winners.select("order"), on="order", how="anti", maintain_order="left")
    codes = _match(losers, winners, table.columns).replace_strict(
        ["same", "other"], [_DUPLICATE, Reason.ID_REUSED.value], return_dtype=pl.String
    )
    return rows.with_columns(rows["outcome"].scatter(losers["order"], codes))


def _find_window(day: date, params: IngestionParams) -> tuple[datetime, datetime]:
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    return midnight - timedelta(days=params.max_lateness_days), midnight + timedelta(days=1)


def _match(rows: pl.DataFrame, others: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """For each of ``rows``: ``same`` or ``other`` content under its id among ``others``; null where the id is new."""
    content = [name for name in columns if name != _ID]
    known = (
        others.select(columns)
        .join(rows.select(_ID), on=_ID, how="semi")
        .unique(_ID, keep="first", maintain_order=True)
        .with_columns(is_known=pl.lit(value=True))
    )
    found = rows.select(columns).join(known, on=_ID, how="left", maintain_order="left", suffix="_known")
    is_same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_known") for name in content)
    return found.select(
        match=pl.when(pl.col("is_known")).then(pl.when(is_same).then(pl.lit("same")).otherwise(pl.lit("other")))
    )["match"]


def _add_faults(feed: Feed, files: list[_File], settled: pl.DataFrame, day: date, params: IngestionParams) -> None:
    """Add to the faults of each file its rows that are clean and nevertheless not accepted."""
    time = TIME_COLUMN_OF_FEED[feed]
    first, end = _find_window(day, params)
    expected = {
        Reason.TOO_LATE: f"{time}: expected {first:%Y-%m-%dT%H:%M:%SZ} or later",
        Reason.IN_FUTURE: f"{time}: expected a time before {end:%Y-%m-%dT%H:%M:%SZ}",
        Reason.ID_REUSED: f"{_ID}: expected an id that no other row has, or a row with the same content",
    }
    refused = settled.filter(pl.col("outcome") != _DUPLICATE)
    for part in refused.partition_by("file", maintain_order=True):
        file = files[part["file"][0]]
        assert file.raw is not None
        received = render_rows(file.raw, part["position"].to_list())
        for row, text in zip(part.iter_rows(named=True), received, strict=True):
            reason = Reason(row["outcome"])
            found = shorten(row[_ID]) if reason is Reason.ID_REUSED else f"{row[time]:%Y-%m-%dT%H:%M:%S.%fZ}"
            file.faults.append(Fault(row["row_number"], (reason,), f"{expected[reason]}, found {found}", text))


def _build_quarantine(feed: Feed, files: list[_File]) -> pl.DataFrame:
    faults = [(file.name, fault) for file in files for fault in file.faults]
    return pl.DataFrame(
        {
            "feed": [feed.value] * len(faults),
            "source_file": [name for name, _ in faults],
            "row_number": [fault.row_number for _, fault in faults],
            "reasons": [sorted(reason.value for reason in fault.reasons) for _, fault in faults],
            "problems": [fault.problems for _, fault in faults],
            "received": [fault.received for _, fault in faults],
        },
        schema=QUARANTINE.empty().schema,
    )


def _build_ledger(feed: Feed, files: list[_File], settled: pl.DataFrame) -> pl.DataFrame:
    outcomes = settled.group_by("file").agg(
        kept=pl.col("outcome").is_null().sum(), duplicate=(pl.col("outcome") == _DUPLICATE).sum()
    )
    counts = {number: (kept, duplicate) for number, kept, duplicate in outcomes.iter_rows()}
    rows = []
    for number, file in enumerate(files):
        kept, duplicate = counts.get(number, (0, 0))
        quarantined = len(file.faults)
        if file.status is FileStatus.REFUSED:
            quarantined = file.n_rows  # its one entry stands for all its rows
        elif file.status is FileStatus.REPEATED:
            duplicate = file.n_rows
        rows.append((feed.value, file.name, file.md5, file.status.value, file.n_rows, kept, quarantined, duplicate))
    return pl.DataFrame(rows, schema=LEDGER.empty().schema, orient="row")
