"""The same messages where the disk, the rights, the database and the network really are in the way."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill
PROGRAM = [sys.executable, "-c", "from pipeline_assets.cli import main; main()"]
NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="another user, or a mount, needs root")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with two days that have landed, and an instance."""
    (tmp_path / "params.yaml").write_text(
        "{history_start: '2026-01-04', simulation: {n_customers: 20, n_terminals: 40}}"
    )
    for name, value in (("DATA", tmp_path / "root"), ("PARAMS", tmp_path / "params.yaml")):
        monkeypatch.setenv(f"PIPELINE_{name}", str(value))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    assert ask("simulate", "--until", "2026-01-05")[0] == 0
    return tmp_path / "root"


def ask(*arguments: str, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
    done = subprocess.run([*prefix, *PROGRAM, *arguments], capture_output=True, text=True, timeout=280, check=False)
    return done.returncode, done.stdout + done.stderr


def require_message(found: tuple[int, str], *said: str) -> None:
    code, text = found
    assert code == 1, text
    assert "Traceback" not in text
    assert 'File "' not in text
    assert [line for line in text.splitlines() if line.startswith("Error: ")], text
    for words in said:
        assert words in text


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "test", str(folder)], check=False)
    if done.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_root
def test_a_read_only_file_system_is_named_and_reading_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("heal", "--quick")[0] == 0  # the instance is there
    disk = root.with_name("disk")
    disk.mkdir()
    with mounted(disk, "size=64m"):
        shutil.copytree(root, disk / "root")
        monkeypatch.setenv("PIPELINE_DATA", str(disk / "root"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for reading in (("release", "log"), ("snapshot", "list"), ("alerts",), ("holds", "list"), ("sql", "select 1")):
            assert ask(*reading)[0] == 0
        require_message(ask("simulate", "--until", "2026-01-06"), "the file system is read-only", str(disk / "root"))
        backfill = ("backfill", "--from", "2026-01-04", "--to", "2026-01-05")
        require_message(ask(*backfill), "the file system is read-only", "ingest: ")


@needs_root
def test_a_user_without_the_right_is_told_so_with_the_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    with tempfile.TemporaryDirectory() as name:  # pytest closes its own folders to others, also while this test runs
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "kernels").mkdir()
        (folder / "kernels").chmod(0o777)
        shutil.copytree(root, folder / "root")
        params = Path(shutil.copy(os.environ["PIPELINE_PARAMS"], folder))
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder / "kernels"))
        monkeypatch.setenv("PIPELINE_DATA", str(folder / "root"))
        monkeypatch.setenv("PIPELINE_PARAMS", str(params))
        if ask("--help", prefix=drop)[0]:
            pytest.skip("another user cannot run the program here")
        denied = f"user {NOBODY} has no permission"
        require_message(ask("simulate", "--until", "2026-01-06", prefix=drop), denied, str(folder / "root"))
        (folder / "root" / "landing").chmod(0o700)
        require_message(ask("release", "hold", "champion", "--because", "x", prefix=drop), denied, "landing")
        params.chmod(0o600)
        require_message(ask("heal", prefix=drop), denied, "params.yaml")


def test_a_locked_database_of_dagster_is_named_after_a_bounded_time(root: Path) -> None:
    assert ask("heal", "--quick")[0] == 0
    home = Path(os.environ["DAGSTER_HOME"])
    with ExitStack() as stack:
        for path in home.rglob("*.db"):
            held = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            held.execute("begin exclusive")
        began = time.monotonic()
        require_message(ask("snapshot", "take"), "Dagster's database is locked by another process", str(home))
        assert time.monotonic() - began < 120
    assert ask("snapshot", "take")[0] == 0


def test_a_store_that_cannot_be_reached_is_named_after_a_bounded_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket()) as free:  # bound and not listening: whoever comes is refused
        free.bind(("127.0.0.1", 0))
        variables = {
            "ENDPOINT": f"http://127.0.0.1:{free.getsockname()[1]}",
            "ALLOW_HTTP": "true",
            "REGION": "eu-west-1",
        }
        for name, value in {**variables, "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("PIPELINE_DATA", "s3://bucket/root")
        began = time.monotonic()
        for command in (("release", "log"), ("sql", "select 1"), ("simulate",)):
            require_message(ask(*command), "does not answer", "127.0.0.1")
        assert time.monotonic() - began < 240
    assert root.exists()


def test_an_interrupt_ends_quietly_and_the_same_command_goes_on(root: Path) -> None:
    command = [*PROGRAM, "simulate", "--until", "2026-12-31"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("simulation: ")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert (process.returncode, said) == (
        130,
        "stopped; what was done stays: give the same command again, and it goes on\n",
    )
    assert ask("simulate", "--until", "2026-01-06")[0] == 0
    assert not list(root.rglob(".tmp-*"))


def test_a_reader_who_has_enough_ends_a_command_quietly(root: Path) -> None:
    query = "select * from range(200000)"
    command = [*PROGRAM, "sql", query, "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "range\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert root.exists()
