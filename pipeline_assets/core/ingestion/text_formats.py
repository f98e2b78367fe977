"""csv and jsonl as they really come: quoted, ragged, in the wrong encoding, cut short.

Every value is read as text, so that no number passes through a float.
"""

import csv
import io
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import polars as pl

from pipeline_assets.contracts.vocabularies import Reason
from pipeline_assets.core.ingestion.mapping import AmountColumn, FeedMapping, TimeColumn, list_sources
from pipeline_assets.core.ingestion.raw import BOM, BrokenRow, RawFile, Refusal, number_rows, shorten

_SMALL: Final = 2**16  # bytes: of a larger file, opening it is not what costs
_TOGETHER: Final = 2**24  # bytes of small files that are read at once: they are copied for it
_LONGEST_FIELD: Final = 2**31 - 1  # Python's own limit of 128 KiB would refuse a whole file for one field


def read_csv(content: bytes) -> RawFile | Refusal:
    """A csv file with a header: comma, double quotes, UTF-8, any line end.

    Empty fields are missing values and blank lines are no rows. Rows with too few or too many fields, and rows that are
    no UTF-8, are broken. An opening quote that is never closed takes all that follows into its row (RFC 4180).
    What cannot be seen: a file that was cut off within its last value, because many files end without a line end.
    """
    (read,) = read_csvs([content])
    return read


def read_csvs(contents: Sequence[bytes]) -> list[RawFile | Refusal]:
    """Several csv files, each as :func:`read_csv` reads it alone; small ones cost little more than one of them all."""
    bodies = [content.removeprefix(BOM) for content in contents]
    plain = [body.replace(b"\r\n", b"\n") for body in bodies]
    read: dict[int, RawFile | Refusal | None] = {}
    for members in _group_plain(plain):
        read |= zip(members, _read_plain_csvs([plain[i] for i in members]), strict=True)
    return [read.get(i) or _read_any_csv(body) for i, body in enumerate(bodies)]


def _group_plain(bodies: Sequence[bytes]) -> Iterable[list[int]]:
    """Which of the files that look plain to read together: small ones with the same header, large ones alone."""
    groups: dict[tuple[bytes, int], list[int]] = {}
    sizes: dict[bytes, int] = {}
    for i, body in enumerate(bodies):
        if _looks_plain(body):
            header = body.partition(b"\n")[0]
            part = sizes.get(header, 0) // _TOGETHER if len(body) <= _SMALL else -1 - i
            groups.setdefault((header, part), []).append(i)
            sizes[header] = sizes.get(header, 0) + len(body)
    return groups.values()


def _looks_plain(body: bytes) -> bool:
    """Whether nothing is quoted, and every line can be a row of the right length."""
    if b'"' in body or b"\r" in body or b"\n\n" in body or body.startswith(b"\n"):
        return False
    return body.count(b",") == _count_lines(body) * body.partition(b"\n")[0].count(b",")


def _count_lines(body: bytes) -> int:
    return body.count(b"\n") + (not body.endswith(b"\n"))


def _read_plain_csvs(bodies: Sequence[bytes]) -> list[RawFile | None]:
    """The fast way, for files that look plain and have the same header; None for one that has to be read row by row."""
    if len(bodies) == 1:
        return [_read_plain_csv(bodies[0])]
    header = bodies[0].partition(b"\n")[0] + b"\n"
    rows = [body[len(header) :] for body in bodies]
    joined = _read_plain_csv(header + b"".join(part if part[-1:] in b"\n" else part + b"\n" for part in rows))
    if joined is None:  # one of them is not what it looks like
        half = len(bodies) // 2
        return _read_plain_csvs(bodies[:half]) + _read_plain_csvs(bodies[half:])
    counts = [_count_lines(part) if part else 0 for part in rows]
    starts = itertools.accumulate(counts, initial=0)
    return [
        RawFile(joined.frame.slice(start, count), joined.numbers.slice(0, count))
        for start, count in zip(starts, counts, strict=False)
    ]


def _read_plain_csv(body: bytes) -> RawFile | None:
    try:
        header = body.partition(b"\n")[0].decode().split(",")
        frame = pl.read_csv(io.BytesIO(body), infer_schema=False, quote_char=None)
    except (UnicodeDecodeError, pl.exceptions.PolarsError):
        return None  # no UTF-8, or one row too long and another too short: to be read row by row
    if frame.height != _count_lines(body) - 1 or len(set(header)) < len(header):
        return None
    return RawFile(frame.rename(dict(zip(frame.columns, header, strict=True))), number_rows(frame.height))


def _read_any_csv(body: bytes) -> RawFile | Refusal:
    records = iterate_records(body)
    header = next(records)
    twice = sorted({name for name in header if header.count(name) > 1})
    if not _is_encodable(header):
        problem = "columns: expected UTF-8 text in the first line, found other bytes"
        return Refusal((Reason.WRONG_ENCODING,), problem, sum(1 for _ in records))
    if twice:
        problem = f"columns: expected each name once, found more than once: {', '.join(map(shorten, twice))}"
        return Refusal((Reason.MALFORMED,), problem, sum(1 for _ in records))
    # Columns of text rather than a list of rows: a million small lists would keep Python's garbage collector busy.
    columns: list[list[str]] = [[] for _ in header]
    numbers: list[int] = []
    broken: list[BrokenRow] = []
    for number, record in enumerate(records, 1):
        row = _find_broken(number, record, header)
        if row is not None:
            broken.append(row)
            continue
        numbers.append(number)
        for column, value in zip(columns, record, strict=True):
            column.append(value)
    series = [pl.Series(name, values, dtype=pl.String) for name, values in zip(header, columns, strict=True)]
    return RawFile(pl.DataFrame(series), pl.Series(numbers, dtype=pl.Int64), tuple(broken))


