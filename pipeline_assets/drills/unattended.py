"""A pipeline that nobody watches: its real sensors and schedules, on its own Dagster instance, by a clock that is set.

What Dagster's daemon does is done here, in this process: cursors are kept, a run key makes one run, a schedule fires
when its time has passed, what a sensor reports is recorded, and what is asked for is executed. Runs go on one after the
other and take no time of the clock.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULE_NAME_TAG, SENSOR_NAME_TAG
from dagster._utils.schedules import reverse_cron_string_iterator

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.commands.chains import prepare_home
from pipeline_assets.core.healing.plan import Plan
from pipeline_assets.definitions import Surveyor, build_definitions, build_surveyor
from pipeline_assets.drills.recall import Recall
from pipeline_assets.settings import Params, Settings

TICK: Final = timedelta(seconds=30)
_QUIET_TICKS: Final = 9  # longer than healing waits after a failed attempt, but for the last of its attempts
_MAX_TICKS: Final = 400  # of one settling; more would be a loop
_EMERGENCIES_ONLY: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # failures are wanted here
_PARTITION: Final = "dagster/partition"
_RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_ALERTS_LOG: Final = "pipeline_assets.alerts"  # they are wanted here, too, and the drills look at them
_MEMORY: Final = "daemon.json"
_NEVER: Final = "0001-01-01T00:00:00+00:00"
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Asked:
    """One run that was asked for, and how it went.

    Attributes:
        by: The sensor or schedule.
        key: Its run key.
        job: The chain.
        first: Its first partition.
        last: Its last one.
        assets: What it was to make; all of the chain where empty.
        at: When it was asked for, by the clock of the pipeline.
        succeeded: Whether it went through.
    """

    by: str
    key: str
    job: str
    first: date
    last: date
    assets: tuple[str, ...]
    at: datetime
    succeeded: bool

    def covers(self, day: date) -> bool:
        """Whether a day is among its partitions."""
        return self.first <= day <= self.last

    def __str__(self) -> str:
        """For a person."""
        span = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        what = f" ({', '.join(self.assets)})" if self.assets else ""
        return f"{self.by}: {self.job} {span}{what}{'' if self.succeeded else ', which failed'}"


class Unattended:
    """A pipeline with its data root, its Dagster instance and its clock; to be opened with :func:`open_unattended`.

    Attributes:
        asked: All runs that were asked for since it was opened.
        n_ticks: How often its sensors were evaluated.
        recall: What its sensors need not look at again.
    """

    def __init__(self, folder: Path, params: Params, now: datetime, clock: Clock | None = None) -> None:
        """Use ``folder``, with the data root in ``data`` and the instance in ``dagster``.

        Args:
            folder: See there.
            params: The parameters.
            now: What its clock says first, where it is set.
            clock: Another one, which cannot be set.
        """
        self.folder, self.root = folder, folder / "data"
        self._now, self._clock = now, clock or (lambda: self._now)
        settings = Settings(str(self.root), params, params.history_start or now.date())
        self.definitions = build_definitions(settings, lambda: self.now)
        self.stores: Stores = open_stores(str(self.root))
        self.surveyor: Surveyor = build_surveyor(settings)
        self.instance = dg.DagsterInstance.get()
        self.asked, self.n_ticks = list[Asked](), 0
        self.recall = Recall(self.instance, self.root)
        self._resources = dict(self.definitions.resources or {}) | {"stores": self.recall.stores}
        self._repository = self.definitions.get_repository_def()
        self._memory = _read_memory(folder / _MEMORY)

    @property
    def now(self) -> datetime:
        """What its clock says; to be set."""
        return self._clock()

    @now.setter
    def now(self, moment: datetime) -> None:
        self._now = moment

    @property
    def alerts(self) -> Alerts:
        """Its alerts."""
        alerts: Alerts = self._resources["alerts"]
        return alerts

    def close(self) -> None:
        """Keep what the daemon remembers, so that a copy of the folder goes on from here."""
        (self.folder / _MEMORY).write_text(json.dumps(self._memory | {"now": self.now.isoformat()}), encoding="utf-8")
        self.instance.dispose()

    def plan(self) -> Plan:
        """What must be made again now."""
        return self.surveyor.survey(self.instance, self.stores, self.now)[1]

    def find_signs(self) -> set[str]:
        """What says that something is not well: open alerts, holds, damage that is noted."""
        signs = {f"alert {incident.alert.key}" for incident in self.alerts.list_open()}
        signs |= {f"hold {hold.key}" for hold in self.stores.holds.list_held()}
        return signs | {f"damage {key}" for key in self.stores.damage.load()}

    def tick(self) -> list[Asked]:
        """Evaluate what is due by the clock and execute what it asks for."""
        self.recall.forget()  # whoever calls may have changed something
        return self._tick()

    def settle(self, until: Callable[[], bool] = lambda: False) -> list[Asked]:
        """Tick twice a minute until nothing was asked for in the last minutes, or something is so.

        Raises:
            RuntimeError: It goes on and on.
        """
        self.recall.forget()
        before, quiet = len(self.asked), 0
        for _ in range(_MAX_TICKS):
            quiet = 0 if self._tick() else quiet + 1
            self.now += TICK
            if quiet == _QUIET_TICKS or until():
                return self.asked[before:]
        raise RuntimeError(f"runs are asked for without end; the last ones: {'; '.join(map(str, self.asked[-10:]))}")

    def leave_alone(self, hours: float) -> list[Asked]:
        """Tick twice a minute for some hours."""
        self.recall.forget()
        before, end = len(self.asked), self.now + timedelta(hours=hours)
        while self.now < end:
            self._tick()
            self.now += TICK
        return self.asked[before:]

    def execute(self, job: str, day: date, assets: Sequence[str], config: dict[str, Any] | None = None) -> bool:
        """Execute a part of a chain by hand; whether it went through."""
        return self._execute(job, {_PARTITION: f"{day}"}, [dg.AssetKey(asset) for asset in assets], config or {})

    def _tick(self) -> list[Asked]:
        self.n_ticks += 1
        before = len(self.asked)
        for schedule in self._repository.schedule_defs:
            moment = self._find_moment(schedule)
            if moment is not None:
                self._evaluate_schedule(schedule, moment)
        for sensor in self._repository.sensor_defs:
            if self._is_due(sensor):
                self._evaluate_sensor(sensor)
        return self.asked[before:]

    def _find_moment(self, schedule: dg.ScheduleDefinition) -> datetime | None:
        """The latest time of a schedule that has passed and was not seen to; earlier ones are not caught up on."""
        assert isinstance(schedule.cron_schedule, str)
        latest = next(reverse_cron_string_iterator(self.now.timestamp(), schedule.cron_schedule, "UTC"))
        fired = self._memory["fired"].setdefault(schedule.name, [])
        known = [moment for moment in fired if moment <= self.now.timestamp()]  # others are of a clock that was wrong
        if not known:
            fired.append(self.now.timestamp())
        if not known or latest.timestamp() <= max(known):
            return None
        fired.append(latest.timestamp())
        return latest

    def _evaluate_schedule(self, schedule: dg.ScheduleDefinition, moment: datetime) -> None:
        resources = {name: self._resources[name] for name in schedule.required_resource_keys}
        repository = self._repository
        with dg.build_schedule_context(
            self.instance, moment, resources=resources, repository_def=repository
        ) as context:
            data = schedule.evaluate_tick(context)
        for request in data.run_requests or ():
            self._answer(schedule.name, SCHEDULE_NAME_TAG, request, schedule.job_name)

    def _is_due(self, sensor: dg.SensorDefinition) -> bool:
        ticked = self._memory["ticked"].get(sensor.name)
        elapsed = None if ticked is None else self.now.timestamp() - ticked
        return elapsed is None or elapsed < 0 or elapsed >= (sensor.minimum_interval_seconds or 0)

    def _evaluate_sensor(self, sensor: dg.SensorDefinition) -> None:
        self._memory["ticked"][sensor.name] = self.now.timestamp()
        resources = {name: self._resources[name] for name in sensor.required_resource_keys}
        cursor, definitions = self._memory["cursors"].get(sensor.name), self.definitions
        with (
            dg.build_sensor_context(self.instance, cursor, resources=resources, definitions=definitions) as context,
            self.recall.looking(),
        ):
            data = sensor.evaluate_tick(context)
        self._memory["cursors"][sensor.name] = data.cursor
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
            self.recall.forget()
        for request in data.run_requests or ():
            self._answer(sensor.name, SENSOR_NAME_TAG, request, request.job_name or sensor.job_name)

    def _answer(self, by: str, tag: str, request: dg.RunRequest, job: str | None) -> None:
        """Execute what was asked for, unless its run key was answered before."""
        assert job is not None
        if request.run_key:
            runs = self.instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: request.run_key}))
            if any(run.tags.get(tag) == by for run in runs):
                return
        tags = {**request.tags, tag: by, RUN_KEY_TAG: request.run_key or ""}
        if request.partition_key:
            tags[_PARTITION] = request.partition_key
        first, last = (tags.get(name) or tags[_PARTITION] for name in _RANGE)
        assets = list(request.asset_selection or ())
        succeeded = self._execute(job, tags, assets, {})
        names = tuple(key.to_user_string() for key in assets)
        days = date.fromisoformat(first), date.fromisoformat(last)
        self.asked.append(Asked(by, request.run_key or "", job, *days, names, self.now, succeeded))

    def _execute(self, job: str, tags: dict[str, str], assets: list[dg.AssetKey], config: dict[str, Any]) -> bool:
        result = self.definitions.resolve_job_def(job).execute_in_process(
            run_config=_EMERGENCIES_ONLY | config,
            instance=self.instance,
            raise_on_error=False,
            asset_selection=assets or None,
            tags=tags,
        )
        self.recall.forget()
        return result.success


@contextmanager
def open_unattended(
    folder: Path, params: Params, now: datetime | None = None, clock: Clock | None = None
) -> Iterator[Unattended]:
    """The pipeline of ``folder``, which is made if it is not there; it goes on at the time at which it was left.

    Until it is closed ``DAGSTER_HOME`` is its own, and Dagster's clock, which decides on the partitions that there are,
    is the pipeline's.
    """
    left = datetime.fromisoformat(_read_memory(folder / _MEMORY).get("now", _NEVER))
    with patch.dict(os.environ, {"DAGSTER_HOME": str(folder / "dagster")}):
        if not (folder / "dagster").exists():
            prepare_home(str(folder / "data"))
        pipeline = Unattended(folder, params, now or left, clock)

        def read_timestamp() -> float:
            return pipeline.now.timestamp()

        with (
            patch("dagster._time._mockable_get_current_datetime", lambda: pipeline.now),
            patch("dagster._time._mockable_get_current_timestamp", read_timestamp),
            patch.object(logging.getLogger(_ALERTS_LOG), "filter", lambda _: False),
        ):
            try:
                yield pipeline
            finally:
                pipeline.close()


def forget_landed(folder: Path) -> None:
    """Let the sensor on landed files look anew: in a copied folder the same files have other stamps."""
    memory = _read_memory(folder / _MEMORY)
    memory["cursors"].pop("transactions_landed", None)
    (folder / _MEMORY).write_text(json.dumps(memory), encoding="utf-8")


def _read_memory(path: Path) -> dict[str, Any]:
    """What the daemon remembers: cursors and last ticks of sensors, and when schedules fired."""
    empty: dict[str, Any] = {"cursors": {}, "ticked": {}, "fired": {}}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty
