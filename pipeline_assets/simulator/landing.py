"""What lands on a day: files of the world's payments and reports, with the faults that were ordered. Writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from pipeline_assets.contracts.tables import CHARGEBACKS, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.simulator.faults import (
    CorruptFile,
    Fault,
    LateRows,
    MalformedRows,
    MissingDay,
    RepeatedFile,
    RepeatedRows,
    find_arrival,
)
from pipeline_assets.simulator.world import Simulation, World
from pipeline_assets.simulator.writing import Format, write_broken_rows, write_rows

_COLUMNS: Final = {Feed.TRANSACTIONS: TRANSACTIONS.columns, Feed.CHARGEBACKS: CHARGEBACKS.columns}


@dataclass(frozen=True)
class LandedFile:
    """A file as it lands: which feed's, on which day, its name with the format as extension, and its bytes."""

    feed: Feed
    day: date
    name: str
    content: bytes


@dataclass(frozen=True)
class _Delivery:
    """The payments of a day, by the way they arrive: on time, or taken out by a fault (by its place in the list)."""

    on_time: pl.DataFrame
    taken: dict[int, pl.DataFrame]


def landed_files(
    world: World, day: date, faults: Sequence[Fault] = (), file_format: Format = "parquet"
) -> list[LandedFile]:
    """The files that land on ``day``, sorted by feed and name. Equal arguments give equal bytes.

    Without faults: one file a feed, named ``<feed>-<day>.<format>``, the day of payments that of their event, the day
    of chargebacks that of their report. Late rows of earlier days arrive here. What faults add is named
    ``<feed>-<day>_<place in the list>_<what>.<format>``, which sorts after the day's own file.

    Raises:
        ValueError: A fault asks for more rows than its day has, or the day lies outside the world.
    """
    files = [
        *_write_day(world.simulate(day), day, faults, world.params.seed, file_format),
        *_write_late_rows(world, day, faults, file_format),
        *_repeat_files(world, day, faults, file_format),
    ]
    missing = {fault.feed for fault in faults if isinstance(fault, MissingDay) and fault.day == day}
    kept = [file for file in files if not missing & {file.feed, None}]
    return sorted(kept, key=lambda file: (file.feed, file.name))


def _write_day(
    simulation: Simulation, day: date, faults: Sequence[Fault], seed: int, file_format: Format
) -> list[LandedFile]:
    delivery = _take_rows(simulation.transactions, day, faults, seed)
    files = [
        *_write_feed_file(Feed.TRANSACTIONS, delivery.on_time, day, faults, file_format),
        *_write_feed_file(Feed.CHARGEBACKS, simulation.chargebacks, day, faults, file_format),
    ]
    text_format: Format = "csv" if file_format == "parquet" else file_format
    for place, rows in delivery.taken.items():
        fault = faults[place]
        if isinstance(fault, MalformedRows):
            content = write_broken_rows(rows, delivery.on_time, fault.defect, text_format)
            name = f"transactions-{day}_{place}_{fault.defect}.{text_format}"
            files.append(LandedFile(Feed.TRANSACTIONS, day, name, content))
    return files


def _write_late_rows(world: World, day: date, faults: Sequence[Fault], file_format: Format) -> list[LandedFile]:
    files = []
    for place, fault in enumerate(faults):
        if isinstance(fault, LateRows) and find_arrival(fault) == day:
            payments = world.simulate(fault.day).transactions
            rows = _take_rows(payments, fault.day, faults, world.params.seed).taken[place]
            name = f"transactions-{fault.day}_{place}_late.{file_format}"
            files.append(LandedFile(Feed.TRANSACTIONS, day, name, write_rows(rows, file_format)))
    return files


def _repeat_files(world: World, day: date, faults: Sequence[Fault], file_format: Format) -> list[LandedFile]:
    files = []
    for place, fault in enumerate(faults):
        if isinstance(fault, RepeatedFile) and find_arrival(fault) == day:
            simulation = world.simulate(fault.day)
            rows = simulation.chargebacks
            if fault.feed is Feed.TRANSACTIONS:
                rows = _take_rows(simulation.transactions, fault.day, faults, world.params.seed).on_time
            name = f"{fault.feed}-{fault.day}_{place}_again.{file_format}"
            originals = _write_feed_file(fault.feed, rows, fault.day, faults, file_format)
            files += [LandedFile(fault.feed, day, name, file.content) for file in originals]
    return files


def _take_rows(payments: pl.DataFrame, day: date, faults: Sequence[Fault], seed: int) -> _Delivery:
    """Deal the payments of a day out to its faults, in the order of faults: no payment goes to two of them."""
    dealt = np.random.default_rng([seed, day.toordinal()]).permutation(payments.height)
    taken, used = {}, 0
    for place, fault in enumerate(faults):
        if isinstance(fault, MalformedRows | LateRows) and fault.day == day:
            wanted = payments.height - used if fault.n_rows is None else fault.n_rows
            if used + wanted > payments.height:
                raise ValueError(
                    f"faults[{place}]: {fault.kind} on {day}: expected at most {payments.height - used} rows, "
                    f"found {wanted}; lower n_rows or enlarge the world"
                )
            taken[place] = payments[np.sort(dealt[used : used + wanted])]
            used += wanted
    return _Delivery(payments[np.sort(dealt[used:])], taken)


def _write_feed_file(
    feed: Feed, rows: pl.DataFrame, day: date, faults: Sequence[Fault], file_format: Format
) -> list[LandedFile]:
    """The day's own file; none for no rows as jsonl, which would be an empty file, the mark of a broken delivery."""
    rows = rows.select(_COLUMNS[feed])
    corruption = None
    for fault in faults:
        if isinstance(fault, RepeatedRows) and fault.day == day and feed is Feed.TRANSACTIONS and rows.height:
            rows = pl.concat([rows, rows[np.arange(fault.n_rows) % rows.height]])
        if isinstance(fault, CorruptFile) and fault.day == day and fault.feed is feed:
            corruption = fault.corruption
    if file_format == "jsonl" and not rows.height and corruption is None:
        return []
    return [LandedFile(feed, day, f"{feed}-{day}.{file_format}", write_rows(rows, file_format, corruption))]
