"""A kill (SIGKILL) at every system call by which a run changes the pipeline's files, one run each, then a plain rerun.

Killed is the bare chain: a daily run that replaces partitions and makes new ones, and a training run with several
checkpoints, up to the release. The calls are found by tracing, never listed here, so that a write that somebody adds
to a stage is killed too.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.trace import CHANGING, READING, Call, attach, break_call, find_shift, read_calls, select
from pipeline_assets.drills.verify import Whole, audit_landed_rows, find_torn_files
from pipeline_assets.drills.workers import N_WORKERS, Outcome, Run, Worker, share_out
from pipeline_assets.drills.world import Scene, World, copy_root

KINDS: Final = ("create", "write", "truncate", "flush", "rename", "link", "unlink", "mkdir", "open folder")
PASSING: Final = ("latest",)  # a training's checkpoint: there only while it goes on
_ATTEMPTS: Final = 3  # to hit the call that is meant; a run may make a call more of the same name elsewhere
_SIGKILL: Final = 9


class CallMissedError(DrillError):
    """A call that was to be broken was not the one that was hit."""


@dataclass(frozen=True)
class Stage:
    """A scene that is broken again and again.

    Attributes:
        scene: The step.
        before: What its data root holds before it.
        after: What it holds after it, never broken.
        traced: All calls of the main thread on the data root, in order.
    """

    scene: Scene
    before: Whole
    after: Whole
    traced: tuple[Call, ...]

    @property
    def calls(self) -> list[Call]:
        """Those that change it."""
        return [call for call in self.traced if call.kind in KINDS]


@dataclass(frozen=True)
class Broken:
    """A run one call of which was broken: how it went, its data root, and the call as its own trace shows it."""

    run: Run
    outcome: Outcome
    root: Path
    call: Call


Work = Callable[[Worker, Stage, Path, Call, Journal], None]


def open_stages(world: World, scenes: Sequence[Scene], journal: Journal) -> Iterator[Stage]:
    """Some scenes, traced and not broken; the world never broken has lost no landed row."""
    for problem in audit_landed_rows(world.complete):
        journal.fail(f"the world that was never broken: {problem}")
    for scene in scenes:
        stage = Stage(scene, Whole(scene.before), Whole(scene.after), tuple(_trace(world, scene, journal)))
        if not stage.calls:
            raise DrillError(f"{scene.name}: expected calls that change files, found none in its trace")
        yield stage


def _trace(world: World, scene: Scene, journal: Journal) -> list[Call]:
    folder = world.make_folder("traced")
    root, trace = folder / "root", folder / "trace"
    with world.open_worker(0) as worker:
        _warm(worker, scene, root)
        run = worker.start(scene.program, copy_root(scene.before, root), scene.day, scene.day)
        with attach(run.pid, ["-f", *select((*CHANGING, *READING), launched=False)], trace):
            outcome = run.go()
        run.end()
    if not outcome.succeeded:
        raise DrillError(f"{scene.name}, traced and not broken: {outcome}")
    journal.compare(f"{scene.name}, traced and not broken", Whole(scene.after).compare(root))
    return read_calls(trace, root, run.pid)


def _warm(worker: Worker, scene: Scene, root: Path) -> None:
    """Let a new worker load what the scene needs, so that its runs make the same calls ever after."""
    worker.run(scene.program, copy_root(scene.before, root), scene.day, scene.day)


def break_run(worker: Worker, stage: Stage, folder: Path, call: Call, how: str) -> Broken:
    """Let a run go on a fresh copy of the data root and break one call of it.

    Raises:
        CallMissedError: The call was not hit.
    """
    scene, shift, hit = stage.scene, 0, ["no call"]
    for _ in range(_ATTEMPTS):
        root, trace = copy_root(scene.before, folder / "root"), folder / "trace"
        run = worker.start(scene.program, root, scene.day, scene.day)
        with attach(run.pid, break_call(call, how, shift=shift), trace):
            outcome = run.go()
        calls = read_calls(trace, root)
        struck = [one for one in calls if one.was_broken] if "error" in how else calls[-1:]
        if len(struck) == 1 and struck[0].is_same(call):
            return Broken(run, outcome, root, struck[0])
        run.end()
        hit = [str(one) for one in struck] or hit
        shift = find_shift(stage.traced, struck or calls)
    raise CallMissedError(f"{scene.name}: expected to break {call}, hit {', '.join(hit)} in {_ATTEMPTS} attempts")


def break_each(world: World, journal: Journal, stage: Stage, calls: Sequence[Call], work: Work) -> None:
    """Do ``work`` for each call, on all cores; a call that cannot be hit is a problem and does not end the drill."""
    folders = [world.make_folder(f"scratch-{number}") for number in range(N_WORKERS)]

    def warm(worker: Worker, number: int) -> None:
        _warm(worker, stage.scene, folders[number] / "root")

    def break_one(worker: Worker, number: int, call: Call) -> None:
        try:
            work(worker, stage, folders[number], call, journal)
        except CallMissedError as error:
            journal.fail(str(error))

    share_out(calls, world.open_worker, warm, break_one)


def run_matrix(world: World, journal: Journal) -> None:
    """See the module."""
    for stage in open_stages(world, (world.daily, world.weekly), journal):
        calls = stage.calls
        journal.note(f"{stage.scene.name}: {len(calls)} calls change its files; each is killed in a run of its own")
        journal.count("crash points", len(calls))
        began = time.monotonic()
        break_each(world, journal, stage, calls, _kill_at)
        journal.note(f"{stage.scene.name}: {len(calls)} killed and run again in {time.monotonic() - began:.0f} s")


def _kill_at(worker: Worker, stage: Stage, folder: Path, call: Call, journal: Journal) -> None:
    scene, where = stage.scene, f"{stage.scene.name}, killed at {call}"
    broken = break_run(worker, stage, folder, call, "signal=KILL")
    broken.run.end()
    if broken.outcome.signal != _SIGKILL:
        journal.fail(f"{where}: expected death by SIGKILL, but {broken.outcome}")
        return
    journal.broke(f"kill at {call.kind}")
    journal.detected(broken.outcome.known_at - broken.call.at)
    for problem in find_torn_files(broken.root, stage.before.hashes, stage.after.hashes, PASSING):
        journal.fail(f"{where}, before the rerun: {problem}")
    again = worker.run(scene.program, broken.root, scene.day, scene.day)
    journal.recovered(again.seconds)
    if not again.succeeded:
        journal.fail(f"{where}, rerun: {again}")
    journal.compare(where, stage.after.compare(broken.root))


MATRIX: Final = Drill("crash_matrix", "the process is killed at every call that changes a file", run_matrix)
