"""A kill (SIGKILL) while everything is being kept, replicated, brought back, or rid of garbage, at random moments.

Expected after doing the same again: the snapshot is complete in every remote, the bytes are those of a run never
killed, and nothing that a kept snapshot or a released model needs is gone.
"""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.remotes import mend_remotes
from pipeline_assets.adapters.replica import Replica, open_replicas
from pipeline_assets.adapters.retention import find_garbage
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.drills.chain import FAR_FUTURE, KEEP_LITTLE
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.verify import Whole
from pipeline_assets.drills.workers import Outcome, Worker
from pipeline_assets.drills.world import World, copy_root

_KILLS: Final = 20  # of each kind
_ATTEMPTS: Final = 8  # to kill a process before it has ended
_SEED: Final = 4


@dataclass(frozen=True)
class _Case:
    """Something that is killed.

    Attributes:
        name: For a person.
        program: Of ``chain.py``.
        before: The data root that it begins with.
        n_snapshots: How many snapshots there are when it has been done again.
    """

    name: str
    program: str
    before: Path
    n_snapshots: Callable[[int], int]


def run_kills(world: World, journal: Journal) -> None:
    """See the module."""
    draw = random.Random(_SEED)  # noqa: S311 - repeatable
    folder = world.make_folder("snapshot-kills")
    with world.open_worker(0) as worker:
        for case in _prepare(world, worker, folder):
            seconds = _time(world, worker, case, folder / "root")
            if case.program == "collect_garbage":
                n_garbage = _count_objects(case.before) - _count_objects(folder / "root")
                journal.count("objects of garbage", n_garbage)
                if not n_garbage:
                    journal.fail("there was no garbage, so nothing is shown of its collection")
            journal.note(f"{case.name}: {seconds:.2f} s where nothing is killed")
            for _ in range(_KILLS):
                _kill(world, worker, case, folder / "root", draw, seconds, journal)


def _prepare(world: World, worker: Worker, folder: Path) -> list[_Case]:
    """The data roots that the cases begin with: all with a snapshot of the days before the last one."""
    kept = copy_root(world.daily.before, folder / "kept")
    _do(worker, world, "take_snapshot", kept)
    new = copy_root(world.complete, folder / "new-day")
    for part in ("remotes", "snapshots"):
        shutil.copytree(kept / part, new / part)
    alone = copy_root(new, folder / "one-remote")
    shutil.rmtree(alone / "remotes" / "two")
    full = copy_root(new, folder / "full")
    for number in range(4):  # the second one will be garbage, and so will what is only in it
        shutil.rmtree(full / "holds", ignore_errors=True)
        (full / "holds" / "drill").mkdir(parents=True)
        (full / "holds" / "drill" / "2026-01-01.json").write_text(f"{number}")
        _do(worker, world, "take_snapshot", full)
    lost = copy_root(full, folder / "lost")
    for part in ("lake", "models"):
        shutil.rmtree(lost / part)
    return [
        _Case("a snapshot of a new day", "take_snapshot", new, lambda found: found + 1),
        _Case("a snapshot that fills a remote that was lost", "take_snapshot", alone, lambda found: found + 1),
        _Case("bringing back lake and models", "bring_back", lost, lambda found: found),
        _Case("the collection of garbage", "collect_garbage", full, lambda _: 2),
    ]


def _do(worker: Worker, world: World, program: str, root: Path) -> Outcome:
    outcome = worker.run(program, root, world.daily.day, world.daily.day)
    if not outcome.succeeded:
        raise DrillError(f"{program}, not broken: {outcome}")
    return outcome


def _count_objects(root: Path) -> int:
    return len([path for path in (root / "remotes").rglob("files/md5/*/*") if path.is_file()])


def _time(world: World, worker: Worker, case: _Case, root: Path) -> float:
    _do(worker, world, case.program, copy_root(case.before, root))  # what it needs is loaded then
    return _do(worker, world, case.program, copy_root(case.before, root)).seconds


def _kill(
    world: World, worker: Worker, case: _Case, root: Path, draw: random.Random, seconds: float, journal: Journal
) -> None:
    for _ in range(_ATTEMPTS):
        copy_root(case.before, root)
        run = worker.start(case.program, root, world.daily.day, world.daily.day)
        killer = threading.Timer(draw.uniform(0, seconds), os.kill, (run.pid, signal.SIGKILL))
        killer.start()
        outcome = run.go()
        killer.cancel()
        killer.join()
        run.end()
        if outcome.signal == signal.SIGKILL:
            break
    else:
        journal.fail(f"{case.name}: expected death by SIGKILL, it ended first {_ATTEMPTS} times")
        return
    journal.broke(f"kill of {case.name}")
    began = time.monotonic()
    again = worker.run(case.program, root, world.daily.day, world.daily.day)
    journal.recovered(time.monotonic() - began)
    if not again.succeeded:
        journal.fail(f"{case.name}, again: {again}")
        return
    journal.compare(case.name, Whole(world.complete).compare(root))
    for problem in _audit(world, case, root):
        journal.fail(f"{case.name}: {problem}")


def _audit(world: World, case: _Case, root: Path) -> list[str]:
    """What is wrong with the snapshots of a data root, each remote taken by itself."""
    stores = open_stores(str(root))
    remotes: list[Replica] = open_replicas(stores.root, world.params.snapshots.remotes)
    snapshots = Snapshots(stores.root, remotes)
    listed = snapshots.list()
    wanted = case.n_snapshots(len(list((case.before / "snapshots" / "entries").glob("*.json"))))
    problems = [f"expected {wanted} snapshots or one more, found {len(listed)}"] if len(listed) < wanted else []
    for remote in remotes:
        there = {one.sequence for one in Snapshots(stores.root, [remote]).list_of(listed[-1].root)}
        problems += [f"{remote.root} lacks snapshot {one.sequence}" for one in listed if one.sequence not in there]
        problems += [
            f"{flaw.remote} lacks {flaw.md5}" for flaw in mend_remotes(Snapshots(stores.root, [remote]), [remote])
        ]
    needed = find_garbage(stores, snapshots, KEEP_LITTLE, FAR_FUTURE).needed
    problems += [f"{remote.root} lacks {md5}, which a model needs" for remote in remotes for md5 in needed
                 if remote.find(md5) is None]  # fmt: skip
    return problems


KILLS: Final = Drill(
    "snapshot_kills", "keeping, replicating, bringing back and garbage collection are killed", run_kills
)
