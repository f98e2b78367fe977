"""What killed processes leave behind is swept; what a living one uses never is."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline_assets.adapters.leftovers import open_scratch, sweep_leftovers
from pipeline_assets.adapters.storage import TEMPORARY_PREFIX, LocalStorage, open_storage

WRITE = """
import os, sys
from pathlib import Path
from pipeline_assets.adapters.storage import LocalStorage
flush = os.fsync
def wait(descriptor):
    print("writing", flush=True)
    sys.stdin.read()
    flush(descriptor)
os.fsync = wait
(Path(sys.argv[1]) / "t").mkdir(exist_ok=True)
LocalStorage(Path(sys.argv[1])).write("t/p", b"x" * 100)
"""


def start_writer(root: Path) -> "subprocess.Popen[bytes]":
    """A process that is in the middle of a write."""
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    return writer


def find_temporary(root: Path) -> list[Path]:
    return list(root.rglob(f"{TEMPORARY_PREFIX}*"))


def make_old(path: Path) -> None:
    os.utime(path, (time.time() - 100_000,) * 2)


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    writer = start_writer(tmp_path)
    (temporary,) = find_temporary(tmp_path)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    storage = LocalStorage(tmp_path)
    assert sweep_leftovers([storage]) == []
    make_old(temporary)
    assert sweep_leftovers([storage]) == [str(temporary)]
    assert find_temporary(tmp_path) == []


def test_the_file_of_a_living_writer_is_never_swept_however_old_it_is(tmp_path: Path) -> None:
    writer = start_writer(tmp_path)
    (temporary,) = find_temporary(tmp_path)
    make_old(temporary)
    assert sweep_leftovers([LocalStorage(tmp_path)]) == []
    writer.communicate()
    assert writer.returncode == 0
    assert LocalStorage(tmp_path).read("t/p") == b"x" * 100


def test_nothing_but_our_own_temporary_files_is_swept(tmp_path: Path) -> None:
    for name in ("t/p", "t/tmp-1", f"{TEMPORARY_PREFIX}folder/p"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
        make_old(tmp_path / name)
    (tmp_path / f"{TEMPORARY_PREFIX}link").symlink_to(tmp_path / "t" / "p")
    os.mkfifo(tmp_path / f"{TEMPORARY_PREFIX}pipe")
    make_old(tmp_path / f"{TEMPORARY_PREFIX}pipe")
    assert sweep_leftovers([LocalStorage(tmp_path), open_storage(str(tmp_path / "absent"))]) == []


def test_a_sweep_ends_when_its_time_is_over(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY_PREFIX}1").write_bytes(b"1")
    make_old(tmp_path / f"{TEMPORARY_PREFIX}1")
    assert sweep_leftovers([LocalStorage(tmp_path)], budget_seconds=-1) == []


def test_the_folder_of_a_killed_command_is_swept_and_that_of_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / "reproduce-dead"
    (dead / "data").mkdir(parents=True)
    make_old(dead)
    with open_scratch("reproduce-") as alive:
        make_old(alive)
        assert str(dead) in sweep_leftovers([])
        assert alive.is_dir()
    assert not dead.exists()
    assert not alive.exists()
