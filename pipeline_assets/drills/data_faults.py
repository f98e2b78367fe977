"""Bad deliveries: rows that are malformed, columns that drift, days that are missing, files that come twice.

Each comes as one of the last days of the world, while nobody watches and the days after it arrive as ever; then the
sound file lands, or a person corrects rows. Compared is with the world in which the sound data had landed at once.
"""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from pipeline_assets.adapters.replay import export_quarantine, replay
from pipeline_assets.contracts.tables import LEDGER, QUARANTINE, SCORES, TRANSACTIONS, Table
from pipeline_assets.contracts.vocabularies import Degradation, Feed, Reason
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.drills.drill import Drill, Journal
from pipeline_assets.drills.histories import (
    MayDiffer,
    begin_night,
    detect,
    end_night,
    find_landed,
    find_moment,
    land_day,
    list_last_days,
    live_day,
    note_runs,
    note_signs,
    open_history,
    verify,
)
from pipeline_assets.drills.unattended import Unattended
from pipeline_assets.drills.world import World

_N_DAYS: Final = 3  # two to break, one that goes on meanwhile
_CORRECTION_HOUR: Final = 3.0
_N_REPEATED: Final = 1000
_HISTORY: Final = str(Degradation.HISTORY_INCOMPLETE)
Spoil = Callable[[pl.DataFrame], pl.DataFrame]


def run_poisoned(world: World, journal: Journal) -> None:
    """Two days half of whose rows have no amount: of one the corrected file lands, of the other rows are replayed."""
    first, second, last = list_last_days(world, _N_DAYS)
    spoiled = {first: lose_amounts, second: lose_amounts}
    with open_history(world, _N_DAYS, "poisoned") as pipeline:
        _let_arrive(world, pipeline, journal, spoiled, {first: Reason.MISSING_VALUE, second: Reason.MISSING_VALUE})
        pipeline.now = find_moment(last, _CORRECTION_HOUR)
        began = time.monotonic()
        land_day(world, pipeline, first)
        _replay_rows(world, pipeline, journal, second)
        pipeline.settle()
        key = Key(TRANSACTIONS.name, second)
        pipeline.stores.holds.release(key, "its rows were corrected and replayed", pipeline.now)
        pipeline.settle()
        journal.recovered(time.monotonic() - began)
        end_night(pipeline, last)
        note_runs(journal, pipeline)
        verify(world, pipeline, journal, "two poisoned days", _tells_of_files([second], QUARANTINE, LEDGER))


def run_drift(world: World, journal: Journal) -> None:
    """A column that is renamed on one day, and one that is a text with a currency on the next."""
    first, second, last = list_last_days(world, _N_DAYS)
    spoiled = {first: _rename_amounts, second: _write_currencies}
    with open_history(world, _N_DAYS, "drift") as pipeline:
        _let_arrive(world, pipeline, journal, spoiled, {first: Reason.MISSING_COLUMN, second: Reason.WRONG_TYPE})
        pipeline.now = find_moment(last, _CORRECTION_HOUR)
        began = time.monotonic()
        land_day(world, pipeline, first)
        land_day(world, pipeline, second)
        pipeline.settle()
        journal.recovered(time.monotonic() - began)
        end_night(pipeline, last)
        note_runs(journal, pipeline)
        verify(world, pipeline, journal, "two days with another schema")


def run_missing(world: World, journal: Journal) -> None:
    """A day without a file, whose file comes two days later."""
    missing, after, last = list_last_days(world, _N_DAYS)
    with open_history(world, _N_DAYS, "missing") as pipeline:
        began, known = time.monotonic(), pipeline.find_signs()
        live_day(world, pipeline, missing, land=lambda: None)
        journal.broke("day without a file")
        note_signs(journal, pipeline, known, began, f"no file of {missing}")
        live_day(world, pipeline, after)
        begin_night(pipeline, last)
        land_day(world, pipeline, last)
        pipeline.settle()
        pipeline.now = find_moment(last, _CORRECTION_HOUR)
        began = time.monotonic()
        land_day(world, pipeline, missing)
        pipeline.settle()
        journal.recovered(time.monotonic() - began)
        end_night(pipeline, last)
        note_runs(journal, pipeline)
        verify(world, pipeline, journal, "a missing day that came late")


