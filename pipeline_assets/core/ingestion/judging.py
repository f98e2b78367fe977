"""From the rows of one file to rows of our table: each is clean, or has every one of its faults listed."""

from dataclasses import dataclass

import polars as pl

from pipeline_assets.contracts.vocabularies import Feed, Reason
from pipeline_assets.core.ingestion.columns import Parsed
from pipeline_assets.core.ingestion.mapping import TABLE_OF_FEED, AmountColumn, FeedMapping, TimeColumn, list_sources
from pipeline_assets.core.ingestion.raw import RawFile, render_rows, show_values
from pipeline_assets.core.ingestion.times import parse_times
from pipeline_assets.core.ingestion.values import parse_amounts, parse_ids


@dataclass(frozen=True)
class Fault:
    """A row that is not accepted: ``row_number`` is None, and so is ``received``, where it stands for a whole file."""

    row_number: int | None
    reasons: tuple[Reason, ...]
    problems: str
    received: str | None


@dataclass(frozen=True)
class Judged:
    """The rows of a file as ours.

    Attributes:
        values: A row for each of the file's well-formed rows: the table's columns, null where a value was not accepted,
            and ``position`` (in the file's frame) and ``row_number``.
        is_clean: Whether each of these rows has no fault.
        faults: The rows that are not clean, the broken ones included.
    """

    values: pl.DataFrame
    is_clean: pl.Series
    faults: list[Fault]


def parse_columns(raw: RawFile, mapping: FeedMapping) -> dict[str, Parsed]:
    """Each column of our table from the source's; a source column that is not there is all missing."""
    parsed = {}
    for name, source in list_sources(mapping).items():
        series = raw.frame[source] if source in raw.frame.columns else pl.Series([None] * raw.frame.height)
        spec = getattr(mapping, name)
        if isinstance(spec, AmountColumn):
            parsed[name] = parse_amounts(series, spec)
        elif isinstance(spec, TimeColumn):
            parsed[name] = parse_times(series, spec)
        else:
            parsed[name] = parse_ids(series)
    return parsed


def judge_rows(raw: RawFile, feed: Feed, mapping: FeedMapping) -> Judged:
    """Parse every row of a file; see :class:`Judged`."""
    parsed = parse_columns(raw, mapping)
    values = pl.DataFrame(
        {
            **{name: parsed[name].values for name in TABLE_OF_FEED[feed].columns},
            "position": pl.int_range(raw.frame.height, dtype=pl.Int64, eager=True),
            "row_number": raw.numbers,
        }
    )
    has_fault = pl.DataFrame({name: column.reasons.is_not_null() for name, column in parsed.items()})
    is_clean = ~has_fault.select(pl.any_horizontal(pl.all()))[:, 0].alias("is_clean")
    faults = [Fault(row.row_number, (row.reason,), row.problem, row.received) for row in raw.broken]
    faults += _describe_faults(raw, parsed, list_sources(mapping), (~is_clean).arg_true())
    return Judged(values, is_clean, faults)


def _describe_faults(
    raw: RawFile, parsed: dict[str, Parsed], sources: dict[str, str], positions: pl.Series
) -> list[Fault]:
    if positions.is_empty():
        return []
    reasons: list[set[Reason]] = [set() for _ in positions]
    problems: list[list[str]] = [[] for _ in positions]
    bad = raw.frame[positions.to_list()]
    for name, column in parsed.items():
        codes = column.reasons.gather(positions)
        source = sources[name]
        found = show_values(bad[source]) if source in bad.columns else ["nothing"] * bad.height
        for i in codes.is_not_null().arg_true():
            reasons[i].add(Reason(codes[i]))
            problems[i].append(f"{source}: expected {column.expected}, found {found[i]}")
    rendered = render_rows(raw, positions.to_list())
    numbers = raw.numbers.gather(positions).to_list()
    return [
        Fault(number, tuple(sorted(codes)), "; ".join(texts), received)
        for number, codes, texts, received in zip(numbers, reasons, problems, rendered, strict=True)
    ]
