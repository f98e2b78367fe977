"""Everything that is no data, dropped into the landing zone of a pipeline that nobody watches.

Each thing is named within a second; the day and all others go on with the rest; nothing of it gets into a snapshot.
Among it are two files of the day itself, one under a name that is no UTF-8, one that cannot be read: when that is
mended, they come in by themselves.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import open_storage, within
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.drills.drill import Drill, Journal
from pipeline_assets.drills.histories import (
    compare,
    land_day,
    list_last_days,
    live_day,
    make_params,
    note_runs,
    open_history,
    verify,
)
from pipeline_assets.drills.unattended import TICK, Unattended
from pipeline_assets.drills.world import World

_DAYS: Final = 1  # before the world's end
_SECONDS: Final = 1.0  # to name a thing, all that has landed being read
_ALERT: Final = "alert refused/landing/"
_CAPGET, _CAPSET = {"x86_64": (125, 126)}.get(os.uname().machine, (90, 91))
_CAPABILITIES_VERSION: Final = 0x20080522
_READS_EVERYTHING: Final = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_LATIN: Final = os.fsdecode(b"nachtr\xe4glich.parquet")


def _make_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe.csv")
    return "pipe.csv"


def _make_socket(folder: Path) -> str:
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket.csv")
    finally:
        os.fchdir(here)
        os.close(here)
    return "socket.csv"


def _make_device(folder: Path) -> str:
    os.mknod(folder / "device.csv", 0o20644, os.makedev(1, 5))  # /dev/zero, which has no end
    return "device.csv"


def _link(folder: Path, target: str, name: str) -> str:
    (folder / name).symlink_to(target)
    return name


def _make_folder(folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return name


def _write(folder: Path, name: str, shown: str) -> str:
    (folder / name).write_bytes(b"1")
    return shown


# By what it is: makes it in a folder, and gives the name under which it is to be told.
THINGS: Final[dict[str, Callable[[Path], str]]] = {
    "a named pipe": _make_pipe,
    "a socket": _make_socket,
    "a dangling link": lambda folder: _link(folder, "nothing", "dangling.csv"),
    "a link to a file": lambda folder: _link(folder, "/etc/hostname", "link.csv"),
    "a link to itself": lambda folder: _link(folder, "loop.csv", "loop.csv"),
    "a link to a folder": lambda folder: _link(folder, "/proc", "proc"),
    "a folder that is called like a file": lambda folder: _make_folder(folder, "x.parquet"),
    "a name that is no UTF-8": lambda folder: _write(folder, os.fsdecode(b"caf\xe9.csv"), "caf\\xe9.csv"),
    "a name with a line in it": lambda folder: _write(folder, "a\nb.csv", "a\\x0ab.csv"),
    "a long name": lambda folder: _write(folder, "x" * 250 + ".csv", f"{'x' * 60}...{'x' * 16}.csv (254 characters)"),
} | ({"a device": _make_device} if os.geteuid() == 0 else {})


def run_hostile(world: World, journal: Journal) -> None:
    """See the module."""
    (day,) = list_last_days(world, _DAYS)
    with without_superuser_reading(), open_history(world, _DAYS, "hostile-names") as pipeline:
        zone = pipeline.root / "landing" / Feed.TRANSACTIONS.value
        before = zone / f"{day - timedelta(days=1)}"
        _name_each(pipeline, journal, before)
        broken: list[Path] = []

        def land() -> None:
            land_day(world, pipeline, day)
            broken.extend(_spoil(pipeline, journal, day))
            for make in THINGS.values():
                make(zone / f"{day}")
            (zone / f"{day + timedelta(days=1)}").symlink_to(before)
            journal.broke("a linked folder of a day")
            journal.broke("things dropped into the day itself", len(THINGS))

        began = time.monotonic()
        live_day(world, pipeline, day, land)
        journal.note(f"the day went on in {time.monotonic() - began:.1f} s")
        _judge(world, pipeline, journal, day)
        began = time.monotonic()
        _mend(zone, day, before, *broken)
        pipeline.settle()
        journal.recovered(time.monotonic() - began)
        note_runs(journal, pipeline)
        verify(world, pipeline, journal, "after all was mended")


def _name_each(pipeline: Unattended, journal: Journal, folder: Path) -> None:
    """Drop one thing after the other into the folder of a day that was ingested; each is to be told at once."""
    for what, make in THINGS.items():
        n_runs = len(pipeline.asked)
        shown = make(folder)
        journal.broke(what)
        began = time.monotonic()
        named = [one.path for one in _open_zone(pipeline).list_refused()]
        seconds = time.monotonic() - began
        path = f"{Feed.TRANSACTIONS.value}/{folder.name}/{shown}"
        if path not in named or seconds > _SECONDS:
            journal.fail(f"{what}: expected {path} to be named in {_SECONDS:g} s, found {named} in {seconds:.1f} s")
        pipeline.now += TICK
        pipeline.tick()
        journal.detected(time.monotonic() - began)
        if f"{_ALERT}{path}" not in pipeline.find_signs():
            journal.fail(f"{what}: expected an alert that names {path}, found {sorted(pipeline.find_signs())}")
        if len(pipeline.asked) > n_runs:
            journal.fail(f"{what}: expected no run, found {pipeline.asked[-1]}")
        _remove(folder, make)
    pipeline.now += TICK
    pipeline.tick()
    if any(sign.startswith(_ALERT) for sign in pipeline.find_signs()):
        journal.fail(f"expected no alert on what was removed, found {sorted(pipeline.find_signs())}")
    for make in THINGS.values():  # and all together, to stay
        make(folder)


def _remove(folder: Path, make: Callable[[Path], str]) -> None:
    """Remove what ``make`` makes, by making it once more elsewhere to learn its name."""
    aside = folder.parent / "aside"
    aside.mkdir()
    make(aside)
    for path in aside.iterdir():
        _delete(folder / path.name)
    shutil.rmtree(aside)


def _delete(path: Path) -> None:
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _open_zone(pipeline: Unattended) -> LandingZone:
    return LandingZone(within(open_storage(str(pipeline.root)), "landing"))


def _spoil(pipeline: Unattended, journal: Journal, day: date) -> tuple[Path, Path]:
    """Give the day's late file a name that is no UTF-8, and its reports no right to be read; where they should be."""
    zone = pipeline.root / "landing"
    late = next(path for path in (zone / Feed.TRANSACTIONS.value / f"{day}").iterdir() if "late" in path.name)
    late.rename(late.with_name(_LATIN))
    reports = next(iter(sorted((zone / Feed.CHARGEBACKS.value / f"{day}").iterdir())))
    reports.chmod(0)
    journal.broke("payments under a name that is no UTF-8")
    journal.broke("reports that cannot be read")
    return late, reports


