"""Many at once: twenty runs on overlapping partitions, trainings that must wait for each other, an analyst's lock."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pipeline_assets.contracts.tables import (
    CUSTOMER_FEATURES_TABLE,
    LEDGER,
    PERFORMANCE,
    QUARANTINE,
    SCORES,
    TERMINAL_FEATURES_TABLE,
)
from pipeline_assets.core.failures import FailureKind, classify_failure
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.simultaneous import Outcome, Task, run_together
from pipeline_assets.drills.verify import Whole
from pipeline_assets.drills.world import World, copy_root
from pipeline_assets.settings import DATA_VARIABLE, PARAMS_VARIABLE

_DAY: Final = timedelta(days=1)
_N_TRAININGS: Final = 3
_MAX_ROUNDS: Final = 3  # a run that failed for a passing reason is started again, as a scheduler would
_PATIENCE_SECONDS: Final = 120.0
_QUERY: Final = f"select count(*) as n, sum(score)::decimal(18, 6)::varchar as total from {SCORES.name}"  # noqa: S608
# Holds a database for writing, with a transaction that never ends and views of the lake; answers each line with a query
# by them. Arguments: the database, the lake, a table.
_ANALYST: Final = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1])
files = f"{sys.argv[2]}/{sys.argv[3]}/date=*/part.parquet"
connection.execute(f"create view {sys.argv[3]} as select * from read_parquet('{files}', hive_partitioning = true)")
connection.execute("create table notes (text varchar)")
connection.execute("begin")
connection.execute("insert into notes values ('mine')")
print("held", flush=True)
for line in sys.stdin:
    print(*connection.execute(line).fetchone(), flush=True)
"""


def run_at_once(world: World, journal: Journal) -> None:
    """Seventeen daily runs on overlapping days and three trainings of one week, all on one instance, let go at once."""
    folder = world.make_folder("at-once")
    root, day = copy_root(world.daily.before, folder / "root"), world.daily.day
    week = world.weekly.day - timedelta(days=7)
    _take_away(root, (QUARANTINE.name, LEDGER.name, PERFORMANCE.name), day - 10 * _DAY, day)
    # Of one day only: how the models do on a day is measured with the features of the days before it as well.
    _take_away(root, (CUSTOMER_FEATURES_TABLE.name, TERMINAL_FEATURES_TABLE.name), day, day)
    ranges = [Task("daily", day - number * _DAY, day - (number - 2) * _DAY) for number in (2, 4, 6, 8, 10)]
    tasks = [*ranges * 3, *[Task("daily", day, day)] * 2, *[Task("weekly", week, week)] * _N_TRAININGS]
    outcome = _run_all(world, journal, tasks, root, folder)
    trainings = list(outcome.trainings)
    journal.note("trainings of " + ", ".join(f"{end - start:.1f} s" for start, end in trainings))
    if len(trainings) != _N_TRAININGS or _overlap(trainings):
        journal.fail(f"expected {_N_TRAININGS} trainings one after the other, found {trainings}")
    if not _overlap(outcome.runs):
        journal.fail("the runs were not at once, so nothing is shown")
    _compare(journal, "after twenty runs at once", world.daily.after, root)


def _take_away(root: Path, assets: Sequence[str], first: date, last: date) -> None:
    """Remove what is there of some partitions, with their records: it is to be made by the runs."""
    for asset in assets:
        for lacking in (first + number * _DAY for number in range((last - first).days + 1)):
            shutil.rmtree(root / "lake" / asset / f"date={lacking}", ignore_errors=True)
            (root / "records" / asset / f"{lacking}.json").unlink(missing_ok=True)


def _run_all(world: World, journal: Journal, tasks: Sequence[Task], root: Path, folder: Path) -> Outcome:
    """Run tasks at once until all have succeeded; the outcome of the first time."""
    waiting = list(tasks)
    outcomes: list[Outcome] = []
    while waiting and len(outcomes) < _MAX_ROUNDS:
        logs = folder / f"logs-{len(outcomes)}"
        logs.mkdir()
        began = time.monotonic()
        outcome = run_together(waiting, root, world.params_file, logs)
        outcomes.append(outcome)
        journal.recovered(time.monotonic() - began)
        n_good = len(waiting) - len(outcome.failures)
        journal.note(
            f"{n_good} of {len(waiting)} runs at once succeeded, the last after "
            f"{max(outcome.seconds):.0f} s; {outcome.n_retried_steps} steps were tried again"
        )
        journal.count("runs that failed", len(outcome.failures))
        journal.count("steps tried again", outcome.n_retried_steps)
        journal.count("times the database was locked", outcome.n_locked)
        for number, said in outcome.failures.items():
            journal.note(f"run {number} failed: {said[-600:]}")
        waiting = [waiting[number] for number in outcome.failures]
    journal.broke("runs at once on the same partitions", len(tasks))
    if waiting:
        journal.fail(f"{len(waiting)} runs failed {_MAX_ROUNDS} times")
    for repair in outcomes[-1].repairs:
        journal.fail(f"the healing plan is not empty: {repair}")
    return outcomes[0]


