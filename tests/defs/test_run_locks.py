"""A run is executed by one process at a time, judged on real processes."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline_assets.defs.run_locks import RunLocks

_HOLD = """
import sys
from pathlib import Path
from pipeline_assets.defs.run_locks import RunLocks
locks = RunLocks(Path(sys.argv[1]))
locks.take("run")
print("taken", flush=True)
sys.stdin.readline()
locks.release("run")
print("released", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holding(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock of the run, until it reads a line."""
    command = [sys.executable, "-c", _HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        try:
            yield process
        finally:
            process.kill()


def test_who_comes_second_waits_for_the_end_of_the_first_and_is_told_its_number(tmp_path: Path) -> None:
    locks, told, taken = RunLocks(tmp_path), list[int | None](), threading.Event()

    def take() -> None:
        locks.take("run", told.append)
        taken.set()

    with holding(tmp_path) as process:
        assert locks.is_held("run")
        assert not locks.is_held("another run")
        thread = threading.Thread(target=take)
        thread.start()
        assert not taken.wait(1.2)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert taken.wait(30)
        assert told == [process.pid]
        thread.join()
    assert locks.is_held("run")
    locks.release("run")
    assert not locks.is_held("run")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_free_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path)
    with holding(tmp_path) as process:
        process.kill()
        process.wait()
        assert list(tmp_path.iterdir()) != []
        assert not locks.is_held("run")
    assert list(tmp_path.iterdir()) == []
    began = time.monotonic()
    locks.take("run")
    assert time.monotonic() - began < 10
    locks.release("run")


def test_a_stopped_process_keeps_its_lock(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        process.send_signal(19)  # SIGSTOP
        assert RunLocks(tmp_path).is_held("run")


def test_taking_it_twice_and_releasing_what_is_not_held_is_no_mistake(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path)
    locks.release("run")
    locks.take("run")
    locks.take("run")
    locks.release("run")
    assert not locks.is_held("run")


def test_of_many_at_once_one_executes_at_a_time(tmp_path: Path) -> None:
    executing: list[int] = []
    most = 0

    def execute(number: int) -> None:
        nonlocal most
        locks = RunLocks(tmp_path)
        locks.take("run")
        executing.append(number)
        most = max(most, len(executing))
        time.sleep(0.01)
        executing.remove(number)
        locks.release("run")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline_assets.defs.run_locks._POLL_SECONDS", 0.005)
        threads = [threading.Thread(target=execute, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert most == 1
    assert list(tmp_path.iterdir()) == []
