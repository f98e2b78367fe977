"""A partition that fails a blocking check: held for later runs too, gone on without, healed as if it had never been.

What landed on the bad day is the file of the built world with half of its rows broken; the corrected file is that file.
"""

import dagster as dg
import polars as pl
import pytest

from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.failures import KIND_TAG
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import DAY, FEATURES, TABLES, WEEKLY, WEEKS, World

CUT = START + 5 * DAY
BAD = CUT + DAY
GOOD = CUT + 2 * DAY
CHECK = "quarantine_share_is_low"


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Six days are done; two more have landed, the first of them bad."""
    world = copy_world(CUT, landed_until=GOOD)
    world.poison(BAD)
    return world


def list_held(world: World) -> list[str]:
    return [str(hold.key) for hold in world.stores.holds.list_held()]


def find_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = (one for one in result.get_asset_check_evaluations() if one.check_name == CHECK)
    return found


def read_degradation(world: World, day: object) -> list[str]:
    codes = world.stores.lake.read(SCORES, [day], ["degraded_by"])["degraded_by"]  # type: ignore[list-item]
    return codes.list.eval(pl.element().cast(pl.String)).explode().drop_nulls().unique().sort().to_list()


def test_a_day_that_fails_a_blocking_check_is_held_and_not_tried_again(world: World) -> None:
    result = world.run_chain(BAD)
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == []
    assert not find_check(result).passed
    assert world.read_tags(result)[KIND_TAG] == "bad_data"
    assert list_held(world) == [f"transactions@{BAD}"]


@pytest.mark.parametrize("assets", [FEATURES, ["scores"]], ids=["features", "scores"])
def test_a_later_run_refuses_what_is_held(world: World, assets: list[str]) -> None:
    world.run_chain(BAD, None, "ingestion")
    result = world.materialize(assets, BAD)
    (failure,) = (event.step_failure_data for event in result.get_step_failure_events())
    assert failure.user_failure_data is not None
    assert str(failure.user_failure_data.description).startswith("bad_data: ")
    assert f"needs transactions of {BAD}, which is held: {CHECK}" in str(failure.user_failure_data.description)
    assert failure.error is not None
    assert failure.error.cause is not None
    assert failure.error.cause.cls_name == "PartitionHeldError"
    assert world.read_tags(result)[KIND_TAG] == "bad_data"


def test_the_next_day_goes_on_without_it_and_its_scores_say_so(world: World) -> None:
    world.run_chain(BAD)
    assert world.run_chain(GOOD).success
    assert read_degradation(world, GOOD) == ["history_incomplete", "no_model_released"]
    assert read_degradation(world, CUT) == ["no_model_released"]


def test_the_corrected_file_lifts_the_hold_and_healing_leaves_no_trace_of_it(
    world: World, copy_world: CopyWorld
) -> None:
    sound = copy_world(GOOD)
    world.run_chain(BAD)
    world.run_chain(GOOD)
    world.find_landed(BAD).write_bytes(sound.find_landed(BAD).read_bytes())
    assert world.run_chain(BAD, None, "ingestion").success
    assert list_held(world) == []
    hold = world.stores.holds.find(Key("transactions", BAD))
    assert hold is not None
    assert [event.what for event in hold.events] == ["held", "repaired"]
    world.heal()
    assert world.hash() == sound.hash()
    assert world.list_repairs() == set()


@pytest.mark.drill
def test_the_sensors_alone_heal_it_too(world: World, copy_world: CopyWorld) -> None:
    sound = copy_world(GOOD)
    world.drive_landing()
    assert list_held(world) == [f"transactions@{BAD}"]
    assert len(world.drive(8)) < 5
    world.find_landed(BAD).write_bytes(sound.find_landed(BAD).read_bytes())
    world.drive_landing()
    world.drive(8)
    assert world.hash() == sound.hash()


@pytest.mark.drill
def test_a_bad_day_in_the_training_history_is_gone_without_and_learned_from_when_it_is_corrected(
    copy_world: CopyWorld,
) -> None:
    sound, world = copy_world(), copy_world()
    bad = WEEKS[1] - 10 * DAY
    corrected = world.poison(bad)
    assert not world.run_chain(bad, None, "ingestion").success
    assert world.materialize(WEEKLY, WEEKS[1]).success
    assert str(Key("transactions", bad)) in world.stores.records.load("training_set")[WEEKS[1]].lacking
    assert world.stores.models.find(WEEKS[1]).version != sound.stores.models.find(WEEKS[1]).version
    world.find_landed(bad).write_bytes(corrected)
    world.heal()
    assert world.hash("lake") == sound.hash("lake")
    for week in WEEKS:
        assert world.stores.models.find(week).files == sound.stores.models.find(week).files
    ruling = [log.entries()[-1].decision for log in (world.stores.release_log, sound.stores.release_log)]
    assert ruling[0] == ruling[1]


def test_a_person_may_let_it_go_for_the_bytes_that_it_has_and_no_others(world: World) -> None:
    sound = world.find_landed(GOOD).read_bytes()
    world.run_chain(BAD)
    hold = world.stores.holds.release(Key("transactions", BAD), "the source is right", world.clock())
    assert (hold.events[-1].what, hold.events[-1].because) == ("released", "the source is right")

    assert world.materialize(FEATURES, BAD).success
    again = world.materialize(TABLES, BAD)
    assert again.success
    assert find_check(again).severity is dg.AssetCheckSeverity.WARN
    assert not find_check(again).passed
    assert str(find_check(again).description).startswith("released by a person: ")

    world.find_landed(BAD).write_bytes(sound)
    world.poison(BAD, share=3)
    assert not world.materialize(TABLES, BAD).success
    assert list_held(world) == [f"transactions@{BAD}"]


def test_a_hold_that_rotted_holds_until_a_person_lets_it_go(world: World) -> None:
    world.run_chain(BAD, None, "ingestion")
    path, key = world.root / "holds" / "transactions" / f"{BAD}.json", Key("transactions", BAD)
    path.write_bytes(path.read_bytes()[:40])
    result = world.materialize(FEATURES, BAD)
    assert world.read_tags(result)[KIND_TAG] == "bad_data"
    world.tick()
    assert [incident.alert.key for incident in world.alerts.list_open()] == [f"held/{key}"]
    world.stores.holds.release(key, "the source is right", world.clock())
    assert world.materialize(FEATURES, BAD).success
