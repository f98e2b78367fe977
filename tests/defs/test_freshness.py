"""Lateness is told at the assets and as few alerts, changes only with the days that are owed, and starts no run."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from pipeline_assets.core.lineage.records import Key
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import DAY, World

CUT = START + 5 * DAY
DUE = timedelta(days=1, hours=7, minutes=1)  # from the beginning of a day to its deadline


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Six days of a history that goes on, all made; the last of them has just become due."""
    world = copy_world(CUT)
    world.reopen(replace(world.params, history_end=None))
    world.clock.now = datetime.combine(CUT, time(), UTC) + DUE
    return world


def tick(world: World) -> dict[str, bool]:
    """One tick of the sensor; by asset, what it says for the first time or anew. It never asks for a run."""
    with freeze_time(world.clock.now):  # Dagster's calendar reads the same clock
        result = world.evaluate("partition_late")
    assert not result.run_requests
    world.cursors["partition_late"] = result.cursor
    world.clock.advance(seconds=60)
    events: list[Any] = list(result.asset_events)
    assert all(event.check_name == "is_on_time" for event in events)
    assert all(event.severity is dg.AssetCheckSeverity.WARN for event in events)
    return {event.asset_key.to_user_string(): event.passed for event in events}


def list_alerts(world: World) -> list[str]:
    return [incident.alert.key for incident in world.alerts.list_open()]


def count_told(world: World) -> int:
    return len(world.alerts.list_history())


def test_what_is_on_time_is_said_once(world: World) -> None:
    first = tick(world)
    assert set(first) == set(world.surveyor.recipes)
    assert all(first.values())
    assert tick(world) == {}
    assert count_told(world) == 0


@pytest.mark.parametrize(
    "cursor", ["not json", "[1]", '{"tick": "never", "verdicts": {}}', '{"tick": 7, "verdicts": []}', '{"tick": null}']
)
def test_a_broken_cursor_starts_anew(world: World, cursor: str) -> None:
    world.cursors["partition_late"] = cursor
    assert set(tick(world)) == set(world.surveyor.recipes)
    assert tick(world) == {}


def test_a_late_partition_is_said_at_its_asset_and_told_once(world: World) -> None:
    world.stores.records.delete(Key("scores", CUT))
    assert [asset for asset, is_fresh in tick(world).items() if not is_fresh] == ["scores"]
    assert [tick(world) for _ in range(5)] == [{}] * 5
    assert list_alerts(world) == ["freshness/late"]
    assert count_told(world) == 1
    assert world.materialize(["scores"], CUT).success
    assert tick(world) == {"scores": True}
    assert list_alerts(world) == []


def test_nothing_is_late_before_its_deadline(world: World) -> None:
    world.stores.records.delete(Key("scores", CUT))
    world.clock.advance(minutes=-2)
    assert all(tick(world).values())


def test_what_a_run_is_making_is_not_late(world: World) -> None:
    world.stores.records.delete(Key("scores", CUT))
    job, tags = world.definitions.resolve_job_def("daily"), {"dagster/partition": f"{CUT}"}
    world.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert all(tick(world).values())


def test_a_day_without_files_is_told_once_for_all_assets_together(world: World) -> None:
    shutil.rmtree(world.root / "landing" / "transactions" / f"{CUT}")
    for asset in world.surveyor.recipes:
        world.stores.records.delete(Key(asset, CUT))
    said = tick(world)
    assert not said["transactions"]
    assert not said["scores"]
    assert [tick(world) for _ in range(3)] == [{}] * 3
    assert list_alerts(world) == ["freshness/input_missing"]
    assert count_told(world) == 1


def test_making_old_days_again_changes_nothing(world: World) -> None:
    world.stores.records.delete(Key("scores", CUT))
    tick(world)
    assert world.run_chain(START, START + 2 * DAY, "ingestion", "scoring").success
    assert tick(world) == {}
    assert list_alerts(world) == ["freshness/late"]


def test_a_history_that_ended_long_ago_is_never_late(copy_world: CopyWorld) -> None:
    world = copy_world(START + DAY, landed_until=CUT)  # four days were never made
    world.clock.advance(days=365)
    said = tick(world)
    assert set(said) == set(world.surveyor.recipes)
    assert all(said.values())
    assert count_told(world) == 0


@pytest.mark.parametrize("days", [40, 400, -400])
def test_a_wrong_clock_is_told_once_and_makes_nothing_late_and_nothing_run(world: World, days: int) -> None:
    tick(world)
    world.stores.records.delete(Key("scores", CUT - DAY))
    right = world.clock.now
    world.clock.now += timedelta(days=days)
    assert [tick(world) for _ in range(3)] == [{}] * 3
    assert list_alerts(world) == ["freshness/clock"]
    schedule = world.definitions.resolve_schedule_def("daily_at_five")
    context = dg.build_schedule_context(
        instance=world.instance, scheduled_execution_time=world.clock.now, resources={"stores": world.stores}
    )
    assert isinstance(schedule(context), dg.SkipReason)
    world.clock.now = right
    said = [tick(world) for _ in range(2)]
    assert {"scores": False} in said
    assert list_alerts(world) == ["freshness/late"]
    assert count_told(world) == 2


def test_a_clock_that_was_wrong_for_a_moment_is_believed_again_when_it_is_right(copy_world: CopyWorld) -> None:
    world = copy_world(CUT)
    right = world.clock.now
    world.clock.now += timedelta(days=400)  # of a history that is over, nothing tells that this is wrong
    assert all(tick(world).values())
    world.clock.now = right
    world.stores.records.delete(Key("scores", CUT))
    assert tick(world) == {}
    assert list_alerts(world) == ["freshness/clock"]
    assert tick(world) == {"scores": False}
    assert list_alerts(world) == ["freshness/late"]


@pytest.mark.parametrize("folder", ["9999-12-31", "2062-01-01"])
def test_a_folder_with_a_mistyped_day_is_named_and_stops_nothing(world: World, folder: str) -> None:
    transactions = world.root / "landing" / "transactions"
    shutil.copytree(transactions / str(CUT), transactions / folder)
    with freeze_time(world.clock.now):
        assert world.tick() == []
        assert "clock" not in (world.evaluate("accuracy_dropped").skip_message or "")
        world.evaluate("landed_refused")
    assert all(tick(world).values())
    (alert,) = list_alerts(world)
    assert alert.startswith(f"refused/landing/transactions/{folder}")
    world.stores.records.delete(Key("scores", CUT))
    with freeze_time(world.clock.now):
        lake, plan = world.surveyor.survey(world.instance, world.stores, world.clock.now)
    assert {repair.key for repair in plan.repairs} == {Key("scores", CUT)}
    assert max(lake.landed) == CUT
    shutil.rmtree(transactions / folder)
    world.evaluate("landed_refused")
    assert list_alerts(world) == []
