"""One server a Dagster home, held by the kernel and not by what is written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_assets.commands.occupancy import occupy

HOLDS = "import sys, time; from pathlib import Path; from pipeline_assets.commands.occupancy import occupy\n"
HOLDS += "with occupy(Path(sys.argv[1]), 'http://127.0.0.1:3000'): print('held', flush=True); time.sleep(60)"


def hold(home: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def test_the_second_is_refused_with_the_first_ones_process_and_address(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        try:
            told = rf"served already, by process {first.pid} \(http://127.0.0.1:3000\); use that one or end it first"
            for _ in range(2):
                with pytest.raises(ValueError, match=told), occupy(tmp_path, "http://127.0.0.1:4000"):
                    pytest.fail("both were let in")
        finally:
            first.kill()


def test_a_killed_holder_blocks_nobody_and_is_known_to_have_been_killed(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        os.kill(first.pid, signal.SIGKILL)
    with occupy(tmp_path, "http://127.0.0.1:4000") as was_killed:
        assert was_killed
    with occupy(tmp_path, "http://127.0.0.1:4000") as was_killed:
        assert not was_killed


def test_a_process_that_lives_and_is_only_named_in_the_file_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "ui.lock").write_text(f"process {os.getpid()} (http://127.0.0.1:3000)\n")
    with occupy(tmp_path, "http://127.0.0.1:4000"):
        assert f"process {os.getpid()} (http://127.0.0.1:4000)" in (tmp_path / "ui.lock").read_text()


def test_two_in_one_process_do_not_share_a_home_and_another_home_is_free(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        occupy(tmp_path, "http://a"),
        occupy(tmp_path / "other", "http://b"),
        pytest.raises(ValueError, match=f"process {os.getpid()} "),
        occupy(tmp_path, "http://c"),
    ):
        pytest.fail("both were let in")


def test_a_home_that_cannot_be_locked_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "ui.lock").mkdir()
    with pytest.raises(ValueError, match=r"ui.lock: Is a directory; make the folder writable"), occupy(tmp_path, ""):
        pytest.fail("it was let in")
