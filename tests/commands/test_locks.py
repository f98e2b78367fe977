"""Locks as a person sees them: who holds what, and the way out."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline_assets.adapters.locks import LockLostError
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.cli import commands
from tests.adapters.test_locks import end, start_holder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("{}")
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    return tmp_path / "data"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["locks", *arguments])


def test_where_nothing_is_locked_that_is_said(root: Path) -> None:
    assert run("list").output == "nothing is locked\n"
    refused = run("break", f"{root}/snapshots/lock")
    assert refused.exit_code == 1
    assert "expected one that is held (none is)" in refused.output


def test_a_living_holder_is_named_and_its_lock_is_broken_by_force_alone(root: Path) -> None:
    name = f"{root}/snapshots/lock"
    with pytest.raises(LockLostError), LocalStorage(root).lock("snapshots/lock", purpose="a test"):  # noqa: PT012
        assert f"{name}: held by process " in run("list").output
        refused = run("break", name)
        assert refused.exit_code == 1
        assert "end that process first" in refused.output
        assert run("break", name, "--force").output.startswith(f"{name}: free")


def test_what_a_killed_process_left_is_free_and_may_be_cleared(root: Path) -> None:
    holder: subprocess.Popen[bytes] = start_holder(root / "snapshots" / "lock")
    end(holder)
    assert f"free, left by process {holder.pid}" in run("list").output
    assert run("break", f"{root}/snapshots/lock").exit_code == 0
    assert run("list").output == "nothing is locked\n"
