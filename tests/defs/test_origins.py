"""Which run made which bytes: by their hash, the latest of several, and without a query for each partition."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.tree import NodeId
from pipeline_assets.defs import origins
from pipeline_assets.defs.origins import find_origins

START = date(2026, 1, 4)
DAILY = dg.DailyPartitionsDefinition(f"{START}", end_date="2027-01-01")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def name(number: int, version: str, asset: str = "raw") -> NodeId:
    return NodeId(Key(asset, START + timedelta(days=number)), version)


def make(instance: dg.DagsterInstance, number: int, md5: str, **metadata: str) -> str:
    """Run the asset ``raw`` for a day, so that it has some bytes; the id of the run."""

    @dg.asset(partitions_def=DAILY)
    def raw() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(data_version=dg.DataVersion(md5), metadata={"md5": md5, **metadata})

    result = dg.materialize([raw], instance=instance, partition_key=f"{START + timedelta(days=number)}")
    return result.run_id


def tell(instance: dg.DagsterInstance, number: int, version: str, asset: str = "raw", **metadata: str) -> None:
    day = f"{START + timedelta(days=number)}"
    tags = {DATA_VERSION_TAG: version}
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day, tags=tags, metadata=metadata))


def test_the_run_that_made_the_bytes_is_told_with_what_it_reported(instance: dg.DagsterInstance) -> None:
    before = datetime.now(UTC)
    run = make(instance, 0, "m", revision="c0ffee", parameters="p")
    (origin,) = find_origins(instance, [name(0, "m")]).values()
    assert (origin.run_id, origin.revision, origin.parameters) == (run, "c0ffee", "p")
    assert origin.job
    assert before <= origin.made_at <= datetime.now(UTC)


def test_bytes_from_before_have_the_run_that_made_them_then(instance: dg.DagsterInstance) -> None:
    first, second = make(instance, 0, "old"), make(instance, 0, "new")
    found = find_origins(instance, [name(0, "old"), name(0, "new"), name(1, "old")])
    assert {one: origin.run_id for one, origin in found.items()} == {name(0, "old"): first, name(0, "new"): second}


def test_bytes_that_were_brought_back_have_the_run_that_made_them(instance: dg.DagsterInstance) -> None:
    run = make(instance, 0, "m")
    tell(instance, 0, "m", md5="m", **{origins.RESTORED_FROM: "7"})
    (origin,) = find_origins(instance, [name(0, "m")]).values()
    assert origin.run_id == run


def test_of_runs_that_made_the_same_bytes_it_is_the_latest(instance: dg.DagsterInstance) -> None:
    make(instance, 0, "m", revision="one")
    again = make(instance, 0, "m")
    (origin,) = find_origins(instance, [name(0, "m")]).values()
    assert (origin.run_id, origin.revision) == (again, None)


def test_whether_it_was_made_without_something_does_not_matter_to_the_hash(instance: dg.DagsterInstance) -> None:
    run = make(instance, 0, "m")
    found = find_origins(instance, [name(0, "m degraded"), name(0, "m")])
    assert {one.version: origin.run_id for one, origin in found.items()} == {"m": run, "m degraded": run}


def test_a_range_that_was_told_under_one_version_is_known_by_its_metadata(instance: dg.DagsterInstance) -> None:
    for number in range(3):
        tell(instance, number, "all together", md5=f"m{number}")
    wanted = [name(number, f"m{number}") for number in range(3)]
    assert set(find_origins(instance, [*wanted, name(0, "m1")])) == set(wanted)


def test_no_other_asset_and_no_other_day_lends_its_run(instance: dg.DagsterInstance) -> None:
    tell(instance, 0, "m", asset="other")
    tell(instance, 1, "m")
    assert find_origins(instance, [name(0, "m")]) == {}
    assert find_origins(instance, []) == {}


def test_it_takes_a_query_an_asset_however_many_partitions_there_are(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        tell(instance, number, f"m{number}")
        tell(instance, number, f"m{number}", asset="other")
    queries: list[object] = []
    ask = instance.fetch_materializations

    def count(*arguments: Any, **named: Any) -> Any:
        queries.append(arguments)
        return ask(*arguments, **named)

    monkeypatch.setattr(instance, "fetch_materializations", count)
    wanted = [name(number, f"m{number}", asset) for number in range(40) for asset in ("raw", "other")]
    assert set(find_origins(instance, wanted)) == set(wanted)
    assert len(queries) == 2


def test_many_partitions_and_many_events_are_asked_for_in_parts(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "_PARTITIONS_A_QUERY", 3)
    monkeypatch.setattr(origins, "_EVENTS_A_PAGE", 2)
    for number in range(8):
        for version in ("old", "new", "newest"):
            tell(instance, number, f"{version}-{number}")
    wanted = [name(number, f"{version}-{number}") for number in range(8) for version in ("old", "newest")]
    assert set(find_origins(instance, [*wanted, name(0, "never")])) == set(wanted)
