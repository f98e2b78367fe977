"""DVC's own commands on a repository of its own, as a person types them: each in a process, without a network."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipeline_assets.adapters.garbage import collect_garbage
from pipeline_assets.adapters.retention import find_garbage
from pipeline_assets.commands.snapshots import open_snapshots
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from pipeline_assets.core.lineage.stages import LAND, METRICS, STAGES, list_folders
from pipeline_assets.settings import read_settings

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]
PROJECT = Path(__file__).parents[2]
COPIED = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml", "pipeline_assets")
FAR_FUTURE = datetime(2036, 1, 1, tzinfo=UTC)
START = date(2026, 1, 4)
LAST = START + timedelta(days=49)  # three models
SMALL = {
    "history_start": f"{START}",
    "simulation": {"n_customers": 150, "n_terminals": 200},
    "training": {"rounds": 30, "num_leaves": 8, "checkpoint_rounds": 10},
    "retraining": {"every_weeks": 1},
    "release": {"min_frauds": 3},
}
EVALUATION, DECISIONS = (f"data/{path}" for path in METRICS.values())


class Workspace:
    """A git repository with the pipeline's files and a small world."""

    def __init__(self, root: Path) -> None:
        self.root = root
        names = ("PIPELINE_", "DAGSTER_", "DVC_", "GIT_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(names)},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SHELL": "/bin/sh",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def run(self, *arguments: str) -> str:
        """What a command says; both of its streams."""
        done = subprocess.run(
            arguments,
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}"
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def read_json(self, *arguments: str) -> dict[str, dict[str, dict[str, float]]]:
        """A report of DVC as JSON, without what it says beside it."""
        said = self.dvc(*arguments, "--json")
        return dict(json.loads(said[said.index("{") :]))

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self, message: str) -> str:
        """Commit all that git follows, and what the commit is called."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def set_param(self, section: str, **values: object) -> None:
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params[section] = {**params[section], **values}
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def hash(self) -> dict[str, str]:
        """Hash of each file that the stages make."""
        folders = [folder for stage in (LAND, *STAGES) for folder in list_folders(stage)]
        paths = (path for folder in folders for path in sorted((self.root / "data" / folder).rglob("*")))
        return {
            path.relative_to(self.root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
            for path in paths
            if path.is_file()
        }


def list_run(said: str) -> list[str]:
    """The stages that ``dvc repro`` ran."""
    return [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage '")]


def find_made(said: str, stage: str) -> str:
    return next(line for line in said.splitlines() if line.startswith(f"{stage}: "))


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A repository in which ``dvc repro`` has made everything, committed; nothing had landed before its last day."""
    root = tmp_path_factory.mktemp("dvc") / "repository"
    for name in COPIED:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(PROJECT / name, target)
    workspace = Workspace(root)
    params = yaml.safe_load((root / "params.yaml").read_text())
    for name, value in SMALL.items():
        params[name] = {**params[name], **value} if isinstance(value, dict) else value
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    workspace.git("init", "-q", "-b", "main")
    for name, value in (("user.name", "A. Nalyst"), ("user.email", "analyst@example.com")):
        workspace.git("config", name, value)
    workspace.commit("the pipeline")
    workspace.run("pipeline-assets", "simulate", "--until", f"{LAST}")
    assert list_run(workspace.dvc("repro")) == [LAND, *STAGES]
    workspace.commit("all of it")
    return workspace


