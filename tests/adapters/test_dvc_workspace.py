"""What DVC's remotes are, and which commits may name objects in them without being known here; with real git."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline_assets.adapters.dvc_workspace import find_unknown_commits, list_dvc_remotes
from pipeline_assets.adapters.retention import find_garbage
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from tests.adapters.test_snapshots import FAR_FUTURE, open_snapshots, take, write_partition

PROJECT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
    }  # fmt: skip
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, env=environment, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a data root whose remote is DVC's, too; its origin gets a branch from somebody else."""
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "origin.git")], check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(tmp_path / "origin.git"), str(clone)], check=True, capture_output=True)
    (clone / ".dvc").mkdir()
    (clone / ".dvc" / "config").write_text("[core]\nremote = one\n['remote \"one\"']\nurl = ../data/remotes/one\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "first")
    git(clone, "push", "-q", "origin", "HEAD")
    return clone


def push_a_branch(clone: Path) -> None:
    other = clone.parent / "other"
    subprocess.run(["git", "clone", "-q", str(clone.parent / "origin.git"), str(other)], check=True)
    git(other, "checkout", "-q", "-b", "their-features")
    git(other, "commit", "-q", "--allow-empty", "-m", "theirs")
    git(other, "push", "-q", "origin", "their-features")


def test_a_branch_that_was_not_fetched_is_named_until_it_is(clone: Path) -> None:
    root = LocalStorage(clone / "data")
    assert find_unknown_commits(root) == ""
    push_a_branch(clone)
    assert "refs/heads/their-features" in find_unknown_commits(root)
    assert "git fetch --tags origin" in find_unknown_commits(root)
    git(clone, "fetch", "-q", "--tags", "origin")
    assert find_unknown_commits(root) == ""


def test_an_origin_that_cannot_be_asked_is_named(clone: Path) -> None:
    shutil.rmtree(clone.parent / "origin.git")
    assert "git cannot ask origin" in find_unknown_commits(LocalStorage(clone / "data"))


def test_where_nobody_uses_git_or_dvc_nothing_is_unknown(tmp_path: Path) -> None:
    assert find_unknown_commits(LocalStorage(tmp_path / "data")) == ""
    assert list_dvc_remotes(LocalStorage(tmp_path / "data")) == frozenset()


def test_nothing_goes_from_a_remote_of_dvc_whose_commits_are_not_all_known(clone: Path) -> None:
    root = clone / "data"
    write_partition(root, 1, b"day 1")
    take(root)
    stores, snapshots = open_stores(str(root)), open_snapshots(root)
    params = SnapshotParams(keep_days=1, keep_weeks=0)
    assert find_garbage(stores, snapshots, params, FAR_FUTURE).refusals == {}
    push_a_branch(clone)
    refusals = find_garbage(stores, snapshots, params, FAR_FUTURE).refusals
    assert list(refusals) == [str(root / "remotes" / "one")]  # the other one is not DVC's
    assert find_garbage(stores, snapshots, params, FAR_FUTURE, is_offline=True).refusals == {}


def test_every_remote_that_we_configure_for_dvc_is_verified() -> None:
    """A cut object is believed otherwise."""
    config = configparser.ConfigParser()
    config.read_string("\n".join(line.strip() for line in (PROJECT / ".dvc" / "config").read_text().splitlines()))
    remotes = [name for name in config.sections() if name.startswith("'remote")]
    assert len(remotes) == 2
    assert all(config[name].getboolean("verify") for name in remotes)
