"""Kills (SIGKILL) of the real server's processes in the middle of a backfill, and a failed partition that mends itself.

All is launched and watched through the web server's GraphQL, as the UI does it. What was killed is replaced by the
supervisor; runs are found dead by the run monitor and started again; what is left is asked for by the sensor
``partition_failed``. Nobody does anything by hand.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from pipeline_assets.commands.children import Role
from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, PERFORMANCE, SCORES, TERMINAL_FEATURES_TABLE
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.drills.dagster_server import NoAnswerError, Server, wait_for
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.verify import Whole
from pipeline_assets.drills.world import World, copy_root

ASSETS: Final = (CUSTOMER_FEATURES_TABLE.name, TERMINAL_FEATURES_TABLE.name, SCORES.name, PERFORMANCE.name)
_N_DAYS: Final = 30
_PATIENCE_SECONDS: Final = 600.0  # many times what each takes
_WATCH_SECONDS: Final = 0.002  # between looks at a run's first files: it is to be killed in the middle of them
_GOING_ON: Final = ("REQUESTED", "CANCELING", "FAILING")
_LAUNCH_BACKFILL: Final = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_LAUNCH_RUN: Final = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_BACKFILL: Final = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"""
_RUNS: Final = "{ runsOrError(limit: 500) { ... on Runs { results { runId status tags { key value } } } } }"
_EVENTS: Final = """
query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  __typename ... on MessageEvent { message stepKey }
  ... on EngineEvent { metadataEntries { label ... on TextMetadataEntry { text } } } } } } }"""
_PARTITIONS: Final = """
query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { assetKey { path }
  partitionStats { numPartitions numMaterialized numFailed } } }"""
_HEARTBEATS: Final = """
{ instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } } }"""
_LOCATION: Final = """
{ workspaceOrError { ... on Workspace { locationEntries {
  updatedTimestamp locationOrLoadError { __typename } } } } }"""


@dataclass(frozen=True)
class ServerRun:
    """A run as the web server tells of it."""

    run_id: str
    status: str
    tags: dict[str, str]


