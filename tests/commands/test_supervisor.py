"""What is killed comes back: on small programs, and in a drill on the whole of Dagster."""

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import dagster as dg
import pytest
import yaml

from pipeline_assets.commands import children as processes
from pipeline_assets.commands import supervisor as supervision
from pipeline_assets.commands.chains import Chains, prepare_home
from pipeline_assets.commands.children import Child, Role
from pipeline_assets.commands.simulation import simulate_until
from pipeline_assets.commands.supervisor import Supervisor, supervising
from pipeline_assets.definitions import build_definitions
from pipeline_assets.drills.dagster_server import Server
from pipeline_assets.guard.credentials import TOKEN_VARIABLE
from pipeline_assets.guard.policy import open_policy
from pipeline_assets.settings import read_settings

_logger = logging.getLogger(__name__)
T = TypeVar("T")
SERVES: Final = ("http.server", "0", "--bind", "127.0.0.1")  # any program that runs until it is ended
ENDS: Final = ("timeit", "-n", "1", "-r", "1", "import time; time.sleep(0.2)")  # after a moment, with 0
FAILS: Final = ("json.tool", "no such file")
WAITING_DAEMON: Final = Child(Role.DAEMON, SERVES, lambda: False)
REPOSITORY: Final = {"repositoryLocationName": "pipeline_assets", "repositoryName": "__repository__"}


def wait_for(find: Callable[[], T | None], seconds: float = 60) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing within {seconds} s")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(tmp_path: Path, children: list[Child], patch: pytest.MonkeyPatch) -> Iterator[tuple[Supervisor, Any]]:
    """A supervisor of other programs than Dagster's, and the exit codes it came to."""
    patch.setattr(Supervisor, "_plan", lambda *_: {child.role: child for child in children})
    patch.setattr(processes, "MAX_DELAY_SECONDS", 0.0)
    said: list[str] = []
    supervisor, codes = Supervisor(tmp_path, "127.0.0.1", find_port(), said.append), []
    thread = threading.Thread(target=lambda: codes.append(supervisor.run()))
    thread.start()
    try:
        yield supervisor, (codes, said)
    finally:
        supervisor.stop()
        thread.join()


def test_a_killed_process_comes_back_and_the_others_do_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = [Child(role, SERVES, lambda: True) for role in Role]
    with running(tmp_path, children, monkeypatch) as (supervisor, (_, said)):
        wait_for(lambda: len(supervisor.pids) == len(Role))
        before = supervisor.pids
        os.kill(before[Role.WEBSERVER], signal.SIGKILL)
        after = wait_for(lambda: {} if before[Role.WEBSERVER] in (now := supervisor.pids).values() else now)
        wait_for(lambda: len(supervisor.pids) == len(Role))
        after = supervisor.pids
        assert {role for role in Role if before[role] != after[role]} == {Role.WEBSERVER}
        assert any(f"webserver (process {before[Role.WEBSERVER]}) was killed by SIGKILL" in line for line in said)
    assert not any(map(is_alive, after.values()))


def test_the_daemon_never_runs_without_a_code_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_listens = threading.Event()
    server_listens.set()
    children = [
        Child(Role.CODE_SERVER, SERVES, lambda: True),
        Child(Role.DAEMON, SERVES, server_listens.is_set),
    ]
    with running(tmp_path, children, monkeypatch) as (supervisor, _):
        wait_for(lambda: len(supervisor.pids) == len(children))
        before = supervisor.pids
        server_listens.clear()
        os.kill(before[Role.CODE_SERVER], signal.SIGKILL)
        wait_for(lambda: supervisor.pids.get(Role.CODE_SERVER) not in {None, before[Role.CODE_SERVER]})
        assert Role.DAEMON not in supervisor.pids
        assert not is_alive(before[Role.DAEMON])
        server_listens.set()
        assert wait_for(lambda: supervisor.pids.get(Role.DAEMON)) != before[Role.DAEMON]


def test_a_crash_loop_is_given_up_and_everything_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = [Child(Role.CODE_SERVER, SERVES, lambda: True), Child(Role.DAEMON, FAILS, lambda: True)]
    with running(tmp_path, children, monkeypatch) as (supervisor, (codes, said)):
        wait_for(lambda: len(codes))
        assert codes == [1]
        assert "the daemon died 5 times within 10 minutes; last it exited with code " in said[-1]
        assert not supervisor.pids


def test_a_code_server_that_ends_on_request_is_replaced_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_DELAY_ON_REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(supervision, "_TICK_SECONDS", 0.02)
    children = [Child(Role.CODE_SERVER, ENDS, lambda: True, serves=lambda: True), WAITING_DAEMON]
    with running(tmp_path, children, monkeypatch) as (supervisor, (codes, said)):
        wait_for(lambda: sum("exited with code 0" in line for line in said) > processes._MAX_DEATHS)
        assert not codes
        assert not children[0].deaths
        assert not supervisor._stopping.is_set()


