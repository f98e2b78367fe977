"""The calendar: which days and weeks there are, and that windows hold at the start of history."""

from datetime import date

import dagster as dg
import pytest

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.recipes import Reads
from pipeline_assets.defs.partitions import Calendar, map_reads

START = date(2018, 4, 1)


def mapped(
    mapping: dg.TimeWindowPartitionMapping,
    of: dg.PartitionsDefinition[str],
    key: str,
    upstream: dg.PartitionsDefinition[str],
) -> list[str]:
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        of.subset_with_partition_keys([key]), of, upstream
    )
    return sorted(result.partitions_subset.get_partition_keys())


def daily_reads(first: int, last: int) -> dg.TimeWindowPartitionMapping:
    return map_reads(Reads("transactions", first, last), Cadence.DAILY)


def test_a_closed_history_has_every_day_and_every_week_that_begins_in_it() -> None:
    calendar = Calendar.between(START, date(2018, 6, 30), 35)
    assert len(calendar.daily.get_partition_keys()) == 91
    weeks = calendar.weekly.get_partition_keys()
    assert (weeks[0], weeks[-1], len(weeks)) == ("2018-05-06", "2018-06-24", 8)


@pytest.mark.parametrize("start", [date(2018, 4, day) for day in range(1, 8)])
def test_weeks_begin_on_the_weekday_on_which_history_begins(start: date) -> None:
    weeks = Calendar.between(start, date(2018, 6, 30), 30).weekly.get_partition_keys()
    assert {date.fromisoformat(week).weekday() for week in weeks} == {start.weekday()}
    assert (date.fromisoformat(weeks[0]) - start).days == 35


def test_an_open_history_ends_with_yesterday_and_with_the_week_that_has_begun() -> None:
    calendar = Calendar.between(date(2026, 1, 4), None, 7)
    last_day = date.fromisoformat(calendar.daily.get_partition_keys()[-1])
    last_week = date.fromisoformat(calendar.weekly.get_partition_keys()[-1])
    assert 0 <= (last_day - last_week).days + 1 <= 7


@pytest.mark.parametrize(("key", "first", "count"), [("2018-04-01", "2018-04-01", 1), ("2018-06-30", "2018-05-31", 31)])
def test_a_trailing_window_is_clipped_at_the_start_of_history(key: str, first: str, count: int) -> None:
    daily = Calendar.between(START, date(2018, 6, 30), 35).daily
    keys = mapped(daily_reads(-30, 0), daily, key, daily)
    assert (keys[0], keys[-1], len(keys)) == (first, key, count)


def test_the_days_before_do_not_hold_the_day_itself() -> None:
    daily = Calendar.between(START, date(2018, 6, 30), 35).daily
    assert mapped(daily_reads(-7, -1), daily, "2018-04-01", daily) == []
    assert mapped(daily_reads(-7, -1), daily, "2018-04-10", daily)[::6] == ["2018-04-03", "2018-04-09"]


def test_a_model_sees_only_days_before_its_as_of_day() -> None:
    calendar = Calendar.between(START, date(2018, 6, 30), 35)
    keys = mapped(
        map_reads(Reads("transactions", -182, -1), Cadence.WEEKLY), calendar.weekly, "2018-05-13", calendar.daily
    )
    assert (keys[0], keys[-1]) == ("2018-04-01", "2018-05-12")


def test_an_evaluation_reads_what_its_held_out_candidate_is_trained_on() -> None:
    calendar = Calendar.between(START, date(2018, 12, 30), 35)
    mapping = map_reads(Reads("transactions", -196, -15), Cadence.WEEKLY)
    keys = mapped(mapping, calendar.weekly, "2018-12-02", calendar.daily)
    assert (keys[0], keys[-1]) == ("2018-05-20", "2018-11-17")


def test_a_day_reads_the_weeks_whose_first_days_lie_in_its_window() -> None:
    calendar = Calendar.between(START, date(2018, 6, 30), 35)
    reads = map_reads(Reads("fraud_model", -13, 0), Cadence.DAILY)
    assert mapped(reads, calendar.daily, "2018-06-09", calendar.weekly) == ["2018-05-27", "2018-06-03"]
    assert mapped(reads, calendar.daily, "2018-06-10", calendar.weekly) == ["2018-06-03", "2018-06-10"]
    assert mapped(reads, calendar.daily, "2018-04-02", calendar.weekly) == []
