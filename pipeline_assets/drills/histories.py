"""The histories that the data drills begin with, how they go on, and how a pipeline is found to be well again.

One history was built by Dagster up to some days before the world's end, and lived on from there day by day while
nothing broke. It was kept after each of those days; drills copy it as it was so many days before the end.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.storage import open_storage, within
from pipeline_assets.commands.chains import Chains
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.drills.drill import DrillError, Journal, format_seconds
from pipeline_assets.drills.unattended import Unattended, forget_landed, open_unattended
from pipeline_assets.drills.verify import Difference, Whole, audit_landed_rows
from pipeline_assets.drills.world import World, copy_root
from pipeline_assets.settings import WORLD_RECORD, Params

MOST_DAYS: Final = 4  # before the end: one or more to break, and others that go on meanwhile
_LANDING_HOUR: Final = 1.0  # of the next day: when a day's files have landed
_NOON: Final = 12.0
_HOURS: Final = (5.0, 6.0, 9.5)  # when something is due: the two schedules, and the last deadline
_ALERTS: Final = "alerts/"  # they state times
_WHOLES: Final[dict[Path, Whole]] = {}
MayDiffer = Callable[[str], bool]


def list_last_days(world: World, number: int) -> list[date]:
    """The last days of the world."""
    return [world.daily.day - timedelta(days=back) for back in range(number - 1, -1, -1)]


@contextmanager
def open_history(world: World, days_before_end: int, name: str) -> Iterator[Unattended]:
    """The pipeline of :func:`copy_history`, opened."""
    with (
        copy_history(world, days_before_end, name) as folder,
        open_unattended(folder, make_params(world.params, folder)) as pipeline,
    ):
        yield pipeline


@contextmanager
def copy_history(world: World, days_before_end: int, name: str) -> Iterator[Path]:
    """A copy of the pipeline as it was so many days before the end, when all was made; it is removed afterwards."""
    source = _find_history(world, days_before_end)
    if not source.exists():
        _build_histories(world)
    folder = copy_root(source, world.folder / name)
    forget_landed(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _find_history(world: World, days_before_end: int) -> Path:
    return world.folder / f"history-{days_before_end}-days-before"


def make_params(params: Params, folder: Path) -> Params:
    """Those of the world, but that its history goes on, and that the replica lies beside the data root."""
    snapshots = dataclasses.replace(params.snapshots, remotes=(str(folder / "replica"),))
    return dataclasses.replace(params, history_end=None, snapshots=snapshots)


def _build_histories(world: World) -> None:
    """Raises DrillError where the history that nothing broke is not equal to the world that the bare chain built."""
    first, last = world.params.history_start, list_last_days(world, MOST_DAYS + 1)[0]
    assert first is not None
    folder = world.make_folder("building-history")
    (folder / "data").mkdir()
    shutil.copy(world.complete / WORLD_RECORD, folder / "data" / WORLD_RECORD)
    with open_unattended(folder, make_params(world.params, folder), find_moment(last, _NOON)) as pipeline:
        for number in range((last - first).days + 1):
            land_day(world, pipeline, first + timedelta(days=number))
        Chains(pipeline.definitions, lambda _: None).run_all(pipeline.stores.holds, first, last)
        problems = [*map(str, pipeline.settle()), *find_unrest(pipeline)]
    copy_root(folder, _find_history(world, MOST_DAYS))
    for day in list_last_days(world, MOST_DAYS):
        with open_unattended(folder, make_params(world.params, folder)) as pipeline:
            live_day(world, pipeline, day)
            problems += find_unrest(pipeline)
        copy_root(folder, _find_history(world, (world.daily.day - day).days))
    problems += compare(world, folder / "data").problems
    shutil.rmtree(folder)
    if problems:
        raise DrillError(
            f"a history that nothing broke is not as the world that the chain built: {'; '.join(problems)}"
        )


def find_landed(world: World) -> LandingZone:
    """The landing zone of the world never broken."""
    return LandingZone(within(open_storage(str(world.complete)), "landing"))


def land_day(world: World, pipeline: Unattended, day: date) -> None:
    """Land the files of a day as they were in the world never broken."""
    landed = find_landed(world)
    for feed in Feed:
        for name in landed.list_files(feed, day):
            content = landed.read_file(feed, day, name).content
            pipeline.stores.landing.land(feed, day, name, content, replace=True)


def live_day(world: World, pipeline: Unattended, day: date, land: Callable[[], None] | None = None) -> None:
    """Let a day's files land in the night after it, and the hours pass until all that is due after it is made.

    Args:
        world: The world.
        pipeline: The pipeline.
        day: The day.
        land: What lands; the files of the world never broken by default.
    """
    begin_night(pipeline, day)
    land_day(world, pipeline, day) if land is None else land()
    pipeline.settle()
    end_night(pipeline, day)


def begin_night(pipeline: Unattended, day: date) -> None:
    """Set the clock to when a day's files land."""
    pipeline.now = find_moment(day, _LANDING_HOUR)


