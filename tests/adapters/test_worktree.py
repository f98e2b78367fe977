"""The code of then is had exactly, or the message says why not; nothing of it stays behind."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_assets.adapters import revision, worktree
from pipeline_assets.adapters.revision import find_revision
from pipeline_assets.adapters.worktree import PROGRAM, open_code
from pipeline_assets.core.lineage.reproduction import NotReproducibleError

CODE = f"{PROGRAM.replace('.', '/')}.py"


def git(project: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(project: Path, message: str) -> str:
    git(project, "add", ".")
    git(project, "commit", "-qm", message)
    find_revision.cache_clear()
    return git(project, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository in the place of this one; its first commit cannot rebuild anything yet."""
    folder = tmp_path / "project"
    (folder / CODE).parent.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    git(folder, "init", "-q")
    monkeypatch.setattr(revision, "_PROJECT", folder)
    monkeypatch.setattr(worktree, "PROJECT", folder)
    commit(folder, "before")
    yield folder
    find_revision.cache_clear()


def write(project: Path, text: str) -> None:
    (project / CODE).write_text(text)


def test_the_code_that_is_there_is_taken_as_it_is(project: Path, tmp_path: Path) -> None:
    write(project, "one")
    with open_code(commit(project, "one"), tmp_path / "code") as code:
        assert code == project
    assert not (tmp_path / "code").exists()


def test_code_of_then_is_there_for_as_long_as_it_is_needed(project: Path, tmp_path: Path) -> None:
    write(project, "one")
    one = commit(project, "one")
    write(project, "two")
    commit(project, "two")
    with open_code(one, tmp_path / "code") as code:
        assert (code / CODE).read_text() == "one"
        assert (project / CODE).read_text() == "two"
    assert not (tmp_path / "code").exists()
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_it_is_removed_after_an_error_too_and_whatever_was_written_there(project: Path, tmp_path: Path) -> None:
    write(project, "one")
    one = commit(project, "one")
    write(project, "two")
    commit(project, "two")

    def fail() -> None:
        with open_code(one, tmp_path / "code") as code:
            (code / CODE).write_text("changed")
            (code / "compiled").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (tmp_path / "code").exists()
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_where_the_code_was_changed_since_its_commit_the_commit_is_taken(project: Path, tmp_path: Path) -> None:
    write(project, "one")
    one = commit(project, "one")
    write(project, "changed")
    with open_code(one, tmp_path / "code") as code:
        assert (code / CODE).read_text() == "one"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("{head}+changes", r"changed code that no commit holds; .*--here"),
        ("0" * 40, r"expected it in the repository .*git fetch.*--here"),
        ("{before}", r"cannot rebuild models yet; .*--here"),
        ("version 0.0.1", r"an installed package \(version 0.0.1\).*--here"),
    ],
)
def test_what_cannot_be_had_is_said_with_the_next_step(project: Path, tmp_path: Path, wanted: str, said: str) -> None:
    before = git(project, "rev-parse", "HEAD")
    write(project, "one")
    wanted = wanted.format(before=before, head=commit(project, "one"))
    with pytest.raises(NotReproducibleError, match=said), open_code(wanted, tmp_path / "code"):
        pass


def test_changed_code_is_not_known_by_its_name(project: Path, tmp_path: Path) -> None:
    write(project, "one")
    commit(project, "one")
    write(project, "changed")
    find_revision.cache_clear()
    assert find_revision().endswith("+changes")
    with pytest.raises(NotReproducibleError, match="--here"), open_code(find_revision(), tmp_path / "code"):
        pass


def test_changed_code_is_taken_where_a_person_says_so(project: Path, tmp_path: Path) -> None:
    write(project, "one")
    commit(project, "one")
    write(project, "changed")
    with open_code(find_revision(), tmp_path / "code", is_here=True) as code:
        assert code == project
