"""Two data roots share their remotes: one collects garbage while the other takes a snapshot, and either is killed.

Then the disk of one is lost, and an older image of the other comes back. Expected at any time: what any manifest of
either names is whole in the remote that names it, the bytes come back, and no number is used twice.
"""

import os
import random
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.catalog import Catalog
from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import open_storage
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.verify import Whole
from pipeline_assets.drills.workers import Outcome, Worker
from pipeline_assets.drills.world import World, copy_root, write_params

_ROUNDS: Final = 20
_SEED: Final = 12


@dataclass(frozen=True)
class _House:
    """Two data roots, the folders of their common remotes, and a process for each."""

    folder: Path
    remotes: tuple[str, ...]
    workers: tuple[Worker, Worker]
    world: World

    def do(self, number: int, program: str, root: str, kill_after: float | None = None) -> Outcome:
        """Run a program of ``chain.py`` on a data root, and kill it after so many seconds."""
        day = self.world.daily.day
        run = self.workers[number].start(program, self.folder / root, day, day)
        killer = threading.Timer(kill_after or 0, os.kill, (run.pid, signal.SIGKILL))
        if kill_after is not None:
            killer.start()
        outcome = run.go()
        killer.cancel()
        if kill_after is not None:
            killer.join()
        run.end()
        return outcome

    def require(self, number: int, program: str, root: str) -> None:
        """Run a program that must go through."""
        outcome = self.do(number, program, root)
        if not outcome.succeeded:
            raise DrillError(f"{program} on {root}: {outcome}")

    def open(self, root: str) -> Snapshots:
        """The snapshots of a data root."""
        storage = open_storage(str(self.folder / root))
        return Snapshots(storage, open_replicas(storage, self.remotes))

    def audit(self) -> list[str]:
        """What some manifest names and its remote does not hold whole."""
        problems = []
        for replica in open_replicas(open_storage(str(self.folder)), self.remotes):
            alone = Snapshots(open_storage(str(self.folder / "nobody")), [replica])
            for snapshot in Catalog(replica).read_all():
                try:
                    named = {snapshot.parameters, *alone.list_files(snapshot).values()}
                except ObjectLostError as error:
                    problems.append(f"snapshot {snapshot.root}/{snapshot.sequence}: {error}")
                    continue
                problems += [f"{replica.root} lacks {md5} of {snapshot.root}/{snapshot.sequence}"
                             for md5 in named if replica.find(md5) is None]  # fmt: skip
        return problems


def share_remote(world: World, journal: Journal) -> None:
    """See the module."""
    folder = world.make_folder("shared-remote")
    remotes = tuple(str(folder / "remotes" / name) for name in ("one", "two"))
    params = replace(world.params, snapshots=SnapshotParams(remotes=remotes))
    write_params(params, folder / "params.yaml")
    for name, source in (("ours", world.daily.before), ("theirs", world.complete)):
        copy_root(source, folder / name)
    with (
        Worker(folder / "params.yaml", folder / "ours.log") as one,
        Worker(folder / "params.yaml", folder / "theirs.log") as two,
    ):
        house = _House(folder, remotes, (one, two), world)
        for number, name in enumerate(("ours", "theirs")):
            house.require(number, "take_snapshot", name)
        _collide(house, journal)
        _lose_a_disk(house, journal)
        _bring_an_image_back(house, journal)


def _collide(house: _House, journal: Journal) -> None:
    """Collections of the one beside snapshots of the other, of which one is killed, again and again."""
    draw = random.Random(_SEED)  # noqa: S311 - repeatable
    programs = ("collect_garbage", "take_snapshot")
    for number in range(_ROUNDS):
        names = ("ours", "theirs") if number % 2 else ("theirs", "ours")
        for name in names:  # both forget what the other still has, and take up what the other had
            hold = house.folder / name / "holds" / "drill" / "2026-01-01.json"
            hold.parent.mkdir(parents=True, exist_ok=True)
            hold.write_text(f"{(number + (name == 'ours')) % 3}")
            house.require(0, "take_snapshot", name)
        killed = draw.randrange(2)
        after = [draw.uniform(0, 0.4) if one == killed else None for one in range(2)]
        with ThreadPoolExecutor(2) as threads:
            runs = [threads.submit(house.do, one, programs[one], names[one], after[one]) for one in range(2)]
            outcomes = [run.result() for run in runs]
        if outcomes[killed].signal == signal.SIGKILL:
            journal.broke(f"kill of {programs[killed]} beside {programs[1 - killed]}")
        if not outcomes[1 - killed].succeeded:
            journal.fail(f"round {number}: {programs[1 - killed]}: {outcomes[1 - killed]}")
        for problem in house.audit():
            journal.fail(f"round {number}, after the kill: {problem}")
        began = time.monotonic()
        house.require(killed, programs[killed], names[killed])
        journal.recovered(time.monotonic() - began)
        for problem in house.audit():
            journal.fail(f"round {number}, done again: {problem}")
    roots = {name: {one.root for one in house.open(name).list()} for name in ("ours", "theirs")}
    if roots["ours"] & roots["theirs"] or any(len(one) != 1 for one in roots.values()):
        journal.fail(f"expected an id for each data root, found {roots}")


def _lose_a_disk(house: _House, journal: Journal) -> None:
    shutil.rmtree(house.folder / "theirs" / "holds")
    house.require(1, "take_snapshot", "theirs")
    house.require(0, "collect_garbage", "ours")
    shutil.rmtree(house.folder / "theirs")
    journal.broke("lost disk")
    began = time.monotonic()
    house.require(1, "bring_back", "theirs")
    journal.recovered(time.monotonic() - began)
    journal.compare("the disk that was lost", Whole(house.world.complete).compare(house.folder / "theirs"))


def _bring_an_image_back(house: _House, journal: Journal) -> None:
    copy_root(house.folder / "ours", house.folder / "image")
    house.require(0, "take_snapshot", "ours")
    before = house.open("ours").list()
    copy_root(house.folder / "image", house.folder / "ours")
    journal.broke("older image of a disk")
    house.require(0, "take_snapshot", "ours")
    after = house.open("ours").list()
    if after[-1].sequence <= before[-1].sequence or after[-1].root == before[-1].root:
        journal.fail(f"expected another id and a higher number than {before[-1].sequence}, found {after[-1].sequence}")
    if [one.sequence for one in house.open("ours").list_of(before[-1].root)][-1] != before[-1].sequence:
        journal.fail("what was taken after the image is not there any more")
    for problem in house.audit():
        journal.fail(f"after the older image: {problem}")


SHARED: Final = Drill(
    "shared_remote", "two data roots share remotes: kills, a lost disk, an older image of a disk", share_remote
)
