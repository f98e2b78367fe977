"""What a stage made of one partition, as it tells its caller."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipeline_assets.adapters.lake import Written
from pipeline_assets.contracts.tables import Table
from pipeline_assets.core.checks import Finding, Level

_SAMPLE_ROWS = 5  # of a partition, for its preview


@dataclass(frozen=True)
class Made:
    """One partition that a stage made.

    Attributes:
        name: The asset.
        day: The partition.
        rows: Rows of the table, or rows a model was trained on.
        md5: Hash of the bytes.
        path: Where they are, relative to the data root.
        facts: Counts and codes a person wants to read; never values of cards or persons.
        sample: The first rows.
        plots: What draws PNG images, by title: only who shows them pays for it.
        notes: Markdown for a person, by title.
    """

    name: str
    day: date
    rows: int
    md5: str
    path: str
    facts: Mapping[str, object] = field(default_factory=dict)
    sample: pl.DataFrame | None = None
    plots: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def describe(folder: str, table: Table, day: date, written: Written, frame: pl.DataFrame, **facts: object) -> Made:
    """What was written of a table to the lake or to the reports (``folder``)."""
    return Made(table.name, day, written.rows, written.md5, f"{folder}/{written.path}", facts, frame.head(_SAMPLE_ROWS))


def chunk_days(days: Sequence[date], size: int) -> Iterator[list[date]]:
    """The days in groups that span at most ``size`` days from the first to the last of each."""
    chunk: list[date] = []
    for day in days:
        if chunk and (day - chunk[0]).days >= size:
            yield chunk
            chunk = []
        chunk.append(day)
    if chunk:
        yield chunk


def list_back(day: date, count: int) -> list[date]:
    """The ``count`` days before ``day``, in order."""
    return [day - timedelta(days=back) for back in range(count, 0, -1)]


def compare_ids(expected: pl.DataFrame, found: pl.DataFrame, lacking: str, surplus: str) -> Finding:
    """Whether two frames hold the same ``transaction_id``, each once."""
    n_lacking = expected.join(found, on="transaction_id", how="anti").height
    n_surplus = found.join(expected, on="transaction_id", how="anti").height
    return Finding(
        passed=n_lacking == n_surplus == 0 and expected.height == found.height,
        level=Level.ERROR,
        explanation=f"{n_lacking} {lacking}, {n_surplus} {surplus}, of {expected.height} payments",
        facts={"payments": expected.height, "lacking": n_lacking, "surplus": n_surplus},
    )
