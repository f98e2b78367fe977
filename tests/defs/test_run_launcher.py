"""Whether the process of a run lives, judged on real processes by the instance that deploy/dagster.yaml describes."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG, WILL_RETRY_TAG
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from pipeline_assets.defs import run_launcher
from pipeline_assets.defs.event_storage import KeptSqliteEventLogStorage
from pipeline_assets.defs.run_launcher import Process, WatchedRunLauncher, find_process
from pipeline_assets.defs.run_locks import RunLocks

CONFIG = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
ALIVE, GONE = WorkerStatus.RUNNING, WorkerStatus.NOT_FOUND


@dg.op
def nothing() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def empty() -> None:
    nothing()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    home = tmp_path_factory.mktemp("home")
    shutil.copyfile(CONFIG, home / "dagster.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def start_run(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> str:
    run_id: str = instance.create_run_for_job(empty, tags=tags).run_id
    instance.report_dagster_event(DagsterEvent(event_type_value="PIPELINE_START", job_name="empty"), run_id)
    return run_id


def state_process(instance: dg.DagsterInstance, run_id: str, pid: int, seconds_ago: float = 0) -> None:
    event = DagsterEvent("ENGINE_EVENT", "empty", event_specific_data=EngineEventData.in_process(pid))
    event_type: Any = dg.EventLogEntry
    instance.handle_new_event(
        event_type(None, logging.INFO, "", run_id, time.time() - seconds_ago, dagster_event=event)
    )


def judge(instance: dg.DagsterInstance, run_id: str) -> WorkerStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return instance.run_launcher.check_run_worker_health(run).status


def poll(instance: dg.DagsterInstance) -> None:
    context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    assert not any(execute_run_monitoring_iteration(context, logging.getLogger("quiet")))


def test_dagsters_monitor_fails_the_run_of_a_killed_process_and_no_other(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    killed, living = start_run(instance), start_run(instance)
    state_process(instance, killed, process.pid)
    state_process(instance, living, os.getpid())
    poll(instance)
    assert [judge(instance, run_id) for run_id in (killed, living)] == [ALIVE, ALIVE]
    process.kill()
    process.wait()
    poll(instance)
    statuses = [instance.get_run_by_id(run_id).status for run_id in (killed, living)]  # type: ignore[union-attr]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
    failures = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert f"process {process.pid}, which executed the run, is gone" in str(failures[0].get_dagster_event().message)


def test_a_killed_process_that_nobody_reaped_is_dead(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    run_id = start_run(instance)
    state_process(instance, run_id, process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)  # it still has its number
    assert judge(instance, run_id) is GONE


def test_a_stopped_process_is_alive(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> None:
    run_id = start_run(instance)
    state_process(instance, run_id, process.pid)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert judge(instance, run_id) is ALIVE


def test_a_number_that_went_to_a_later_process_is_a_dead_run(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    run_id = start_run(instance)
    state_process(instance, run_id, process.pid, seconds_ago=60)
    assert judge(instance, run_id) is GONE


def test_a_step_of_the_clock_does_not_make_a_living_process_another_one(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start_run(instance)
    state_process(instance, run_id, process.pid)
    assert judge(instance, run_id) is ALIVE
    found = find_process(process.pid)
    assert found is not None
    monkeypatch.setattr(run_launcher, "find_process", lambda _: Process(found.ticks, found.started_at + 3600))
    assert judge(instance, run_id) is ALIVE
    monkeypatch.setattr(run_launcher, "find_process", lambda _: Process(found.ticks + 9, found.started_at + 3600))
    assert judge(instance, run_id) is GONE


def test_a_run_that_states_no_process_is_dead_only_after_the_start_timeout(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start_run(instance)
    now = time.time()
    monkeypatch.setattr(run_launcher, "time", SimpleNamespace(time=lambda: now + 290))
    assert judge(instance, run_id) is ALIVE
    monkeypatch.setattr(run_launcher, "time", SimpleNamespace(time=lambda: now + 310))
    assert judge(instance, run_id) is GONE


@pytest.mark.parametrize(("host", "expected"), [("localhost", GONE), ("code-server.example", ALIVE)])
def test_only_processes_of_this_host_are_judged(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes], host: str, expected: WorkerStatus
) -> None:
    run_id = start_run(instance, {GRPC_INFO_TAG: json.dumps({"host": host, "port": 4000})})
    state_process(instance, run_id, process.pid)
    process.kill()
    process.wait()
    assert judge(instance, run_id) is expected


@pytest.mark.parametrize(("max_retries", "expected"), [("2", "true"), ("0", "false")])
def test_a_dead_run_says_that_it_will_be_retried_before_it_counts_as_failed(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes], max_retries: str, expected: str
) -> None:
    run_id = start_run(instance, {"dagster/max_retries": max_retries})
    state_process(instance, run_id, process.pid)
    process.kill()
    process.wait()
    assert judge(instance, run_id) is GONE
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.status, run.tags[WILL_RETRY_TAG]) == (dg.DagsterRunStatus.STARTED, expected)


def test_a_run_states_its_own_process_before_its_first_step(instance: dg.DagsterInstance) -> None:
    found: list[object] = []

    @dg.op
    def look(context: dg.OpExecutionContext) -> None:
        logged = context.instance.all_logs(context.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        found.extend(str(entry.get_dagster_event().engine_event_data.metadata["pid"].value) for entry in logged)
        found.append(judge(context.instance, context.run_id))

    @dg.job
    def watched() -> None:
        look()

    assert watched.execute_in_process(instance=instance).success
    assert found == [str(os.getpid()), ALIVE]


def test_the_instance_asks_the_launcher_and_keeps_a_place_for_the_live_day(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
    assert instance.run_monitoring_enabled
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.tag_concurrency_limits == [{"key": "dagster/backfill", "limit": queue.max_concurrent_runs - 1}]
    assert queue.max_user_code_failure_retries > 0


# --- one process a run ---


def say_that_it_begins(instance: dg.DagsterInstance, run_id: str, pid: int) -> None:
    """What Dagster's process for a launched run says first."""
    run = instance.get_run_by_id(run_id)
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))


