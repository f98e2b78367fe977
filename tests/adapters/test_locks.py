"""The lock on a file: who holds it is named, it goes with the process, and a person can take it away."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline_assets.adapters.locks import LockHeldError, LockLostError, hold_file
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.failures import FailureKind, classify_failure

HOLD = """
import sys
from pathlib import Path
from pipeline_assets.adapters.locks import hold_file
with hold_file(Path(sys.argv[1]), "a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def start_holder(path: Path) -> "subprocess.Popen[bytes]":
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def end(holder: "subprocess.Popen[bytes]") -> None:
    holder.kill()
    holder.communicate()


def test_who_waits_too_long_hears_who_holds_it_and_may_try_again(storage: LocalStorage, tmp_path: Path) -> None:
    holder = start_holder(tmp_path / "a" / "lock")
    try:
        with (
            pytest.raises(LockHeldError, match=rf"within 0\.1 s.*process {holder.pid} on .* UTC, a test") as held,
            storage.lock("a/lock", wait_seconds=0.1),
        ):
            raise AssertionError("given twice")
        assert classify_failure(held.value) is FailureKind.TRANSIENT
        (found,) = storage.list_locks()
        assert (found.path, found.is_held, found.is_living) == ("a/lock", True, True)
        assert found.holder is not None
        assert (found.holder.pid, found.holder.purpose) == (holder.pid, "a test")
    finally:
        end(holder)


def test_the_lock_of_a_killed_process_is_free_and_says_whose_it_was(storage: LocalStorage, tmp_path: Path) -> None:
    holder = start_holder(tmp_path / "a" / "lock")
    end(holder)
    (found,) = storage.list_locks()
    assert (found.is_held, found.is_living) == (False, False)
    with storage.lock("a/lock", wait_seconds=0) as lock:
        lock.check()
    assert storage.list_locks() == ()


def test_who_holds_a_broken_lock_hears_of_it_and_the_next_one_is_not_disturbed(storage: LocalStorage) -> None:
    first, second = storage.lock("a/lock"), storage.lock("a/lock", wait_seconds=0)
    held = first.__enter__()
    storage.break_lock("a/lock")
    with pytest.raises(LockLostError, match="a person has broken it"):
        held.check()
    with second as lock:
        with pytest.raises(LockLostError):
            first.__exit__(None, None, None)
        lock.check()
        with pytest.raises(LockHeldError), storage.lock("a/lock", wait_seconds=0):
            raise AssertionError("given twice")


def test_the_error_of_the_work_is_not_hidden_by_a_lost_lock(storage: LocalStorage) -> None:
    with pytest.raises(ZeroDivisionError), storage.lock("a/lock"):  # noqa: PT012
        storage.break_lock("a/lock")
        raise ZeroDivisionError


def test_a_lock_is_waited_for_as_long_as_was_said(storage: LocalStorage, tmp_path: Path) -> None:
    holder = start_holder(tmp_path / "a" / "lock")
    try:
        began = time.monotonic()
        with pytest.raises(LockHeldError), hold_file(tmp_path / "a" / "lock", wait_seconds=0.5):
            raise AssertionError("given twice")
        assert time.monotonic() - began >= 0.5
    finally:
        end(holder)
    assert os.path.exists(tmp_path / "a" / "lock")  # noqa: PTH110
