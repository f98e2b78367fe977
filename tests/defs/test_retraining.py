"""Models on schedule and on demand: no week that is not due is asked for, and what was asked for is kept well."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.test_utils import freeze_time

from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.commands.chains import Chains, prepare_home
from pipeline_assets.commands.training import train
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.retraining import RetrainingParams
from pipeline_assets.definitions import build_definitions
from pipeline_assets.settings import Params, Settings
from tests.defs.conftest import LAST, PARAMS, START, CopyWorld
from tests.defs.worlds import DAY, WEEKLY, WEEKS, World

WEEK = timedelta(days=7)
ON_DEMAND = WEEKS[1]  # not due where every second week is
EVERY_SECOND = replace(PARAMS, retraining=RetrainingParams(every_weeks=2))


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """A world in which every second week is due; it was built with a model in every week."""
    world = copy_world(ON_DEMAND + DAY)
    world.reopen(replace(EVERY_SECOND, history_end=world.params.history_end))
    return world


def list_weekly(world: World) -> list[str]:
    return [asset for asset, recipe in world.surveyor.recipes.items() if recipe.cadence is Cadence.WEEKLY]


def forget(world: World, week: date, assets: Sequence[str]) -> None:
    for asset in assets:
        world.stores.records.delete(Key(asset, week))


def list_to_make(world: World, week: date) -> list[str]:
    """The weekly assets that the healing plan would make for a week."""
    weekly = list_weekly(world)
    repairs = world.survey()[1].repairs
    return [one.key.asset for one in repairs if one.key.day == week and one.key.asset in weekly]


def list_late(world: World, week: date) -> list[str]:
    """The weekly assets of which the check says that a week, and no other, is late."""
    events = {event.asset_key.to_user_string(): event for event in world.evaluate("partition_late").asset_events}
    late = [asset for asset in list_weekly(world) if not events[asset].passed]
    assert all(f"found 1 late ({week})" in str(events[asset].description) for asset in late)
    return late


# ---- What is owed ----------------------------------------------------------------------------------------------------


def test_a_week_that_is_not_due_is_neither_missing_nor_late(world: World) -> None:
    forget(world, ON_DEMAND, list_weekly(world))
    assert list_to_make(world, ON_DEMAND) == []
    assert list_late(world, ON_DEMAND) == []


def test_the_same_week_is_missing_and_late_where_every_week_is_due(world: World) -> None:
    forget(world, ON_DEMAND, list_weekly(world))
    world.reopen(replace(world.params, retraining=RetrainingParams(every_weeks=1)))
    assert list_to_make(world, ON_DEMAND) == list_weekly(world)
    assert list_late(world, ON_DEMAND) == list_weekly(world)


def test_a_week_that_is_due_is_missing_and_late_without_a_model(world: World) -> None:
    forget(world, WEEKS[0], list_weekly(world))
    assert list_to_make(world, WEEKS[0]) == list_weekly(world)
    assert list_late(world, WEEKS[0]) == list_weekly(world)


def test_a_model_made_on_demand_is_made_again_when_it_is_not_well(world: World) -> None:
    assert list_to_make(world, ON_DEMAND) == []
    world.reopen(replace(world.params, training=replace(PARAMS.training, rounds=21)))
    assert "fraud_model" in list_to_make(world, ON_DEMAND)


@pytest.mark.parametrize("lost", ["training_set", "model_evaluation", "drift_reference"])
def test_all_that_belongs_to_a_model_made_on_demand_is_made_when_it_is_lost(world: World, lost: str) -> None:
    forget(world, ON_DEMAND, [lost])
    assert list_to_make(world, ON_DEMAND) == [lost]
    assert list_late(world, ON_DEMAND) == [lost]


def test_a_training_set_alone_asks_for_no_model(world: World) -> None:
    forget(world, ON_DEMAND, [asset for asset in list_weekly(world) if asset != "training_set"])
    assert list_to_make(world, ON_DEMAND) == []


def test_a_model_on_demand_whose_run_failed_is_asked_for_again(world: World) -> None:
    forget(world, ON_DEMAND, list_weekly(world))
    shutil.rmtree(world.root / "lake" / "training_set" / f"date={ON_DEMAND}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline_assets.adapters.stages.models.train", lambda *_: 1 / 0)
        assert not world.materialize(list_weekly(world), ON_DEMAND).success
    assert list_to_make(world, ON_DEMAND) == [asset for asset in list_weekly(world) if asset != "training_set"]


# ---- On schedule -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_weeks", [1, 2, 3])
def test_the_schedule_leaves_out_the_weeks_that_are_not_due(built_root: Path, tmp_path: Path, every_weeks: int) -> None:
    shutil.copytree(built_root / "landing", tmp_path / "landing")
    params = replace(PARAMS, history_end=None, retraining=RetrainingParams(every_weeks=every_weeks))
    schedule = build_definitions(Settings(str(tmp_path), params, START)).resolve_schedule_def("weekly_at_six")
    weeks, asked = [START + number * WEEK for number in range(7, 12)], []
    with dg.DagsterInstance.ephemeral() as instance:
        for week in weeks:
            moment = datetime.combine(week, time(6), UTC)
            with freeze_time(moment):
                resources = {"stores": open_stores(str(tmp_path))}
                answer = schedule(dg.build_schedule_context(instance, moment, resources=resources))
            if isinstance(answer, dg.RunRequest):
                asked.append(date.fromisoformat(str(answer.partition_key)))
            else:
                assert isinstance(answer, dg.SkipReason)
                assert f"{week} is none of them" in str(answer.skip_message)
    assert asked == [week for week in weeks if (week - WEEKS[0]).days % (7 * every_weeks) == 0]


def test_the_schedule_fires_on_the_weekday_of_history_before_it_has_begun(tmp_path: Path) -> None:
    start = date(2199, 1, 1)  # a Tuesday
    definitions = build_definitions(Settings(str(tmp_path), Params(history_start=start), start))
    assert definitions.resolve_schedule_def("weekly_at_six").cron_schedule == "0 6 * * 2"


# ---- In ranges -------------------------------------------------------------------------------------------------------


def define_models(every_weeks: int, first: date, n_weeks: int) -> dg.Definitions:
    """A weekly chain of one asset that makes nothing."""
    weeks = dg.WeeklyPartitionsDefinition(
        f"{first}", end_date=f"{first + n_weeks * WEEK}", day_offset=first.isoweekday() % 7
    )

    with pytest.warns(dg.BetaWarning):

        @dg.asset(partitions_def=weeks, group_name="models", backfill_policy=dg.BackfillPolicy.single_run())
        def fraud_model() -> None: ...

    return dg.Definitions(
        assets=[fraud_model],
        jobs=[dg.define_asset_job("weekly", [fraud_model])],
        resources={"params": Params(retraining=RetrainingParams(every_weeks=every_weeks))},
    )


@pytest.mark.parametrize(
    ("every_weeks", "runs"), [(1, [[1, 2, 3, 4, 5, 6]]), (2, [[2], [4], [6]]), (3, [[3], [6]]), (7, [])]
)
def test_a_range_of_weeks_makes_those_that_are_due_and_none_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_weeks: int, runs: list[list[int]]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare_home(str(tmp_path))
    weeks = [START + number * WEEK for number in range(8)]
    Chains(define_models(every_weeks, START, 8), lambda _: None).run_weekly(weeks[1] - DAY, weeks[6])
    with dg.DagsterInstance.get() as instance:
        tags = [run.tags for run in reversed(instance.get_runs())]
        made = instance.get_materialized_partitions(dg.AssetKey("fraud_model"))
    assert made == {str(weeks[number]) for run in runs for number in run}
    assert [one.get("dagster/partition") for one in tags] == [
        str(weeks[run[0]]) if len(run) == 1 else None for run in runs
    ]


# ---- On demand -------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(built_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of its own with everything built, which the command line works on; every second week is due."""
    root = tmp_path / "copy"
    shutil.copytree(built_root, root, ignore=shutil.ignore_patterns("dagster"))
    (tmp_path / "params.yaml").write_bytes(EVERY_SECOND.to_bytes())
    monkeypatch.setenv("PIPELINE_DATA", str(root))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", os.fspath(root / "dagster"))
    return root


