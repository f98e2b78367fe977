"""The three processes behind ``pipeline-assets ui``: started in order, and replaced when one of them dies.

`dagster dev` ends as a whole when one of its processes dies. Here the code server, whose children are the runs, the
web server and the daemon each die alone: runs outlive all three, and Dagster's monitor judges them by their own
process (``defs/run_launcher.py``).
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml

_MAX_DEATHS: Final = 5  # within the window: so often no accident does it, and no restart mends it
_WINDOW_SECONDS: Final = 600.0
_MAX_DELAY_SECONDS: Final = 30.0  # between a death and the restart: 1, 2, 4 ... seconds
_START_SECONDS: Final = 300.0  # measured: 10 s on a quiet machine; more is a hang
_GRACE_SECONDS: Final = 30.0  # to end by itself, before it is killed: a run ends at its next line of Python
_TICK_SECONDS: Final = 0.2
_LOCATION: Final = {"module": "pipeline_assets.definitions", "name": "pipeline_assets"}  # as in workspace.yaml
_ROOT: Final = Path(__file__).parents[2]

# What a child does before it becomes the program it is meant to be; arguments: the supervisor's pid, the program.
_BECOME: Final = """
import ctypes, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a script's background job ignores it; Dagster then ignores SIGTERM, too
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed supervisor leaves no orphan
if os.getppid() != int(sys.argv[1]):
    sys.exit("the supervisor is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Role(StrEnum):
    """The processes, by what they do."""

    CODE_SERVER = "code server"
    WEBSERVER = "webserver"
    DAEMON = "daemon"


class _GaveUpError(RuntimeError):
    """A process dies again and again, or does not come up."""


class _Child:
    """One of the processes: its program, what it needs, the process that runs it now, and when others of it died."""

    def __init__(self, role: Role, program: Sequence[str], may_start: Callable[[], bool]) -> None:
        self.role = role
        self.program = list(program)
        self.may_start = may_start
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths: list[float] = []
        self.not_before = 0.0

    def start(self, environment: dict[str, str]) -> int:
        """Start the program in a session of its own, so that Ctrl-C reaches the supervisor only; its pid."""
        become = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), sys.executable, "-m", *self.program]
        self.process = subprocess.Popen(become, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        return self.process.pid

    def note_death(self, now: float) -> float:
        """Forget the dead process; the seconds to wait before the next one.

        Raises:
            _GaveUpError: It died too often.
        """
        assert self.process is not None
        how, self.process = _tell_end(self.process.returncode), None
        self.deaths = [death for death in self.deaths if now - death < _WINDOW_SECONDS] + [now]
        if len(self.deaths) >= _MAX_DEATHS:
            raise _GaveUpError(
                f"the {self.role} died {_MAX_DEATHS} times within {_WINDOW_SECONDS / 60:.0f} minutes; last it {how}. "
                "That is a bug or a wrong setting, not an accident: see its last lines above, mend it, start again"
            )
        delay = float(min(2 ** (len(self.deaths) - 1), _MAX_DELAY_SECONDS))
        self.not_before = now + delay
        return delay


class Supervisor:
    """Runs the three processes on the Dagster instance of ``home`` until it is told to stop.

    ``pids`` names the processes that live now. All must happen in the thread that calls :meth:`run`, which must
    outlive the processes: Linux ends them with the thread that started them.
    """

    def __init__(self, home: Path, host: str, port: int, say: Callable[[str], None]) -> None:
        """Serve on ``host:port``; ``say`` hears of every start and death."""
        self.ready = threading.Event()  # the web server answers
        self._stopping = threading.Event()
        self._environment = os.environ | {"DAGSTER_HOME": str(home)}
        self._address = (host, port)
        self._say = say
        self._children: dict[Role, _Child] = {}
        self._bereft: set[int] = set()  # process groups of dead code servers whose runs go on

    @property
    def pids(self) -> dict[Role, int]:
        """The processes that live now; one that is between its death and its restart is left out."""
        living = {role: child.process for role, child in self._children.items()}
        return {role: process.pid for role, process in living.items() if process is not None and process.poll() is None}

    def stop(self) -> None:
        """Make :meth:`run` end the processes and return."""
        self._stopping.set()

    def run(self) -> int:
        """Start the processes, replace those that die, end them after :meth:`stop`; 0, or 1 if one is beyond help.

        Raises:
            ValueError: Nothing can listen on the address: it is taken, not this machine's, or not allowed.
        """
        _check_address(*self._address)
        with tempfile.TemporaryDirectory(prefix="pipeline-assets-") as folder:
            self._children = self._plan(Path(folder))
            try:
                self._await_webserver()
                while not self._stopping.wait(_TICK_SECONDS):
                    self._tend()
            except _GaveUpError as error:
                self._say(str(error))
                return 1
            finally:
                self._end_in_order()
        return 0

    def _plan(self, folder: Path) -> dict[Role, _Child]:
        server, workspace = folder / "code-server.sock", folder / "workspace.yaml"
        location = {"location_name": _LOCATION["name"], "host": "localhost", "socket": str(server)}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
        code = ("--module-name", _LOCATION["module"], "--location-name", _LOCATION["name"], "-d", str(_ROOT))
        address = ("--host", self._address[0], "--port", str(self._address[1]))
        quiet, common = ("--log-level", "warning"), ("--workspace", str(workspace))
        children = (
            # Not `dagster code-server start`: it is a proxy that does not replace the server behind it when that dies.
            _Child(Role.CODE_SERVER, ("dagster", "api", "grpc", "--socket", str(server), *code, *quiet), lambda: True),
            _Child(
                Role.WEBSERVER,
                ("dagster_webserver", *address, "--dagster-log-level", "warning", *common),
                lambda: _listens(server),
            ),
            _Child(Role.DAEMON, ("dagster._daemon", "run", *quiet, *common), lambda: _listens(server)),
        )
        return {child.role: child for child in children}

    def _await_webserver(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._stopping.wait(_TICK_SECONDS):
            self._tend()
            if _answers(*self._address):
                self._say("http://{}:{} is ready (Ctrl-C stops it)".format(*self._address))
                self.ready.set()
                return
            if time.monotonic() > deadline:
                raise _GaveUpError(f"no answer {_START_SECONDS:.0f} s after the start; see the last lines above")

    def _tend(self) -> None:
        now = time.monotonic()
        self._bereft = {group for group in self._bereft if _signal_group(group, 0)}
        for child in self._children.values():
            if child.process is None:
                if now >= child.not_before and child.may_start():
                    self._say(f"{child.role} started: process {child.start(self._environment)}")
            elif child.process.poll() is not None:
                ended = child.process
                if child.role is Role.CODE_SERVER:
                    self._bereft.add(ended.pid)
                    self._suspend_daemon()
                delay = child.note_death(now)
                how = _tell_end(ended.returncode)
                self._say(f"{child.role} (process {ended.pid}) {how}; next start in {delay:.0f} s")

    def _suspend_daemon(self) -> None:
        """End the daemon until there is a code server: without one it gives up for good on runs that wait for it."""
        daemon = self._children[Role.DAEMON]
        if daemon.process is not None:
            daemon.process.kill()  # at once: what it does is made to be killed, what it would do is lost
            daemon.process.wait()
            daemon.process = None
            self._say(f"{Role.DAEMON} ended; it waits for the {Role.CODE_SERVER}")

    def _end_in_order(self) -> None:
        """First those that launch runs, then the code server with its runs."""
        self._end((Role.DAEMON, Role.WEBSERVER), set())
        self._end((Role.CODE_SERVER,), self._bereft)

    def _end(self, roles: Sequence[Role], others: set[int]) -> None:
        """Ask the processes, and all that they started, to end; kill what did not within the grace."""
        children = [self._children[role].process for role in roles if role in self._children]
        processes = [process for process in children if process is not None]
        groups = others | {process.pid for process in processes}
        for group in groups:
            _signal_group(group, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(_signal_group(group, 0) for group in groups) and time.monotonic() < deadline:
            time.sleep(_TICK_SECONDS)
            for process in processes:
                process.poll()  # reaps it: until then it counts as a member of its group
        for group in groups:
            _signal_group(group, signal.SIGKILL)
        for process in processes:
            process.wait()


def supervise(home: Path, host: str, port: int, say: Callable[[str], None]) -> int:
    """Run Dagster's processes until SIGINT or SIGTERM; the exit code, see :meth:`Supervisor.run`."""
    supervisor = Supervisor(home, host, port, say)
    former = {number: signal.signal(number, lambda *_: supervisor.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return supervisor.run()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def supervising(home: Path, host: str, port: int, say: Callable[[str], None]) -> Iterator[Supervisor]:
    """A supervisor in a thread of its own, ready when the block begins and ended after it; for drills."""
    supervisor = Supervisor(home, host, port, say)
    with ThreadPoolExecutor(1, "supervisor") as threads:
        running = threads.submit(supervisor.run)
        try:
            while not supervisor.ready.wait(_TICK_SECONDS):
                if running.done():
                    raise RuntimeError(f"no Dagster on {host}:{port}: exit code {running.result()}")
            yield supervisor
        finally:
            supervisor.stop()


def _check_address(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web server: closed ones do not count
            probe.bind(address)
    except OSError as error:
        raise ValueError(
            f"cannot serve on {host}:{port}: {error.strerror}; end what listens there, or choose another --port"
        ) from error


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tell_end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def _signal_group(group: int, number: int) -> bool:
    """Whether the process group had a member to receive the signal."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
