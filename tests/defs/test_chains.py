"""The chains end to end, on files that really landed and a real instance."""

import hashlib
import shutil
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipeline_assets.commands.chains import ChainFailedError
from pipeline_assets.contracts.tables import PERFORMANCE, SCORES, TABLES, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import DecidedBy, Feed, ReleaseAction
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.simulator.landing import landed_files
from pipeline_assets.simulator.world import World
from tests.defs.conftest import LAST, PARAMS, START, Pipeline, open_pipeline

DAY = timedelta(days=1)
WEEKS = [START + 35 * DAY, START + 42 * DAY]
WEEKLY = {"training_set", "fraud_model", "model_evaluation", "drift_reference"}


def hash_files(root: Path, *folders: str) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def copy(built_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline of its own with everything built but no run recorded."""
    root = tmp_path / "copy"
    shutil.copytree(built_root, root, ignore=shutil.ignore_patterns("dagster"))
    return open_pipeline(root, monkeypatch)


def test_every_partition_of_every_asset_is_there(built: Pipeline) -> None:
    days = {str(START + number * DAY) for number in range((LAST - START).days + 1)}
    with built.instance() as instance:
        for key in built.definitions.resolve_asset_graph().get_all_asset_keys() - {dg.AssetKey("snapshot")}:
            expected = {str(week) for week in WEEKS} if key.to_user_string() in WEEKLY else days
            assert instance.get_materialized_partitions(key) == expected, key


def test_the_data_version_of_a_day_is_the_hash_of_its_bytes(copy: Pipeline) -> None:
    copy.chains.run_daily(("ingestion", "features", "scoring"), LAST, LAST)
    with copy.instance() as instance:
        for name in ("transactions", "terminal_features", "scores"):
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert event is not None
            assert event.asset_materialization is not None
            tags = event.asset_materialization.tags or {}
            assert tags["dagster/data_version"] == copy.stores.lake.md5(TABLES[name], LAST)


def test_every_landed_payment_is_decided_once(built: Pipeline) -> None:
    days = built.stores.lake.days(TRANSACTIONS)
    decided = built.stores.lake.read(SCORES, days)
    world = World(PARAMS.simulation.make_world(START))
    assert decided["transaction_id"].sort().equals(world.simulate(START, LAST).transactions["transaction_id"].sort())


def test_the_rules_decide_until_the_first_release_and_its_champion_from_then_on(built: Pipeline) -> None:
    rungs = built.stores.lake.read(SCORES, built.stores.lake.days(SCORES), ["rung"], with_date=True)
    by_rules = rungs.filter(pl.col("date") < WEEKS[0])
    by_model = rungs.filter(pl.col("date") >= WEEKS[0])
    assert by_rules["rung"].unique().to_list() == ["rules"]
    assert by_model["rung"].unique().to_list() == ["champion"]
    champions = {entry.as_of: entry.champion for entry in built.stores.release_log.entries()}
    first = built.stores.models.find(WEEKS[0]).version
    assert champions == {
        START + number * DAY: first if number >= (WEEKS[0] - START).days else None
        for number in range((LAST - START).days + 1)
    }


def test_a_newer_model_decides_nothing_until_there_is_evidence(built: Pipeline) -> None:
    shadows = {entry.as_of: entry.shadow for entry in built.stores.release_log.entries()}
    assert shadows[WEEKS[1] - DAY] is None
    assert shadows[WEEKS[1]] == shadows[LAST] == built.stores.models.find(WEEKS[1]).version


def test_performance_is_measured_on_mature_labels(built: Pipeline) -> None:
    table = built.stores.lake.read(PERFORMANCE, [LAST])
    metrics = {metric: value for scope, metric, value in table.iter_rows() if scope == "all"}
    assert 0.4 < metrics["maturity_share"] < 0.6  # a week of two
    assert metrics["average_precision"] is not None


@pytest.mark.drill
def test_a_range_made_again_day_by_day_has_the_same_bytes(copy: Pipeline) -> None:
    expected = hash_files(copy.root, "lake", "models", "release")
    for day in (LAST - 2 * DAY, LAST - DAY, LAST):
        copy.chains.run_daily(("ingestion", "features", "release", "scoring", "monitoring"), day, day)
    copy.chains.run_weekly(WEEKS[1], WEEKS[1])
    assert hash_files(copy.root, "lake", "models", "release") == expected


def test_a_day_without_files_is_no_error_and_says_so(copy: Pipeline) -> None:
    for feed in Feed:
        shutil.rmtree(copy.root / "landing" / feed / str(LAST))
    copy.chains.run_daily(("ingestion", "features", "release", "scoring", "monitoring"), LAST, LAST)
    assert copy.stores.lake.read(SCORES, [LAST]).is_empty()
    with copy.instance() as instance:
        check = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("transactions"), "files_arrived"), limit=1
        )
        assert check[0].event is not None
        assert not check[0].event.dagster_event.event_specific_data.passed  # type: ignore[union-attr]


def test_a_poisoned_day_is_held_and_the_other_days_go_on(copy: Pipeline) -> None:
    day = LAST - DAY
    names = copy.stores.landing.list_files(Feed.TRANSACTIONS, day)
    frame = pl.read_parquet(copy.root / "landing" / "transactions" / str(day) / names[0])
    poisoned = frame.with_columns(
        amount_cents=pl.when(pl.int_range(pl.len()) % 2 == 0).then(-1).otherwise("amount_cents")
    )
    poisoned.write_parquet(copy.root / "landing" / "transactions" / str(day) / names[0])
    before = hash_files(copy.root, "lake/customer_features", "lake/scores")
    with pytest.raises(ChainFailedError, match="quarantine_share_is_low"):
        copy.chains.run_daily(("ingestion", "features", "scoring"), day, day)
    assert hash_files(copy.root, "lake/customer_features", "lake/scores") == before
    copy.chains.run_daily(("ingestion", "features", "scoring"), LAST, LAST)


@pytest.mark.parametrize(("n_broken", "rung"), [(1, "backup"), (2, "rules")])
def test_a_lost_model_sends_the_scores_down_the_ladder(copy: Pipeline, n_broken: int, rung: str) -> None:
    backup, champion = (copy.stores.models.find(week).version for week in WEEKS)
    start = datetime.combine(LAST, time(), UTC)
    entry = ReleaseEntry(LAST, start, ReleaseAction.PROMOTE, "by hand", champion, backup, decided_by=DecidedBy.PERSON)
    copy.stores.release_log.append(entry)
    for week in WEEKS[::-1][:n_broken]:
        (copy.root / "models" / copy.stores.models.find(week).path).unlink()
    copy.chains.run_daily(("scoring",), LAST, LAST)
    scores = copy.stores.lake.read(SCORES, [LAST])
    assert scores["rung"].unique().to_list() == [rung]
    assert scores["degraded_by"].explode().unique().sort().to_list()[-1] == "champion_unavailable"


def test_a_file_that_lands_twice_changes_nothing(copy: Pipeline) -> None:
    before = hash_files(copy.root, "lake/transactions", "lake/scores")
    world = World(PARAMS.simulation.make_world(START))
    for file in landed_files(world, LAST):
        copy.stores.landing.land(file.feed, file.day, f"again-{file.name}", file.content)
    copy.chains.run_daily(("ingestion", "features", "scoring"), LAST, LAST)
    assert hash_files(copy.root, "lake/transactions", "lake/scores") == before


def test_days_outside_history_are_refused(built: Pipeline) -> None:
    with pytest.raises((ChainFailedError, dg.DagsterError), match="2027"):
        built.chains.run_daily(("ingestion",), date(2027, 1, 1), date(2027, 1, 2))
