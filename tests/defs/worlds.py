"""Copies of the built world that a test may break: with a clock and an instance of their own, driven in this process.

A world that is cut off after a day is a copy of what the built one was then: no partition knows the days after it.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.integrity import find_damage, mend
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.commands.chains import Chains
from pipeline_assets.commands.healing import Healer
from pipeline_assets.contracts.vocabularies import Cadence, Feed
from pipeline_assets.core.healing.plan import Lake, Plan
from pipeline_assets.definitions import Surveyor, build_definitions, build_surveyor
from pipeline_assets.defs.instance import RANGE_END_TAG, RANGE_START_TAG
from pipeline_assets.drills.verify import leave_out_place
from pipeline_assets.settings import Params, Settings
from tests.defs.conftest import START

DAY = timedelta(days=1)
WEEKS = (START + 35 * DAY, START + 42 * DAY)
KEPT = ("lake", "models", "release", "records")  # the folders whose bytes follow from what landed
TABLES = ("transactions", "chargebacks", "quarantine", "ledger")
FEATURES = ("customer_features", "terminal_features")
WEEKLY = ("training_set", "fraud_model", "model_evaluation", "drift_reference")
DAILY_GROUPS = ("ingestion", "features", "release", "scoring", "monitoring")
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_DAY_IN_NAME = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass
class Clock:
    """What the sensors take for the time."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> None:
        self.now += timedelta(**units)