def iterate_records(body: bytes) -> Iterator[list[str]]:
    """The records of a csv file, header included, without blank lines; bytes that are no UTF-8 as lone surrogates."""
    csv.field_size_limit(_LONGEST_FIELD)
    return filter(None, csv.reader(io.StringIO(body.decode("utf-8", "surrogateescape"), newline="")))


def _find_broken(number: int, record: list[str], header: list[str]) -> BrokenRow | None:
    if len(record) != len(header):
        problem = f"row: expected {len(header)} fields, found {len(record)}"
        return BrokenRow(number, Reason.MALFORMED, problem, json.dumps(record))
    if not _is_encodable(record):
        received = json.dumps(dict(zip(header, record, strict=True)))
        return BrokenRow(number, Reason.WRONG_ENCODING, "row: expected UTF-8, found other bytes", received)
    return None


def _is_encodable(values: Collection[str]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Fraction(str):
    """A JSON number with a fraction or an exponent, as written."""

    __slots__ = ()


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a key more than once")
    return row


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_repeated_keys, parse_int=str, parse_float=_Fraction, parse_constant=_Fraction
)


def read_jsonl(body: bytes, mapping: FeedMapping) -> RawFile:
    """A file of one JSON object a line, in UTF-8; blank lines are no rows."""
    accepted = {source: _list_accepted(getattr(mapping, name)) for name, source in list_sources(mapping).items()}
    names = [*accepted, *mapping.ignored_columns]
    columns: list[list[str | None]] = [[] for _ in names]
    lines: list[str] = []
    numbers: list[int] = []
    broken: list[BrokenRow] = []
    present = (line for line in body.split(b"\n") if line.strip())
    for number, line in enumerate(present, 1):
        row = _read_line(number, line, accepted, mapping.ignored_columns)
        if isinstance(row, BrokenRow):
            broken.append(row)
            continue
        lines.append(row[0])
        numbers.append(number)
        for name, column in zip(names, columns, strict=True):
            value = row[1].get(name)
            column.append(value if value is None or type(value) is str else _as_text(value))
    frame = pl.DataFrame(
        [pl.Series(name, column, dtype=pl.String) for name, column in zip(names, columns, strict=True)]
    )
    return RawFile(frame, pl.Series(numbers, dtype=pl.Int64), tuple(broken), tuple(lines))


def _list_accepted(spec: object) -> frozenset[type]:
    """The types of JSON values, as the decoder gives them, that a column may hold; integers come as text."""
    takes_fraction = isinstance(spec, (AmountColumn, TimeColumn))
    return frozenset({str, type(None), _Fraction} if takes_fraction else {str, type(None)})


def _as_text(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _read_line(
    number: int, line: bytes, accepted: dict[str, frozenset[type]], ignored: Collection[str]
) -> tuple[str, dict[str, Any]] | BrokenRow:
    try:
        text = line.decode().strip()
        row = _DECODER.decode(text)
    except UnicodeDecodeError:
        shown = json.dumps(line.decode("utf-8", "surrogateescape"))
        return BrokenRow(number, Reason.WRONG_ENCODING, "row: expected UTF-8, found other bytes", shown)
    except (ValueError, RecursionError) as error:
        problem = f"row: expected a JSON object, found text that is none ({str(error)[:120]})"
        return BrokenRow(number, Reason.MALFORMED, problem, json.dumps(line.decode()))
    if type(row) is not dict:
        return BrokenRow(number, Reason.MALFORMED, f"row: expected a JSON object, found {shorten(text)}", text)
    fault = _find_structural_fault(row, accepted, ignored)
    if fault is None and "\\u" in text and not _is_encodable([_as_text(value) for value in row.values()]):
        fault = Reason.WRONG_ENCODING, "row: expected text, found half of a surrogate pair"
    return (text, row) if fault is None else BrokenRow(number, *fault, text)


def _find_structural_fault(
    row: dict[str, Any], accepted: dict[str, frozenset[type]], ignored: Collection[str]
) -> tuple[Reason, str] | None:
    extra = row.keys() - accepted.keys() - set(ignored) if row.keys() != accepted.keys() else None
    if extra:
        names = ", ".join(shorten(name) for name in sorted(extra))
        return Reason.EXTRA_COLUMN, f"row: found the keys {names}, neither mapped nor in ignored_columns"
    for source, types in accepted.items():
        value = row.get(source)
        if type(value) not in types:
            expected = "text or a number" if _Fraction in types else "text or an integer"
            return Reason.WRONG_TYPE, f"{source}: expected {expected}, found {shorten(_as_text(value))}"
    return None