class Session:
    """A server on a copy of the world that lacks partitions, and what a person at its UI would do and see."""

    def __init__(self, world: World, journal: Journal, name: str, scene: tuple[Path, Path] | None = None) -> None:
        """Copy the complete world, or the first data root of ``scene``, which is to become like the second one."""
        before, after = scene or (world.complete, world.complete)
        folder = world.make_folder(name)
        self.root = copy_root(before, folder / "root")
        self.whole = Whole(after)
        self.days = [world.daily.day - timedelta(days=number) for number in reversed(range(_N_DAYS))]
        self.server = Server(self.root, world.params_file, folder / "server.log")
        self.journal = journal

    def take_away(self, assets: Collection[str], days: Sequence[date]) -> None:
        """Remove partitions with their records."""
        for asset in assets:
            for day in days:
                shutil.rmtree(self.root / "lake" / asset / f"date={day}")
                self._record(Key(asset, day)).unlink()

    def count_made(self) -> int:
        """How many of the partitions of the backfill are there, finished."""
        return sum(self._record(Key(asset, day)).exists() for asset in ASSETS for day in self.days)

    def _record(self, key: Key) -> Path:
        return self.root / "records" / key.asset / f"{key.day}.json"

    def launch_backfill(self) -> str:
        """A backfill of all partitions that lack, as the UI launches it; its id."""
        selection = [{"path": [asset]} for asset in ASSETS]
        params = {"assetSelection": selection, "partitionNames": [f"{day}" for day in self.days]}
        answer = self.server.ask(_LAUNCH_BACKFILL, params=params)["launchPartitionBackfill"]
        self.journal.note(f"a backfill of {len(self.days)} days of {', '.join(ASSETS)} is launched")
        return str(_expect(answer, "backfillId"))

    def launch_run(self, asset: str, day: date, tags: dict[str, str]) -> str:
        """A run of one partition, as the UI's Materialize launches it; its id."""
        selector = {
            "repositoryLocationName": "pipeline_assets",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        }
        listed = [{"key": key, "value": value} for key, value in ({"dagster/partition": f"{day}"} | tags).items()]
        params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": listed}}
        return str(_expect(self.server.ask(_LAUNCH_RUN, params=params)["launchRun"], "run")["runId"])

    def list_runs(self) -> list[ServerRun]:
        """All runs, the latest first."""
        runs = self.server.ask(_RUNS)["runsOrError"]["results"]
        return [
            ServerRun(run["runId"], run["status"], {tag["key"]: tag["value"] for tag in run["tags"]}) for run in runs
        ]

    def await_run(self, is_wanted: Callable[[ServerRun], bool], what: str) -> ServerRun:
        """The latest run that is wanted, as soon as there is one."""
        return wait_for(lambda: next(filter(is_wanted, self.list_runs()), None), _PATIENCE_SECONDS, what)

    def list_events(self, run_id: str) -> list[dict[str, Any]]:
        """What the log of a run says, in order: each event's type, its message, and what an engine event tells."""
        events: list[dict[str, Any]] = self.server.ask(_EVENTS, id=run_id)["logsForRun"]["events"]
        return events

    def find_pid(self, run: ServerRun) -> int | None:
        """The process that executes a run, by the run's own log."""
        events = self.list_events(run.run_id)
        entries = (entry for event in events for entry in event.get("metadataEntries", ()))
        return next((int(entry["text"]) for entry in entries if entry["label"] == "pid" and entry.get("text")), None)

    def find_unmade(self, assets: Sequence[str] = ASSETS) -> list[str]:
        """Which assets have partitions that are not materialized or failed, by the web server."""
        nodes = self.server.ask(_PARTITIONS, keys=[{"path": [asset]} for asset in assets])["assetNodes"]
        stats = {node["assetKey"]["path"][0]: node["partitionStats"] for node in nodes}
        return [
            f"{asset}: {one['numMaterialized']} of {one['numPartitions']} materialized, {one['numFailed']} failed"
            for asset, one in stats.items()
            if one["numMaterialized"] != one["numPartitions"] or one["numFailed"]
        ]

    def await_process(self, is_wanted: Callable[[ServerRun], bool], what: str) -> tuple[ServerRun, int]:
        """A run that is launched, and the process that is about to execute it."""
        run = self.await_run(lambda one: is_wanted(one) and one.status in ("STARTING", "STARTED"), what)
        return run, wait_for(lambda: self.find_pid(run), _PATIENCE_SECONDS, f"the process of {what}")

    def kill_in_the_middle(self, what: str, kill: Callable[[], object]) -> float:
        """Kill as soon as the first partitions of the backfill are finished; when, in monotonic seconds."""
        wait_for(self.count_made, _PATIENCE_SECONDS, "the first partitions", _WATCH_SECONDS)
        killed = time.monotonic()
        kill()
        n_made, n_all = self.count_made(), len(ASSETS) * len(self.days)
        if n_made == n_all:
            raise DrillError("the kill came too late: all partitions were made")
        self.journal.broke(f"killed {what}")
        self.journal.note(f"the {what} is killed, with {n_made} of {n_all} partitions made")
        return killed

    def kill(self, role: Role) -> None:
        """Kill a process of the server; wait until another one has taken its place, and until that works."""
        pid = self.server.list_pids()[role]
        moment, killed = time.time(), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.journal.broke(f"killed {role}")
        self.journal.note(f"the {role} is killed")
        wait_for(lambda: self.server.list_pids().get(role, pid) != pid, _PATIENCE_SECONDS, f"another {role}")
        self.journal.detected(time.monotonic() - killed)
        self.journal.note(f"another {role} is started")
        wait_for(lambda: self._works(role, moment), _PATIENCE_SECONDS, f"a {role} that works")
        self.journal.recovered(time.monotonic() - killed)
        self.journal.note(f"the {role} works again")

    def _works(self, role: Role, since: float) -> bool:
        """Whether the process in the place of the one that was killed at ``since`` (Unix time) does its work."""
        match role:
            case Role.WEBSERVER:
                return "runsOrError" in self.server.ask(_RUNS)
            case Role.DAEMON:
                statuses = self.server.ask(_HEARTBEATS)["instance"]["daemonHealth"]["allDaemonStatuses"]
                return all((one["lastHeartbeatTime"] or 0) > since for one in statuses if one["required"])
            case _:
                entries = self.server.ask(_LOCATION)["workspaceOrError"]["locationEntries"]
                states = ((one["locationOrLoadError"] or {}).get("__typename") for one in entries)
                is_new = all(one["updatedTimestamp"] > since for one in entries)
                return is_new and all(state == "RepositoryLocation" for state in states)

    def await_green(self, backfill: str) -> None:
        """Wait until the backfill has ended, in whatever way, and every partition is materialized."""

        def find_end() -> str | None:
            status = str(self.server.ask(_BACKFILL, id=backfill)["partitionBackfillOrError"]["status"])
            return None if status in _GOING_ON else status

        status = wait_for(find_end, _PATIENCE_SECONDS, "the end of the backfill")
        self.journal.count(f"backfills that ended as {status}")
        self.journal.note(f"the backfill has ended as {status}")
        wait_for(lambda: not self.find_unmade(), _PATIENCE_SECONDS, "all partitions to be materialized")
        self.journal.note("all partitions are materialized")

    def compare(self, where: str) -> None:
        """Compare with the world never broken, and count what was going on."""
        for problem in self.find_unmade():
            self.journal.fail(f"{where}: {problem}")
        for run in self.list_runs():
            self.journal.count(f"runs that ended as {run.status}")
        self.journal.compare(where, self.whole.compare(self.root))