def run_repeated(world: World, journal: Journal) -> None:
    """A file that comes again on its own day and on the next, and 1,000 rows that come twice.

    Nothing may differ from the world never broken but what tells of the files that landed: the landing zone, the
    ledger, and the records of ingestion, which name the version of what landed.
    """
    first, second, last = list_last_days(world, _N_DAYS)
    with open_history(world, _N_DAYS, "repeated") as pipeline:
        landing, name, content = pipeline.stores.landing, *_read_payments(world, first)

        def land_again(day: date, label: str) -> None:
            land_day(world, pipeline, day)
            landing.land(Feed.TRANSACTIONS, day, f"{label}-{name}", content)
            journal.broke(f"file that came again {label}")
            _detect_repeats(pipeline, journal, day)

        def land_repeated_rows() -> None:
            land_day(world, pipeline, last)
            spoil_file(world, pipeline, last, lambda rows: pl.concat([rows, _repeat(rows, _N_REPEATED)]))
            journal.broke("rows that came twice", _N_REPEATED)
            _detect_repeats(pipeline, journal, last)

        live_day(world, pipeline, first, lambda: land_again(first, "same-day"))
        live_day(world, pipeline, second, lambda: land_again(second, "next-day"))
        live_day(world, pipeline, last, land_repeated_rows)
        days = [first, second, last]
        journal.count("rows counted as duplicates", sum(_count_repeats(pipeline, day) for day in days))
        note_runs(journal, pipeline)
        verify(world, pipeline, journal, "repeated files and rows", _tells_of_files(days, LEDGER))


def _detect_repeats(pipeline: Unattended, journal: Journal, day: date) -> None:
    """Tick until the ledger of a day tells of repeated rows: nobody has to know of them, so there is no alert."""
    began = time.monotonic()
    pipeline.settle(until=lambda: _count_repeats(pipeline, day) > 0)
    journal.detected(time.monotonic() - began)
    if not _count_repeats(pipeline, day):
        journal.fail(f"expected the ledger of {day} to count repeated rows, found none")


def _count_repeats(pipeline: Unattended, day: date) -> int:
    lake = pipeline.stores.lake
    return int(lake.read(LEDGER, [day])["rows_duplicate"].sum()) if lake.has(LEDGER, day) else 0


def _let_arrive(
    world: World, pipeline: Unattended, journal: Journal, spoiled: Mapping[date, Spoil], reasons: Mapping[date, Reason]
) -> None:
    """Let the spoiled days arrive and a good one after them: those are held, this one goes on without them."""
    for day, spoil in spoiled.items():

        def land(day: date = day, spoil: Spoil = spoil) -> None:
            land_day(world, pipeline, day)
            spoil_file(world, pipeline, day, spoil)
            journal.broke(reasons[day])
            detect(pipeline, journal, f"{reasons[day]} on {day}")

        live_day(world, pipeline, day, land)
        _judge_hold(pipeline, journal, day, reasons[day])
    last = list_last_days(world, 1)[0]
    begin_night(pipeline, last)
    land_day(world, pipeline, last)
    pipeline.settle()
    n_marked = _count_marked(pipeline, last)
    journal.count("decisions marked as made with an incomplete history", n_marked)
    if not n_marked:
        journal.fail(f"{last} was decided on while {len(spoiled)} days were held, and no decision says so")


