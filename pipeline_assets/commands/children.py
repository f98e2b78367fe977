"""A process that the supervisor starts, and starts again; and what ends with it when the supervisor is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import cache
from typing import Final

_MAX_DEATHS: Final = 5  # within the window: so often no accident does it, and no restart mends it
_WINDOW_SECONDS: Final = 600.0
MAX_DELAY_SECONDS: Final = 30.0  # between a death and the restart: 1, 2, 4 ... seconds
_DELAY_ON_REQUEST_SECONDS: Final = 1.0
_ORPHAN_SECONDS: Final = 20.0  # that what a killed supervisor leaves has to end by itself: a run ends at its next line

# What a child does before it becomes the program it is meant to be; arguments: the supervisor's pid, the lifeline,
# the seconds for orphans, the program. Signals of the kernel reach the child alone, and Dagster's code server waits
# for its runs, however long they take: so a watcher beside it ends the whole group when the supervisor is gone.
_BECOME: Final = """
import ctypes, os, select, signal, sys, time
supervisor, life, patience, group = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), os.getpid()

def reaches(number):
    try:
        os.killpg(group, number)
        return True
    except (ProcessLookupError, PermissionError):
        return False

def watch():
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    while not select.select([life], [], [], 1.0)[0]:  # nobody writes: readable is the end of who holds the other side
        if not reaches(0):
            return
    reaches(signal.SIGTERM)
    deadline = time.monotonic() + patience
    while reaches(0) and time.monotonic() < deadline:
        time.sleep(0.2)
    reaches(signal.SIGKILL)

signal.signal(signal.SIGINT, signal.SIG_DFL)  # a script's background job ignores it; Dagster then ignores SIGTERM, too
if os.fork() == 0:
    watch()
    os._exit(0)
os.close(life)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: at once, and also where the watcher was killed
if os.getppid() != supervisor:
    sys.exit("the supervisor is gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


class Role(StrEnum):
    """The processes, by what they do."""

    CODE_SERVER = "code server"
    WEBSERVER = "webserver"
    DAEMON = "daemon"


class GaveUpError(RuntimeError):
    """A process dies again and again, or does not come up."""


class Child:
    """One of the processes: its program, what it needs, the process that runs it now, and when others of it died."""

    def __init__(
        self,
        role: Role,
        program: Sequence[str],
        may_start: Callable[[], bool],
        *,
        serves: Callable[[], bool] = lambda: False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Take a program of Python, without a process yet.

        Args:
            role: What it is for.
            program: The module and its arguments.
            may_start: Whether what it needs is there.
            serves: Whether it serves now, where others can ask it to end: once it did, an end with 0 is on request.
            variables: Of its environment alone.
        """
        self.role = role
        self.program = list(program)
        self.may_start = may_start
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths: list[float] = []
        self.not_before = 0.0
        self._serves = serves
        self._has_served = False
        self._variables = dict(variables or {})

    def start(self, environment: Mapping[str, str]) -> int:
        """Start the program in a session of its own, so that Ctrl-C reaches the supervisor only; its pid."""
        life = _open_lifeline()
        become = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), str(life), str(_ORPHAN_SECONDS)]
        self._has_served = False
        self.process = subprocess.Popen(
            [*become, sys.executable, "-m", *self.program],
            env={**environment, **self._variables},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[life],
        )
        return self.process.pid

    def has_ended(self) -> bool:
        """Whether its process has ended; where it lives, note whether it serves."""
        assert self.process is not None
        if self.process.poll() is not None:
            return True
        self._has_served = self._has_served or self._serves()
        return False

    def note_end(self, now: float) -> float:
        """Forget the process that ended; the seconds to wait before the next one.

        Raises:
            GaveUpError: It died too often; an end on request is no death.
        """
        assert self.process is not None
        code, self.process = self.process.returncode, None
        delay = _DELAY_ON_REQUEST_SECONDS if code == 0 and self._has_served else self._note_death(code, now)
        self.not_before = now + delay
        return delay

    def _note_death(self, code: int, now: float) -> float:
        self.deaths = [death for death in self.deaths if now - death < _WINDOW_SECONDS] + [now]
        if len(self.deaths) >= _MAX_DEATHS:
            raise GaveUpError(
                f"the {self.role} died {_MAX_DEATHS} times within {_WINDOW_SECONDS / 60:.0f} minutes; last it "
                f"{tell_end(code)}. "
                "That is a bug or a wrong setting, not an accident: see its last lines above, mend it, start again"
            )
        return float(min(2 ** (len(self.deaths) - 1), MAX_DELAY_SECONDS))


def tell_end(code: int) -> str:
    """Return how a process ended, by its exit code, for a person."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def signal_group(group: int, number: int) -> bool:
    """Whether the process group had a member to receive the signal."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


@cache
def _open_lifeline() -> int:
    """The end of a pipe to wait on; its other end is held until this process is gone, however it goes."""
    end, _ = os.pipe()
    return end
