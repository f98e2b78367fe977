"""The instance's run launcher: Dagster's own, which also knows whether the process that executes a run still lives.

Dagster's monitor asks this of every started run, whoever started it: the daemon, or somebody's command line. Without
an answer, a run whose process was killed keeps its place in the queue and its pools until ``max_runtime_seconds``.
Every run states its process in its own event log, before its first step. ``deploy/dagster.yaml`` names this class.
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

import dagster as dg
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG, WILL_RETRY_TAG
from dagster._serdes import ConfigurableClassData

_TOLERANCE_SECONDS: Final = 5.0  # start times are whole seconds, and clocks are corrected; a worker needs more to start
_HEALTHY: Final = CheckRunHealthResult(WorkerStatus.RUNNING)


class Process(NamedTuple):
    """A living process: ``ticks`` since boot at which it started, and the same as Unix time; 0 where unknown."""

    ticks: int
    started_at: float


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches runs on the code server, as Dagster's default does, and judges whether their processes live.

    A run is declared dead on evidence only: the process that its event log states is gone from this host, or its
    number belongs to a process that started later. A run on another host's code server, or one that has not stated
    its process yet, counts as alive. Runs from a command line are taken to be of this host: on a shared instance,
    start them in the container of the daemon (``docker exec``), whose process numbers are its own.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        """Without settings of its own."""
        super().__init__(inst_data)
        # What was seen alive: from then on ticks identify it, and no step of the clock can make it look like another.
        self._seen: dict[str, int] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """So that Dagster's monitor asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """RUNNING, or NOT_FOUND if the process that executed the started run is gone."""
        if not _is_local(run):
            return _HEALTHY
        stated = _find_stated_process(self._instance, run.run_id)
        if stated is None:
            return self._judge_silence(run)
        pid, stated_at = stated
        process = find_process(pid)
        if process is None:
            reason = f"process {pid}, which executed the run, is gone: it was killed or it crashed"
        elif self._seen.get(run.run_id) != process.ticks and process.started_at > stated_at + _TOLERANCE_SECONDS:
            reason = f"process {pid}, which executed the run, is gone: another process has its number"
        else:
            self._seen[run.run_id] = process.ticks
            return _HEALTHY
        self._seen.pop(run.run_id, None)
        return self._declare_dead(run, reason)

    def _judge_silence(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        record = self._instance.get_run_record_by_id(run.run_id)
        timeout = self._instance.run_monitoring_start_timeout_seconds
        if record is None or record.start_time is None or time.time() - record.start_time <= timeout:
            return _HEALTHY
        return self._declare_dead(
            run, f"started over {timeout} seconds ago, but no process says that it executes the run"
        )

    def _declare_dead(self, run: dg.DagsterRun, reason: str) -> CheckRunHealthResult:
        if self._instance.run_retries_enabled:
            # Dagster says that a run will be retried only after it has marked it failed: 0.2 s on a busy machine. A
            # backfill that looks in between, as it does when the daemon starts, ends as failed, and nothing is retried.
            failed = run.with_status(dg.DagsterRunStatus.FAILURE)
            will_retry = auto_reexecution_should_retry_run(self._instance, failed, None)
            self._instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: str(will_retry).lower()})
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, reason)


def find_process(pid: int) -> Process | None:
    """The process with the number ``pid`` on this host, whoever owns it; None if there is none or it has ended."""
    try:
        os.kill(pid, 0)  # tells also of processes that /proc may hide: those of other users
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may hold blanks and brackets
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):  # no Linux, or hidden: it lives, and that is all that is known
        return Process(0, 0.0)
    if fields[0] in "ZX":  # dead, and only not yet reaped by its parent
        return None
    ticks = int(fields[19])
    return Process(ticks, int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK"))


def _is_local(run: dg.DagsterRun) -> bool:
    server = run.tags.get(GRPC_INFO_TAG)  # absent from the runs of a command line
    return server is None or json.loads(server).get("host") in {"localhost", "127.0.0.1", "::1", socket.gethostname()}


def _find_stated_process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.get_dagster_event()
        pid = event.engine_event_data.metadata.get("pid") if event.event_specific_data else None
        if pid is not None:  # the first one: a launched run's "Started process", any run's "Executing steps in process"
            return int(str(pid.value)), entry.timestamp
    return None
