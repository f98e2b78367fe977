"""One server a Dagster home: a lock that goes with the process that holds it, and says which one that is."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_NAME: Final = "ui.lock"
_READ_SECONDS: Final = 2.0  # between taking the lock and writing who took it there is no more than a moment


@contextmanager
def occupy(home: Path, url: str) -> Iterator[bool]:
    """Hold the Dagster home for this process until the block ends or the process does, even by a kill.

    The file stays, and what is written in it is only told, never believed: the lock itself is the kernel's.

    Args:
        home: The folder of the Dagster instance.
        url: Where this process serves, for whoever comes second.

    Yields:
        Whether the process that held it before was killed: what it started may not have ended yet.

    Raises:
        ValueError: Another process holds it, or the folder cannot be locked.
    """
    path = home / _NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        raise ValueError(f"cannot serve from {home}: {path}: {error.strerror}; make the folder writable") from error
    try:
        _lock(descriptor, path)
        was_killed = os.fstat(descriptor).st_size > 0
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} ({url})\n".encode(), 0)
        yield was_killed
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _read_holder(path)
        raise ValueError(
            f"the Dagster instance in {path.parent} is served already, by {holder}; use that one or end it first. "
            "Two of them would run every schedule and every sensor twice, also on different ports"
        ) from error
    except OSError as error:
        raise ValueError(
            f"cannot lock {path}: {error.strerror}; put DAGSTER_HOME on a file system that can (a local disk)"
        ) from error


def _read_holder(path: Path) -> str:
    deadline = time.monotonic() + _READ_SECONDS
    while time.monotonic() < deadline:
        if written := path.read_text(errors="replace").strip():
            return written
        time.sleep(0.02)
    return "another process"