def _overlap(spans: Sequence[tuple[float, float]]) -> bool:
    return any(later[0] < earlier[1] for earlier, later in pairwise(sorted(spans)))


def _compare(journal: Journal, where: str, whole: Path, root: Path) -> None:
    difference = Whole(whole).compare(root)
    journal.compare(where, difference)
    for leftover in difference.leftovers:
        journal.fail(f"{where}: {leftover} is left over")


def lock_database(world: World, journal: Journal) -> None:
    """An analyst holds a DuckDB database open for writing; the daily chain and queries go on."""
    folder = world.make_folder("locked-database")
    root, database = copy_root(world.daily.before, folder / "root"), folder / "analyst.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", _ANALYST, str(database), str(root / "lake"), SCORES.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as analyst:
        try:
            _go_on_beside(world, journal, analyst, root, database)
        finally:
            analyst.kill()
    journal.note("the analyst is gone")
    began = time.monotonic()
    _open_database(database)
    journal.recovered(time.monotonic() - began)
    _compare(journal, "beside a locked database", world.daily.after, root)


def _go_on_beside(world: World, journal: Journal, analyst: "subprocess.Popen[str]", root: Path, database: Path) -> None:
    assert analyst.stdin is not None
    assert analyst.stdout is not None

    def ask() -> str:
        assert analyst.stdin is not None
        assert analyst.stdout is not None
        analyst.stdin.write(_QUERY + "\n")
        analyst.stdin.flush()
        return analyst.stdout.readline().strip()

    if analyst.stdout.readline() != "held\n":
        raise DrillError("the analyst could not open the database")
    began = time.monotonic()
    error = _find_lock_error(database)
    journal.detected(time.monotonic() - began)
    journal.broke("connection refused by a lock")
    kind = classify_failure(error)
    journal.note(f"a second connection is refused and counts as {kind}: {str(error)[:100]}")
    if kind is not FailureKind.TRANSIENT:
        journal.fail(f"expected a lock to be transient, found {kind}: {error}")
    before = ask()
    asking = _start_query(root, world.params_file)
    with world.open_worker(0) as worker:
        outcome = worker.run(world.daily.program, root, world.daily.day, world.daily.day)
    if not outcome.succeeded:
        journal.fail(f"the daily chain beside a locked database: {outcome}")
    during, after = _read_query(asking), _read_query(_start_query(root, world.params_file))
    seen = ask()
    journal.note(f"decisions by the analyst: {before} before, {seen} after; by the command line: {during}, {after}")
    if before == after or seen != after:
        journal.fail(f"expected the analyst to see what the chain has made, {after}, found {seen}")
    if during not in (before, after):
        journal.fail(f"expected the decisions of before or after, {before} or {after}, found {during}")


def _find_lock_error(database: Path) -> Exception:
    try:
        _open_database(database)
    except Exception as error:
        return error
    raise DrillError("a second process could open the database: nothing is locked")


def _open_database(database: Path) -> None:
    import duckdb

    duckdb.connect(str(database)).close()


def _start_query(root: Path, params_file: Path) -> "subprocess.Popen[str]":
    """``pipeline-assets sql``, as a person types it."""
    command = [sys.executable, "-c", "from pipeline_assets.cli import main; main()", "sql", _QUERY, "--format", "json"]
    environment = os.environ | {DATA_VARIABLE: str(root), PARAMS_VARIABLE: str(params_file)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _read_query(asking: "subprocess.Popen[str]") -> str:
    try:
        answer, _ = asking.communicate(timeout=_PATIENCE_SECONDS)
    finally:
        asking.kill()
    row: dict[str, Any] = json.loads(answer) if asking.returncode == 0 else {"error": asking.returncode}
    return " ".join(map(str, row.values()))


AT_ONCE: Final = Drill("runs_at_once", "twenty runs at once on overlapping days, and three trainings", run_at_once)
LOCKED: Final = Drill("locked_database", "an analyst holds a DuckDB database open for writing", lock_database)
