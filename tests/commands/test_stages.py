"""The command of DVC's stages as DVC calls it: it makes what is not up to date, and nothing else."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.core.lineage.stages import LAND, METRICS, PLOTS, STAGES, list_folders
from tests.commands.test_healing import DAYS, PARAMS, copy_and_use, find_file, hash_lake, poison, run, use

LAST = DAYS[-1]


def make_all() -> None:
    for stage in (LAND, *STAGES):
        result = run("stage", stage)
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def done_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days, made stage by stage."""
    root = tmp_path_factory.mktemp("staged")
    (root / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        use(root, patch)
        make_all()
    return root


@pytest.fixture
def root(done_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them."""
    return copy_and_use(done_root, tmp_path / "root", monkeypatch)


@pytest.fixture
def empty_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    use(tmp_path, monkeypatch)
    return tmp_path


@pytest.mark.parametrize("stage", STAGES)
def test_where_nothing_has_landed_it_says_what_to_do(empty_root: Path, stage: str) -> None:
    result = run("stage", stage)
    assert result.exit_code == 1
    assert f"{empty_root}/landing: expected files of payments, found none" in result.output
    assert "pipeline-assets simulate" in result.output


def test_where_nothing_has_landed_a_history_is_simulated_once(empty_root: Path) -> None:
    first, again = run("stage", LAND), run("stage", LAND)
    assert "6 new files landed" in first.output
    assert f"payments of 3 days have landed, {DAYS[0]} to {LAST}" in first.output
    assert "new files" not in again.output
    assert again.exit_code == 0


def test_files_of_ones_own_are_left_alone(root: Path) -> None:
    (root / "world.json").unlink()
    for day in DAYS[1:]:
        shutil.rmtree(root / "landing" / "transactions" / day)
    result = run("stage", LAND)
    assert result.exit_code == 0
    assert result.output == f"land: payments of 1 days have landed, {DAYS[0]} to {DAYS[0]}\n"


def test_another_world_is_refused(root: Path) -> None:
    (root / "params.yaml").write_text(PARAMS.replace("n_customers: 60", "n_customers: 61"))
    result = run("stage", LAND)
    assert result.exit_code == 1
    assert "another world" in result.output


def test_all_stages_make_everything(root: Path) -> None:
    assert "Nothing to heal" in run("heal").output
    for stage in (LAND, *STAGES):
        for folder in list_folders(stage):
            assert (root / folder).is_dir()
    for path in (*METRICS.values(), *(path for paths in PLOTS.values() for path in paths)):
        assert (root / path).is_file()


def test_what_is_up_to_date_is_left_alone(root: Path) -> None:
    kept = [path for path in sorted((root / "lake").rglob("*")) if path.is_file()]
    stamps = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in kept]
    for stage in STAGES:
        result = run("stage", stage)
        assert result.exit_code == 0
        assert result.output.splitlines()[-1] == f"{stage}: every partition is up to date"
    assert [(path.stat().st_mtime_ns, path.stat().st_ino) for path in kept] == stamps


def test_metrics_are_the_same_bytes_again(root: Path) -> None:
    paths = [root / path for path in (*METRICS.values(), *(path for paths in PLOTS.values() for path in paths))]
    before = [path.read_bytes() for path in paths]
    shutil.rmtree(root / "reports" / "metrics")
    for stage in ("evaluate", "score"):
        run("stage", stage)
    assert [path.read_bytes() for path in paths] == before


def test_only_what_is_missing_or_damaged_is_made_again(root: Path) -> None:
    before = hash_lake(root)
    shutil.rmtree(root / "remotes", ignore_errors=True)
    (root / "records" / "scores" / f"{DAYS[0]}.json").unlink()
    find_file(root, "scores", LAST).write_bytes(b"rot")
    result = run("stage", "score")
    assert result.exit_code == 0, result.output
    assert "score: 2 partitions made" in result.output
    assert hash_lake(root) == before


def test_what_comes_before_it_must_be_up_to_date(root: Path) -> None:
    for asset in ("transactions", "scores"):
        (root / "records" / asset / f"{LAST}.json").unlink()
    result = run("stage", "score")
    assert result.exit_code == 1
    assert f"the first is transactions@{LAST} (missing: " in result.output
    assert "first: pipeline-assets stage ingest" in result.output


def test_a_parameter_makes_only_what_depends_on_it_again(root: Path) -> None:
    (root / "params.yaml").write_text(PARAMS[:-1] + ", decision: {review_cost_cents: 301}}")
    for stage in STAGES:
        last = run("stage", stage).output.splitlines()[-1]
        assert last == ("score: 6 partitions made" if stage == "score" else f"{stage}: every partition is up to date")


@pytest.mark.drill
def test_a_day_that_is_held_is_left_out_until_it_is_released(root: Path) -> None:
    poison(root, LAST)
    (root / "records" / "scores" / f"{LAST}.json").unlink()
    result = run("stage", "ingest")
    assert result.exit_code == 0, result.output
    assert "quarantine_share_is_low" in result.output
    assert f"held: transactions@{LAST}" in result.output
    result = run("stage", "score")
    assert result.exit_code == 0
    assert f"left out: scores@{LAST}: transactions@{LAST} is held" in result.output
    run("holds", "release", f"transactions@{LAST}", "--because", "a day of tests at the source")
    make_all()
    assert pl.read_parquet(find_file(root, "scores", LAST)).is_empty()


def test_a_bug_is_no_success(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("pipeline_assets.adapters.stages.scoring.score", fail)
    (root / "records" / "scores" / f"{LAST}.json").unlink()
    result = run("stage", "score")
    assert result.exit_code == 1
    assert "ZeroDivisionError: a bug" in result.output


def test_what_has_landed_is_made_before_its_deadline(empty_root: Path) -> None:
    last = datetime.now(UTC).date() - timedelta(days=1)
    text = PARAMS.replace(DAYS[0], f"{last - timedelta(days=1)}").replace(LAST, f"{last}")
    (empty_root / "params.yaml").write_text(text[:-1] + ", freshness: {daily_deadline_hours: 168}}")
    run("stage", LAND)
    assert "Nothing to heal" in run("heal").output
    assert "ingest: 8 partitions made" in run("stage", "ingest").output
    assert date.fromisoformat(max(path.name for path in (empty_root / "landing" / "transactions").iterdir())) == last


@pytest.mark.parametrize("stage", [LAND, "score"])
def test_dvc_is_not_served_from_another_folder(root: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    monkeypatch.setenv("DVC_STAGE", stage)
    result = run("stage", stage)
    assert result.exit_code == 1
    assert f"PIPELINE_DATA={root}, PIPELINE_PARAMS={root}/params.yaml; unset them for DVC" in result.output
