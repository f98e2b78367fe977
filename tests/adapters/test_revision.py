"""The revision is that of the code that runs, and says so where it was changed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_assets.adapters import revision
from pipeline_assets.adapters.revision import find_revision


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with one commit of a package, in the place of this one."""
    (tmp_path / "pipeline_assets").mkdir()
    (tmp_path / "pipeline_assets" / "code.py").write_text("one\n")
    monkeypatch.setattr(revision, "_PROJECT", tmp_path)
    find_revision.cache_clear()
    yield tmp_path
    find_revision.cache_clear()


def git(project: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_clean_repository_is_named_by_its_commit_and_a_changed_one_says_so(project: Path) -> None:
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "one")
    commit = git(project, "rev-parse", "HEAD")
    assert find_revision() == commit
    (project / "pipeline_assets" / "code.py").write_text("two\n")
    assert find_revision() == commit, "the code that was loaded is what counts"
    find_revision.cache_clear()
    assert find_revision() == f"{commit}+changes"


def test_without_a_repository_it_is_the_version_of_the_package(project: Path) -> None:
    assert find_revision().startswith("version ")


def test_the_repository_of_a_folder_further_up_is_not_taken_for_that_of_the_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "one")
    monkeypatch.setattr(revision, "_PROJECT", project / "pipeline_assets")
    find_revision.cache_clear()
    assert find_revision().startswith("version ")