def lose_models(stores: Stores, root: Path) -> str:
    """Take away the model of the newest week with what belongs to it; its version."""
    version = stores.models.find(ON_DEMAND).version
    for asset in WEEKLY:
        stores.records.delete(Key(asset, ON_DEMAND))
        shutil.rmtree(root / "lake" / asset / f"date={ON_DEMAND}", ignore_errors=True)
    shutil.rmtree(root / "models" / "fraud_model" / f"{ON_DEMAND}")
    return version


def test_on_demand_the_newest_week_gets_its_model_though_it_is_not_due(root: Path) -> None:
    version = lose_models(open_stores(str(root)), root)
    result = CliRunner().invoke(train, [])
    assert result.exit_code == 0, result.output
    assert f"Model {version}: a challenger" in result.output
    assert "pipeline-assets heal --apply" in result.output
    stores = open_stores(str(root))
    for asset in WEEKLY:
        assert stores.records.find(Key(asset, ON_DEMAND)) is not None, asset
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
    assert run.job_name == "weekly"
    assert run.tags["dagster/partition"] == f"{ON_DEMAND}"


def test_a_model_that_is_there_comes_out_the_same_and_it_is_said(root: Path) -> None:
    result = CliRunner().invoke(train, ["--week", f"{WEEKS[0]}"])
    assert result.exit_code == 0, result.output
    assert f"Model {open_stores(str(root)).models.find(WEEKS[0]).version}: the same as before" in result.output


def test_a_day_that_begins_no_week_is_refused_on_the_command_line(root: Path) -> None:
    result = CliRunner().invoke(train, ["--week", f"{LAST}"])
    assert result.exit_code == 1
    assert f"found {LAST}; the nearest one is {ON_DEMAND}" in result.output
