"""What the sensor asks for goes through Dagster's own daemon: a range of days as well, and the same one again."""

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration
from pydantic import TypeAdapter

from pipeline_assets.defs.recovery import HEALING_TAG
from pipeline_assets.settings import Params
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import DAY, World, damage

CUT = START + 5 * DAY


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Six days, everything well."""
    return copy_world(CUT)


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition:DeprecationWarning")  # the daemon reads it itself
@pytest.mark.drill
def test_the_daemon_makes_a_range_that_is_asked_for_and_the_same_one_again_when_it_breaks_again(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = world.hash()
    damaged = [CUT - DAY, CUT]
    with open_daemon(world, tmp_path / "daemon", monkeypatch) as (instance, iterate):
        for number in (1, 2):
            iterate()  # all is well, also after the first time
            for day in damaged:
                damage(world.root / "lake" / "customer_features" / f"date={day}" / "part.parquet")
            world.note_damage()
            iterate()
            assert world.hash() == before
            runs = instance.get_runs()
            assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * number
            assert runs[0].tags[HEALING_TAG] == f"build_features@{damaged[0]}..{damaged[1]}"
        made = instance.get_materialized_partitions(dg.AssetKey("customer_features"))
        assert made == {f"{day}" for day in damaged}
        checks = instance.event_log_storage.get_asset_check_partition_info(
            [dg.AssetCheckKey(dg.AssetKey("customer_features"), "every_payment_has_features")]
        )
        assert {check.partition_key for check in checks} >= made


@contextmanager
def open_daemon(
    world: World, home: Path, patch: pytest.MonkeyPatch
) -> Iterator[tuple[dg.DagsterInstance, Callable[[], None]]]:
    """Dagster's own sensor daemon over the pipeline as its workspace loads it; each call is its next iteration."""
    params = world.root / "params.yaml"
    params.write_text(yaml.safe_dump(TypeAdapter(Params).dump_python(world.params, mode="json")))
    patch.setenv("PIPELINE_DATA", str(world.root))
    patch.setenv("PIPELINE_PARAMS", str(params))
    origin = LoadableTargetOrigin(executable_path=sys.executable, module_name="pipeline_assets.definitions")
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin, location_name="pipeline_assets"))
    at_once = {
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "run_launcher": {
            "module": "dagster._core.launcher.sync_in_memory_run_launcher",
            "class": "SyncInMemoryRunLauncher",
        },
    }
    home.mkdir()
    with (
        dg.instance_for_test(temp_dir=str(home), overrides=at_once) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        location = workspace.create_request_context().get_code_location("pipeline_assets")
        (repository,) = location.get_repositories().values()
        for sensor in repository.get_sensors():
            if sensor.name != "partition_failed":
                instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
        ticks = itertools.count()

        def iterate() -> None:
            with freeze_time(datetime.now(UTC) + next(ticks) * timedelta(minutes=1)):
                list(execute_sensor_iteration(workspace, logging.getLogger("quiet"), None, None))

        yield instance, iterate
