"""What the Dagster instance says of partitions: which are in progress, which failed, which were never checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from dagster._core.storage.tags import WILL_RETRY_TAG

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.recipes import Recipe
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.partitions import Calendar

PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
# The daemon looks every 5 s for runs to retry; one that is not retried by then is not retried at all.
_RETRY_IS_LAUNCHED_WITHIN: Final = timedelta(seconds=60)


@dataclass(frozen=True)
class InstanceView:
    """The state of partitions by the instance's records.

    Attributes:
        in_progress: A run works on them, or is queued to.
        failed: The latest run that was to make or check them failed before it had done so.
    """

    in_progress: frozenset[Key]
    failed: frozenset[Key]


def look_at_instance(instance: dg.DagsterInstance, calendar: Calendar, recipes: Mapping[str, Recipe]) -> InstanceView:
    """What the instance says of every partition of the assets that have a recipe."""
    in_progress, failed = set(), set()
    keys = {cadence: find_partitions(calendar, cadence).get_partition_keys() for cadence in Cadence}
    for asset, recipe in recipes.items():
        definition = find_partitions(calendar, recipe.cadence)
        statuses = instance.get_status_by_partition(dg.AssetKey(asset), keys[recipe.cadence], definition)
        for key, status in (statuses or {}).items():
            if status is AssetPartitionStatus.IN_PROGRESS:
                in_progress.add(Key(asset, date.fromisoformat(key)))
            elif status is AssetPartitionStatus.FAILED:
                failed.add(Key(asset, date.fromisoformat(key)))
    failed |= set(_find_unchecked(instance, recipes))
    return InstanceView(frozenset(in_progress), frozenset(failed - in_progress))


def find_awaiting_retry(
    instance: dg.DagsterInstance, calendar: Calendar, recipes: Mapping[str, Recipe], now: datetime
) -> Iterator[Key]:
    """What the daemon is about to make again: the process of its run died, and the retry is not launched yet."""
    died = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={WILL_RETRY_TAG: "true"},
        updated_after=now - _RETRY_IS_LAUNCHED_WITHIN,
    )
    for run in instance.get_runs(filters=died):
        for asset in run.asset_selection or () if run.is_complete_and_waiting_to_retry else ():
            recipe = recipes.get(asset.to_user_string())
            keys = find_partitions(calendar, recipe.cadence).get_partition_keys() if recipe else []
            for key in list_run_partitions(run, keys):
                yield Key(asset.to_user_string(), date.fromisoformat(key))


def find_partitions(calendar: Calendar, cadence: Cadence) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of assets of a cadence."""
    return calendar.daily if cadence is Cadence.DAILY else calendar.weekly


def list_run_partitions(run: dg.DagsterRun, keys: Sequence[str]) -> list[str]:
    """Which of ``keys`` a run works on: those of its partition or of its range."""
    start = run.tags.get(RANGE_START_TAG) or run.tags.get(PARTITION_TAG)
    end = run.tags.get(RANGE_END_TAG) or start
    return [key for key in keys if start <= key <= end] if start and end else []


def _find_unchecked(instance: dg.DagsterInstance, recipes: Mapping[str, Recipe]) -> Iterator[Key]:
    """What was made by a run that ended before all blocking checks of it had spoken.

    A later run of what comes after would not ask them again: so the partition counts as failed itself. One that such a
    run did not come to make is as well as it was before.
    """
    checks = [
        dg.AssetCheckKey(dg.AssetKey(asset), check) for asset, recipe in recipes.items() for check in recipe.checks
    ]
    for info in instance.event_log_storage.get_asset_check_partition_info(checks):
        if info.latest_execution_status is not AssetCheckExecutionRecordStatus.PLANNED or not info.partition_key:
            continue
        planned_at, made_at = info.latest_check_event_storage_id, info.latest_materialization_storage_id
        run = instance.get_run_by_id(info.latest_planned_run_id)
        if made_at is not None and made_at > planned_at and (run is None or run.is_finished):
            yield Key(info.check_key.asset_key.to_user_string(), date.fromisoformat(info.partition_key))