def test_a_code_server_that_ends_with_0_before_it_served_anybody_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_TICK_SECONDS", 0.02)
    children = [Child(Role.CODE_SERVER, ENDS, lambda: True, serves=lambda: False), WAITING_DAEMON]
    with running(tmp_path, children, monkeypatch) as (_, (codes, said)):
        wait_for(lambda: len(codes))
        assert "the code server died 5 times within 10 minutes; last it exited with code 0" in said[-1]


def test_deaths_wait_longer_each_time_and_are_forgotten_after_a_while() -> None:
    child = Child(Role.DAEMON, FAILS, lambda: True)

    def die(now: float) -> float:
        child.start(dict(os.environ) | {"PYTHONWARNINGS": "ignore"})
        assert child.process is not None
        child.process.wait()
        return child.note_end(now)

    assert [die(now) for now in (0.0, 1.0, 2.0, 3.0)] == [1, 2, 4, 8]
    assert die(700.0) == 1


def test_a_taken_port_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"127.0.0.1:{port}: Address already in use; .* another --port"):
            Supervisor(tmp_path, "127.0.0.1", port, said.append).run()
    assert not said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_killed_supervisor_leaves_no_process_and_a_script_that_ignores_interrupts_no_deaf_one() -> None:
    program = (
        "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from pipeline_assets.commands.children import Child, Role\n"
        f"children = [Child(Role.DAEMON, {SERVES}, bool) for _ in range(2)]\n"
        "print(*(child.start(dict(os.environ)) for child in children), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        interrupted, orphan = map(int, parent.stdout.readline().split())
        for pid in (interrupted, orphan):
            wait_for(lambda pid=pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:3] == ["-m", SERVES[0]])  # type: ignore[misc]
        os.kill(interrupted, signal.SIGINT)
        wait_for(lambda: not is_alive(interrupted))
        assert is_alive(orphan)
        parent.kill()
        wait_for(lambda: not is_alive(orphan))


