"""The real server of a data root, which drills kill and talk to: its supervisor in a process of its own, GraphQL.

Started as ``python -m pipeline_assets.drills.dagster_server PORT`` by :class:`Server`. It says a line when it is ready,
then answers every line of its standard input with the processes that live, and ends when the input ends: also when the
drill is killed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar
from urllib.error import URLError
from urllib.request import Request, urlopen

from pipeline_assets.commands.children import Role
from pipeline_assets.commands.supervisor import supervising
from pipeline_assets.drills.drill import DrillError
from pipeline_assets.guard.credentials import TOKEN_VARIABLE
from pipeline_assets.settings import ALERTS_VARIABLE, DATA_VARIABLE, PARAMS_VARIABLE, read_settings

_HOST: Final = "127.0.0.1"
_FORGETFUL: Final = "--forgetful"
_START_SECONDS: Final = 300.0
_END_SECONDS: Final = 90.0
_ANSWER_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.2
Found = TypeVar("Found")


class NoAnswerError(RuntimeError):
    """The web server does not answer, or not with data."""


class Server:
    """The supervised processes that serve a data root, from nothing or from what the last ones left."""

    def __init__(self, root: Path, params_file: Path, log: Path, token: str = "") -> None:
        """Serve ``root`` with the parameters of ``params_file``; what the processes say goes to ``log``.

        With a ``token`` the web server asks for it, and :meth:`ask` sends it. A new instance is told of the partitions
        that are there, unless ``is_forgetful`` is set before the start.
        """
        self.is_forgetful = False
        self._log = log
        self._token = token
        self.port = _find_free_port()
        self._environment = os.environ | {
            DATA_VARIABLE: str(root),
            PARAMS_VARIABLE: str(params_file),
            ALERTS_VARIABLE: "",
            TOKEN_VARIABLE: token,
            "DAGSTER_HOME": str(root / "dagster"),
            "TMPDIR": str(log.parent),  # what a killed server leaves there goes with the drill
        }
        self._process: subprocess.Popen[str] | None = None
        self._groups: set[int] = set()  # of the processes that were seen

    def __enter__(self) -> Self:
        """As a context, it is ready when the block begins, and nothing of it lives after it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it in order; kill what does not end."""
        self.end()

    def start(self) -> None:
        """Start the processes and wait until the web server answers.

        Raises:
            DrillError: It does not.
        """
        with self._log.open("ab") as target:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self.port), *([_FORGETFUL] if self.is_forgetful else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=target,
                text=True,
                env=self._environment,
            )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.end()
            raise DrillError(f"no Dagster server came up: {self._log.read_text()[-2000:]}")

    def list_pids(self) -> dict[Role, int]:
        """The processes that live now; the code server's children are the runs."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pids = {Role(role): pid for role, pid in json.loads(self._process.stdout.readline()).items()}
        self._groups |= set(pids.values())
        return pids

    def kill_tree(self) -> int:
        """Kill (SIGKILL) the supervisor, then all that it started and what that started; how many processes died."""
        groups, members = self._find_members()
        self._kill_supervisor()
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        wait_for(lambda: not members & {one.pid for one in _list_processes()}, _END_SECONDS, "the end of all")
        return len(members) + 1

    def kill_supervisor(self) -> tuple[int, float]:
        """Kill (SIGKILL) the supervisor alone; how many processes it leaves, and in how many seconds they ended.

        Raises:
            DrillError: They go on.
        """
        _, members = self._find_members()
        killed = time.monotonic()
        self._kill_supervisor()
        wait_for(lambda: not members & {one.pid for one in _list_processes()}, _END_SECONDS, "the end of the orphans")
        return len(members), time.monotonic() - killed

    def _find_members(self) -> tuple[set[int], set[int]]:
        """The process groups of the server, and the processes in them.

        Each child is a session of its own; the runs are in the code server's, also when that was killed before.
        """
        assert self._process is not None
        processes = _list_processes()
        groups = self._groups | {one.group for one in processes if one.parent == self._process.pid}
        return groups, {one.pid for one in processes if one.group in groups}

    def _kill_supervisor(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._close()

    def end(self) -> None:
        """End everything in order."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill_tree()
        self._close()

    def _close(self) -> None:
        if self._process is not None:
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process, self._groups = None, set()

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that the web server answers a GraphQL query with.

        Raises:
            NoAnswerError: It does not answer, or with errors.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._token}"} if self._token else {}
        )
        request = Request(f"http://{_HOST}:{self.port}/graphql", body, headers)
        try:
            with urlopen(request, timeout=_ANSWER_SECONDS) as response:  # noqa: S310 - on loopback
                answer = json.load(response)
        except (URLError, OSError, HTTPException, ValueError) as error:
            raise NoAnswerError(f"the web server does not answer: {error}") from error
        if answer.get("errors"):
            raise NoAnswerError(f"the web server answers with errors: {json.dumps(answer['errors'])[:1000]}")
        data: dict[str, Any] = answer["data"]
        return data


def wait_for(find: Callable[[], Found | None], seconds: float, what: str, pause: float = _POLL_SECONDS) -> Found:
    """What ``find`` finds as soon as that is something; a web server that does not answer is waited for.

    Raises:
        DrillError: It found nothing within ``seconds``.
    """
    deadline, problem = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            found = find()
        except NoAnswerError as error:
            found, problem = None, f"; last: {error}"
        if found:
            return found
        time.sleep(pause)
    raise DrillError(f"waited {seconds:.0f} s in vain for {what}{problem}")


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class _Process(NamedTuple):
    """A living process."""

    pid: int
    parent: int
    group: int


def _list_processes() -> list[_Process]:
    """Every living process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found.append(_Process(int(stat.parent.name), int(fields[1]), int(fields[2])))
    return found


def _seed(instance: Any, records: Mapping[Any, Any]) -> None:
    """Let a new instance know of the partitions that are there: they were made without Dagster."""
    import dagster as dg

    for key, record in records.items():
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key.asset, partition=f"{key.day}", tags={"dagster/data_version": record.md5})
        )


def main() -> None:
    """Serve until the standard input ends."""
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.commands.chains import prepare_home

    root = read_settings().data_root
    is_new = not Path(os.environ["DAGSTER_HOME"], "dagster.yaml").exists()
    home = prepare_home(root)
    if is_new and _FORGETFUL not in sys.argv:
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            _seed(instance, open_stores(root).records.load_all())

    def say(event: str) -> None:
        sys.stderr.write(f"{event}\n")
        sys.stderr.flush()

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the processes print must not get between the answers
    with supervising(home, _HOST, int(sys.argv[1]), say, token=os.environ.get(TOKEN_VARIABLE, "")) as supervisor:
        answers.write("ready\n")
        answers.flush()
        for _ in sys.stdin:
            answers.write(json.dumps(supervisor.pids) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
