"""Locks that have an owner and a way out: who holds what, since when, for what.

In a folder a lock is the kernel's on a file (``flock``), which goes with its holder. In an object store it is an object
that its holder renews; where that stops for a lease, by the clock of the store, the next one takes over. Every change
of such an object names the version that it replaces, so that no one ever renews, releases or takes another's.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from pipeline_assets.adapters.files import make_folder

WAIT_SECONDS: Final = 900.0  # for a lock: longer than a snapshot takes; then who waits says so, and is tried again
_POLL_SECONDS: Final = 0.05
_POLL_LONGEST: Final = 0.5
_LONGEST_RECORD: Final = 10_000  # bytes; a lock's record has two hundred
_PROC: Final = Path("/proc")


class LockHeldError(BlockingIOError):
    """Another process holds a lock for longer than was to be waited: it may be free later."""


class LockLostError(ConnectionAbortedError):
    """A lock was taken from its holder, by a person or because it could not be renewed: others may have gone on."""


class Lock(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Make sure that it still is; raises LockLostError."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        pid: The process.
        started: When that process began, in the kernel's clock ticks: another one may get its number later.
        host: The machine.
        since: When it took the lock, by its own clock.
        purpose: What it does meanwhile.
        token: Another one each time.
    """

    pid: int
    started: int
    host: str
    since: str
    purpose: str
    token: str

    def is_here(self) -> bool:
        """Return whether it is a process of this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Return whether it is a process of this machine that goes on."""
        return self.is_here() and self.started == _find_start(self.pid) is not None

    def __str__(self) -> str:
        """For a person."""
        return f"process {self.pid} on {self.host}, since {self.since}{f', {self.purpose}' if self.purpose else ''}"

    def to_values(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def make_holder(purpose: str) -> Holder:
    """Return this process as the holder of a lock."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    pid = os.getpid()
    return Holder(pid, _find_start(pid) or 0, socket.gethostname(), now, purpose, secrets.token_hex(8))


def read_holder(content: bytes) -> Holder | None:
    """Return whom the record of a lock names; None where it names nobody, or by another version of this program."""
    try:
        values = json.loads(content)
        return Holder(
            int(values["pid"]),
            int(values["started"]),
            str(values["host"]),
            str(values["since"]),
            str(values["purpose"]),
            str(values["token"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def describe_holder(holder: Holder | None) -> str:
    """Return who holds a lock, for a person."""
    return str(holder) if holder else "a process that did not say who it is"


def refuse_to_wait(name: str, holder: Holder | None, seconds: float) -> LockHeldError:
    """Return the error of who has waited long enough."""
    return LockHeldError(
        f"lock {name}: expected it to be free within {seconds:g} s, found it held by {describe_holder(holder)}; "
        "it is tried again; where that process hangs, end it, or: pipeline-assets locks break"
    )


def tell_loss(name: str, why: str) -> LockLostError:
    """Return the error of who held a lock and lost it."""
    return LockLostError(f"lock {name}: expected to hold it to the end, {why}; do the same again")


class FileLock:
    """The kernel's lock on a file, held by this process; see :func:`hold_file`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Hold what ``descriptor``, of the file ``path``, has locked."""
        self._path, self._descriptor = path, descriptor

    def check(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            LockLostError: A person has broken it.
        """
        if not _is_at(self._path, self._descriptor):
            raise tell_loss(str(self._path), "a person has broken it")


@contextlib.contextmanager
def hold_file(path: Path, purpose: str = "", wait_seconds: float = WAIT_SECONDS) -> Iterator[FileLock]:
    """Hold the lock that the file ``path`` stands for while the context lasts; it goes with the process.

    Args:
        path: The file, which is made and stays: it says who holds the lock.
        purpose: What for, in a few words.
        wait_seconds: How long to wait for another holder.

    Raises:
        LockHeldError: It was not free in all that time; the message names its holder.
        LockLostError: On the way out: a person has broken it meanwhile.
    """
    make_folder(path.parent)
    descriptor = _acquire(path, wait_seconds)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(make_holder(purpose).to_values()).encode(), 0)
        lock = FileLock(path, descriptor)
        yield lock
        lock.check()
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(path: Path, wait_seconds: float) -> int:
    deadline, pause = time.monotonic() + wait_seconds, _POLL_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):  # else a person broke it between the two calls
                return descriptor
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                holder = read_holder(os.pread(descriptor, _LONGEST_RECORD, 0))
                os.close(descriptor)
                raise refuse_to_wait(str(path), holder, wait_seconds) from error
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(2 * pause, _POLL_LONGEST)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class FoundLock:
    """A lock that is held, or was when its holder died.

    Attributes:
        path: Below the storage.
        holder: Who, as far as it is known.
        is_held: Whether others wait for it; a lock that a process left is free.
        is_living: Whether its holder goes on, as far as can be told from here.
    """

    path: str
    holder: Holder | None
    is_held: bool
    is_living: bool


def look_at_file(root: Path, path: str) -> FoundLock | None:
    """Return the state of a lock file; None where nobody holds it and nobody died holding it."""
    try:
        descriptor = os.open(root / path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        holder = read_holder(os.pread(descriptor, _LONGEST_RECORD, 0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            # Whoever has the kernel's lock goes on, on this machine or on another one that shares the folder.
            return FoundLock(path, holder, is_held=True, is_living=True)
        return FoundLock(path, holder, is_held=False, is_living=False) if holder else None
    finally:
        os.close(descriptor)


def break_file(root: Path, path: str) -> None:
    """Take a lock file away, so that the next one who asks gets the lock; its holder hears of it on the way out."""
    (root / path).unlink(missing_ok=True)


def _find_start(pid: int) -> int | None:
    """When a process began; None where there is none, or it has ended and nobody has asked how."""
    try:
        fields = (_PROC / f"{pid}" / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in ("Z", "X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return _exists(pid)


def _exists(pid: int) -> int | None:
    """Where there is no ``/proc``: 0 for a process that exists."""
    if _PROC.joinpath("self").exists():
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return 0
