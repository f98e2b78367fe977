"""Which run made which bytes, by the materializations that a Dagster instance remembers."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Final

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.tree import NodeId, Origin

RESTORED_FROM: Final = "restored_from_snapshot"  # in the metadata of what no run has made again
ENTERED_FROM: Final = "entered_from"  # in the metadata of what an instance that did not know of it was told of
_PARTITIONS_A_QUERY: Final = 500  # each is a variable of the statement, and SQLite takes 32,766 of them, old ones 999
_EVENTS_A_PAGE: Final = 1000


def find_origins(instance: dg.DagsterInstance, wanted: Iterable[NodeId]) -> dict[NodeId, Origin]:
    """The run that made each version, the latest if several made the same bytes; what no run reported is left out.

    A version is found by its hash, so that a partition that was made again since does not lend it its run. Costs a
    query or a few an asset, not one a partition.
    """
    origins: dict[NodeId, Origin] = {}
    for asset, group in groupby(sorted(wanted), key=lambda one: one.key.asset):
        ids: dict[tuple[Key, str], list[NodeId]] = {}
        for one in group:
            ids.setdefault((one.key, one.md5), []).append(one)
        days = sorted({key.day for key, _ in ids})
        for start in range(0, len(days), _PARTITIONS_A_QUERY):
            chunk = days[start : start + _PARTITIONS_A_QUERY]
            missing = {name for name in ids if name[0].day in chunk}
            for record in _list_materializations(instance, asset, chunk):
                for name in _list_names(asset, record) & missing:
                    origins |= dict.fromkeys(ids[name], _read_origin(record))
                    missing.discard(name)
                if not missing:
                    break
    return origins


def _list_materializations(
    instance: dg.DagsterInstance, asset: str, days: Iterable[date]
) -> Iterator[dg.EventLogRecord]:
    """The latest first; what was restored, or entered later, no run of this instance has made."""
    chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[day.isoformat() for day in days])
    cursor, has_more = None, True
    while has_more:
        found = instance.fetch_materializations(chosen, limit=_EVENTS_A_PAGE, cursor=cursor)
        yield from (record for record in found.records if not _is_without_run(record))
        cursor, has_more = found.cursor, found.has_more


def _is_without_run(record: dg.EventLogRecord) -> bool:
    told = record.asset_materialization
    return told is not None and not told.metadata.keys().isdisjoint((RESTORED_FROM, ENTERED_FROM))


def _list_names(asset: str, record: dg.EventLogRecord) -> set[tuple[Key, str]]:
    """Which bytes of which partition an event tells of.

    A run of a range has told of all of its partitions under one data version; the hash of each is in its metadata.
    """
    told = record.asset_materialization
    if told is None or told.partition is None:
        return set()
    day = date.fromisoformat(told.partition)
    hashes = ((told.tags or {}).get(DATA_VERSION_TAG), _read_text(told.metadata, "md5"))
    return {(Key(asset, day), md5) for md5 in hashes if md5}


def _read_origin(record: dg.EventLogRecord) -> Origin:
    told = record.asset_materialization
    metadata = told.metadata if told else {}
    return Origin(
        record.run_id,
        record.event_log_entry.job_name or "unknown",
        datetime.fromtimestamp(record.timestamp, UTC),
        _read_text(metadata, "revision"),
        _read_text(metadata, "parameters"),
    )


def _read_text(metadata: Mapping[str, dg.MetadataValue], name: str) -> str | None:
    value = metadata.get(name)
    return str(value.value) if value is not None else None