@pytest.fixture
def workspace(done: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, with DVC's cache and remotes."""
    root = tmp_path / "repository"
    shutil.copytree(done.root, root, copy_function=shutil.copy2)
    return Workspace(root)


def test_what_is_made_is_clean_and_is_not_made_again(done: Workspace) -> None:
    assert "up to date" in done.dvc("status")
    assert list_run(done.dvc("repro")) == []
    assert done.git("status", "--porcelain") == ""
    tracked = done.git("ls-files").split()
    assert "dvc.lock" in tracked
    assert not [path for path in tracked if path.startswith("data/")]


def test_the_graph_is_that_of_the_stages(done: Workspace) -> None:
    edges = {tuple(line.strip(";").split(" -> ")) for line in done.dvc("dag", "--dot").splitlines() if "->" in line}
    assert {(one.strip('" \t'), other.strip('" \t')) for one, other in edges} >= {
        ("land", "ingest"), ("ingest", "features"), ("features", "train"), ("train", "evaluate"), ("evaluate", "score"),
    }  # fmt: skip


def test_metrics_are_of_the_models_and_of_the_decisions(done: Workspace) -> None:
    shown = done.read_json("metrics", "show")[""]["data"]
    evaluation, decisions = (shown[path]["data"] for path in (EVALUATION, DECISIONS))  # type: ignore[index]
    assert evaluation["n_models"] == 3
    assert set(evaluation) >= {"candidate", "earlier", "rules", "all_weeks"}
    assert set(evaluation["candidate"]) >= {"average_precision", "roc_auc", "card_precision"}
    assert 0 < decisions["decisions"]["average_precision"] <= 1


def test_a_parameter_makes_only_what_depends_on_it_again_and_its_effect_is_shown(workspace: Workspace) -> None:
    before = workspace.hash()
    workspace.set_param("training", num_leaves=4)
    said = workspace.dvc("repro")
    assert list_run(said) == ["train", "evaluate", "score"]
    assert find_made(said, "train") == "train: 3 partitions made"  # the models, not their training sets
    changed = {path.split("/date=")[0] for path, md5 in workspace.hash().items() if before.get(path) != md5}
    assert "data/lake/training_set" not in changed
    assert "data/lake/scores" in changed
    assert "up to date" in workspace.dvc("status")

    assert workspace.read_json("params", "diff") == {
        "params.yaml": {"training.num_leaves": {"old": 8, "new": 4, "diff": -4}}
    }
    difference = workspace.read_json("metrics", "diff")
    assert "candidate.average_precision" in difference[EVALUATION]
    assert "decisions.average_precision" in difference[DECISIONS]

    workspace.dvc("plots", "diff", "HEAD")
    page = (workspace.root / "dvc_plots" / "index.html").read_text()
    for title in ("Precision and recall of the latest candidate", "Average precision by week", "The decisions that"):
        assert title in page
    assert '"workspace"' in page
    assert '"HEAD"' in page

    # Back: what was committed before lies in the cache.
    workspace.git("checkout", "-q", "--", "params.yaml", "dvc.lock")
    workspace.dvc("checkout")
    assert workspace.hash() == before
    assert "up to date" in workspace.dvc("status")


def test_plots_are_a_page(workspace: Workspace) -> None:
    workspace.dvc("plots", "show")
    page = (workspace.root / "dvc_plots" / "index.html").read_text()
    assert page.count("recall: share of frauds found") >= 1
    assert workspace.git("status", "--porcelain") == ""


def test_an_experiment_appears_with_its_metrics(workspace: Workspace) -> None:
    before = workspace.hash()
    said = workspace.dvc("exp", "run", "--name", "dear-reviews", "-S", "decision.review_cost_cents=2000")
    assert list_run(said) == ["evaluate", "score"]  # models are compared by what their decisions cost, too
    assert yaml.safe_load((workspace.root / "params.yaml").read_text())["decision"]["review_cost_cents"] == 2000

    table = workspace.dvc("exp", "show", "--csv")
    rows = pl.read_csv(table[table.index("Experiment,") :].encode(), infer_schema=False).to_dicts()
    found = {row["Experiment"] or row["rev"]: row for row in rows}
    assert found["dear-reviews"]["decision.review_cost_cents"] == "2000"
    assert found["main"]["decision.review_cost_cents"] != "2000"
    reviewed = [float(found[name]["decisions.reviewed_share"]) for name in ("main", "dear-reviews")]
    assert reviewed[0] > reviewed[1]

    workspace.git("checkout", "-q", "--", "params.yaml", "dvc.lock")
    workspace.dvc("checkout")
    assert workspace.hash() == before


def test_a_day_more_makes_only_what_it_changes_and_a_commit_brings_everything_back(workspace: Workspace) -> None:
    before, first = workspace.hash(), workspace.git("rev-parse", "HEAD").strip()
    workspace.run("pipeline-assets", "simulate", "--until", f"{LAST + timedelta(days=1)}")
    said = workspace.dvc("repro")
    assert find_made(said, "ingest") == "ingest: 4 partitions made"
    assert find_made(said, "features") == "features: 2 partitions made"
    assert find_made(said, "score") == "score: 5 partitions made"
    after, second = workspace.hash(), workspace.commit("a day more")
    assert {path for path in before if after[path] != before[path]} == set()

    for revision, state in ((first, before), (second, after)):
        workspace.git("checkout", "-q", revision)
        workspace.dvc("checkout")
        assert workspace.hash() == state
        assert "up to date" in workspace.dvc("status")
        assert "Nothing to heal" in workspace.run("pipeline-assets", "heal")


def test_bytes_that_rot_are_made_good(workspace: Workspace) -> None:
    before = workspace.hash()
    next((workspace.root / "data" / "lake" / "customer_features").rglob("*.parquet")).write_bytes(b"rot")
    said = workspace.dvc("repro")
    assert list_run(said) == ["features"]
    assert workspace.hash() == before
    assert workspace.git("status", "--porcelain") == ""


def test_a_new_version_of_the_code_is_seen(workspace: Workspace) -> None:
    path = workspace.root / "pipeline_assets" / "core" / "lineage" / "recipes.py"
    path.write_text(path.read_text().replace('"scores": "2"', '"scores": "3"'))
    assert list_run(workspace.dvc("repro", "--dry")) == ["score"]


def test_a_clone_pulls_what_was_pushed(workspace: Workspace, tmp_path: Path) -> None:
    workspace.dvc("push")
    assert (workspace.root / "data" / "remotes" / "one" / "files" / "md5").is_dir()
    clone = Workspace(tmp_path / "clone")
    workspace.git("clone", "-q", str(workspace.root), str(clone.root))
    clone.dvc("remote", "modify", "--local", "one", "url", str(workspace.root / "data" / "remotes" / "one"))
    clone.dvc("pull")
    assert clone.hash() == workspace.hash()
    assert "up to date" in clone.dvc("status")
    assert "Nothing to heal" in clone.run("pipeline-assets", "heal")


def test_what_dagster_made_is_committed_by_its_snapshot(workspace: Workspace) -> None:
    workspace.set_param("decision", review_cost_cents=2000)
    workspace.run("pipeline-assets", "heal", "--apply", "--quick")
    assert "score" in workspace.dvc("status")
    workspace.run("pipeline-assets", "snapshot", "take")
    assert "up to date" in workspace.dvc("status")
    assert "decisions.reviewed_share" in workspace.read_json("metrics", "diff")[DECISIONS]


def test_garbage_never_takes_what_a_commit_names(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = workspace.git("rev-parse", "HEAD").strip()
    workspace.run("pipeline-assets", "snapshot", "take")  # it stays: it is the first with these models
    workspace.set_param("decision", review_cost_cents=2000)
    assert list_run(workspace.dvc("repro")) == ["evaluate", "score"]
    workspace.run("pipeline-assets", "snapshot", "take")
    second, state = workspace.commit("dear reviews"), workspace.hash()
    workspace.git("checkout", "-q", first)
    workspace.dvc("checkout")
    # The release log went back, too: whoever decides from it from now on says so.
    workspace.run("pipeline-assets", "release", "confirm", "--because", "back to the first commit")
    workspace.run("pipeline-assets", "snapshot", "take")

    monkeypatch.chdir(workspace.root)
    stores, snapshots = open_snapshots(read_settings())
    garbage = find_garbage(stores, snapshots, SnapshotParams(keep_days=1, keep_weeks=0), FAR_FUTURE)
    assert [one.sequence for one in garbage.dropped] == [1]
    collect_garbage(snapshots, garbage, FAR_FUTURE, timedelta(0))

    shutil.rmtree(workspace.root / ".dvc" / "cache")
    workspace.git("checkout", "-q", "-f", second)  # the confirmation is in dvc.lock
    workspace.dvc("pull", "--force")
    assert workspace.hash() == state