def _judge_hold(pipeline: Unattended, journal: Journal, day: date, reason: Reason) -> None:
    """Whether a day is held with an alert, its quarantine says why, and nothing was made from it."""
    key = Key(TRANSACTIONS.name, day)
    missing = {f"hold {key}", f"alert held/{key}"} - pipeline.find_signs()
    if missing:
        journal.fail(f"{reason} on {day}: expected {', '.join(sorted(missing))}, found {sorted(pipeline.find_signs())}")
    codes = pipeline.stores.lake.read(QUARANTINE, [day])["reasons"].explode().drop_nulls().unique().to_list()
    if reason not in codes:
        journal.fail(f"{reason} on {day}: quarantine gives the reasons {codes}")
    if pipeline.stores.lake.has(SCORES, day):
        journal.fail(f"{day} is held, and its payments were decided on")
    n_runs = sum(asked.covers(day) for asked in pipeline.asked)
    journal.count("runs while held", n_runs)
    if n_runs > 2:
        journal.fail(f"{reason} on {day}: expected at most 2 runs while it is held, found {n_runs}")


def _count_marked(pipeline: Unattended, day: date) -> int:
    codes = pipeline.stores.lake.read(SCORES, [day], ["degraded_by"])["degraded_by"]
    return int(codes.list.contains(_HISTORY).sum())


def _replay_rows(world: World, pipeline: Unattended, journal: Journal, day: date) -> None:
    """Export the quarantined rows as a person does, fill in the amounts, and land them."""
    params, stores = world.params.ingestion, pipeline.stores
    exported, corrected = pipeline.folder / "quarantined.csv", pipeline.folder / "corrected.csv"
    export_quarantine(stores.lake, exported, Feed.TRANSACTIONS, [day], params)
    _, content = _read_payments(world, day)
    amounts = pl.read_parquet(io.BytesIO(content)).select("transaction_id", pl.col("amount_cents").cast(pl.String))
    rows = pl.read_csv(exported, infer_schema=False).drop("amount_cents")
    rows.join(amounts, on="transaction_id", how="left", maintain_order="left").write_csv(corrected)
    replay(corrected, stores.landing, Feed.TRANSACTIONS, params)
    journal.count("rows replayed", rows.height)


def _tells_of_files(days: Sequence[date], *tables: Table) -> MayDiffer:
    """What tells which files landed on ``days``: they themselves, the records of ingestion, and ``tables``."""
    folders = tuple(f"landing/{feed}/{day}/" for feed in Feed for day in days)
    files = {f"records/{name}/{day}.json" for name in (*Feed, QUARANTINE.name, LEDGER.name) for day in days}
    files |= {f"lake/{table.name}/date={day}/part.parquet" for table in tables for day in days}
    return lambda path: path.startswith(folders) or path in files


def _read_payments(world: World, day: date) -> tuple[str, bytes]:
    """The day's own file of payments, its name and its bytes: other files of the day sort after it."""
    landed = find_landed(world)
    name = landed.list_files(Feed.TRANSACTIONS, day)[0]
    return name, landed.read_file(Feed.TRANSACTIONS, day, name).content


def spoil_file(world: World, pipeline: Unattended, day: date, spoil: Spoil) -> None:
    """Put a spoiled file into the place of the day's own."""
    name, content = _read_payments(world, day)
    target = io.BytesIO()
    spoil(pl.read_parquet(io.BytesIO(content))).write_parquet(target)
    pipeline.stores.landing.land(Feed.TRANSACTIONS, day, name, target.getvalue(), replace=True)


def lose_amounts(rows: pl.DataFrame) -> pl.DataFrame:
    """Half of the rows without an amount."""
    odd = pl.int_range(pl.len()) % 2 == 1
    return rows.with_columns(pl.when(~odd).then("amount_cents").alias("amount_cents"))


def _rename_amounts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"amount_cents": "amount_minor"})


def _write_currencies(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.format("EUR {}", pl.col("amount_cents") / 100).alias("amount_cents"))


def _repeat(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    return rows[[place % rows.height for place in range(number)]]


POISONED: Final = Drill("poisoned_batch", "half of the rows of two days have no amount", run_poisoned)
DRIFT: Final = Drill("schema_drift", "a column is renamed, another changes its type", run_drift)
MISSING: Final = Drill("missing_day", "a day has no file; it comes two days later", run_missing)
REPEATED: Final = Drill("repeated_data", "files come again, and 1,000 rows come twice", run_repeated)