def _expect(answer: dict[str, Any], field: str) -> Any:
    if field not in answer:
        raise NoAnswerError(f"expected {field}, found {answer}")
    return answer[field]


def _is_dead(run: ServerRun) -> Callable[[ServerRun], bool]:
    return lambda one: one.run_id == run.run_id and one.status == "FAILURE"


def _is_retry_of(run: ServerRun) -> Callable[[ServerRun], bool]:
    return lambda one: one.tags.get("dagster/parent_run_id") == run.run_id and one.status in ("STARTED", "SUCCESS")


def kill_processes(world: World, journal: Journal) -> None:
    """Kill the daemon, a run's worker, the code server and the web server in the middle of one backfill."""
    session = Session(world, journal, "server-processes")
    session.take_away(ASSETS, session.days)
    with session.server:
        journal.note("the server is ready")
        launched, backfill = time.monotonic(), session.launch_backfill()
        session.kill(Role.DAEMON)  # it has yet to begin with the backfill
        run, pid = session.await_process(lambda one: "dagster/backfill" in one.tags, "the backfill's run")
        killed = session.kill_in_the_middle("run worker", lambda: os.kill(pid, signal.SIGKILL))
        session.await_run(_is_dead(run), "the run to be found dead")
        journal.detected(time.monotonic() - killed)
        journal.note("the run is found dead")
        session.await_run(_is_retry_of(run), "the run to be started again")
        journal.note("the run is started again")
        session.kill(Role.CODE_SERVER)  # the run is its child, and goes on
        session.kill(Role.WEBSERVER)
        session.await_green(backfill)
        journal.recovered(time.monotonic() - killed)
        journal.note(f"all is well {time.monotonic() - launched:.0f} s after the launch")
        session.compare("after four kills")


def kill_everything(world: World, journal: Journal) -> None:
    """Kill the supervisor and all below it in the middle of a backfill; start it again."""
    session = Session(world, journal, "server-tree")
    session.take_away(ASSETS, session.days)
    with session.server as server:
        journal.note("the server is ready")
        backfill = session.launch_backfill()
        run, _ = session.await_process(lambda one: "dagster/backfill" in one.tags, "the backfill's run")
        killed = session.kill_in_the_middle(
            "server tree", lambda: journal.count("killed processes", server.kill_tree())
        )
        server.start()
        journal.note("the server is ready again")
        session.await_run(_is_dead(run), "the run to be found dead")
        journal.detected(time.monotonic() - killed)
        journal.note("the run is found dead")
        session.await_green(backfill)
        journal.recovered(time.monotonic() - killed)
        session.compare("after the kill of everything")


def fail_partition(world: World, journal: Journal) -> None:
    """Make a partition fail that nobody will retry; it turns green by itself."""
    session = Session(world, journal, "failed-partition")
    day = session.days[-5]
    with session.server:
        journal.note("the server is ready")
        # Without retries of its run: what is left then is for the sensor.
        run_id = session.launch_run(SCORES.name, day, {"dagster/max_retries": "0"})
        run, pid = session.await_process(lambda one: one.run_id == run_id, "the run")
        session.await_run(lambda one: one.run_id == run_id and one.status == "STARTED", "the run to begin")
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        session.take_away([SCORES.name], [day])
        journal.broke("failed and lost partition")
        journal.note(f"the run of {Key(SCORES.name, day)} is killed, and the partition removed")
        session.await_run(_is_dead(run), "the run to be found dead")
        journal.detected(time.monotonic() - killed)
        journal.note(f"red: {', '.join(session.find_unmade([SCORES.name]))}")
        healed = session.await_run(
            lambda one: "pipeline/healing" in one.tags and one.status == "SUCCESS", "a run of the sensor"
        )
        journal.note(f"the sensor's run for {healed.tags['pipeline/healing']} has succeeded")
        wait_for(lambda: not session.find_unmade([SCORES.name]), _PATIENCE_SECONDS, "the partition to turn green")
        journal.recovered(time.monotonic() - killed)
        journal.note("green")
        session.compare("after the failure")


PROCESSES: Final = Drill(
    "server_processes", "daemon, run worker, code server and web server are killed in a backfill", kill_processes
)
EVERYTHING: Final = Drill("server_tree", "the whole server is killed in a backfill, and started again", kill_everything)
PARTITION: Final = Drill("failed_partition", "a run is killed for good, and its partition is removed", fail_partition)