def lock_elsewhere(instance: dg.DagsterInstance) -> RunLocks:
    """The locks as another process takes them."""
    storage = instance.event_log_storage
    assert isinstance(storage, KeptSqliteEventLogStorage)
    return RunLocks(storage.run_locks._folder)


def launch(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))


def list_messages(instance: dg.DagsterInstance, run_id: str) -> str:
    logged = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return "\n".join(str(entry.get_dagster_event().message) for entry in logged)


def test_a_run_that_is_executed_already_is_not_started_again(instance: dg.DagsterInstance) -> None:
    run_id = start_run(instance)
    with pytest.raises(DagsterInvariantViolationError, match="workspace"):  # it is really launched
        launch(instance, run_id)
    elsewhere = lock_elsewhere(instance)
    elsewhere.take(run_id)
    launch(instance, run_id)
    assert "a process for this run is there already" in list_messages(instance, run_id)
    elsewhere.release(run_id)


def test_a_run_whose_lock_is_held_lives_whatever_became_of_other_processes_for_it(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    run_id, elsewhere = start_run(instance), lock_elsewhere(instance)
    elsewhere.take(run_id)
    state_process(instance, run_id, process.pid)
    process.kill()
    process.wait()
    assert judge(instance, run_id) is ALIVE
    elsewhere.release(run_id)
    assert judge(instance, run_id) is GONE


def test_of_two_processes_that_were_started_for_a_run_one_alive_is_enough(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    run_id = start_run(instance)
    state_process(instance, run_id, process.pid)
    process.kill()
    process.wait()
    assert judge(instance, run_id) is GONE
    state_process(instance, run_id, os.getppid())
    state_process(instance, run_id, process.pid)
    parent = find_process(os.getppid())
    assert parent is not None
    instance.run_launcher._seen[run_id, os.getppid()] = parent.ticks  # type: ignore[attr-defined]
    assert judge(instance, run_id) is ALIVE


def test_a_second_process_for_a_run_says_so_and_waits_for_the_end_of_the_first(instance: dg.DagsterInstance) -> None:
    run_id, elsewhere = start_run(instance), lock_elsewhere(instance)
    elsewhere.take(run_id)
    second = threading.Thread(target=say_that_it_begins, args=(instance, run_id, os.getpid()))
    second.start()
    second.join(2)
    assert second.is_alive()
    said = list_messages(instance, run_id)
    assert f"process {os.getpid()} executes this run already" in said
    assert "Started process" not in said
    elsewhere.release(run_id)
    second.join(30)
    assert not second.is_alive()
    assert "Started process" in list_messages(instance, run_id)
    assert elsewhere.is_held(run_id)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)
    assert not elsewhere.is_held(run_id)


def test_a_process_whose_run_went_back_into_the_queue_waits_for_its_launch(instance: dg.DagsterInstance) -> None:
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), "empty")
    run = dg.DagsterRun("empty", status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin, job_code_origin=None)
    run_id = instance.add_run(run).run_id
    process = threading.Thread(target=say_that_it_begins, args=(instance, run_id, os.getpid()))
    process.start()
    process.join(2)
    assert process.is_alive()
    assert "Started process" not in list_messages(instance, run_id)
    instance.report_dagster_event(DagsterEvent(event_type_value="PIPELINE_STARTING", job_name="empty"), run_id)
    process.join(30)
    assert not process.is_alive()
    assert "Started process" in list_messages(instance, run_id)


def test_what_others_say_of_their_processes_takes_no_lock(instance: dg.DagsterInstance) -> None:
    run_id = start_run(instance)
    say_that_it_begins(instance, run_id, os.getppid())
    state_process(instance, run_id, os.getpid())  # a step, as executors with processes of their own say it
    assert not lock_elsewhere(instance).is_held(run_id)
