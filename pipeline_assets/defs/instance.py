"""What the Dagster instance says of partitions: which are in progress, which failed, which were never checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.recipes import Recipe
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.partitions import Calendar

PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"


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
    for asset, recipe in recipes.items():
        definition = find_partitions(calendar, recipe.cadence)
        statuses = instance.get_status_by_partition(dg.AssetKey(asset), definition.get_partition_keys(), definition)
        for key, status in (statuses or {}).items():
            if status is AssetPartitionStatus.IN_PROGRESS:
                in_progress.add(Key(asset, date.fromisoformat(key)))
            elif status is AssetPartitionStatus.FAILED:
                failed.add(Key(asset, date.fromisoformat(key)))
    if failed:
        failed |= set(_find_unchecked(instance, recipes, {key.day for key in failed}))
    return InstanceView(frozenset(in_progress), frozenset(failed - in_progress))


def find_partitions(calendar: Calendar, cadence: Cadence) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of assets of a cadence."""
    return calendar.daily if cadence is Cadence.DAILY else calendar.weekly


def list_run_partitions(run: dg.DagsterRun, keys: Sequence[str]) -> list[str]:
    """Which of ``keys`` a run works on: those of its partition or of its range."""
    start = run.tags.get(RANGE_START_TAG) or run.tags.get(PARTITION_TAG)
    end = run.tags.get(RANGE_END_TAG) or start
    return [key for key in keys if start <= key <= end] if start and end else []


def _find_unchecked(instance: dg.DagsterInstance, recipes: Mapping[str, Recipe], days: set[date]) -> Iterator[Key]:
    """What was made for ``days`` by a run that ended before all blocking checks of it had spoken.

    A later run of what comes after would not ask them again: so the partition counts as failed itself.
    """
    checks = [
        dg.AssetCheckKey(dg.AssetKey(asset), check) for asset, recipe in recipes.items() for check in recipe.checks
    ]
    infos = instance.event_log_storage.get_asset_check_partition_info(
        checks, partition_keys=[day.isoformat() for day in sorted(days)]
    )
    for info in infos:
        if info.latest_execution_status is AssetCheckExecutionRecordStatus.PLANNED and info.partition_key:
            run = instance.get_run_by_id(info.latest_planned_run_id)
            if run is None or run.is_finished:
                yield Key(info.check_key.asset_key.to_user_string(), date.fromisoformat(info.partition_key))
