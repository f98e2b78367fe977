"""The stages of the pipeline on its stores: load, one call into ``core``, write. No Dagster: the assets call these.

Every stage takes the partitions to make, in order, and yields what it made of each; a range is worked off in chunks, so
that memory follows the features' trailing window and not the length of the range.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipeline_assets.adapters.lake import Written
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.features import HISTORY_DAYS, MAX_LATENESS_DAYS
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.core.checks import Finding, Level

_SAMPLE_ROWS = 5  # of a partition, for its preview
_CHUNK_DAYS = HISTORY_DAYS + MAX_LATENESS_DAYS + 1  # features of a range: as many days at once as the window has


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
        plots: PNG images by title.
    """

    name: str
    day: date
    rows: int
    md5: str
    path: str
    facts: Mapping[str, object] = field(default_factory=dict)
    sample: pl.DataFrame | None = None
    plots: Mapping[str, bytes] = field(default_factory=dict)


def build_features(stores: Stores, days: Sequence[date]) -> Iterator[Made]:
    """Make both feature tables of ``days``, which are in order; memory follows the trailing window, not the range.

    Raises:
        PartitionMissingError: The transactions of one of the days are not in the lake.
    """
    from pipeline_assets.core.features import compute_features

    for start in range(0, len(days), _CHUNK_DAYS):
        chunk = days[start : start + _CHUNK_DAYS]
        first, last = chunk[0], chunk[-1]
        window = [first - timedelta(days=back) for back in range(_CHUNK_DAYS - 1, 0, -1)] + list(chunk)
        transactions = _read_arrivals(stores, TRANSACTIONS, window, required=chunk)
        chargebacks = _read_arrivals(stores, CHARGEBACKS, window, required=[])
        tables = compute_features(transactions, chargebacks, first, last)
        for table, frame in ((CUSTOMER_FEATURES_TABLE, tables.customer), (TERMINAL_FEATURES_TABLE, tables.terminal)):
            yield from _write_by_day(stores, table, frame, chunk)


def _read_arrivals(stores: Stores, table: Table, days: Iterable[date], required: Sequence[date]) -> pl.DataFrame:
    there = set(stores.lake.days(table)) | set(required)
    return stores.lake.read(table, [day for day in days if day in there], with_date=True).rename(
        {"date": "arrival_date"}
    )


def _write_by_day(stores: Stores, table: Table, frame: pl.DataFrame, days: Sequence[date]) -> Iterator[Made]:
    parts = frame.partition_by("arrival_date", as_dict=True, include_key=False)
    frames = {day: parts.get((day,), table.empty()) for day in days}
    for day, written in stores.lake.write_days(table, frames).items():
        yield _made(table, day, written, frames[day])


def _made(table: Table, day: date, written: Written, frame: pl.DataFrame, **facts: object) -> Made:
    return Made(
        table.name, day, written.rows, written.md5, f"lake/{written.path}", facts, frame.head(_SAMPLE_ROWS)
    )


def find_payments_without_features(stores: Stores, table: Table, day: date) -> Finding:
    """Whether the features of ``day`` describe exactly the payments that arrived on it."""
    payments = stores.lake.read(TRANSACTIONS, [day], ["transaction_id"])
    described = stores.lake.read(table, [day], ["transaction_id"])
    return _compare_ids(payments, described, f"payments without {table.name}", f"{table.name} without a payment")


def _compare_ids(expected: pl.DataFrame, found: pl.DataFrame, lacking: str, surplus: str) -> Finding:
    n_lacking = expected.join(found, on="transaction_id", how="anti").height
    n_surplus = found.join(expected, on="transaction_id", how="anti").height
    return Finding(
        passed=n_lacking == n_surplus == 0 and expected.height == found.height,
        level=Level.ERROR,
        explanation=f"{n_lacking} {lacking}, {n_surplus} {surplus}, of {expected.height} payments",
        facts={"payments": expected.height, "lacking": n_lacking, "surplus": n_surplus},
    )
