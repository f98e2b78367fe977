"""What an instance that was lost, or never knew, is told of what is there: without a run, and only what is proved."""

from datetime import date, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.tree import NodeId
from pipeline_assets.defs import history
from pipeline_assets.defs.history import list_forgotten
from pipeline_assets.defs.instance import look_at_instance
from pipeline_assets.defs.origins import find_origins
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import FEATURES, World, fail

DAY = timedelta(days=1)
CUT = START + 5 * DAY


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Six days, everything well, and an instance that knows of nothing."""
    return copy_world(CUT)


def enter_everything(world: World) -> list[tuple[str, str]]:
    """Tick until nothing is entered any more; what was, in order."""
    entered = []
    while events := world.evaluate("history_forgotten").asset_events:
        for event in events:
            world.instance.report_runless_asset_event(event)
            entered.append((event.asset_key.to_user_string(), event.partition))
    return entered


def list_made(world: World) -> set[tuple[str, str]]:
    made = {(key.asset, f"{key.day}") for key in world.stores.records.load_all()}
    return made | {(table.name, f"{day}") for table in history._REPORTS for day in world.stores.reports.days(table)}


def test_a_lost_instance_learns_of_all_that_is_there_and_no_sensor_asks_for_a_run(world: World) -> None:
    entered = enter_everything(world)
    assert sorted(entered) == sorted(list_made(world))
    for sensor in ("transactions_landed", "partition_failed", "partition_failed", "drift_detected"):
        world.cursors.pop("transactions_landed", None)
        assert world.tick(sensor) == []
    assert world.instance.get_runs_count() == 0


def test_upstream_is_entered_before_what_is_made_from_it_and_new_days_before_old_ones(world: World) -> None:
    entered = enter_everything(world)
    order = [asset for asset, _ in entered]
    assert order.index("transactions") < order.index("customer_features") < order.index("scores")
    days = [day for asset, day in entered if asset == "transactions"]
    assert days == sorted(days, reverse=True)


def test_a_tick_enters_a_bounded_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_EVENTS_A_TICK", 4)
    events = world.evaluate("history_forgotten").asset_events
    assert len(events) == 4
    assert len(enter_everything(world)) == len(list_made(world))


def test_what_is_entered_has_the_hash_of_its_record_and_no_run_is_its_origin(world: World) -> None:
    enter_everything(world)
    record = world.stores.records.find(Key("scores", CUT))
    assert record is not None
    (found,) = world.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("scores"), asset_partitions=[f"{CUT}"]), limit=9
    ).records
    told = found.asset_materialization
    assert told is not None
    assert told.tags is not None
    assert told.tags[DATA_VERSION_TAG] == told.metadata["md5"].value == record.md5
    assert find_origins(world.instance, [NodeId(record.key, record.md5)]) == {}


def test_what_the_instance_knows_is_not_entered_again_whatever_it_knows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipeline_assets.adapters.stages.features.build_features", fail(ZeroDivisionError()))
        assert not world.materialize(FEATURES, CUT).success  # the record of before is there all the same
    assert world.materialize(("scores",), CUT).success
    entered = enter_everything(world)
    assert not {("scores", f"{CUT}"), *((asset, f"{CUT}") for asset in FEATURES)} & set(entered)
    failed = look_at_instance(world.instance, world.surveyor.calendar, world.surveyor.recipes).failed
    assert {key.asset for key in failed} == set(FEATURES)
    assert list(list_forgotten(world.instance, world.stores, world.surveyor)) == []


def test_what_lies_outside_the_calendar_is_left_alone(copy_world: CopyWorld) -> None:
    world = copy_world(CUT, landed_until=CUT - 2 * DAY)
    assert max(date.fromisoformat(day) for _, day in enter_everything(world)) == CUT - 2 * DAY