@dataclass
class World:
    """One data root; ``tick`` and ``execute`` do what the daemon does."""

    root: Path
    params: Params
    definitions: dg.Definitions
    surveyor: Surveyor
    stores: Stores
    alerts: Alerts
    instance: dg.DagsterInstance
    clock: Clock
    cursors: dict[str, str | None] = field(default_factory=dict)

    def reopen(self, params: Params) -> None:
        """Go on under other parameters."""
        opened = Settings(str(self.root), params, START)
        self.params = params
        self.definitions, self.surveyor = build_definitions(opened, self.clock), build_surveyor(opened)

    def materialize(
        self,
        assets: Collection[str],
        first: date,
        last: date | None = None,
        config: Mapping[str, object] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """One run that makes ``assets`` from ``first`` to ``last``, with their checks."""
        cadence = Cadence.WEEKLY if set(assets) <= set(WEEKLY) else Cadence.DAILY
        tags = {"dagster/partition": f"{first}"}
        if last is not None and last != first:
            tags = {RANGE_START_TAG: f"{first}", RANGE_END_TAG: f"{last}"}
        return self._run(cadence, [dg.AssetKey(asset) for asset in assets], tags, config)

    def run_chain(self, first: date, last: date | None = None, *groups: str) -> dg.ExecuteInProcessResult:
        """The daily chain, or some groups of it, in one run."""
        selected = dg.AssetSelection.groups(*(groups or DAILY_GROUPS)).resolve(self.definitions.resolve_asset_graph())
        return self.materialize(sorted(key.to_user_string() for key in selected), first, last)

    def tick(self, sensor: str = "partition_failed") -> list[dg.RunRequest]:
        """One tick of a sensor; what it asks for is not made."""
        result = self.evaluate(sensor)
        self.cursors[sensor] = result.cursor
        return list(result.run_requests or [])

    def evaluate(self, sensor: str) -> Any:
        definition = self.definitions.resolve_sensor_def(sensor)
        known: dict[str, Any] = {"stores": self.stores, "alerts": self.alerts}
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            resources={name: known[name] for name in definition.required_resource_keys},
            definitions=self.definitions,
        )
        return definition.evaluate_tick(context)

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """The run that is asked for, exactly as it is."""
        tags = dict(request.tags)
        if request.partition_key:
            tags["dagster/partition"] = request.partition_key
        cadence = Cadence(request.job_name or "daily")  # the only job of the sensor on the landing zone
        return self._run(cadence, request.asset_selection, tags)

    def drive(self, n_ticks: int = 10, seconds: float = 30) -> list[dg.RunRequest]:
        """Tick, and make what is asked for at once, until ``n_ticks`` are over; all that was asked for."""
        asked = []
        for _ in range(n_ticks):
            requests = self.tick()
            for request in requests:
                self.execute(request)
            asked += requests
            self.clock.advance(seconds=seconds)
        return asked

    def drive_landing(self) -> None:
        """Make, in their order, the days that the sensor on the landing zone asks for."""
        while requests := self.tick("transactions_landed"):
            for request in requests:
                self.execute(request)

    def read_tags(self, result: dg.ExecuteInProcessResult) -> dict[str, str]:
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        return dict(run.tags)

    def find_landed(self, day: date) -> Path:
        """The day's file of payments."""
        (name,) = self.stores.landing.list_files(Feed.TRANSACTIONS, day)
        return self.root / "landing" / "transactions" / f"{day}" / name

    def poison(self, day: date, share: int = 2) -> bytes:
        """Break every ``share``-th row of the day's file of payments; its bytes before."""
        path = self.find_landed(day)
        sound, is_broken = path.read_bytes(), pl.int_range(pl.len()) % share == 0
        broken = pl.when(is_broken).then(-1).otherwise("amount_cents").alias("amount_cents")
        pl.read_parquet(path).with_columns(broken).write_parquet(path)
        return sound

    def survey(self) -> tuple[Lake, Plan]:
        return self.surveyor.survey(self.instance, self.stores, self.clock())

    def list_repairs(self) -> set[str]:
        """What the plan would make again, of all that can be seen with every byte read."""
        with self._as_default_instance():
            healer = self.open_healer()
            return {str(repair.key) for repair in healer.plan(healer.verify())[1].repairs}

    def open_healer(self) -> Healer:
        replicas = open_replicas(self.stores.root, self.params.snapshots.remotes)
        return Healer(self.surveyor, self.stores, replicas, lambda _: None)

    def note_damage(self) -> None:
        """Read every byte, as the asset ``integrity`` does in a week, where there is no replica."""
        mend(self.stores, find_damage(self.stores, list(self.stores.records.load_all().values())), [])

    def heal(self) -> None:
        """As ``pipeline-assets heal --apply``."""
        with self._as_default_instance():
            healer = self.open_healer()
            healer.apply(Chains(self.definitions, lambda _: None), healer.verify())

    def hash(self, *folders: str) -> dict[str, str]:
        """Hash of each file below some folders; of those that follow from what landed by default.

        Of the release log it is what was decided, not how often it was decided again until all was known.
        """
        hashes = {}
        for folder in folders or KEPT:
            for file in sorted(one for one in (self.root / folder).rglob("*") if one.is_file()):
                path, content = leave_out_place(file.relative_to(self.root).as_posix(), file.read_bytes())
                hashes[path] = hashlib.md5(content).hexdigest()
        return hashes

    def stamp(self) -> dict[str, tuple[int, int]]:
        """What changes of each file when it is written again, be it with the same bytes."""
        paths = (path for folder in KEPT for path in (self.root / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}

    @contextmanager
    def _as_default_instance(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(self.instance))
            yield

    def _run(
        self,
        cadence: Cadence,
        assets: Sequence[dg.AssetKey] | None,
        tags: dict[str, str],
        config: Mapping[str, object] | None = None,
    ) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(cadence).execute_in_process(
            instance=self.instance,
            asset_selection=list(assets) if assets else None,
            tags=tags,
            run_config={**_QUIET, **(config or {})},
            raise_on_error=False,
        )


def damage(path: Path) -> None:
    """Turn one bit of a file over, as a disk may do it: nothing but its bytes tells of it."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def make_unreadable(world: World, day: date) -> Callable[[], None]:
    """Let the operating system answer EAGAIN to whoever opens the day's file, as where a file server has a lease on it.

    Gives what repairs it; after 45 seconds the kernel takes the lease back by itself.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which the kernel asks for the lease
    path = world.find_landed(day)
    sound = path.rename(world.root / path.name)
    shutil.copy2(sound, path)
    descriptor = os.open(path, os.O_RDWR)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    with pytest.raises(BlockingIOError):
        os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    leases = [descriptor]

    def repair() -> None:
        if leases:
            os.close(leases.pop())
            path.unlink()
            os.link(sound, path)

    return repair


def fail(error: BaseException) -> Callable[..., object]:
    """A function that does nothing but raise ``error``."""

    def failing(*_: object, **__: object) -> object:
        raise error

    return failing


def copy_world(
    built_root: Path, root: Path, instance: dg.DagsterInstance, until: date, landed_until: date, params: Params
) -> World:
    """What the built world was after ``until``, with what landed until ``landed_until``, which ends its history.

    Its instance knows of no run, and there are no copies to restore anything from.
    """

    def leave_out(folder: str, names: list[str]) -> set[str]:
        last = landed_until if "landing" in Path(folder).relative_to(built_root).parts else until
        days = {name: date.fromisoformat(found[0]) for name in names if (found := _DAY_IN_NAME.search(name))}
        return {name for name, day in days.items() if day > last} | {
            "dagster",
            "reports",
            "remotes",
            "snapshots",
        } & set(names)

    shutil.copytree(built_root, root, ignore=leave_out)
    for number, entry in enumerate(sorted((root / "release" / "entries").iterdir())):  # one a day, from the first on
        if until < START + number * DAY:
            entry.unlink()
    settings = Settings(str(root), replace(params, history_end=landed_until), START)
    clock = Clock(datetime.combine(landed_until + 2 * DAY, time(12), UTC))
    stores = open_stores(str(root))
    seen = {f"{day}": stores.landing.digest(day) for day in stores.landing.list_days(Feed.TRANSACTIONS) if day <= until}
    return World(
        root=root,
        params=settings.params,
        definitions=build_definitions(settings, clock),
        surveyor=build_surveyor(settings),
        stores=stores,
        alerts=Alerts(within(stores.root, "alerts"), ()),
        instance=instance,
        clock=clock,
        cursors={"transactions_landed": json.dumps(seen)},
    )
