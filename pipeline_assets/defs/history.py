"""History: an instance that was lost, or never knew, learns from the records what there is; nothing is made for it.

What must be made again is decided by the records alone (``recovery.py``, ``jobs.py``), so a new instance asks for no
run. But its pages are empty, and what looks missing is soon made by hand. So what is up to date by its record is
entered as a materialization without a run, a bounded number at a tick.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice
from typing import Final

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG

from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import INTEGRITY, SERVICE_LEVELS
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.defs.instance import find_partitions
from pipeline_assets.defs.origins import ENTERED_FROM
from pipeline_assets.defs.resources import StoresResource
from pipeline_assets.defs.survey import Surveyor

_EVENTS_A_TICK: Final = 500  # some seconds of the daemon's time; five years of days are entered within two hours
_REPORTS: Final = (SERVICE_LEVELS, INTEGRITY)  # nothing is made from them, so they have no records


def build(surveyor: Surveyor) -> dg.Definitions:
    """The sensor ``history_forgotten``."""

    @dg.sensor(
        name="history_forgotten",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="The instance knows nothing of partitions that are there by their records: it was lost, or they "
        "were made without it. Enter them, without a run.",
    )
    def history_forgotten(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
        events = list(islice(list_forgotten(context.instance, stores, surveyor), _EVENTS_A_TICK))
        skip = f"{len(events)} partitions are entered from their records" if events else "it knows of every partition"
        return dg.SensorResult(asset_events=events, skip_reason=skip)

    return dg.Definitions(sensors=[history_forgotten])


def list_forgotten(
    instance: dg.DagsterInstance, stores: Stores, surveyor: Surveyor
) -> Iterator[dg.AssetMaterialization]:
    """What the records prove and the instance knows nothing of: in the order in which it is made, the newest first.

    A partition that a run works on, or failed on, is left to that: the instance knows of it.
    """
    for asset, recipe in surveyor.recipes.items():
        records = stores.records.load(asset)
        for day in _find_unknown(instance, surveyor, asset, recipe.cadence, records):
            yield _enter(asset, day, records[day].md5, "its record")
    for table in _REPORTS:
        for day in _find_unknown(instance, surveyor, table.name, Cadence.DAILY, stores.reports.days(table)):
            yield _enter(table.name, day, stores.reports.md5(table, day), "its file")


def _find_unknown(
    instance: dg.DagsterInstance, surveyor: Surveyor, asset: str, cadence: Cadence, days: Iterable[date]
) -> list[date]:
    """Those of ``days`` that are partitions and of which the instance knows nothing at all, the newest first."""
    key, partitions = dg.AssetKey(asset), find_partitions(surveyor.calendar, cadence)
    known = instance.get_materialized_partitions(key)
    lacking = sorted({day.isoformat() for day in days} - known, reverse=True)
    if not lacking:
        return []
    existing = set(partitions.get_partition_keys())
    statuses = instance.get_status_by_partition(key, [day for day in lacking if day in existing], partitions) or {}
    return [date.fromisoformat(day) for day in lacking if day in existing and statuses.get(day) is None]


def _enter(asset: str, day: date, md5: str, source: str) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset,
        partition=day.isoformat(),
        description=f"entered from {source}: this instance did not know of it",
        metadata={"md5": md5, ENTERED_FROM: source},
        tags={DATA_VERSION_TAG: md5, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"},
    )
