"""The asset ``snapshot``: after each chain everything is kept under the run's id, and the past comes back from it."""

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from pipeline_assets.adapters.garbage import collect_garbage
from pipeline_assets.adapters.history import History
from pipeline_assets.adapters.replica import hash_bytes, open_replicas
from pipeline_assets.adapters.retention import find_garbage
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.cli import commands
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from tests.defs.conftest import LAST, PARAMS, Pipeline, open_pipeline

KEPT = ("lake", "models", "release", "records", "landing")
SNAPSHOT = dg.AssetKey("snapshot")


@pytest.fixture(scope="module")
def kept_root(built_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built world without its instance, kept as a snapshot by a run; tests that change it copy it."""
    root = tmp_path_factory.mktemp("kept") / "data"
    shutil.copytree(built_root, root, ignore=shutil.ignore_patterns("dagster"))
    with pytest.MonkeyPatch.context() as patch:
        open_pipeline(root, patch).chains.take_snapshot()
    return root


@pytest.fixture
def pipeline(kept_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A copy of it; the command line works on it."""
    shutil.copytree(kept_root, tmp_path / "data")
    (tmp_path / "params.yaml").write_bytes(PARAMS.to_bytes())
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    return open_pipeline(tmp_path / "data", monkeypatch)


def open_snapshots(pipeline: Pipeline) -> Snapshots:
    root = pipeline.stores.root
    return Snapshots(root, open_replicas(root, PARAMS.snapshots.remotes))


def hash_all(root: Path) -> dict[str, str]:
    paths = [path for folder in KEPT for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): hash_bytes(path.read_bytes()) for path in paths}


def call(*arguments: str) -> str:
    result = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_chain_ends_with_a_snapshot_of_all_that_it_made(pipeline: Pipeline) -> None:
    pipeline.chains.run_daily(("scoring", "monitoring", "lineage"), LAST, LAST)
    snapshots = open_snapshots(pipeline)
    latest = snapshots.list()[-1]
    files = snapshots.list_files(latest)
    with pipeline.instance() as instance:
        event = instance.get_latest_materialization_event(SNAPSHOT)
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert (event.run_id, metadata["sequence"].value) == (latest.run_id, latest.sequence)
        assert metadata["not_replicated"].value == {}
        (check,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(SNAPSHOT, "snapshot_is_replicated"), limit=1
        )
        assert check.status.value == "SUCCEEDED"
    for asset, records in ((name, pipeline.stores.records.load(name)) for name in PARAMS.describe_assets()):
        for record in records.values():
            assert record.files.items() <= files.items(), (asset, record.day)
    assert snapshots.fetch(latest.parameters) == PARAMS.to_bytes()


def test_a_remote_that_is_behind_is_a_warning_and_an_alert_until_it_has_caught_up(pipeline: Pipeline) -> None:
    shutil.rmtree(pipeline.root / "remotes" / "two")
    (pipeline.root / "remotes" / "two").write_text("no folder")
    pipeline.chains.take_snapshot()
    assert "snapshot 1 " in call("alerts") or "remotes/two is behind" in call("alerts")
    with pipeline.instance() as instance:
        (check,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(SNAPSHOT, "snapshot_is_replicated"), limit=1
        )
        assert check.status.value == "FAILED"
    (pipeline.root / "remotes" / "two").unlink()
    pipeline.chains.take_snapshot()
    assert "no alert is open" in call("alerts")
    assert hash_all_objects(pipeline, "one") == hash_all_objects(pipeline, "two")


def hash_all_objects(pipeline: Pipeline, remote: str) -> dict[str, str]:
    folder = pipeline.root / "remotes" / remote
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hash_bytes(path.read_bytes()) for path in files}