def _judge(world: World, pipeline: Unattended, journal: Journal, day: date) -> None:
    """The day was made from the rest, people were told of each thing, and nothing else changed or was kept."""
    for asked in pipeline.asked:
        if not asked.succeeded:
            journal.fail(f"expected every run to go through, found {asked}")
    if pipeline.stores.records.find(Key(SCORES.name, day)) is None:
        journal.fail(f"expected {day} to go on with the rest, found no scores of it")
    if pipeline.plan().repairs:
        journal.fail(f"expected nothing to be made again, found {pipeline.plan().repairs[0]}")
    refused = _open_zone(pipeline).list_refused()
    signs = [sign for sign in pipeline.find_signs() if sign.startswith(_ALERT)]
    if len(refused) != 2 * len(THINGS) + 3 or len(signs) != 21:  # twenty are told one by one, the rest together
        journal.fail(f"expected {2 * len(THINGS) + 3} things refused and 21 alerts, found {len(refused)}, {len(signs)}")
    earlier = [f"{day - timedelta(days=back)}" for back in range(1, 40)]
    names = {path.name for path in (pipeline.root / "landing" / "transactions" / earlier[0]).iterdir()}
    whole = {path.name for path in (world.complete / "landing" / "transactions" / earlier[0]).iterdir()}

    def may_differ(path: str) -> bool:
        is_dropped = path.startswith("landing/") and path.rpartition("/")[2] in names - whole
        return is_dropped or f"{day}" in path or not any(text in path for text in earlier)

    found = compare(world, pipeline.root, may_differ)
    journal.count("files equal while all of it lay there", found.n_equal)
    for path in (*found.missing, *found.surplus, *found.changed):
        journal.fail(f"expected the days before {day} to be as ever while all of it lies there, found {path} is not")
    remotes = open_replicas(pipeline.stores.root, make_params(world.params, pipeline.folder).snapshots.remotes)
    snapshots = Snapshots(pipeline.stores.root, remotes)
    latest = snapshots.list()[-1]
    kept = [path for path in snapshots.list_files(latest) if path.startswith("landing/") and f"{day}" in path]
    if not kept or any(Path(path).name in names - whole or _LATIN in path for path in kept):
        journal.fail(f"expected the files of {day} and nothing else in snapshot {latest.sequence}, found {kept}")


def _mend(zone: Path, day: date, before: Path, late: Path, reports: Path) -> None:
    """Remove what is no data; rename and open what is."""
    for folder in (zone / f"{day}", before):
        for make in THINGS.values():
            _remove(folder, make)
    (zone / f"{day + timedelta(days=1)}").unlink()
    late.with_name(_LATIN).rename(late)
    reports.chmod(0o640)


@contextlib.contextmanager
def without_superuser_reading() -> Iterator[None]:
    """Let files without the right to be read be unreadable for this thread and those that it starts, as for anybody."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the higher ones
    if libc.syscall(_CAPGET, header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    effective = sets[0]
    sets[0] = effective & ~_READS_EVERYTHING
    if libc.syscall(_CAPSET, header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        sets[0] = effective
        libc.syscall(_CAPSET, header, sets)


HOSTILE: Final = Drill(
    "hostile_names", "what is no data is dropped into the landing zone: pipes, links, names", run_hostile
)