def end_night(pipeline: Unattended, day: date) -> None:
    """Let the hours pass in which schedules fire and deadlines end."""
    for hour in _HOURS:
        pipeline.now = find_moment(day, hour)
        pipeline.tick()
    pipeline.settle()


def find_moment(day: date, hour: float) -> datetime:
    """An hour of the day after ``day``."""
    return datetime.combine(day + timedelta(days=1), time_of_day(), UTC) + timedelta(hours=hour)


def compare(world: World, root: Path, may_differ: MayDiffer = lambda _: False) -> Difference:
    """How a data root differs from that of the world never broken, but for alerts and for paths that may."""
    if world.complete not in _WHOLES:
        _WHOLES[world.complete] = Whole(world.complete)
    found = _WHOLES[world.complete].compare(root)

    def keep(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(path for path in paths if not path.startswith(_ALERTS) and not may_differ(path))

    return dataclasses.replace(
        found, missing=keep(found.missing), surplus=keep(found.surplus), changed=keep(found.changed)
    )


def find_unrest(pipeline: Unattended) -> list[str]:
    """What is not well: signs that stand, and what the healing plan still has."""
    plan = pipeline.plan()
    problems = [f"{sign} stands" for sign in sorted(pipeline.find_signs())]
    problems += [f"{repair.key} is to be made again: {repair.reason} ({repair.detail})" for repair in plan.repairs]
    return problems + [f"{key} is blocked: {why}" for key, why in plan.blocked.items()]


def verify(
    world: World, pipeline: Unattended, journal: Journal, where: str, may_differ: MayDiffer = lambda _: False
) -> None:
    """Note whether the pipeline is as if nothing had ever been broken: bytes, rows, signs, plan."""
    journal.compare(where, compare(world, pipeline.root, may_differ))
    for problem in (*audit_landed_rows(pipeline.root), *find_unrest(pipeline)):
        journal.fail(f"{where}: {problem}")


def detect(pipeline: Unattended, journal: Journal, fault: str) -> None:
    """Tick until something says that there is a fault, and note how long that took; nothing that does is a problem."""
    known, began = pipeline.find_signs(), time.monotonic()
    pipeline.settle(until=lambda: bool(pipeline.find_signs() - known))
    note_signs(journal, pipeline, known, began, fault)


def note_signs(journal: Journal, pipeline: Unattended, known: set[str], began: float, fault: str) -> None:
    """Note which signs there are beside those that were ``known``, and the real time since ``began``."""
    signs = sorted(pipeline.find_signs() - known)
    if not signs:
        journal.fail(f"{fault}: expected an alert, a hold or noted damage, found none at {pipeline.now}")
        return
    seconds = time.monotonic() - began
    journal.detected(seconds)
    journal.note(f"{fault}: known after {format_seconds(seconds)}, at {pipeline.now:%m-%d %H:%M} ({', '.join(signs)})")


def note_runs(journal: Journal, pipeline: Unattended) -> None:
    """Note all runs that were asked for, and count them."""
    for asked in pipeline.asked:
        journal.note(f"{asked.at:%m-%d %H:%M} {asked}")
    journal.count("runs", len(pipeline.asked))
    journal.count("runs that failed", sum(not asked.succeeded for asked in pipeline.asked))
