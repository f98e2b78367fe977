"""Service levels, against records whose answer is known."""

from datetime import UTC, date, datetime

from pipeline_assets.contracts.tables import SERVICE_LEVELS
from pipeline_assets.core.service_levels import StepRecord, measure_service_levels

DAY = date(2026, 1, 1)


def record(hour: int, minutes: int, *, succeeded: bool, n_partitions: int = 1) -> StepRecord:
    started = datetime(2026, 1, 2, hour, tzinfo=UTC)
    return StepRecord("scores", succeeded, started, started.replace(minute=minutes), n_partitions)


def test_a_step_is_timed_by_its_latest_success_and_late_by_its_first() -> None:
    records = [
        record(3, 1, succeeded=False),
        record(6, 30, succeeded=True, n_partitions=7),
        record(9, 10, succeeded=True),
    ]
    assert measure_service_levels(records, DAY).to_dicts() == [
        {
            "step": "scores",
            "n_attempts": 3,
            "n_failures": 1,
            "seconds": 600.0,
            "n_partitions": 1,
            "hours_after_day": 6.5,
        }
    ]


def test_a_step_that_never_succeeded_has_no_duration() -> None:
    (row,) = measure_service_levels([record(3, 1, succeeded=False)], DAY).to_dicts()
    assert (row["n_failures"], row["seconds"], row["hours_after_day"]) == (1, None, None)


def test_a_day_without_a_run_has_no_rows() -> None:
    assert measure_service_levels([], DAY).equals(SERVICE_LEVELS.empty())
