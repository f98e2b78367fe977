"""Bytes that rotted are found, by a watch or by whoever reads them, and come back from a replica or are made again."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.adapters.integrity import replicate
from pipeline_assets.core.integrity import choose_records
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.recovery import HEALING_TAG
from tests.defs.conftest import LAST, START, CopyWorld
from tests.defs.worlds import DAY, FEATURES, World, damage

CUT = START + 5 * DAY


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Six days, with a copy of everything in a replica."""
    world = copy_world(CUT)
    replicate(world.stores, world.stores.records.load_all().values(), world.open_healer().replicas)
    return world


def find_file(world: World, key: Key) -> Path:
    return world.root / "lake" / key.asset / f"date={key.day}" / "part.parquet"


def watch(world: World, day: date, *, full: bool = False) -> dg.AssetCheckEvaluation:
    """What the daily watch over the bytes says."""
    config = {"ops": {"integrity": {"config": {"full": full}}}}
    result = world.materialize(["integrity"], day, config=config)
    assert result.success
    (check,) = (one for one in result.get_asset_check_evaluations() if one.check_name == "lake_is_intact")
    return check


def find_turn(world: World, key: Key) -> date:
    """The day, other than the partition's own, on which its bytes are read again."""
    record = world.stores.records.find(key)
    assert record is not None
    days = (START + number * DAY for number in range(14))
    return next(day for day in days if day != key.day and choose_records([record], day, world.params.integrity))


def test_sound_bytes_pass(world: World) -> None:
    assert watch(world, CUT, full=True).passed


@pytest.mark.parametrize("full", [True, False])
def test_a_bit_that_turned_is_found_and_restored_from_the_replica(copy_world: CopyWorld, full: bool) -> None:
    world = copy_world(START + 8 * DAY)
    replicate(world.stores, world.stores.records.load_all().values(), world.open_healer().replicas)
    key, before = Key("transactions", START + DAY), world.hash()
    damage(find_file(world, key))
    assert world.hash() != before
    check = watch(world, START + 8 * DAY if full else find_turn(world, key), full=full)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert world.hash() == before
    assert world.stores.damage.load() == {}
    assert world.drive(3) == []


def test_what_the_replica_lacks_is_made_again_by_the_sensor(copy_world: CopyWorld) -> None:
    world = copy_world(CUT)  # without a replica
    key, before = Key("customer_features", CUT), world.hash()
    damage(find_file(world, key))
    check = watch(world, CUT)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert list(world.stores.damage.load()) == [key]
    assert [request.tags[HEALING_TAG] for request in world.drive()] == [f"build_features@{CUT}..{CUT}"]
    assert world.hash() == before
    assert world.stores.damage.load() == {}
    assert watch(world, CUT).passed


def test_a_damaged_copy_restores_nothing_and_is_mended_from_the_other(world: World) -> None:
    key = Key("transactions", CUT)
    record = world.stores.records.find(key)
    assert record is not None
    copies = [
        world.root / "remotes" / one / "files" / "md5" / record.md5[:2] / record.md5[2:] for one in ("one", "two")
    ]
    damage(copies[0])
    damage(find_file(world, key))
    assert watch(world, CUT).severity is dg.AssetCheckSeverity.WARN
    assert copies[0].read_bytes() == copies[1].read_bytes(), "the copy that was damaged itself is mended from the other"
    for damaged in (*copies, find_file(world, key)):
        damage(damaged)
    assert watch(world, CUT).severity is dg.AssetCheckSeverity.ERROR
    assert list(world.stores.damage.load()) == [key]


def test_who_reads_bytes_that_rotted_stops_says_so_and_all_is_healed(copy_world: CopyWorld) -> None:
    world = copy_world(CUT)
    key, before = Key("transactions", CUT - DAY), world.hash()
    assert world.tick() == []
    damage(find_file(world, key))
    assert not world.materialize(FEATURES, CUT).success
    assert list(world.stores.damage.load()) == [key]
    asked = [request.tags[HEALING_TAG] for request in world.drive()]
    assert f"ingest@{key.day}..{key.day}" in asked
    assert world.hash() == before
    assert world.list_repairs() == set()


def test_a_damaged_model_is_noted_by_the_scores_that_went_on_without_it_and_all_is_healed(
    copy_world: CopyWorld,
) -> None:
    world = copy_world()
    before, week = world.hash(), world.stores.models.as_of_days()[0]  # the champion's
    damage(world.root / "models" / world.stores.models.find(week).path)
    assert world.materialize(["scores"], LAST).success
    assert list(world.stores.damage.load()) == [Key("fraud_model", week)]
    assert world.hash("lake/scores") != {path: md5 for path, md5 in before.items() if path.startswith("lake/scores/")}
    world.drive(12)
    assert world.hash() == before
    assert world.list_repairs() == set()


@pytest.mark.parametrize(("sensor", "table"), [("drift_detected", "drift"), ("accuracy_dropped", "model_health")])
def test_a_damaged_table_is_noted_by_the_sensor_that_reads_it_and_stops_it_not(
    copy_world: CopyWorld, sensor: str, table: str
) -> None:
    world = copy_world()
    world.clock.now = datetime.combine(LAST + DAY, time(12), UTC)
    (path,) = (world.root / "lake" / table / f"date={LAST}").iterdir()
    damage(path)
    assert world.tick(sensor) == []
    assert list(world.stores.damage.load()) == [Key(table, LAST)]