STUBBORN: Final = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def list_group(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_the_children_of_a_killed_supervisor_started_ends_too_even_if_it_does_not_want_to() -> None:
    starts_another = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
    program = (
        "import os, time; from pipeline_assets.commands import children\n"
        "children._ORPHAN_SECONDS = 1.0\n"
        f"child = children.Child(children.Role.CODE_SERVER, ['timeit', '-n1', '-r1', {starts_another!r}], bool)\n"
        "print(child.start(dict(os.environ)), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        wait_for(lambda: len(list_group(group)) == 2)
        time.sleep(1)  # until the grandchild ignores the signal
        parent.kill()
        wait_for(lambda: not list_group(group), 20)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_the_web_server_gets_to_know_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "kX3-9fQv_72LmZpA0sRt"
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    supervisor = Supervisor(tmp_path, "127.0.0.1", find_port(), lambda _: None, token=token, names=("ui.example.org",))
    knowing = set()
    for role, child in supervisor._plan(tmp_path).items():
        if role is Role.WEBSERVER:
            assert child.program[-2:] == ["--allow-host", "ui.example.org"]
        assert not any(token in part for part in child.program)  # everybody on the machine can list these
        child.program = [*SERVES]
        pid = child.start(supervisor._environment)
        wait_for(lambda pid=pid: b"http.server" in Path(f"/proc/{pid}/cmdline").read_bytes())  # type: ignore[misc]
        if token.encode() in Path(f"/proc/{pid}/environ").read_bytes():
            knowing.add(role)
        assert child.process is not None
        child.process.kill()
        child.process.wait()
    assert knowing == {Role.WEBSERVER}


def test_a_second_supervisor_of_a_home_is_refused_on_any_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, [Child(Role.DAEMON, SERVES, lambda: True)], monkeypatch) as (first, _):
        wait_for(lambda: first.pids)
        second = Supervisor(tmp_path, "127.0.0.1", find_port(), lambda _: None)
        second.stop()  # it would end at once, if it began
        with pytest.raises(ValueError, match=f"served already, by process {os.getpid()} "):
            second.run()
    assert not (tmp_path / "ui.lock").read_text()


def test_after_a_kill_the_port_of_what_has_yet_to_end_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ui.lock").write_text("process 1 (http://127.0.0.1:1)\n")  # as a killed one leaves it
    orphan = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(f"{__name__}.find_port", lambda: orphan.getsockname()[1])
    with running(tmp_path, [Child(Role.DAEMON, SERVES, lambda: True)], monkeypatch) as (supervisor, (codes, _)):
        time.sleep(0.5)
        assert not supervisor.pids
        orphan.close()
        wait_for(lambda: supervisor.pids)
        assert not codes


@dataclass(frozen=True)
class Deployment:
    """A whole Dagster on a small data root, and how to ask it."""

    list_pids: Callable[[], dict[Role, int]]
    port: int
    instance: dg.DagsterInstance
    days: tuple[str, str]

    def ask(self, query: str, **variables: object) -> Any:
        """What the web server answers to a GraphQL query."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps({"query": query, "variables": variables})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert "errors" not in answer, answer
        return answer["data"]

    def stop_sensors(self) -> None:
        """Stop what heals and senses: its runs would take the places of those that are killed here."""
        listed = self.ask(
            "query($r: RepositorySelector!) {sensorsOrError(repositorySelector: $r)"
            " {... on Sensors {results {sensorState {id}}}}}",
            r=REPOSITORY,
        )
        for sensor in listed["sensorsOrError"]["results"]:
            stopped = self.ask(
                "mutation($id: String!) {stopSensor(id: $id) {__typename}}", id=sensor["sensorState"]["id"]
            )
            assert stopped["stopSensor"]["__typename"] == "StopSensorMutationResult"

    def launch(self) -> str:
        """Launch the daily chain for all days, as the web UI does; the run's id."""
        tags = zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), self.days, strict=True)
        launched = self.ask(
            "mutation($p: ExecutionParams!) {launchRun(executionParams: $p) {... on LaunchRunSuccess {run {runId}}}}",
            p={
                "selector": REPOSITORY | {"jobName": "daily"},
                "mode": "default",
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags]},
            },
        )
        return str(launched["launchRun"]["run"]["runId"])

    def find_worker(self, run_id: str) -> int | None:
        """The process that executes the run, as soon as it does."""
        for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            if "Executing steps in process" in (entry.get_dagster_event().message or ""):
                return int(str(entry.get_dagster_event().engine_event_data.metadata["pid"].value))
        return None

    def wait_for_status(self, run_id: str, *expected: dg.DagsterRunStatus) -> None:
        wait_for(lambda: self.read(run_id).status in expected, 240)

    def read(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait_for_retry(self, run_id: str) -> dg.DagsterRun:
        """The automatic retry of a failed run, once it has ended."""
        filters = dg.RunsFilter(tags={"dagster/parent_run_id": run_id})
        retry = wait_for(lambda: next(iter(self.instance.get_runs(filters)), None), 120)
        wait_for(lambda: self.read(retry.run_id).is_finished, 240)
        return self.read(retry.run_id)

    def wait_for_new(self, role: Role, former: int) -> None:
        wait_for(lambda: self.list_pids().get(role) not in {None, former}, 120)

    def heard_of_daemon(self, since: float) -> bool:
        beats = self.instance.get_daemon_heartbeats().values()
        return any(beat.timestamp > since for beat in beats)

    def has_loaded_code(self, since: float) -> bool:
        """Whether the web server has loaded the code, from a code server that was started after a moment."""
        wanted = "updatedTimestamp locationOrLoadError {__typename}"
        answer = self.ask(f"{{workspaceOrError {{... on Workspace {{locationEntries {{{wanted}}}}}}}}}")
        (entry,) = answer["workspaceOrError"]["locationEntries"]
        loaded = (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        return loaded and entry["updatedTimestamp"] > since

    def answers(self) -> bool:
        return supervision._answers(open_policy("127.0.0.1", self.port, (), ""), "")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Log how long it took; see it with --log-cli-level=INFO."""
    started = time.monotonic()
    yield
    _logger.info("%s: %.1f s", what, time.monotonic() - started)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Make a small data root with all daily partitions, so that there is nothing to sense and to heal; its days."""
    first, last = date(2026, 1, 4), date(2026, 1, 4) + timedelta(days=4)
    small = {"n_customers": 200, "n_terminals": 300}
    params = {"history_start": first, "history_end": last, "simulation": small}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    names = {"PIPELINE_DATA": "data", "PIPELINE_PARAMS": "params.yaml", "DAGSTER_HOME": "data/dagster"}
    for variable, name in names.items():
        monkeypatch.setenv(variable, str(tmp_path / name))
    settings = read_settings()
    simulate_until(settings, last, lambda _: None)
    prepare_home(settings.data_root)
    groups = ("ingestion", "features", "release", "scoring", "monitoring")
    Chains(build_definitions(settings), lambda _: None).run_daily(groups, first, last)
    return f"{first}", f"{last}"


@pytest.fixture
def deployment(tmp_path: Path, history: tuple[str, str]) -> Iterator[Deployment]:
    port, home = find_port(), tmp_path / "data" / "dagster"
    with supervising(home, "127.0.0.1", port, _logger.info) as supervisor, dg.DagsterInstance.get() as instance:
        deployment = Deployment(lambda: supervisor.pids, port, instance, history)
        deployment.stop_sensors()
        yield deployment


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_whatever_is_killed_comes_back_and_no_run_is_lost(deployment: Deployment) -> None:
    pids, failed = deployment.list_pids(), dg.DagsterRunStatus.FAILURE
    wait_for(lambda: deployment.heard_of_daemon(0))

    os.kill(pids[Role.DAEMON], signal.SIGKILL)
    killed_at = time.time()
    with timed("daemon killed, until its next heartbeat"):
        deployment.wait_for_new(Role.DAEMON, pids[Role.DAEMON])
        wait_for(lambda: deployment.heard_of_daemon(killed_at + 1), 120)

    os.kill(pids[Role.WEBSERVER], signal.SIGKILL)
    with timed("web server killed, until it answers"):
        deployment.wait_for_new(Role.WEBSERVER, pids[Role.WEBSERVER])
        wait_for(deployment.answers, 120)

    run_id = deployment.launch()
    os.kill(wait_for(lambda: deployment.find_worker(run_id), 240), signal.SIGKILL)
    with timed("run killed, until it is marked as failed"):
        deployment.wait_for_status(run_id, failed)
    with timed("and until its retry has succeeded"):
        retry = deployment.wait_for_retry(run_id)
    assert (retry.status, retry.tags["dagster/retry_number"]) == (dg.DagsterRunStatus.SUCCESS, "1")

    run_id = deployment.launch()
    worker = wait_for(lambda: deployment.find_worker(run_id), 240)
    os.kill(pids[Role.CODE_SERVER], signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    with timed("code server and run killed, until the run is marked as failed"):
        deployment.wait_for_status(run_id, failed)
    with timed("and until its retry has succeeded"):
        assert deployment.wait_for_retry(run_id).status is dg.DagsterRunStatus.SUCCESS

    run_id = deployment.launch()
    wait_for(lambda: deployment.find_worker(run_id), 240)
    os.kill(deployment.list_pids()[Role.CODE_SERVER], signal.SIGKILL)
    with timed("code server killed: its run goes on to its end"):
        deployment.wait_for_status(run_id, dg.DagsterRunStatus.SUCCESS)

    arguments = ["-m", "pipeline_assets.definitions", "--select", "group:features"]
    arguments += ["--partition-range", "...".join(deployment.days)]
    with subprocess.Popen([sys.executable, "-m", "dagster", "asset", "materialize", *arguments]) as command:
        runs = dg.RunsFilter(job_name="__ASSET_JOB")  # the job of assets that are selected one by one
        run_id = wait_for(lambda: next(iter(deployment.instance.get_runs(runs)), None)).run_id
        assert wait_for(lambda: deployment.find_worker(run_id)) == command.pid
        command.kill()
    with timed("command line killed, until its run is marked as failed"):
        deployment.wait_for_status(run_id, failed)


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_a_code_server_that_is_asked_to_end_five_times_is_there_a_sixth_time(deployment: Deployment) -> None:
    asks = "mutation($n: String!) {shutdownRepositoryLocation(repositoryLocationName: $n) {__typename}}"
    for number in range(processes._MAX_DEATHS):
        former, since = deployment.list_pids()[Role.CODE_SERVER], time.time()
        with timed(f"code server asked to end, time {number + 1}, until there is another one"):
            answer = deployment.ask(asks, n="pipeline_assets")
            assert answer["shutdownRepositoryLocation"]["__typename"] == "ShutdownRepositoryLocationSuccess"
            deployment.wait_for_new(Role.CODE_SERVER, former)
            wait_for(lambda since=since: deployment.has_loaded_code(since), 120)  # type: ignore[misc]
    run_id = deployment.launch()
    deployment.wait_for_status(run_id, dg.DagsterRunStatus.SUCCESS)


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_all_that_a_killed_supervisor_leaves_ends_within_half_a_minute_runs_that_hang_included(
    tmp_path: Path, history: tuple[str, str]
) -> None:
    server = Server(tmp_path / "data", tmp_path / "params.yaml", tmp_path / "server.log")
    with server, dg.DagsterInstance.get() as instance:
        deployment = Deployment(server.list_pids, server.port, instance, history)
        deployment.stop_sensors()
        runs = [deployment.launch(), deployment.launch()]
        workers = [wait_for(lambda run=run: deployment.find_worker(run), 240) for run in runs]  # type: ignore[misc]
        os.kill(workers[0], signal.SIGSTOP)  # it hangs, and hears no signal but the last one
        n_left, seconds = server.kill_supervisor()
        _logger.info("supervisor killed: %d processes ended within %.1f s", n_left, seconds)
        assert n_left >= len(Role) + len(workers)
        assert seconds < 30
        assert not any(map(is_alive, workers))
        server.start()  # neither the lock nor the port nor a process of the former one is in its way
        assert set(server.list_pids()) == set(Role)
