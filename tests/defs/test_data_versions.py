"""The data version of a partition in Dagster is the hash of its own bytes, whether its run made one or many."""

import hashlib
from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG, CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from tests.defs.conftest import LAST, PARAMS, Pipeline

RECIPES = PARAMS.describe_assets()


@pytest.fixture
def instance(built: Pipeline) -> Iterator[dg.DagsterInstance]:
    """The instance on which all partitions were made in runs of a range."""
    with built.instance() as opened:
        yield opened


@pytest.mark.parametrize("asset", RECIPES)
def test_each_partition_of_a_range_has_the_hash_of_its_own_bytes(
    built: Pipeline, instance: dg.DagsterInstance, asset: str
) -> None:
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    found = {date.fromisoformat(key): one[DATA_VERSION_TAG] for key, one in tags.items()}
    records = built.stores.records.load(asset)
    assert len(found) > 1
    assert found == {day: record.md5 for day, record in records.items()}
    path, md5 = next(iter(records[min(records)].files.items()))
    assert hashlib.md5((built.root / path).read_bytes(), usedforsecurity=False).hexdigest() == md5


@pytest.mark.parametrize("asset", ["customer_features", "scores", "performance"])
def test_no_partition_of_a_range_counts_as_stale(built: Pipeline, instance: dg.DagsterInstance, asset: str) -> None:
    graph = built.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    for day in (LAST, LAST.replace(day=1)):
        key = dg.AssetKey(asset)
        assert resolver.get_status(key, f"{day}") is StaleStatus.FRESH, resolver.get_stale_causes(key, f"{day}")
