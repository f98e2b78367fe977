"""What a failing step does: only what is transient is tried again, and the run says which kind of failure it was."""

import dagster as dg
import pytest

from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.stages import features, ingestion
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.failures import KIND_TAG, PERMANENT_TAG, RETRY
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import DAY, FEATURES, TABLES, World, damage, fail, make_unreadable

CUT = START + 5 * DAY


@pytest.fixture
def world(quick_retries: None, copy_world: CopyWorld) -> World:
    """Six days."""
    return copy_world(CUT)


def count_attempts(result: dg.ExecuteInProcessResult, step: str) -> int:
    events = [event for event in result.all_events if event.step_key == step]
    return sum(event.is_step_start or event.is_step_restarted for event in events)


def find_failure(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step says of itself."""
    (failure,) = (event.step_failure_data for event in result.get_step_failure_events())
    assert failure.user_failure_data is not None
    return str(failure.user_failure_data.description)


def test_a_disk_that_fails_once_is_asked_again_and_the_day_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    repair, read, expected = make_unreadable(world, CUT), LandingZone.read_file, world.hash()

    def read_and_repair(*args: object) -> object:
        try:
            return read(*args)  # type: ignore[arg-type]
        except OSError:
            repair()
            raise

    monkeypatch.setattr(LandingZone, "read_file", read_and_repair)
    result = world.materialize(TABLES, CUT)
    assert result.success
    assert count_attempts(result, "ingest") == 2
    assert world.read_tags(result)[KIND_TAG] == "transient"
    assert world.hash() == expected


def test_a_disk_that_goes_on_failing_is_asked_a_bounded_number_of_times(world: World) -> None:
    make_unreadable(world, CUT)
    result = world.materialize(TABLES, CUT)
    assert not result.success
    assert count_attempts(result, "ingest") == 1 + RETRY.max_retries
    assert world.read_tags(result)[KIND_TAG] == "transient"
    assert not [tag for tag in world.read_tags(result) if tag.startswith(PERMANENT_TAG)]


def test_bad_data_is_never_tried_again(world: World) -> None:
    damage(world.root / "lake" / "transactions" / f"date={CUT}" / "part.parquet")
    result = world.materialize(FEATURES, CUT)
    assert count_attempts(result, "build_features") == 1
    assert find_failure(result).startswith(f"bad_data: transactions of {CUT} in the lake")
    assert world.read_tags(result)[KIND_TAG] == "bad_data"
    assert list(world.stores.damage.load()) == [Key("transactions", CUT)]


def test_an_absent_input_is_never_tried_again(world: World) -> None:
    world.stores.records.delete(Key("transactions", CUT))
    result = world.materialize(FEATURES, CUT)
    assert count_attempts(result, "build_features") == 1
    assert find_failure(result).startswith(f"absent_input: features of {CUT}: expected transactions of {CUT}")
    assert world.read_tags(result)[KIND_TAG] == "absent_input"


def test_a_bug_is_never_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "build_features", fail(ZeroDivisionError("division by zero")))
    result = world.materialize(FEATURES, CUT)
    assert count_attempts(result, "build_features") == 1
    assert find_failure(result) == "bug: ZeroDivisionError: division by zero"
    assert world.read_tags(result)[KIND_TAG] == "bug"


def test_of_one_partition_the_run_says_what_it_failed_with_of_a_range_nobody_knows_which_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "build_features", fail(ZeroDivisionError()))
    one, many = world.materialize(FEATURES, CUT), world.materialize(FEATURES, CUT - DAY, CUT)
    assert f"{PERMANENT_TAG}/build_features" in world.read_tags(one)
    assert not [tag for tag in world.read_tags(many) if tag.startswith(PERMANENT_TAG)]
    assert world.read_tags(many)[KIND_TAG] == "bug"


def test_a_bug_is_not_tried_again_either_where_the_run_cannot_be_tagged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "build_features", fail(ZeroDivisionError()))
    monkeypatch.setattr("pipeline_assets.defs.failures.fingerprint_step", fail(TimeoutError()))
    result = world.materialize(FEATURES, CUT)
    assert count_attempts(result, "build_features") == 1
    assert world.read_tags(result)[KIND_TAG] == "bug"


def test_a_check_that_itself_breaks_fails_the_run_and_holds_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "find_lost_rows", fail(KeyError("amount")))
    result = world.materialize(TABLES, CUT)
    assert not result.success
    assert find_failure(result) == "bug: KeyError: 'amount'"
    assert [one.check_name for one in result.get_asset_check_evaluations() if not one.passed] == []
    assert world.stores.holds.find(Key("transactions", CUT)) is None
    tags = world.read_tags(result)
    assert tags[KIND_TAG] == "bug"
    assert f"{PERMANENT_TAG}/ingest" in tags


def test_the_watch_over_the_bytes_names_its_failures_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_assets.adapters.stages.integrity.choose_records", fail(ZeroDivisionError()))
    result = world.materialize(["integrity"], CUT)
    assert count_attempts(result, "integrity") == 1
    assert world.read_tags(result)[KIND_TAG] == "bug"
