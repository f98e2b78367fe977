"""Two of us: first commands at once on a new data root, the making of its instance killed, a run launched twice.

The instance is made by a process that is killed at calls spread over its making (``trace.py``), then made again: it
must be the one that was never broken. Real first commands start together on a root that has files and no instance. On
the real server a run's process is stopped while it starts, so that its launch is answered too late, and the code
server with it, so that the run is submitted into its queue again: it must be executed once and never be told failed.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from pipeline_assets.commands.children import Role
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.drills.dagster_server import wait_for
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.servers import ServerRun, Session
from pipeline_assets.drills.trace import CHANGING, Call, attach, break_call, read_calls, select
from pipeline_assets.drills.verify import hash_files
from pipeline_assets.drills.workers import Worker
from pipeline_assets.drills.world import World, copy_root
from pipeline_assets.settings import ALERTS_VARIABLE, DATA_VARIABLE, PARAMS_VARIABLE

_PROGRAM: Final = "make_instance"
_KILLS: Final = 16  # of the making of an instance, spread evenly
_AT_ONCE: Final = 3
_DAYS: Final = 2  # that the first commands make
_SIGKILL: Final = 9
_PATIENCE_SECONDS: Final = 300.0
_WATCH_SECONDS: Final = 0.005  # between looks for a process that is to be stopped while it starts
_LATE_SECONDS: Final = 5  # after which a launch counts as not answered; Dagster waits for 60
_ONCE: Final = ("RunStartEvent", "RunSuccessEvent")
_NEVER: Final = ("RunFailureEvent", "ExecutionStepFailureEvent", "ExecutionStepUpForRetryEvent")
_COMMAND: Final = "from pipeline_assets.cli import main; main()"


def run_operators(world: World, journal: Journal) -> None:
    """See the module."""
    _kill_makers(world, journal)
    _start_at_once(world, journal)
    with patch.dict(os.environ, {"DAGSTER_GRPC_TIMEOUT_SECONDS": str(_LATE_SECONDS)}):
        _launch_late(world, journal)


def _kill_makers(world: World, journal: Journal) -> None:
    folder = world.make_folder("two-operators-makers")
    with world.open_worker(0) as worker:
        worker.run(_PROGRAM, folder / "warm", world.daily.day, world.daily.day)
        root, trace = folder / "whole", folder / "trace"
        run = worker.start(_PROGRAM, root, world.daily.day, world.daily.day)
        with attach(run.pid, ["-f", *select(CHANGING, launched=False)], trace):
            outcome = run.go()
        run.end()
        whole = _look(root)
        if not outcome.succeeded or not whole:
            raise DrillError(f"the instance, traced and not broken: {outcome}, {len(whole)} databases")
        calls = [call for call in read_calls(trace, root, run.pid) if call.kind not in ("open folder", "open")]
        journal.note(f"{len(calls)} calls make an instance; {_KILLS} of them are killed")
        for number in range(_KILLS):
            call = calls[(2 * number + 1) * len(calls) // (2 * _KILLS)]
            _kill_maker(worker, folder / f"root-{number}", call, whole, world, journal)


def _kill_maker(worker: Worker, root: Path, call: Call, whole: dict[str, Any], world: World, journal: Journal) -> None:
    run = worker.start(_PROGRAM, root, world.daily.day, world.daily.day)
    with attach(run.pid, break_call(call, "signal=KILL"), root.with_suffix(".trace")):
        outcome = run.go()
    run.end()
    if outcome.signal != _SIGKILL:
        journal.fail(f"the making of an instance at {call}: expected death by SIGKILL, but {outcome}")
        return
    journal.broke("kill while the instance is made")
    again = worker.run(_PROGRAM, root, world.daily.day, world.daily.day)
    journal.recovered(again.seconds)
    if not again.succeeded:
        journal.fail(f"the instance whose making was killed at {call}: {again}")
    elif _look(root) != whole:
        journal.fail(f"the instance whose making was killed at {call} is not the one that was never broken")


def _look(root: Path) -> dict[str, Any]:
    """What the databases of an instance are, but for rows with clocks, and its configuration."""
    home, found = root / "dagster", dict[str, Any]()
    for path in sorted(home.rglob("*.db")) if home.exists() else []:
        with closing(sqlite3.connect(path)) as connection:
            found[f"{path.relative_to(home)}"] = [
                sorted(connection.execute(statement).fetchall())
                for statement in (
                    "select type, name from sqlite_master",
                    "select version_num from alembic_version",
                    "select name from secondary_indexes",
                )
            ]
    return found | {path.name: path.read_bytes() for path in home.glob("dagster.yaml")}


def _start_at_once(world: World, journal: Journal) -> None:
    """First commands of several operators on one data root, which has files and no instance."""
    folder = world.make_folder("two-operators-first")
    first = world.params.history_start
    assert first is not None
    days = [first + timedelta(days=number) for number in range(_DAYS)]
    root = folder / "root"
    root.mkdir()
    for feed in (world.complete / "landing").iterdir():
        for day in days:
            if (feed / f"{day}").exists():
                (root / "landing" / feed.name).mkdir(parents=True, exist_ok=True)
                copy_root(feed / f"{day}", root / "landing" / feed.name / f"{day}")
    command = [sys.executable, "-c", _COMMAND, "backfill", "--from", f"{days[0]}", "--to", f"{days[-1]}"]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"} | {
        DATA_VARIABLE: str(root),
        PARAMS_VARIABLE: str(world.params_file),
        ALERTS_VARIABLE: "",
    }
    began = time.monotonic()
    operators = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        for _ in range(_AT_ONCE)
    ]
    for number, operator in enumerate(operators):
        try:
            said, _ = operator.communicate(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            operator.kill()
            said, _ = operator.communicate()
        if operator.returncode:
            journal.fail(f"first command {number} of {_AT_ONCE} at once: status {operator.returncode}: {said[-1500:]}")
    journal.broke("first commands at once", _AT_ONCE)
    journal.note(f"{_AT_ONCE} first commands at once have ended after {time.monotonic() - began:.0f} s")
    found, expected = hash_files(root), hash_files(world.complete)
    wanted = {
        path for path in expected if path.startswith(("lake/", "records/")) and any(f"{day}" in path for day in days)
    }
    for path in sorted(wanted):
        if found.get(path) != expected[path]:
            journal.fail(f"after first commands at once {path} is {'other' if path in found else 'missing'}")
    journal.count("files compared after first commands at once", len(wanted))


def _launch_late(world: World, journal: Journal) -> None:
    session = Session(world, journal, "two-operators-server")
    with session.server:
        journal.note("the server is ready")
        for is_hung in (False, True):
            _stop_while_it_starts(session, journal, session.days[-3 - is_hung], is_hung=is_hung)
        session.compare("after launches that were answered late")


def _stop_while_it_starts(session: Session, journal: Journal, day: Any, *, is_hung: bool) -> None:
    """Stop the process of a run while it starts, and the code server too, until the launch is given up or resumed."""
    server = session.server.list_pids()[Role.CODE_SERVER]
    known = set(_list_children(server))
    run_id = session.launch_run(SCORES.name, day, {})
    child = _await_child(server, known)
    stopped = [child, *([server] if is_hung else [])]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    journal.broke("launch that is answered late")
    began = time.monotonic()

    def is_over() -> bool:  # a second process for the run is what must not be
        said = " ".join(str(event.get("message")) for event in session.list_events(run_id))
        if is_hung:
            return "re-submitting the run" in said
        return "answers late" in said or bool(_list_children(server) - known - {child})

    try:
        wait_for(is_over, _PATIENCE_SECONDS, "the end of the launch")
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
    journal.detected(time.monotonic() - began)
    journal.note(f"the launch is over after {time.monotonic() - began:.0f} s; what was stopped goes on")
    ended = session.await_run(lambda one: one.run_id == run_id and one.status in ("SUCCESS", "FAILURE"), "its end")
    journal.recovered(time.monotonic() - began)
    _judge(session, journal, ended)


def _judge(session: Session, journal: Journal, run: ServerRun) -> None:
    """A run that was launched late is executed once, and nothing else is started in its place."""
    logged = session.list_events(run.run_id)
    events = Counter(event["__typename"] for event in logged)
    steps = Counter(event["stepKey"] for event in logged if event["__typename"] == "ExecutionStepStartEvent")
    for step, number in steps.items():
        if number != 1:
            journal.fail(f"a run that was launched late: expected its step {step} once, found it {number} times")
    for name in _ONCE:
        if events[name] != 1:
            journal.fail(f"a run that was launched late: expected {name} once, found it {events[name]} times")
    for name in _NEVER:
        if events[name]:
            journal.fail(f"a run that was launched late: expected no {name}, found {events[name]}")
    others = [one.run_id for one in session.list_runs() if one.tags.get("dagster/parent_run_id") == run.run_id]
    if others:
        journal.fail(f"a run that was launched late: expected none in its place, found {len(others)}")
    if not steps:
        journal.fail("a run that was launched late has executed nothing")
    journal.note(f"the run has ended as {run.status}, begun {events['RunStartEvent']} times, with {len(steps)} steps")


def _await_child(server: int, known: set[int]) -> int:
    """The next process that the code server starts for a run, as soon as it is there."""
    return wait_for(
        lambda: next(iter(_list_children(server) - known), None), _PATIENCE_SECONDS, "the run's process", _WATCH_SECONDS
    )


def _list_children(parent: int) -> set[int]:
    """The processes for runs that a code server has started and that live."""

    def find() -> Iterator[int]:
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                    yield int(folder.name)

    return set(find())


OPERATORS: Final = Drill(
    "two_operators",
    "first commands at once, an instance killed while it is made, a run whose launch is answered late",
    run_operators,
)
