"""Landed files to the four tables of ingestion, and the checks that read both back."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from pipeline_assets.adapters.landing import Refused
from pipeline_assets.adapters.stages.made import Made, chunk_days, describe, list_back
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import CHARGEBACKS, LEDGER, QUARANTINE, TRANSACTIONS, Table
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.failures import AbsentInputError, BadDataError, FailureKind, classify_failure
from pipeline_assets.core.ingestion import (
    DayIntake,
    IngestionParams,
    check_quarantine_share,
    check_rows_are_conserved,
    digest_files,
    ingest_day,
    recount_file,
)
from pipeline_assets.core.lineage.recipes import LANDING, describe_ingestion
from pipeline_assets.core.names import show_name

INGESTED: Final = (TRANSACTIONS, CHARGEBACKS, QUARANTINE, LEDGER)  # in the order in which they are recorded
_FEED_TABLES: Final = {Feed.TRANSACTIONS: TRANSACTIONS, Feed.CHARGEBACKS: CHARGEBACKS}
_CHUNK_DAYS: Final = 14  # days that are written together: one check of the contract for all of them
_SHOWN: Final = 5  # of what was refused, in an explanation
_COUNTS: Final = ("rows_landed", "rows_kept", "rows_quarantined", "rows_duplicate")


def ingest(
    stores: Stores, params: IngestionParams, days: Sequence[date], tables: Collection[Table] = INGESTED
) -> Iterator[Made]:
    """Make the partitions of ``days``, which are in order, of the named ``tables``; files are never changed."""
    view, recipes = View(stores), describe_ingestion(params)
    recent = {feed: _RecentDays(view, table, params.max_lateness_days) for feed, table in _FEED_TABLES.items()}
    for chunk in chunk_days(days, _CHUNK_DAYS):
        intakes: dict[date, DayIntake] = {}
        for day in chunk:
            past = {feed: window.read_before(day) for feed, window in recent.items()}
            landed = stores.landing.take_day(day)
            _require_nothing_lost(stores, view, day, landed.refused)
            view.see_version(LANDING, day, digest_files(landed.files))
            intakes[day] = ingest_day(landed.files, past, day, params)
            for feed, window in recent.items():
                window.add(day, intakes[day].kept[feed])
        chosen = [table for table in INGESTED if table in tables]
        frames = {table.name: {day: _select(intake, table) for day, intake in intakes.items()} for table in chosen}
        written = {table.name: stores.lake.write_days(table, frames[table.name]) for table in chosen}
        for table in chosen:  # the two feeds come first: the others name them as their inputs
            for day, one in written[table.name]:
                record = view.record(recipes[table.name], day, {f"lake/{one.path}": one.md5})
                view.see(record)
                yield describe("lake", table, day, one, frames[table.name][day], **_tell(table, intakes[day]))


class LandedLostError(BadDataError):
    """A file that was ingested is none any more, or cannot be read: its rows stay as they were."""


def _require_nothing_lost(stores: Stores, view: View, day: date, refused: Sequence[Refused]) -> None:
    """Make sure that nothing was ingested before of what is refused now: making the day again would lose its rows."""
    if not refused or not view.is_recorded(LEDGER.name, day):
        return
    try:
        ledger = stores.lake.read(LEDGER, [day], ["feed", "source_file"])
    except (BadDataError, AbsentInputError):  # it is damaged itself: to be made again from what there is
        return
    for feed, name in ledger.iter_rows():
        one = next((one for one in refused if one.feed == feed and one.covers(name)), None)
        if one is None:
            continue
        if one.error is not None and classify_failure(one.error) is FailureKind.TRANSIENT:
            raise one.error
        raise LandedLostError(
            f"landing of {day}: expected {feed}/{day}/{show_name(name)}, which was ingested before; found {one}; the "
            "day stays as it is: land the file again under its name, or remove what is in its place"
        ) from one.error


class _RecentDays:
    """The kept rows of the days before one: those of this range as they were made, earlier ones from the lake."""

    def __init__(self, view: View, table: Table, n_days: int) -> None:
        self._view = view
        self._table = table
        self._n_days = n_days
        self._frames: dict[date, pl.DataFrame] = {}

    def read_before(self, day: date) -> pl.DataFrame:
        """The rows of the days before ``day``, in the order of the days; older ones are forgotten."""
        window = list_back(day, self._n_days)
        for past in window:
            if past not in self._frames and self._view.is_recorded(self._table.name, past):
                self._frames[past] = self._view.read(self._table, [past])
        self._frames = {past: self._frames[past] for past in window if past in self._frames}
        return pl.concat([self._table.empty(), *self._frames.values()])

    def add(self, day: date, frame: pl.DataFrame) -> None:
        """Remember what was kept of ``day``."""
        self._frames[day] = frame


def _select(intake: DayIntake, table: Table) -> pl.DataFrame:
    if table is QUARANTINE:
        return intake.quarantine
    return intake.ledger if table is LEDGER else intake.kept[Feed(table.name)]


def _tell(table: Table, intake: DayIntake) -> Mapping[str, object]:
    if table is QUARANTINE:
        reasons = intake.quarantine["reasons"].explode().drop_nulls().value_counts(sort=True)
        return {"rows_by_reason": dict(sorted(reasons.iter_rows()))}
    ledger = intake.ledger if table is LEDGER else intake.ledger.filter(feed=table.name)
    return {"files": ledger.height, **{name: int(ledger[name].sum()) for name in _COUNTS}}


def find_lost_rows(stores: Stores, day: date) -> Finding:
    """Whether every landed row of ``day`` is in its table, in quarantine or a counted duplicate."""
    files = stores.landing.read_day(day)
    return check_rows_are_conserved(
        [recount_file(feed, file) for feed, landed in files.items() for file in landed],
        {feed: stores.lake.read(table, [day]) for feed, table in _FEED_TABLES.items()},
        stores.lake.read(QUARANTINE, [day]),
        stores.lake.read(LEDGER, [day]),
    )


def find_quarantine_share(stores: Stores, params: IngestionParams, day: date) -> Finding:
    """Whether few enough rows of ``day`` were malformed."""
    return check_quarantine_share(stores.lake.read(LEDGER, [day]), params)


def find_refused_files(stores: Stores, day: date) -> Finding:
    """Whether all that landed on ``day`` are files; a warning that names the others, because the day goes on."""
    refused = stores.landing.take_day(day).refused
    shown = "; ".join(map(str, refused[:_SHOWN])) + (
        f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    )
    return Finding(
        passed=not refused,
        level=Level.WARN,
        explanation=f"expected files with names that can be written, refused {shown}; rename or replace them: the day "
        "is made again by itself, or remove them"
        if refused
        else f"everything that landed on {day} is a file with a name that can be written",
        facts={"things_refused": len(refused)},
    )


def find_absent_input(stores: Stores, day: date) -> Finding:
    """Whether files of transactions landed on ``day``; a warning, because the pipeline goes on with what it has."""
    n_files = {feed: len(stores.landing.list_files(feed, day)) for feed in Feed}
    arrived = n_files[Feed.TRANSACTIONS] > 0
    return Finding(
        passed=arrived,
        level=Level.WARN,
        explanation=f"{n_files[Feed.TRANSACTIONS]} files of transactions and {n_files[Feed.CHARGEBACKS]} of chargebacks"
        f" landed on {day}"
        + ("" if arrived else "; expected one of transactions: ask the source, land it when it comes"),
        facts={f"files_{feed}": count for feed, count in n_files.items()},
    )
