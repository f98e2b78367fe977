"""The three processes behind ``pipeline-assets ui``: started in order, and replaced when one of them dies.

`dagster dev` ends as a whole when one of its processes dies. Here the code server, whose children are the runs, the
web server and the daemon each die alone: runs outlive all three, and Dagster's monitor judges them by their own
process (``defs/run_launcher.py``). A killed supervisor is the end of all of them, runs included (``children.py``); a
second supervisor of the same instance does not begin (``occupancy.py``). The web server stands behind the guard.
"""

import http.client
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from pipeline_assets.commands.children import Child, GaveUpError, Role, signal_group, tell_end
from pipeline_assets.commands.occupancy import occupy
from pipeline_assets.guard.credentials import TOKEN_VARIABLE
from pipeline_assets.guard.policy import Policy, open_policy

_START_SECONDS: Final = 300.0  # measured: 10 s on a quiet machine; more is a hang
_GRACE_SECONDS: Final = 30.0  # to end by itself, before it is killed: a run ends at its next line of Python
_ORPHANS_SECONDS: Final = 30.0  # that a killed supervisor's web server may still hold the port
_LONGEST_FOLDER: Final = 60  # bytes: a socket's path may have 107 in all
_TICK_SECONDS: Final = 0.2
_LOCATION: Final = {"module": "pipeline_assets.definitions", "name": "pipeline_assets"}  # as in workspace.yaml
_ROOT: Final = Path(__file__).parents[2]


class Supervisor:
    """Runs the three processes on the Dagster instance of ``home`` until it is told to stop.

    ``pids`` names the processes that live now. All must happen in the thread that calls :meth:`run`, which must
    outlive the processes: Linux ends them with the thread that started them.
    """

    def __init__(
        self,
        home: Path,
        host: str,
        port: int,
        say: Callable[[str], None],
        *,
        names: Sequence[str] = (),
        token: str = "",
    ) -> None:
        """Serve on ``host:port``; ``say`` hears of every start and death.

        Args:
            home: The folder of the Dagster instance.
            host: To bind.
            port: To bind.
            say: Takes a line for the person who started it.
            names: Further hosts by which the web server may be called, see :func:`open_policy`.
            token: What opens the web server; only that process gets to know it.

        Raises:
            ValueError: No such host, no valid name, or no token that is good enough for it.
        """
        self.ready = threading.Event()  # the web server answers
        self._stopping = threading.Event()
        self._environment = {**os.environ, "DAGSTER_HOME": str(home)}
        self._environment.pop(TOKEN_VARIABLE, None)
        self._home = home
        self._policy: Policy = open_policy(host, port, names, token)
        self._names, self._token = tuple(names), token
        self._say = say
        self._children: dict[Role, Child] = {}
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
            ValueError: Another one serves this instance, or nothing can listen on the address: it is taken, not this
                machine's, or not allowed.
        """
        with (
            occupy(self._home, self._policy.url) as was_killed,
            tempfile.TemporaryDirectory(prefix="pipeline-assets-", dir=_find_folder_for_sockets()) as folder,
        ):
            self._await_address(_ORPHANS_SECONDS if was_killed else 0.0)
            self._say(f"instance in {self._home}; Ctrl-C stops it")
            self._children = self._plan(Path(folder))
            try:
                self._await_webserver()
                while not self._stopping.wait(_TICK_SECONDS):
                    self._tend()
            except GaveUpError as error:
                self._say(str(error))
                return 1
            finally:
                self._end_in_order()
        return 0

    def _plan(self, folder: Path) -> dict[Role, Child]:
        server, workspace = folder / "code-server.sock", folder / "workspace.yaml"
        location = {"location_name": _LOCATION["name"], "host": "localhost", "socket": str(server)}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
        code = ("--module-name", _LOCATION["module"], "--location-name", _LOCATION["name"], "-d", str(_ROOT))
        address = ("--host", self._policy.host, "--port", str(self._policy.port))
        allowed = [part for name in self._names for part in ("--allow-host", name)]
        quiet, common = ("--log-level", "warning"), ("--workspace", str(workspace))
        children = (
            # Not `dagster code-server start`: it is a proxy that does not replace the server behind it when that dies.
            Child(
                Role.CODE_SERVER,
                ("dagster", "api", "grpc", "--socket", str(server), *code, *quiet),
                lambda: True,
                serves=lambda: _listens(server),
            ),
            Child(
                Role.WEBSERVER,
                ("pipeline_assets.guard.webserver", *address, *common, *allowed),
                lambda: _listens(server),
                variables={TOKEN_VARIABLE: self._token},
            ),
            Child(Role.DAEMON, ("dagster._daemon", "run", *quiet, *common), lambda: _listens(server)),
        )
        return {child.role: child for child in children}

    def _await_address(self, seconds: float) -> None:
        """Wait until the address is free.

        Raises:
            ValueError: It is not, after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return _check_address(self._policy.host, self._policy.port)
            except ValueError:
                if time.monotonic() >= deadline or self._stopping.wait(_TICK_SECONDS):
                    raise

    def _await_webserver(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._stopping.wait(_TICK_SECONDS):
            self._tend()
            if _answers(self._policy, self._token):
                how = f"; sign in with the value of {TOKEN_VARIABLE}" if self._token else ""
                self._say(f"{self._policy.url} is ready{how} (Ctrl-C stops it)")
                self.ready.set()
                return
            if time.monotonic() > deadline:
                raise GaveUpError(f"no answer {_START_SECONDS:.0f} s after the start; see the last lines above")

    def _tend(self) -> None:
        now = time.monotonic()
        self._bereft = {group for group in self._bereft if signal_group(group, 0)}
        for child in self._children.values():
            if child.process is None:
                if now >= child.not_before and child.may_start():
                    self._say(f"{child.role} started: process {child.start(self._environment)}")
            elif child.has_ended():
                ended = child.process
                if child.role is Role.CODE_SERVER:
                    self._bereft.add(ended.pid)
                    self._suspend_daemon()
                delay = child.note_end(now)
                how = tell_end(ended.returncode)
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
            signal_group(group, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(signal_group(group, 0) for group in groups) and time.monotonic() < deadline:
            time.sleep(_TICK_SECONDS)
            for process in processes:
                process.poll()  # reaps it: until then it counts as a member of its group
        for group in groups:
            signal_group(group, signal.SIGKILL)
        for process in processes:
            process.wait()


def supervise(
    home: Path, host: str, port: int, say: Callable[[str], None], *, names: Sequence[str] = (), token: str = ""
) -> int:
    """Run Dagster's processes until SIGINT or SIGTERM; the exit code, see :meth:`Supervisor.run`."""
    supervisor = Supervisor(home, host, port, say, names=names, token=token)
    former = {number: signal.signal(number, lambda *_: supervisor.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return supervisor.run()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def supervising(
    home: Path, host: str, port: int, say: Callable[[str], None], *, names: Sequence[str] = (), token: str = ""
) -> Iterator[Supervisor]:
    """A supervisor in a thread of its own, ready when the block begins and ended after it; for drills."""
    supervisor = Supervisor(home, host, port, say, names=names, token=token)
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


def _find_folder_for_sockets() -> str:
    """The folder for temporary files, or the usual one where a socket's path would be too long for the kernel."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108 - a folder of its own is made


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _answers(policy: Policy, token: str) -> bool:
    """Whether the web server answers on this machine, through its guard."""
    host = "localhost" if policy.is_any_address else policy.host
    connection = http.client.HTTPConnection(host, policy.port, timeout=5)
    try:
        connection.request("GET", "/server_info", headers={"Authorization": f"Bearer {token}"} if token else {})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
