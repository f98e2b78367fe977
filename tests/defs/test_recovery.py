"""The sensor that asks again: for everything that can be mended, once, and for nothing else, ever."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg
import pytest

from pipeline_assets.adapters.stages import features, ingestion
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.performance import PerformanceParams
from pipeline_assets.defs import survey
from pipeline_assets.defs.instance import look_at_instance
from pipeline_assets.defs.recovery import HEALING_TAG
from tests.defs.conftest import PARAMS, START, CopyWorld
from tests.defs.worlds import DAY, FEATURES, TABLES, World, damage, fail, make_unreadable

CUT = START + 5 * DAY


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """Six days, everything well, and a first tick, which only looks."""
    world = copy_world(CUT)
    assert world.tick() == []
    return world


def forget(world: World, asset: str, day: date) -> None:
    world.stores.records.delete(Key(asset, day))


def name(requests: Sequence[dg.RunRequest]) -> list[str]:
    return [request.tags[HEALING_TAG] for request in requests]


def count_runs(world: World) -> Counter[str]:
    """Runs by their first day."""
    tags = ("dagster/partition", "dagster/asset_partition_range_start")
    return Counter(next(run.tags[tag] for tag in tags if tag in run.tags) for run in world.instance.get_runs())


def fail_on(day: date, stage: Callable[..., Any], place: int) -> Callable[..., Any]:
    """A stage with a bug that shows on one day; ``place`` is that of its days among its arguments."""

    def failing(*args: Any) -> Any:
        if day in args[place]:
            raise ZeroDivisionError(f"of {day}")
        return stage(*args)

    return failing


def hold_still(patch: pytest.MonkeyPatch, world: World) -> None:
    """Look at the instance only after a run: as long as there is none, it has the same to say."""
    seen: dict[int, Any] = {}

    def look(instance: dg.DagsterInstance, *args: Any) -> Any:
        n_runs = instance.get_runs_count()
        if n_runs not in seen:
            seen[n_runs] = look_at_instance(instance, *args)
        return seen[n_runs]

    patch.setattr(survey, "look_at_instance", look)


# --- what is asked for, and when ---


@pytest.mark.parametrize("cursor", [None, "not json", "[1]", '{"ticked_at": "never"}', '{"attempts": {"daily": {}}}'])
def test_without_a_cursor_it_looks_first_and_asks_at_the_next_tick(world: World, cursor: str | None) -> None:
    forget(world, "scores", CUT)
    world.cursors["partition_failed"] = cursor
    assert world.tick() == []
    assert name(world.tick()) == [f"daily@{CUT}"]


def test_what_is_asked_for_is_not_asked_for_again_while_its_run_is_awaited(world: World) -> None:
    forget(world, "scores", CUT)
    assert len(world.tick()) == 1
    assert world.tick() == []


def test_where_all_is_well_nothing_is_asked_for(world: World) -> None:
    assert world.drive(5) == []


@pytest.mark.parametrize("days", [400, -400])
def test_a_wrong_clock_makes_nothing_missing(world: World, days: int) -> None:
    world.reopen(replace(world.params, history_end=None))
    world.clock.advance(days=days)
    assert world.drive(3) == []


def test_a_day_that_failed_is_asked_for_once_and_is_good_then(quick_retries: None, copy_world: CopyWorld) -> None:
    world = copy_world(CUT - DAY, landed_until=CUT)
    repair = make_unreadable(world, CUT)
    assert not world.run_chain(CUT).success
    repair()
    assert name(world.drive()) == [f"daily@{CUT}"]
    assert count_runs(world) == {str(CUT): 2}
    assert world.hash() == copy_world(CUT).hash()


def test_a_day_that_nobody_ran_is_asked_for(copy_world: CopyWorld) -> None:
    world = copy_world(CUT - 2 * DAY, landed_until=CUT)
    assert name(world.drive()) == [f"daily@{CUT - DAY}", f"daily@{CUT}"]
    assert world.hash() == copy_world(CUT).hash()


def test_a_landed_file_that_cannot_be_read_stops_the_healing_of_nothing_else(
    quick_retries: None, copy_world: CopyWorld
) -> None:
    world = copy_world(CUT)
    repair = make_unreadable(world, CUT - DAY)
    forget(world, "scores", CUT)
    asked = name(world.drive())
    assert f"daily@{CUT}" in asked
    assert len(asked) <= 1 + world.params.healing.max_attempts
    repair()
    world.drive()
    assert world.list_repairs() == set()


def test_what_a_person_has_made_since_it_failed_for_good_is_asked_for_when_it_breaks_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(features, "build_features", fail(ZeroDivisionError()))
        assert not world.materialize(FEATURES, CUT).success
    assert world.drive(3) == []
    assert world.materialize(FEATURES, CUT).success  # the code was corrected, its version was not
    forget(world, "customer_features", CUT)
    assert name(world.drive(3)) == [f"daily@{CUT}"]
    assert world.list_repairs() == set()


# --- what is not asked for ---


@pytest.mark.drill
def test_a_day_that_fails_and_a_bad_day_are_left_alone_for_good(
    copy_world: CopyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    buggy, poisoned, closed, good = (CUT + number * DAY for number in range(1, 5))
    world = copy_world(CUT, landed_until=good)
    monkeypatch.setattr(features, "build_features", fail_on(buggy, features.build_features, 1))
    monkeypatch.setattr(ingestion, "ingest", fail_on(closed, ingestion.ingest, 2))
    world.poison(poisoned)
    for day in (buggy, poisoned, closed, good):
        assert world.run_chain(day).success == (day == good)
    hold_still(monkeypatch, world)
    world.drive(n_ticks=120, seconds=30)
    world.drive(n_ticks=23 * 6, seconds=600)
    runs = count_runs(world)
    assert all(runs[str(day)] <= 2 for day in (buggy, poisoned, closed)), runs
    # It is made again once for each of the steps that follow from what was decided on the days before it.
    assert runs[str(good)] <= 4, runs
    assert [incident.alert.key for incident in world.alerts.list_open()] == [
        f"held/transactions@{poisoned}",
        f"healing/partition/daily@{buggy}",
        f"healing/partition/daily@{closed}",
    ]


def test_what_lacks_an_input_that_is_not_due_is_left_alone(copy_world: CopyWorld) -> None:
    world = copy_world(CUT, landed_until=CUT + DAY)
    shutil.rmtree(world.root / "landing" / "transactions" / f"{CUT + DAY}")
    assert not world.materialize(FEATURES, CUT + DAY).success
    assert world.drive(5) == []


def test_a_partition_in_progress_is_not_asked_for(world: World) -> None:
    forget(world, "scores", CUT)
    job, tags = world.definitions.resolve_job_def("daily"), {"dagster/partition": f"{CUT}"}
    started = world.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert world.drive(5) == []
    world.instance.report_run_failed(started)
    assert name(world.drive(3)) == [f"daily@{CUT}"]


def test_a_run_that_a_person_cancelled_is_not_made_up_for(world: World) -> None:
    job, tags = world.definitions.resolve_job_def("daily"), {"dagster/partition": f"{CUT}"}
    assert world.materialize(["scores"], CUT).success
    run = world.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    world.instance.report_run_canceled(run)
    assert world.drive(3) == []


def test_what_only_other_parameters_would_change_is_left_to_people(copy_world: CopyWorld) -> None:
    world = copy_world(CUT, params=replace(PARAMS, performance=PerformanceParams(window_days=5)))
    assert len(world.survey()[1].repairs) == 6
    assert world.drive(3) == []


def test_a_range_that_was_checked_and_failed_later_is_not_checked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "build_features", fail(ZeroDivisionError()))
    assert not world.run_chain(CUT - 2 * DAY, CUT).success
    assert {str(key) for key in world.survey()[0].failed} == {
        f"{asset}@{CUT - number * DAY}"
        for asset in (*FEATURES, "model_health", "release", "scores", "performance", "drift")
        for number in range(3)
    }


# --- how it is asked for ---


@pytest.mark.parametrize("step", ["checked alone", "with the day"])
def test_what_was_made_but_not_checked_before_its_run_was_killed_is_asked_for_with_its_checks(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        pass

    with monkeypatch.context() as patch:
        patch.setattr(ingestion, "find_lost_rows", fail(KilledError()))
        run = world.materialize(TABLES, CUT) if step == "checked alone" else world.run_chain(CUT)
        assert not run.success
    (request,) = world.tick()
    assert request.asset_selection is not None
    assert dg.AssetKey("transactions") in request.asset_selection
    result = world.execute(request)
    checked = {one.check_name for one in result.get_asset_check_evaluations() if one.passed}
    assert {"rows_are_conserved", "quarantine_share_is_low"} <= checked
    assert world.drive(3) == []


def test_a_range_that_failed_is_split_so_that_the_bad_day_fails_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, bad, last = CUT - 2 * DAY, CUT - DAY, CUT
    before = world.hash()
    for day in (first, bad, last):
        damage(world.root / "lake" / "customer_features" / f"date={day}" / "part.parquet")
    world.note_damage()
    monkeypatch.setattr(features, "build_features", fail_on(bad, features.build_features, 1))
    asked = name(world.drive(12))
    assert asked[0] == f"build_features@{first}..{last}"
    assert sorted(asked[1:]) == [f"build_features@{day}" for day in (first, bad, last)]
    assert {path for path, md5 in world.hash().items() if before[path] != md5} == {
        f"lake/customer_features/date={bad}/part.parquet"
    }
