"""Locks of runs: a run is executed by one process at a time, and whether it is executed is known without asking it.

A busy code server answers a launch too late: Dagster then submits the run into its queue again although its process
has begun, and starts another process for it (measured: 3 of 14 runs at a load of 33). The first of them to say that it
executes the run holds its lock, which goes with the process, however it ends. Another one waits: were it to end before
the run does, Dagster's code server would take the run for crashed and declare it failed while the first one works.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import raise_interrupts_as

_POLL_SECONDS: Final = 0.5


class RunLocks:
    """The locks of the runs that this process executes, as files in a folder that all processes of a host share."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made when it is needed."""
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, run_id: str, say: Callable[[int | None], None] = lambda _: None) -> None:
        """Hold the lock of a run from now on; while another process has it, wait.

        Args:
            run_id: The run.
            say: Hears the number of the other process (None where that is not known), once, before the wait.

        Raises:
            DagsterExecutionInterruptedError: This process was told to end while it waited.
        """
        if run_id in self._held:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        is_told = False
        while (descriptor := self._try(run_id)) is None:
            if not is_told:
                say(self.find_holder(run_id))
                is_told = True
            pause(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._held[run_id] = descriptor

    def release(self, run_id: str) -> None:
        """Let the lock of a run go, if this process holds it."""
        descriptor = self._held.pop(run_id, None)
        if descriptor is not None:
            self._path(run_id).unlink(missing_ok=True)
            os.close(descriptor)

    def is_held(self, run_id: str) -> bool:
        """Whether a living process of this host executes a run."""
        with suppress(FileNotFoundError), self._path(run_id).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            if os.fstat(file.fileno()).st_size:  # its holder was killed; one that is about to hold it says nothing yet
                self._path(run_id).unlink(missing_ok=True)
        return False

    def find_holder(self, run_id: str) -> int | None:
        """The number of the process that says that it holds the lock of a run."""
        with suppress(FileNotFoundError, ValueError):
            return int(self._path(run_id).read_text())
        return None

    def _try(self, run_id: str) -> int | None:
        descriptor = os.open(self._path(run_id), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed the file since it was opened: then another one is locked by name.
            if os.fstat(descriptor).st_ino == self._path(run_id).stat().st_ino:
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    def _path(self, run_id: str) -> Path:
        return self._folder / run_id


def pause(seconds: float) -> None:
    """Wait, but not when this process is told to end.

    Raises:
        DagsterExecutionInterruptedError: It was.
    """
    with raise_interrupts_as(DagsterExecutionInterruptedError):
        time.sleep(seconds)
