"""Quarantined rows as a file that a person corrects, and the corrected file as files to land."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import repeat
from typing import Any, Final

import polars as pl

from pipeline_assets.contracts.vocabularies import Feed, Reason
from pipeline_assets.core.ingestion.intake import LandedFile
from pipeline_assets.core.ingestion.judging import Fault, judge_rows, parse_columns
from pipeline_assets.core.ingestion.mapping import (
    OWN_MARK,
    TABLE_OF_FEED,
    TIME_COLUMN_OF_FEED,
    ChargebacksMapping,
    FeedMapping,
    IngestionParams,
    TransactionsMapping,
    choose_mapping,
    list_sources,
)
from pipeline_assets.core.ingestion.raw import RawFile, Refusal, number_rows
from pipeline_assets.core.ingestion.reading import find_format, read_file
from pipeline_assets.core.spreadsheet import MarkError, restore

# Beside our own columns, a file of rows to correct says where each row came from and what was wrong with it.
CONTEXT_COLUMNS: Final = ("date", "source_file", "row_number", "reasons", "problems", "received")
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
_SHOWN: Final = 5  # problems in an error: enough to see the pattern


class ReplayError(ValueError):
    """A corrected file cannot be replayed; nothing was landed. The message names rows, columns, expected and found."""


def prepare_correction(
    quarantine: pl.DataFrame, feed: Feed, params: IngestionParams, reasons: Collection[Reason] = ()
) -> pl.DataFrame:
    """The quarantined rows of a feed as rows to correct: all text, our own columns first, then ``CONTEXT_COLUMNS``.

    Values that were good are filled in, in our own units (``amount_cents``, UTC); the others are null, to be filled in
    by a person who looks at ``received``. Entries for whole files are left out: such a file is mended and landed again.

    Args:
        quarantine: Rows of the table ``quarantine`` with their partition's day in a column ``date``.
        feed: Which feed's rows.
        params: How the source's columns are read.
        reasons: Only rows with one of these reasons; all by default.
    """
    wanted = quarantine.filter(pl.col("row_number").is_not_null(), feed=feed.value)
    if reasons:
        codes = [reason.value for reason in reasons]
        wanted = wanted.filter(pl.col("reasons").list.set_intersection(codes).list.len() > 0)
    parts = [_prepare_file(part, feed, params) for part in wanted.partition_by("date", "source_file")]
    names = [*TABLE_OF_FEED[feed].columns, *CONTEXT_COLUMNS]
    return pl.concat([pl.DataFrame(schema=dict.fromkeys(names, pl.String)), *parts])


def _prepare_file(rows: pl.DataFrame, feed: Feed, params: IngestionParams) -> pl.DataFrame:
    mapping = choose_mapping(rows["source_file"][0], params.mapping_of(feed))
    received = [json.loads(text, parse_int=str, parse_float=str) for text in rows["received"].to_list()]
    raw = pl.DataFrame(
        {
            source: pl.Series([_pick_text(row, source) for row in received], dtype=pl.String)
            for source in list_sources(mapping).values()
        }
    )
    parsed = parse_columns(RawFile(raw, number_rows(raw.height)), mapping)
    values = pl.DataFrame({name: column.values for name, column in parsed.items()}).with_columns(
        pl.col(TIME_COLUMN_OF_FEED[feed]).dt.strftime(_TIME_FORMAT)
    )
    context = rows.select(CONTEXT_COLUMNS).with_columns(pl.col("reasons").list.join(" "))
    return pl.concat([values, context], how="horizontal").cast(pl.String)


def _pick_text(received: Any, source: str) -> str | None:
    value = received.get(source) if isinstance(received, dict) else None
    # What is no UTF-8 was kept as lone surrogates; it is for the person to read, not to be filled in.
    return value if isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value) else None


def plan_replay(
    file: LandedFile, feed: Feed, params: IngestionParams, day: date | None = None
) -> dict[date, LandedFile]:
    """The files to land so that the rows of a corrected file are kept, by the day on which to land them.

    Each row lands on ``day``, or else on the day nearest to its first arrival (column ``date``) on which its time is
    neither too late nor in the future. That partition is then made anew, which is the one way in which history changes:
    on purpose, by a person. The name of a file follows from its content: replaying twice changes nothing.

    The quarantined originals stay as they are: they did arrive, and the ledger goes on counting them.

    Raises:
        ReplayError: A row would be quarantined again.
    """
    mapping = _own_mapping(feed)
    raw = read_file(file.name, file.content, mapping)
    if isinstance(raw, Refusal):
        columns = ", ".join(TABLE_OF_FEED[feed].columns)
        problem = f"expected csv or jsonl with the columns {columns}, as exported, found what is not"
        raise ReplayError(f"{file.name}: {problem} ({', '.join(raw.reasons)}); nothing was landed")
    if find_format(file.name) == "csv":
        raw = _restore_texts(file.name, raw, [*list_sources(mapping).values(), "date"])
    judged = judge_rows(raw, feed, mapping)
    problems = [_tell_fault(fault) for fault in judged.faults]
    if not problems:
        time = TIME_COLUMN_OF_FEED[feed]
        arrivals = raw.frame["date"].to_list() if "date" in raw.frame.columns else [None] * raw.frame.height
        targets = [
            _choose_day(moment, arrival, day, params)
            for moment, arrival in zip(judged.values[time].to_list(), arrivals, strict=True)
        ]
        problems = [f"row {number}: {one}" for number, one in enumerate(targets, 1) if isinstance(one, str)]
    _refuse(file.name, problems)
    rows = judged.values.select(TABLE_OF_FEED[feed].columns).with_columns(day=pl.Series(targets, dtype=pl.Date))
    return {part["day"][0]: _render(part.drop("day"), feed) for part in rows.partition_by("day")}


def _refuse(name: str, problems: Sequence[str]) -> None:
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ReplayError(f"{name}: {'; '.join(problems[:_SHOWN])}{more}; nothing was landed")


def _tell_fault(fault: Fault) -> str:
    """Say what is wrong in which column of a row, but not its values: an error may end in a log."""
    return f"row {fault.row_number}: {fault.expected}, found another value ({', '.join(fault.reasons)})"


def _restore_texts(file: str, raw: RawFile, columns: Collection[str]) -> RawFile:
    """The rows without the marks against formulas; see :mod:`pipeline_assets.core.spreadsheet`."""
    problems: list[str] = []

    def read(number: int, column: str, value: str | None) -> str | None:
        try:
            return None if value is None else restore(value)
        except MarkError as error:
            problems.append(f"row {number}: {column}: {error}")
            return None

    numbers = raw.numbers.to_list()
    restored = [
        pl.Series(name, [read(*one) for one in zip(numbers, repeat(name), raw.frame[name], strict=False)], pl.String)
        for name in columns
        if name in raw.frame.columns
    ]
    _refuse(file, problems)
    return replace(raw, frame=raw.frame.with_columns(restored))


def _own_mapping(feed: Feed) -> FeedMapping:
    if feed is Feed.TRANSACTIONS:
        return TransactionsMapping(ignored_columns=CONTEXT_COLUMNS)
    return ChargebacksMapping(ignored_columns=CONTEXT_COLUMNS)


def _choose_day(moment: datetime, arrival: str | None, day: date | None, params: IngestionParams) -> date | str:
    """The day to land a row on, or what is wrong."""
    first = moment.date()
    last = first + min(timedelta(days=params.max_lateness_days), date.max - first)
    if day is not None:
        return day if first <= day <= last else f"time: expected one that may arrive on {day}, found {moment.date()}"
    try:
        return min(max(date.fromisoformat(arrival or ""), first), last)
    except ValueError:
        return "date: expected the day of arrival, as exported, or a day for all rows; found none"


def _render(rows: pl.DataFrame, feed: Feed) -> LandedFile:
    table, time = TABLE_OF_FEED[feed], TIME_COLUMN_OF_FEED[feed]
    text = rows.sort(*table.columns).with_columns(pl.col(time).dt.strftime(_TIME_FORMAT)).write_ndjson()
    content = text.encode()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return LandedFile(f"replay-{digest}{OWN_MARK}.jsonl", content)
