"""What sets the chains going: files that land, and the clock."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.lineage.records import Key
from tests.defs.conftest import LAST, START, Pipeline, open_pipeline

DAY = timedelta(days=1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def landed(built_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline with every file landed and nothing done."""
    shutil.copytree(built_root / "landing", tmp_path / "landing")
    return open_pipeline(tmp_path, monkeypatch)


def tick(pipeline: Pipeline, instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[str], str | None]:
    """The partitions that the sensor asks for, and its next cursor."""
    sensor = pipeline.definitions.resolve_sensor_def("transactions_landed")
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"stores": pipeline.stores}, definitions=pipeline.definitions
    )
    result = sensor.evaluate_tick(context)
    return [str(request.partition_key) for request in result.run_requests or []], result.cursor


def settle(pipeline: Pipeline, instance: dg.DagsterInstance) -> str:
    """Tick until nothing is new."""
    cursor: str | None = None
    for _ in range(10):
        asked, cursor = tick(pipeline, instance, cursor)
        if not asked:
            break
    assert cursor is not None
    return cursor


def test_everything_that_landed_is_asked_for_a_week_at_a_time_oldest_first(
    landed: Pipeline, instance: dg.DagsterInstance
) -> None:
    first, cursor = tick(landed, instance, None)
    second, _ = tick(landed, instance, cursor)
    watched = [str(LAST - number * DAY) for number in range(30, -1, -1)]
    assert first + second == watched[:14]


def test_what_is_ingested_by_its_record_is_no_news_to_an_instance_that_was_lost(
    built: Pipeline, instance: dg.DagsterInstance
) -> None:
    asked, cursor = tick(built, instance, None)
    assert asked == []
    assert cursor is not None
    assert len(json.loads(cursor)) == 31  # they are not looked at again


