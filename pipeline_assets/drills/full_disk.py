"""A disk that is really full: a small file system of its own, filled up to the last byte but some, again and again.

Beside ``disk_full``, which lets single calls fail, here everything fails that needs room, in whatever library, until
somebody makes room. Expected: one plain message, nothing torn, and after there is room the same command ends in the
bytes of a run that never lacked any. It needs the right to mount (root with CAP_SYS_ADMIN), as in most containers
nobody has: then it says so.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.remotes import mend_remotes
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.commands.messages import describe_text
from pipeline_assets.core.lineage.snapshots import UNNAMED
from pipeline_assets.drills.crash_matrix import PASSING
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.verify import Whole, find_torn_files
from pipeline_assets.drills.workers import Outcome, Worker
from pipeline_assets.drills.world import World, copy_root
from pipeline_assets.settings import DATA_VARIABLE, PARAMS_VARIABLE

_SHARES: Final = (0.0, 0.1, 0.3, 0.6, 0.85, 0.95)  # of the room that a step takes, which is left when it begins
_ROOM: Final = 1.5  # times what a step takes, which the disk has beside the data root
_PAGE: Final = 4096  # bytes in which a tmpfs gives room away
_PATIENCE_SECONDS: Final = 300.0
_CONFIG: Final = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
_MOUNT: Final = shutil.which("mount") or "mount"
_UNMOUNT: Final = shutil.which("umount") or "umount"


@dataclass(frozen=True)
class _Case:
    """A step that runs out of room, the data root that it begins with, and the one that it ends with."""

    name: str
    program: str
    before: Path
    after: Path


@dataclass(frozen=True)
class _Disk:
    """A small file system.

    Attributes:
        folder: Where it is mounted.
        root: The data root on it.
        filler: What takes the room.
    """

    folder: Path
    root: Path
    filler: Path

    def fill(self, but: int) -> None:
        """Leave exactly ``but`` bytes, in whole pages."""
        status = os.statvfs(self.folder)
        take = status.f_bavail * status.f_frsize - but // _PAGE * _PAGE
        with self.filler.open("wb") as file:
            for start in range(0, take, 1 << 20):
                file.write(b"\0" * min(1 << 20, take - start))

    def make_room(self) -> None:
        """Give the room back."""
        self.filler.unlink()

    def count_used(self) -> int:
        """Bytes that are taken."""
        status = os.statvfs(self.folder)
        return (status.f_blocks - status.f_bfree) * status.f_frsize


def run_full(world: World, journal: Journal) -> None:
    """See the module."""
    cases = (
        _Case(world.daily.name, world.daily.program, world.daily.before, world.daily.after),
        _Case(world.weekly.name, world.weekly.program, world.weekly.before, world.weekly.after),
        _Case("a snapshot", "take_snapshot", world.complete, world.complete),
    )
    with world.open_worker(0) as worker:
        for case in cases:
            needed = _measure(world, worker, case)
            journal.note(f"{case.name}: takes {needed / 1e6:.1f} MB")
            with _mount(world, _count_bytes(case.before) + int(needed * _ROOM)) as disk:
                for share in _SHARES:
                    _run_out(world, worker, case, disk, int(needed * share), journal)
    with _mount(world, 4 * _count_bytes(world.complete) + 100_000_000) as disk:
        _run_command(world, disk, journal)


@contextmanager
def _mount(world: World, size: int) -> Iterator[_Disk]:
    """A file system of ``size`` bytes; it goes with the block.

    Raises:
        DrillError: Nobody may mount one here.
    """
    folder = world.make_folder("full-disk")
    command = [_MOUNT, "-t", "tmpfs", "-o", f"size={size // _PAGE * _PAGE},mode=700", "pipeline-drill", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DrillError(f"it cannot be carried out here: a tmpfs needs root with CAP_SYS_ADMIN: {done.stderr.strip()}")
    try:
        yield _Disk(folder, folder / "root", folder / "filler")
    finally:
        subprocess.run([_UNMOUNT, "-l", str(folder)], check=True)


def _measure(world: World, worker: Worker, case: _Case) -> int:
    """Bytes that a step takes beside the data root that it begins with, seen on a disk with room enough."""
    with _mount(world, 4 * _count_bytes(case.after) + 100_000_000) as disk:
        copy_root(case.before, disk.root)
        before = disk.count_used()
        outcome = _do(world, worker, case, disk)
        if not outcome.succeeded:
            raise DrillError(f"{case.name}, with room enough: {outcome}")
        return disk.count_used() - before


def _count_bytes(root: Path) -> int:
    """Bytes of a data root on a tmpfs: whole pages, and one a folder at most."""
    sizes = (path.stat().st_size if path.is_file() else _PAGE for path in root.rglob("*"))
    return sum(-(-size // _PAGE) * _PAGE for size in sizes)


def _do(world: World, worker: Worker, case: _Case, disk: _Disk) -> Outcome:
    day = world.daily.day if case.program != world.weekly.program else world.weekly.day
    return worker.run(case.program, disk.root, day, day)


def _run_out(world: World, worker: Worker, case: _Case, disk: _Disk, left: int, journal: Journal) -> None:
    where = f"{case.name} with {left / 1e3:.0f} kB left"
    whole = Whole(case.after)
    copy_root(case.before, disk.root)
    old = Whole(case.before).hashes
    disk.fill(left)
    began = time.monotonic()
    outcome = _do(world, worker, case, disk)
    journal.detected(time.monotonic() - began)
    disk.make_room()
    if not outcome.succeeded:
        journal.broke(f"{case.name}: no room")
        for problem in _judge(outcome):
            journal.fail(f"{where}: {problem}")
        journal.note(f"{where}: {describe_text(outcome.error.text) if outcome.error else outcome}")
    elif case.program == "take_snapshot" and not _is_replicated(world, disk.root):
        journal.broke(f"{case.name}: no room in one of two remotes")
    else:
        journal.count("steps that had room enough")
    for problem in find_torn_files(disk.root, old, whole.hashes, PASSING):
        journal.fail(f"{where}, before the rerun: {problem}")
    began = time.monotonic()
    again = _do(world, worker, case, disk)
    journal.recovered(time.monotonic() - began)
    if not again.succeeded:
        journal.fail(f"{where}, again with room: {again}")
        return
    difference = whole.compare(disk.root)
    journal.compare(where, difference)
    if case.program == "take_snapshot" and not _is_replicated(world, disk.root):
        journal.fail(f"{where}, again with room: a remote is not whole")


def _judge(outcome: Outcome) -> list[str]:
    """What is wrong with how a step took it."""
    if outcome.error is None:
        return [f"expected an error, but {outcome}"]
    if ENOSPC not in outcome.error.errnos and "Errno 28" not in outcome.error.text:
        return [f"expected an error of a full disk, but {outcome}"]
    told = describe_text(outcome.error.text) or ""
    return [] if "the disk is full" in told else [f"expected the message to say that the disk is full, found {told!r}"]


def _is_replicated(world: World, root: Path) -> bool:
    """Whether each remote, taken by itself, has all of every snapshot."""
    stores = open_stores(str(root))
    remotes = open_replicas(stores.root, world.params.snapshots.remotes)
    snapshots = Snapshots(stores.root, remotes)
    listed = {one.sequence for one in snapshots.list()}
    for remote in remotes:
        there = {one.sequence for one in Snapshots(stores.root, [remote]).list_of(snapshots.roots.find() or UNNAMED)}
        if not listed or listed - there or list(mend_remotes(Snapshots(stores.root, [remote]), [remote])):
            return False
    return True


def _run_command(world: World, disk: _Disk, journal: Journal) -> None:
    """The same as a person sees it: ``backfill`` and ``snapshot take`` on a full disk, and again with room."""
    copy_root(world.daily.before, disk.root)
    day = f"{world.daily.day}"
    for command in (["snapshot", "take"], ["backfill", "--from", day, "--to", day]):
        for left in (0, 300_000):
            disk.fill(left)
            code, said = _ask(world, disk, command)
            disk.make_room()
            where = f"pipeline-assets {' '.join(command)} with {left // 1000} kB left"
            journal.note(f"{where}: {said.strip().splitlines()[-1] if said.strip() else 'nothing'}")
            journal.broke("a command on a full disk")
            if code != 1 or "disk is full" not in said or "Traceback" in said or 'File "' in said:
                journal.fail(
                    f"{where}: expected one message that the disk is full and exit code 1, found {code}: {said}"
                )
        code, said = _ask(world, disk, command)
        if code:
            journal.fail(f"pipeline-assets {' '.join(command)} with room: {said}")
    if (disk.root / "dagster" / "dagster.yaml").read_bytes() != _CONFIG.read_bytes():
        journal.fail("expected the whole configuration of Dagster, found another one")
    journal.compare("the commands with room", Whole(world.daily.after).compare(disk.root))


def _ask(world: World, disk: _Disk, command: list[str]) -> tuple[int, str]:
    """How a command ended, and all that it said."""
    program = [sys.executable, "-c", "from pipeline_assets.cli import main; main()", *command]
    environment = os.environ | {
        DATA_VARIABLE: str(disk.root),
        PARAMS_VARIABLE: str(world.params_file),
        "DAGSTER_HOME": str(disk.root / "dagster"),
    }
    done = subprocess.run(
        program, capture_output=True, text=True, env=environment, timeout=_PATIENCE_SECONDS, check=False
    )
    return done.returncode, done.stdout + done.stderr


FULL: Final = Drill("full_disk_real", "a small file system runs out of room at several moments", run_full)
