"""From the bytes of a landed file to its rows in the source's own columns, whatever its format.

A file that cannot be read as rows is a :class:`Refusal`; a row that is none is a :class:`BrokenRow`, while the others
go on.
"""

import io
from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.core.ingestion.mapping import FeedMapping, list_sources
from pipeline_assets.core.ingestion.raw import BOM, RawFile, Refusal, number_rows, shorten
from pipeline_assets.core.ingestion.text_formats import read_csvs, read_jsonl

FORMATS: Final = ("csv", "jsonl", "parquet")
_PARQUET_MAGIC: Final = b"PAR1"
_READABLE: Final = "a parquet file that can be read"
_ROTTEN: Final = "a column of an unknown type or time zone, or rotten bytes"


def find_format(name: str) -> str:
    """The extension of a file's name, in lower case."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def read_file(name: str, content: bytes, mapping: FeedMapping) -> RawFile | Refusal:
    """The rows of a landed file, or why it was refused.

    A csv or parquet file must have the mapped columns, in any order, and may have the ignored ones, but no others. The
    lines of a jsonl file are judged one by one: an absent key is a missing value, an unknown key an extra column.
    """
    (read,) = read_files([(name, content, mapping)])
    return read


def read_files(files: Sequence[tuple[str, bytes, FeedMapping]]) -> list[RawFile | Refusal]:
    """Several files, by name, content and mapping, each as :func:`read_file` reads it alone."""
    read = {i: _read_other(*file) for i, file in enumerate(files)}
    csvs = [i for i, one in read.items() if one is None]
    read |= zip(csvs, read_csvs([files[i][1] for i in csvs]), strict=True)
    return [_check_columns(read[i], mapping) for i, (_, _, mapping) in enumerate(files)]


def _read_other(name: str, content: bytes, mapping: FeedMapping) -> RawFile | Refusal | None:
    """The file, if it is no csv file that can be read with others."""
    kind = find_format(name)
    if kind not in FORMATS:
        return Refusal((Reason.UNKNOWN_FORMAT,), f"name: expected .{', .'.join(FORMATS)}, found {shorten(name)}")
    if not content.removeprefix(BOM).strip():
        return _unreadable(f"expected {kind}, found an empty file")
    if kind == "parquet":
        return _read_parquet(content)
    refusal = _refuse_parquet(kind, content)
    return refusal if refusal or kind == "csv" else read_jsonl(content.removeprefix(BOM), mapping)


def _refuse_parquet(kind: str, content: bytes) -> Refusal | None:
    return _unreadable(f"expected {kind} text, found a parquet file") if content.startswith(_PARQUET_MAGIC) else None


def _unreadable(problem: str, n_rows: int = 0) -> Refusal:
    return Refusal((Reason.UNREADABLE,), f"file: {problem}", n_rows)


def _read_parquet(content: bytes) -> RawFile | Refusal:
    try:
        frame = pl.read_parquet(io.BytesIO(content), hive_partitioning=False)
    except pl.exceptions.PanicException:  # polars 2.1, on a part of a file that it does not know; it says where in Rust
        return _unreadable(f"expected {_READABLE}, found {_ROTTEN}", _count_in_footer(content))
    except pl.exceptions.PolarsError as error:  # a file cut short, another format under this name, rotten bytes
        return _unreadable(f"expected a parquet file, found {shorten(str(error))}", _count_in_footer(content))
    return RawFile(frame, number_rows(frame.height))


def _count_in_footer(content: bytes) -> int:
    """How many rows a parquet file says it has, if its footer at least can be read; else 0."""
    try:
        return int(pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return 0


def _check_columns(raw: RawFile | Refusal | None, mapping: FeedMapping) -> RawFile | Refusal:
    assert raw is not None
    if isinstance(raw, Refusal):
        return raw
    wanted = list(list_sources(mapping).values())
    found = raw.frame.columns
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted and name not in mapping.ignored_columns]
    problems = []
    if missing:
        problems.append(f"columns: expected {', '.join(wanted)}; missing {', '.join(missing)}")
    if extra:
        names = ", ".join(shorten(name) for name in extra)
        problems.append(f"columns: found {names}, neither mapped nor in ignored_columns")
    if not problems:
        return raw
    reasons = (Reason.MISSING_COLUMN,) * bool(missing) + (Reason.EXTRA_COLUMN,) * bool(extra)
    return Refusal(reasons, "; ".join(problems), raw.n_rows)
