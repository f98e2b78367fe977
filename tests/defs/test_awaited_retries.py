"""A run whose process died is started again by the daemon: the healing sensor leaves its partitions to that."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.recovery import HEALING_TAG
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import DAY, World

LAST = START + 2 * DAY


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Three days, the last one without scores, and a first tick, which only looks."""
    world = copy_world(LAST)
    world.stores.records.delete(Key("scores", LAST))
    world.tick()
    return world


def let_run_die(world: World, tags: dict[str, str]) -> None:
    world.instance.create_run_for_job(
        world.definitions.resolve_job_def("daily"),
        status=dg.DagsterRunStatus.FAILURE,
        tags={"dagster/partition": f"{LAST}", **tags},
        asset_selection=frozenset({dg.AssetKey("scores")}),
    )


def ask(world: World) -> list[str]:
    return [request.tags[HEALING_TAG] for request in world.tick()]


def test_partitions_of_a_run_that_is_about_to_be_retried_are_not_asked_for(world: World) -> None:
    let_run_die(world, {WILL_RETRY_TAG: "true"})
    assert ask(world) == []


def test_a_retry_that_does_not_come_within_a_minute_is_not_waited_for(world: World) -> None:
    let_run_die(world, {WILL_RETRY_TAG: "true"})
    world.clock.now = datetime.now(UTC) + timedelta(seconds=61)
    assert ask(world) == [f"daily@{LAST}"]


@pytest.mark.parametrize("tags", [{}, {WILL_RETRY_TAG: "false"}, {WILL_RETRY_TAG: "true", AUTO_RETRY_RUN_ID_TAG: "x"}])
def test_partitions_of_a_run_that_is_not_about_to_be_retried_are_asked_for(world: World, tags: dict[str, str]) -> None:
    let_run_die(world, tags)
    assert ask(world) == [f"daily@{LAST}"]
