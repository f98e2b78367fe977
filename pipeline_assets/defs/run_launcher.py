"""The instance's run launcher: Dagster's own, which also knows whether the process that executes a run still lives.

Dagster's monitor asks this of every started run, whoever started it: the daemon, or somebody's command line. Without
an answer, a run whose process was killed keeps its place in the queue and its pools until ``max_runtime_seconds``.
Every run states its process in its own event log, before its first step. ``deploy/dagster.yaml`` names this class.

And no run is launched that is executed already: a launch that a busy code server answers too late is submitted again.
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG, WILL_RETRY_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

from pipeline_assets.defs.event_storage import KeptSqliteEventLogStorage

_TOLERANCE_SECONDS: Final = 5.0  # start times are whole seconds, and clocks are corrected; a worker needs more to start
_ANSWER_SECONDS: Final = 20  # for a code server that is asked whether it has begun: it is a busy one
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
        self._seen: dict[tuple[str, int], int] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """So that Dagster's monitor asks."""
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run, unless a process for it is there already: then its launch was one that was answered too late.

        Raises:
            DagsterUserCodeUnreachableError: The code server cannot be reached, or does not answer, and has not begun.
        """
        run = context.dagster_run
        if self._is_executed(run):
            self._say(run, "a process for this run is there already, from a launch before: it is not started again")
            return
        try:
            super().launch_run(context)
        except DagsterUserCodeUnreachableError:
            launched = self._instance.get_run_by_id(run.run_id)  # its tags say which code server it was
            if launched is None or not self._is_executed(launched):
                raise
            self._say(launched, "the code server answers late, and a process for this run is there: it is launched")

    def _is_executed(self, run: dg.DagsterRun) -> bool:
        """Whether a process for a run lives, by its lock or by the code server that it was launched on."""
        if _holds_lock(self._instance, run):
            return True
        client: DagsterGrpcClient | None = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return False
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), _ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return False
        return bool(deserialize_value(answer, CanCancelExecutionResult).can_cancel)

    def _say(self, run: dg.DagsterRun, text: str) -> None:
        self._instance.report_engine_event(text, run, cls=self.__class__)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """RUNNING, or NOT_FOUND if the process that executed the started run is gone."""
        if not _is_local(run) or _holds_lock(self._instance, run):
            return _HEALTHY
        reasons = []
        for pid, stated_at in _list_stated_processes(self._instance, run.run_id):
            reason = self._find_end(run.run_id, pid, stated_at)
            if reason is None:
                return _HEALTHY
            reasons.append(reason)
        if not reasons:
            return self._judge_silence(run)
        return self._declare_dead(run, reasons[-1])

    def _find_end(self, run_id: str, pid: int, stated_at: float) -> str | None:
        """Why a process that stated that it executes a run does so no more; None where it lives."""
        process = find_process(pid)
        seen = self._seen.get((run_id, pid))
        if process is None:
            return f"process {pid}, which executed the run, is gone: it was killed or it crashed"
        if seen != process.ticks and process.started_at > stated_at + _TOLERANCE_SECONDS:
            return f"process {pid}, which executed the run, is gone: another process has its number"
        self._seen[run_id, pid] = process.ticks
        return None

    def _judge_silence(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        record = self._instance.get_run_record_by_id(run.run_id)
        timeout = self._instance.run_monitoring_start_timeout_seconds
        if record is None or record.start_time is None or time.time() - record.start_time <= timeout:
            return _HEALTHY
        return self._declare_dead(
            run, f"started over {timeout} seconds ago, but no process says that it executes the run"
        )

    def _declare_dead(self, run: dg.DagsterRun, reason: str) -> CheckRunHealthResult:
        self._seen = {known: ticks for known, ticks in self._seen.items() if known[0] != run.run_id}
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


def _holds_lock(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    storage = instance.event_log_storage
    return isinstance(storage, KeptSqliteEventLogStorage) and storage.run_locks.is_held(run.run_id)


def _list_stated_processes(instance: dg.DagsterInstance, run_id: str) -> list[tuple[int, float]]:
    """The processes that said that they execute a run, and when, in order: those of a launch made twice are two."""
    found = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.get_dagster_event()
        pid = event.engine_event_data.metadata.get("pid") if event.event_specific_data else None
        if pid is not None:  # a launched run's "Started process", any run's "Executing steps in process"
            found.append((int(str(pid.value)), entry.timestamp))
    return found
