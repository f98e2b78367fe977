"""A foreign source as if it had been landed day by day: each of its files split by the day of its rows."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipeline_assets.contracts.tables import CHARGEBACKS
from pipeline_assets.core.ingestion.judging import parse_columns
from pipeline_assets.core.ingestion.mapping import IngestionParams, LabelColumn
from pipeline_assets.core.ingestion.raw import BOM, RawFile, Refusal
from pipeline_assets.core.ingestion.reading import find_format, read_file
from pipeline_assets.core.ingestion.text_formats import iterate_records


@dataclass(frozen=True)
class SplitFile:
    """A foreign file by the days of its rows.

    Attributes:
        parts: By day, the bytes of a file of the same format with the rows of that day; the file's own bytes where all
            its rows are of one day. Under None, the whole file, where no row says its day.
        rows: By day, how many rows that is.
        chargebacks: By the day of the report, a csv file with our own columns, from the labels.
    """

    parts: Mapping[date | None, bytes]
    rows: Mapping[date | None, int]
    chargebacks: Mapping[date, bytes]


def split_by_day(name: str, content: bytes, params: IngestionParams) -> SplitFile:
    """Split a foreign file of transactions by the UTC day of ``event_time``, whatever its name says.

    No row is lost: one whose day cannot be told goes where most rows of its file go (the earlier day of two), to be
    quarantined there.
    """
    raw = read_file(name, content, params.transactions)
    if isinstance(raw, Refusal):
        return SplitFile({None: content}, {None: raw.n_rows}, {})
    days = parse_columns(raw, params.transactions)["event_time"].values.dt.date()
    known = days.drop_nulls()
    if known.is_empty():
        return SplitFile({None: content}, {None: raw.n_rows}, {})
    main: date = known.mode().sort()[0]
    day_of_row = dict(zip(raw.numbers.to_list(), days.fill_null(main).to_list(), strict=True))
    day_of_row |= {row.row_number: main for row in raw.broken}
    rows: dict[date | None, int] = {}
    for number in sorted(day_of_row):
        rows[day_of_row[number]] = rows.get(day_of_row[number], 0) + 1
    parts: dict[date | None, bytes] = {main: content}
    if len(rows) > 1:
        parts = {day: _pick_rows(name, content, raw, day_of_row, day) for day in rows}
    return SplitFile(parts, rows, _derive_chargebacks(raw, params))


def _pick_rows(name: str, content: bytes, raw: RawFile, day_of_row: dict[int, date], day: date | None) -> bytes:
    match find_format(name):
        case "parquet":
            wanted = [day_of_row[number] == day for number in raw.numbers.to_list()]
            buffer = io.BytesIO()
            raw.frame.filter(pl.Series(wanted, dtype=pl.Boolean)).write_parquet(buffer)
            return buffer.getvalue()
        case "csv":
            return _pick_csv_rows(content, day_of_row, day)
    lines = [line for line in content.removeprefix(BOM).split(b"\n") if line.strip()]
    return b"".join(line + b"\n" for number, line in enumerate(lines, 1) if day_of_row[number] == day)


def _pick_csv_rows(content: bytes, day_of_row: dict[int, date], day: date | None) -> bytes:
    header, *records = iterate_records(content.removeprefix(BOM))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(record for number, record in enumerate(records, 1) if day_of_row[number] == day)
    return buffer.getvalue().encode("utf-8", "surrogateescape")


def _derive_chargebacks(raw: RawFile, params: IngestionParams) -> dict[date, bytes]:
    if params.labels is None or params.labels.column not in raw.frame.columns:
        return {}
    parsed = parse_columns(raw, params.transactions)
    frame = pl.DataFrame(
        {
            "transaction_id": parsed["transaction_id"].values,
            "reported_at": parsed["event_time"].values,
            "is_fraud": _find_frauds(raw.frame[params.labels.column], params.labels),
        }
    )
    delay = timedelta(days=params.labels.report_delay_days)
    # A report that would come after year 9999 never comes; counted in days, because the sum itself has no date then.
    in_time = pl.col("reported_at") <= pl.lit(datetime.max.replace(tzinfo=UTC)) - delay
    reported = (
        frame.filter("is_fraud").drop_nulls().filter(in_time).select("transaction_id", pl.col("reported_at") + delay)
        .sort(CHARGEBACKS.order)
        .with_columns(day=pl.col("reported_at").dt.date())
    )  # fmt: skip
    return {
        part["day"][0]: part.select("transaction_id", pl.col("reported_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
        .write_csv()
        .encode()
        for part in reported.partition_by("day")
    }


def _find_frauds(raw: pl.Series, labels: LabelColumn) -> pl.Series:
    if raw.dtype.is_numeric() and isinstance(labels.fraud_value, int):
        return raw == labels.fraud_value
    return raw.cast(pl.String) == str(labels.fraud_value)


def name_chargebacks(name: str) -> str:
    """The name of the chargebacks that come from the labels of a foreign file: our own columns, in a csv file."""
    return f"labels-{name}.ours.csv"
