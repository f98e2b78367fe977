"""From the rows of one file to rows of our table: each is clean, or has every one of its faults listed."""

from collections.abc import Mapping, Sequence
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
    """A row that is not accepted: ``row_number`` is None, and so is ``received``, where it stands for a whole file.

    ``problems`` quotes what was found and belongs into quarantine alone; ``expected`` may be told anywhere.
    """

    row_number: int | None
    reasons: tuple[Reason, ...]
    problems: str
    received: str | None
    expected: str = "expected a whole row in UTF-8"


@dataclass(frozen=True)
class Judged:
    """The rows of a file as ours.

    Attributes:
        values: A row for each of the file's well-formed rows: the table's columns, null where a value was not accepted,
            ``position`` (in the file's frame), ``row_number`` and ``file``.
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
    values, is_clean, (faults,) = _judge_alike([raw], feed, mapping)
    return Judged(values, is_clean, faults)


def judge_files(
    files: Mapping[int, tuple[RawFile, FeedMapping]], feed: Feed
) -> tuple[pl.DataFrame, dict[int, list[Fault]]]:
    """Parse every row of several files, each as :func:`judge_rows` does; those of the same columns together.

    Args:
        files: The files by their number, each with how its columns are read.
        feed: Which feed's they are.

    Returns:
        The clean rows in the order of files and rows: the columns of :class:`Judged` ``values``, and ``file``. And the
        faults of each file.
    """
    faults: dict[int, list[Fault]] = {}
    parts = [_lay_out(feed).clear()]
    groups = _group_alike(files)
    for numbers in groups:
        values, is_clean, found = _judge_alike([files[number][0] for number in numbers], feed, files[numbers[0]][1])
        faults |= zip(numbers, found, strict=True)
        own = pl.Series("file", numbers, dtype=pl.Int64).gather(values["file"])
        parts.append(values.with_columns(own).filter(is_clean))
    rows = pl.concat(parts, rechunk=True)
    return rows.sort("file", "position") if len(groups) > 1 else rows, faults


def _group_alike(files: Mapping[int, tuple[RawFile, FeedMapping]]) -> list[list[int]]:
    """Which files can be judged together: their columns are the same, and are read and shown in the same way."""
    alike: dict[tuple[FeedMapping, bool, tuple[tuple[str, pl.DataType], ...]], list[int]] = {}
    for number, (raw, mapping) in files.items():
        alike.setdefault((mapping, raw.lines is None, tuple(raw.frame.schema.items())), []).append(number)
    groups: list[list[int]] = []
    for numbers in alike.values():
        # How a number is shown depends on whether one beside it in the file is infinite.
        is_shown_alone = any(_has_infinite(files[number][0].frame) for number in numbers)
        groups += [[number] for number in numbers] if is_shown_alone else [numbers]
    return groups


def _has_infinite(frame: pl.DataFrame) -> bool:
    floats = [series for series in frame if series.dtype.is_float()]
    return any((series.is_nan() | series.is_infinite()).any() for series in floats)


def _lay_out(feed: Feed) -> pl.DataFrame:
    zero = pl.lit(0, pl.Int64)
    return TABLE_OF_FEED[feed].empty().with_columns(position=zero, row_number=zero, file=zero)


def _judge_alike(
    files: Sequence[RawFile], feed: Feed, mapping: FeedMapping
) -> tuple[pl.DataFrame, pl.Series, list[list[Fault]]]:
    """All rows of files that have the same columns, whether each is clean, and the faults of each file.

    ``file`` is the place in ``files``. Each step is called once for all of them: its cost is by the call.
    """
    joined = files[0] if len(files) == 1 else _join(files)
    parsed = parse_columns(joined, mapping)
    heights = pl.Series([raw.frame.height for raw in files], dtype=pl.Int64)
    starts = heights.cum_sum() - heights
    file = pl.int_range(len(files), dtype=pl.Int64, eager=True).repeat_by(heights).explode(empty_as_null=False)
    values = pl.DataFrame(
        {
            **{name: parsed[name].values for name in TABLE_OF_FEED[feed].columns},
            "position": pl.int_range(joined.frame.height, dtype=pl.Int64, eager=True) - starts.gather(file),
            "row_number": joined.numbers,
            "file": file,
        }
    )
    has_fault = pl.DataFrame({name: column.reasons.is_not_null() for name, column in parsed.items()})
    is_clean = ~has_fault.select(pl.any_horizontal(pl.all()))[:, 0].alias("is_clean")
    faults = [[Fault(row.row_number, (row.reason,), row.problem, row.received) for row in raw.broken] for raw in files]
    dirty = values.select("file").filter(~is_clean)["file"].to_list()
    described = _describe_faults(joined, parsed, list_sources(mapping), (~is_clean).arg_true())
    for number, fault in zip(dirty, described, strict=True):
        faults[number].append(fault)
    return values, is_clean, faults


def _join(files: Sequence[RawFile]) -> RawFile:
    lines = None if files[0].lines is None else tuple(line for raw in files for line in raw.lines or ())
    frame = pl.concat([raw.frame for raw in files], rechunk=True)
    return RawFile(frame, pl.concat([raw.numbers for raw in files]), (), lines)


def _describe_faults(
    raw: RawFile, parsed: dict[str, Parsed], sources: dict[str, str], positions: pl.Series
) -> list[Fault]:
    if positions.is_empty():
        return []
    reasons: list[set[Reason]] = [set() for _ in positions]
    problems: list[list[str]] = [[] for _ in positions]
    expected: list[list[str]] = [[] for _ in positions]
    bad = raw.frame[positions.to_list()]
    for name, column in parsed.items():
        codes = column.reasons.gather(positions)
        source = sources[name]
        found = show_values(bad[source]) if source in bad.columns else ["nothing"] * bad.height
        for i in codes.is_not_null().arg_true():
            reasons[i].add(Reason(codes[i]))
            expected[i].append(f"{source}: expected {column.expected}")
            problems[i].append(f"{expected[i][-1]}, found {found[i]}")
    rendered = render_rows(raw, positions.to_list())
    numbers = raw.numbers.gather(positions).to_list()
    return [
        Fault(number, tuple(sorted(codes)), "; ".join(texts), received, "; ".join(told))
        for number, codes, texts, received, told in zip(numbers, reasons, problems, rendered, expected, strict=True)
    ]
