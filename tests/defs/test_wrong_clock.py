"""What sets the chains going while the clock is wrong, and while a day waits for a person."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.definitions import build_definitions
from pipeline_assets.settings import Settings
from tests.defs.conftest import LAST, PARAMS, START

DAY = timedelta(days=1)
RIGHT = datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + 36 * timedelta(hours=1)
Ask = Callable[[str, datetime], list[str]]


@pytest.fixture
def root(built_root: Path, tmp_path: Path) -> Path:
    """A data root with every file landed, nothing done, and a history that goes on."""
    shutil.copytree(built_root / "landing", tmp_path / "landing")
    return tmp_path


@pytest.fixture
def ask(root: Path) -> Iterator[Ask]:
    """Ask a schedule or the sensor on landed files, by a clock, for which partitions; cursors are kept."""
    definitions = build_definitions(Settings(str(root), replace(PARAMS, history_end=None), START))
    resources, cursors = {"stores": open_stores(str(root))}, dict[str, str | None]()
    instance = dg.DagsterInstance.local_temp(str(root))

    def ask(name: str, moment: datetime) -> list[str]:
        with freeze_time(moment):
            if name == "transactions_landed":
                sensor = definitions.resolve_sensor_def(name)
                with dg.build_sensor_context(
                    instance, cursors.get(name), resources=resources, definitions=definitions
                ) as context:
                    result = sensor.evaluate_tick(context)
                cursors[name] = result.cursor
                return [str(request.partition_key) for request in result.run_requests or []]
            schedule = definitions.resolve_schedule_def(name)
            answer = schedule(dg.build_schedule_context(instance, moment, resources=resources))
            return [str(answer.partition_key)] if isinstance(answer, dg.RunRequest) else []

    with instance:
        yield ask


@pytest.mark.parametrize("days", [400, -400])
def test_a_clock_that_was_wrong_for_a_while_makes_no_old_day_news(ask: Ask, days: int) -> None:
    while ask("transactions_landed", RIGHT):
        pass
    assert ask("transactions_landed", RIGHT + days * DAY) == []
    assert ask("transactions_landed", RIGHT) == []


@pytest.mark.parametrize("days", [399, -399])  # whole weeks
def test_no_schedule_fires_by_a_clock_that_is_far_from_what_landed(ask: Ask, days: int) -> None:
    sunday = RIGHT.replace(hour=6) + (6 - RIGHT.weekday()) * DAY
    assert ask("weekly_at_six", sunday) == [str(sunday.date())]
    assert ask("weekly_at_six", sunday + days * DAY) == []
    assert ask("daily_at_five", sunday + days * DAY) == []


def test_a_day_that_is_held_is_not_closed_by_the_schedule(root: Path, ask: Ask) -> None:
    assert ask("daily_at_five", RIGHT.replace(hour=5)) == [str(LAST)]
    open_stores(str(root)).holds.hold(Key("transactions", LAST), "quarantine_share_is_low", "half", "1", RIGHT)
    assert ask("daily_at_five", RIGHT.replace(hour=5)) == []


@pytest.mark.parametrize("folder", ["9999-12-31", "2062-01-01"])
def test_a_folder_with_a_mistyped_day_stops_no_schedule(root: Path, ask: Ask, folder: str) -> None:
    shutil.copytree(root / "landing" / "transactions" / str(LAST), root / "landing" / "transactions" / folder)
    sunday = RIGHT.replace(hour=6) + (6 - RIGHT.weekday()) * DAY
    assert ask("daily_at_five", RIGHT.replace(hour=5)) == [str(LAST)]
    assert ask("weekly_at_six", sunday) == [str(sunday.date())]
    assert ask("weekly_at_six", sunday - 399 * DAY) == []
