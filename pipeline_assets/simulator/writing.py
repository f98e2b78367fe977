"""Rows as the bytes of a file, sound or broken. Equal rows give equal bytes."""

import io
import json
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import polars as pl

from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.simulator.faults import Corruption

Format = Literal["parquet", "csv", "jsonl"]
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_NOT_UTF8: Final = "\N{LATIN SMALL LETTER Y WITH DIAERESIS}"  # one byte in Latin-1, which no UTF-8 text holds
_OTHER: Final[dict[Format, Format]] = {"parquet": "csv", "csv": "parquet", "jsonl": "parquet"}


def write_rows(rows: pl.DataFrame, file_format: Format, corruption: Corruption | None = None) -> bytes:
    """The bytes of a file of these rows; times as ISO 8601 with Z where the format has no type for them.

    Raises:
        ValueError: A parquet file in the wrong encoding: it has none.
    """
    if corruption is None:
        return _write(rows, file_format)
    if corruption is Corruption.EMPTY:
        return b""
    if corruption is Corruption.TRUNCATED:
        content = _write(rows, file_format)
        head = content[: len(content) * 2 // 3]
        return head if file_format == "parquet" else head.rpartition(b",")[0]  # a cut number would look whole
    if corruption is Corruption.WRONG_FORMAT:
        return _write(rows, _OTHER[file_format])
    if corruption is Corruption.WRONG_ENCODING:
        if file_format == "parquet":
            raise ValueError("corrupt_file: expected csv or jsonl for wrong_encoding, found parquet, which has none")
        return _write(rows, file_format).decode().encode("utf-16")
    return _write(_change_columns(rows, corruption), file_format)


def _change_columns(rows: pl.DataFrame, corruption: Corruption) -> pl.DataFrame:
    last = rows.columns[-1]
    if corruption is Corruption.MISSING_COLUMN:
        return rows.drop(last)
    if corruption is Corruption.EXTRA_COLUMN:
        return rows.with_columns(pl.lit("1").alias("channel"))
    return rows.with_columns(pl.lit("unknown").alias(last))


def _write(rows: pl.DataFrame, file_format: Format) -> bytes:
    buffer = io.BytesIO()
    if file_format == "parquet":
        rows.write_parquet(buffer)
        return buffer.getvalue()
    text = rows.with_columns(pl.selectors.datetime().dt.strftime(TIME_FORMAT))
    if file_format == "csv":
        text.write_csv(buffer)
    else:
        text.write_ndjson(buffer)
    return buffer.getvalue()


def write_broken_rows(rows: pl.DataFrame, others: pl.DataFrame, defect: Reason, file_format: Format) -> bytes:
    """The payments ``rows``, each with the same defect, as csv or jsonl: parquet's types would not hold most defects.

    For reused ids, each takes the id of one of ``others``.
    """
    if file_format == "parquet":
        file_format = "csv"
    text = rows.with_columns(pl.selectors.datetime().dt.strftime(TIME_FORMAT))
    records = [
        _break_record(record, defect, others["transaction_id"][i % others.height] if others.height else "")
        for i, record in enumerate(text.to_dicts())
    ]
    encoding = "latin-1" if defect is Reason.WRONG_ENCODING else "utf-8"
    if file_format == "csv":
        lines = [",".join("" if value is None else str(value) for value in record.values()) for record in records]
        lines = [line + ",surplus" if defect is Reason.MALFORMED else line for line in lines]
        lines.insert(0, ",".join(rows.columns))
    else:
        lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records]
        lines = [line[:-1] if defect is Reason.MALFORMED else line for line in lines]
    return ("\n".join(lines) + "\n").encode(encoding)


def _break_record(record: dict[str, Any], defect: Reason, other_id: str) -> dict[str, Any]:
    change: dict[Reason, dict[str, Any]] = {
        Reason.MISSING_VALUE: {"customer_id": None},
        Reason.WRONG_TYPE: {"amount_cents": "twelve"},
        Reason.WRONG_ENCODING: {"terminal_id": f"{record['terminal_id']}{_NOT_UTF8}"},
        Reason.NOT_FINITE: {"amount_cents": float("nan")},
        Reason.NEGATIVE: {"amount_cents": -1 - record["amount_cents"]},
        Reason.OUT_OF_RANGE: {"amount_cents": 10**15},
        Reason.TOO_LONG: {"customer_id": record["customer_id"] * 40},
        Reason.TOO_LATE: {"event_time": _shift(record["event_time"], -30)},
        Reason.IN_FUTURE: {"event_time": _shift(record["event_time"], 2)},
        Reason.ID_REUSED: {"transaction_id": other_id},
        Reason.MALFORMED: {},
    }
    return record | change[defect]


def _shift(time: str, days: int) -> str:
    return (datetime.fromisoformat(time) + timedelta(days=days)).strftime(TIME_FORMAT)