def test_late_files_are_asked_for_newest_first_and_wait_for_no_history(
    built_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    for folder in ("landing", "records"):
        shutil.copytree(built_root / folder, tmp_path / folder)
    pipeline = open_pipeline(tmp_path, monkeypatch)
    for back in (20, 3, 9):
        pipeline.stores.landing.land(Feed.CHARGEBACKS, LAST - back * DAY, "late.csv", b"transaction_id\n")
    for back in (2, 1, 0):  # days that were never made
        pipeline.stores.records.delete(Key("transactions", LAST - back * DAY))
    asked, cursor = tick(pipeline, instance, None)
    assert asked == [str(LAST - back * DAY) for back in (3, 9, 20, 2, 1, 0)]
    assert tick(pipeline, instance, cursor)[0] == []


def test_a_file_that_is_copied_without_a_change_is_no_news(
    built_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    for folder in ("landing", "records"):
        shutil.copytree(built_root / folder, tmp_path / folder)
    pipeline = open_pipeline(tmp_path, monkeypatch)
    cursor = settle(pipeline, instance)
    for file in (tmp_path / "landing" / "transactions" / str(LAST)).iterdir():
        file.touch()
    asked, following = tick(pipeline, instance, cursor)
    assert asked == []
    assert following != cursor


def test_nothing_new_asks_for_nothing(landed: Pipeline, instance: dg.DagsterInstance) -> None:
    cursor = settle(landed, instance)
    assert tick(landed, instance, cursor) == ([], cursor)


@pytest.mark.parametrize("feed", list(Feed))
def test_another_file_asks_for_its_day_once(landed: Pipeline, instance: dg.DagsterInstance, feed: Feed) -> None:
    cursor: str | None = settle(landed, instance)
    landed.stores.landing.land(feed, LAST - DAY, "more.csv", b"transaction_id\n")
    asked, cursor = tick(landed, instance, cursor)
    assert asked == [str(LAST - DAY)]
    assert tick(landed, instance, cursor)[0] == []


def test_a_file_that_is_replaced_asks_for_its_day(landed: Pipeline, instance: dg.DagsterInstance) -> None:
    cursor = settle(landed, instance)
    name = landed.stores.landing.list_files(Feed.TRANSACTIONS, LAST)[0]
    landed.stores.landing.land(Feed.TRANSACTIONS, LAST, name, b"corrected", replace=True)
    assert tick(landed, instance, cursor)[0] == [str(LAST)]


@pytest.mark.parametrize("cursor", ["not json", "[1]"])
def test_a_broken_cursor_starts_anew(landed: Pipeline, instance: dg.DagsterInstance, cursor: str) -> None:
    asked, following = tick(landed, instance, cursor)
    assert asked == tick(landed, instance, None)[0]
    assert following is not None
    assert set(json.loads(following)) == set(asked)


def test_days_outside_history_are_left_alone(landed: Pipeline, instance: dg.DagsterInstance) -> None:
    cursor = settle(landed, instance)
    for day in (START - DAY, LAST + DAY):
        landed.stores.landing.land(Feed.TRANSACTIONS, day, "more.csv", b"x")
    assert tick(landed, instance, cursor)[0] == []


def ask_schedule(pipeline: Pipeline, name: str, instance: dg.DagsterInstance, day: date) -> list[str]:
    schedule = pipeline.definitions.resolve_schedule_def(name)
    moment = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    resources = {"stores": pipeline.stores} if schedule.required_resource_keys else {}
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=moment, resources=resources)
    answer = schedule(context)
    return [str(answer.partition_key)] if isinstance(answer, dg.RunRequest) else []


def test_the_daily_schedule_closes_yesterday_unless_it_has_its_scores_by_its_record(
    built: Pipeline, landed: Pipeline, instance: dg.DagsterInstance
) -> None:
    assert ask_schedule(landed, "daily_at_five", instance, LAST + DAY) == [str(LAST)]
    assert ask_schedule(landed, "daily_at_five", instance, START) == []
    assert ask_schedule(built, "daily_at_five", instance, LAST + DAY) == []  # though the instance knows of nothing


def test_the_weekly_schedule_does_not_train_again_what_is_there(
    built_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    week = START + 42 * DAY
    shutil.copytree(built_root / "records", tmp_path / "records")
    shutil.copytree(built_root / "landing" / "transactions" / str(week - DAY), tmp_path / "landing/transactions/x")
    (tmp_path / "landing/transactions/x").rename(tmp_path / "landing/transactions" / str(week - DAY))
    pipeline = open_pipeline(tmp_path, monkeypatch)
    assert ask_schedule(pipeline, "weekly_at_six", instance, week) == []
    pipeline.stores.records.delete(Key("model_evaluation", week))
    assert ask_schedule(pipeline, "weekly_at_six", instance, week) == [str(week)]


def test_the_weekly_schedule_trains_as_of_the_day_on_which_a_week_begins(
    landed: Pipeline, instance: dg.DagsterInstance
) -> None:
    week = START + 42 * DAY
    for number in range((LAST - week).days + 1):  # what has not landed yet when the week begins
        for feed in Feed:
            shutil.rmtree(landed.root / "landing" / feed / str(week + number * DAY))
    assert ask_schedule(landed, "weekly_at_six", instance, week) == [str(week)]
    assert ask_schedule(landed, "weekly_at_six", instance, week + DAY) == []
    schedule = landed.definitions.resolve_schedule_def("weekly_at_six")
    assert schedule.cron_schedule == f"0 6 * * {week.isoweekday() % 7}"


def test_a_clock_that_lags_behind_what_landed_sets_nothing_going(built: Pipeline, instance: dg.DagsterInstance) -> None:
    assert ask_schedule(built, "weekly_at_six", instance, START + 42 * DAY) == []
    assert ask_schedule(built, "daily_at_five", instance, START + 42 * DAY) == []


def test_days_outside_history_take_no_place_of_those_that_are_watched(
    landed: Pipeline, instance: dg.DagsterInstance
) -> None:
    before = tick(landed, instance, None)
    for number in range(1, 40):
        landed.stores.landing.land(Feed.TRANSACTIONS, LAST + number * DAY, "more.csv", b"x")
    assert before[0]
    assert tick(landed, instance, None) == before
