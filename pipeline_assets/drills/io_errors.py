"""A disk that is full (ENOSPC) or answers with errors (EIO) at every system call on the pipeline's files, one each.

Broken are the same calls as in the crash matrix, those of the daily and the training run, each run in two halves.

Expected of the run: a clear error that names the file, never a hang, never success with something missing; no old
partition lost. Expected of a plain rerun, in the same process or in a new one: the bytes of a run never broken.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EIO, ENOSPC, errorcode
from pathlib import Path
from typing import Final

from pipeline_assets.drills.crash_matrix import KINDS, PASSING, Broken, Stage, break_each, break_run, open_stages
from pipeline_assets.drills.drill import Drill, Journal
from pipeline_assets.drills.trace import READING_KINDS, Call
from pipeline_assets.drills.verify import find_torn_files
from pipeline_assets.drills.workers import Worker
from pipeline_assets.drills.world import World

_TAKING_SPACE: Final = ("create", "write", "truncate", "flush", "rename", "link", "mkdir")


@dataclass(frozen=True)
class _Fault:
    """An error of the disk, the calls that it can come from, and after which the rerun is in the same process."""

    number: int
    kinds: Sequence[str]
    same_process: Sequence[str]

    @property
    def name(self) -> str:
        return errorcode[self.number]


_FULL: Final = _Fault(ENOSPC, _TAKING_SPACE, same_process=_TAKING_SPACE)
_BROKEN: Final = _Fault(EIO, (*KINDS, *READING_KINDS), same_process=READING_KINDS)


def run_full(world: World, journal: Journal) -> None:
    """The disk is full; the rerun is in the same process, as a daemon's or a server's would be."""
    _run(world, journal, _FULL)


def run_broken(world: World, journal: Journal) -> None:
    """The disk answers with errors, to reads as well; after a change that failed, the rerun is in a new process."""
    _run(world, journal, _BROKEN)


def _run(world: World, journal: Journal, fault: _Fault) -> None:
    def work(worker: Worker, stage: Stage, folder: Path, call: Call, journal: Journal) -> None:
        _fail_at(worker, stage, folder, call, journal, fault)

    for stage in open_stages(world, world.halves, journal):
        candidates = [*stage.calls, *_sample_reads(stage.traced)]
        calls = [call for call in candidates if call.kind in fault.kinds]
        journal.note(f"{stage.scene.name}: {fault.name} at {len(calls)} calls, each in a run of its own")
        journal.count("calls to fail", len(calls))
        began = time.monotonic()
        break_each(world, journal, stage, calls, work)
        journal.note(f"{stage.scene.name}: {len(calls)} failed and run again in {time.monotonic() - began:.0f} s")


def _sample_reads(calls: Sequence[Call]) -> list[Call]:
    """Of the hundreds of reads alike, the first of each kind in each folder of the data root."""
    first: dict[tuple[str, str], Call] = {}
    for call in calls:
        if call.kind in READING_KINDS:
            first.setdefault((call.kind, call.path.split("/", maxsplit=1)[0]), call)
    return list(first.values())


def _fail_at(worker: Worker, stage: Stage, folder: Path, call: Call, journal: Journal, fault: _Fault) -> None:
    scene, where = stage.scene, f"{stage.scene.name}, {fault.name} at {call}"
    broken = break_run(worker, stage, folder, call, f"error={fault.name}")
    journal.broke(f"{fault.name} at {call.kind}")
    journal.detected(broken.outcome.known_at - broken.call.at)
    for problem in _judge(broken, fault, stage):
        journal.fail(f"{where}: {problem}")
    for problem in find_torn_files(broken.root, stage.before.hashes, stage.after.hashes, PASSING):
        journal.fail(f"{where}, before the rerun: {problem}")
    if call.kind in fault.same_process and broken.outcome.signal is None:
        again = broken.run.go()
        broken.run.end()
    else:
        broken.run.end()
        again = worker.run(scene.program, broken.root, scene.day, scene.day)
    journal.recovered(again.seconds)
    if not again.succeeded:
        journal.fail(f"{where}, rerun: {again}")
    journal.compare(where, stage.after.compare(broken.root))


def _judge(broken: Broken, fault: _Fault, stage: Stage) -> list[str]:
    """What is wrong with how a run took the error of a call."""
    outcome, call = broken.outcome, broken.call
    if outcome.succeeded:
        problems = stage.after.compare(broken.root).problems
        if problems:
            return [f"it went through although a call failed, and {'; '.join(problems)}"]
        tolerated = call.kind == "unlink" and call.is_on_temporary
        return [] if tolerated else ["it went through although a call failed; expected an error"]
    if outcome.error is None:
        return [f"expected an error that names the file, but {outcome}"]
    if fault.number not in outcome.error.errnos:
        return [f"expected an OSError {fault.name} or one that was raised from it, but {outcome}"]
    named = call.path.rpartition("/")[0] if call.is_on_temporary else call.path  # the folder, of a temporary file
    if named not in outcome.error.text:
        return [f"expected an error that names {named}, but {outcome}"]
    return []


FULL: Final = Drill("disk_full", "every call that needs space fails with ENOSPC", run_full)
BROKEN: Final = Drill("disk_errors", "every call that changes or reads a file fails with EIO", run_broken)