def test_what_was_deleted_comes_back_with_one_command_and_says_where_it_comes_from(pipeline: Pipeline) -> None:
    before = hash_all(pipeline.root)
    shutil.rmtree(pipeline.root / "lake")
    shutil.rmtree(pipeline.root / "models")
    output = call("restore")
    assert "0 newer ones removed" in output
    assert hash_all(pipeline.root) == before
    with pipeline.instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("scores"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["restored_from_snapshot"].value == 0
        assert event.asset_materialization.partition is not None
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            dg.AssetKey("scores"), dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
        )
    records = pipeline.stores.records.load("scores")
    assert {day: one[DATA_VERSION_TAG] for day, one in tags.items()} == {
        f"{day}": record.md5 for day, record in records.items()
    }


def test_going_back_leaves_what_is_newer_recoverable(pipeline: Pipeline) -> None:
    day = Key("scores", LAST)
    old = pipeline.stores.records.find(day)
    (pipeline.root / "records" / "terminal_features" / f"{LAST}.json").unlink()  # so that the scores come out different
    pipeline.chains.run_daily(("scoring",), LAST, LAST)
    new = pipeline.stores.records.find(day)
    assert old is not None
    assert new is not None
    assert new.md5 != old.md5
    assert "1 newer ones removed" not in call("restore", "scores", "--as-of", "0")
    assert pipeline.stores.records.find(day) == old
    assert hash_bytes((pipeline.root / "lake/scores" / f"date={LAST}" / "part.parquet").read_bytes()) == old.md5
    call("restore", "scores", "--as-of", "1")  # it was taken before the past came back
    assert pipeline.stores.records.find(day) == new
    found = History(open_snapshots(pipeline)).find_record(day, old.version)
    assert found == old


def test_a_snapshot_comes_back_into_another_folder_and_the_present_is_left_alone(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    before = hash_all(pipeline.root)
    shutil.rmtree(pipeline.root / "lake" / "scores")
    damaged = hash_all(pipeline.root)
    call("restore", "--into", str(tmp_path / "elsewhere"))
    assert hash_all(tmp_path / "elsewhere") == before
    assert hash_all(pipeline.root) == damaged


@pytest.mark.parametrize(
    ("arguments", "what"),
    [(("restore", "score"), "nothing of score"), (("restore", "--as-of", "2020-01-01"), "first snapshot was taken"),
     (("snapshot", "keep", "7", "--because", "x"), "expected latest")],
)  # fmt: skip
def test_what_cannot_be_brought_back_is_said_clearly(pipeline: Pipeline, arguments: tuple[str, ...], what: str) -> None:
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 1
    assert what in result.output


@pytest.mark.drill
def test_garbage_never_takes_what_a_released_model_was_made_from(pipeline: Pipeline) -> None:
    snapshots, stores = open_snapshots(pipeline), pipeline.stores
    for number in range(3):
        stores.root.write(f"landing/transactions/{LAST}/later-{number}.csv", b"%d" % number)
        pipeline.chains.take_snapshot()
    now = snapshots.list()[-1].taken_at.replace(year=2040)
    garbage = find_garbage(stores, snapshots, SnapshotParams(keep_days=1, keep_weeks=0), now)
    assert [one.sequence for one in garbage.kept] == [0, 3]  # the first one knows the code of the models
    for asset in ("lake", "models", "records"):  # what the remotes alone must be able to give back
        shutil.rmtree(pipeline.root / asset)
    collect_garbage(snapshots, garbage, now, timedelta(0))
    for md5 in garbage.needed:
        snapshots.fetch(md5)
    champion = stores.release_log.entries()[-1].champion
    assert champion is not None
    call("restore", "--as-of", "0")
    stored = open_stores(str(pipeline.root)).models.load(champion)
    assert stored.version == champion


def test_garbage_is_left_alone_where_a_released_model_was_never_kept(pipeline: Pipeline) -> None:
    shutil.rmtree(pipeline.root / "remotes")
    shutil.rmtree(pipeline.root / "snapshots")
    shutil.rmtree(pipeline.root / "records" / "fraud_model")
    pipeline.chains.take_snapshot()
    with pytest.raises(SnapshotError, match="is in no snapshot"):
        find_garbage(
            pipeline.stores, open_snapshots(pipeline), PARAMS.snapshots, open_snapshots(pipeline).list()[-1].taken_at
        )
