"""The instance's event storage: Dagster's own in SQLite, but its connections are kept.

Dagster's opens a new SQLAlchemy engine for every event, which compiles every statement anew. A backfill records a
dozen events a day, so that this was most of what orchestration cost: measured on 91 days of ingestion and features,
2.9 times the bare stages; with connections kept, 1.6 times. Nor is the disk flushed for every event: commits were
seventeen of the sixty seconds of 60 days on a busy disk. ``deploy/dagster.yaml`` names this class; without that entry
the same files are read and written by Dagster's.

And its pools hold: Dagster claims their slots by locking the rows that it reads, which SQLite does not do, so that two
processes could claim one slot (measured: 2 of 117 claims, by twelve processes). The slots of a killed process are free
at once, with a daemon or without: Dagster keeps them until a daemon has found the run dead, so that on a command line
the same command again would wait for ever, and with a whole core, because its executor asks without a pause.

And a run is executed by one process at a time: see ``run_locks.py``.
"""

import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from dagster import DagsterEventType, DagsterRunStatus, EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from dagster._utils.concurrency import ConcurrencyClaimStatus

from pipeline_assets.defs.databases import EVENTS, INDEX, make_whole
from pipeline_assets.defs.run_locks import RunLocks, pause

_MAX_ENGINES: Final = 8  # runs whose connection is kept; one file is open for each
_BUSY_TIMEOUT_SECONDS: Final = 20  # how long a writer waits for another one: Dagster's own value
_CLAIM_AGAIN_SECONDS: Final = 1.0  # what a run waits for a slot before it asks again
_LAUNCH_POLL_SECONDS: Final = 1.0
_BEGINNING: Final = "Started process for run"  # what Dagster's process for a launched run says first
_ENDINGS: Final = frozenset({DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED})


def _flush_at_checkpoints(connection: Any, _: object) -> None:
    """Let SQLite flush its write-ahead log at checkpoints, not at every commit.

    A killed process loses nothing by it; a power failure may take the last events of the run history with it, never
    the history before. Nothing is decided by these events alone: what is there is told by the records.
    """
    connection.execute("PRAGMA synchronous=NORMAL")


class KeptSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in SQLite files, a file a run and one for the index, with connections that are kept.

    ``run_locks`` tells which runs living processes execute.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Use the folder ``base_dir``, which is made if it is not there."""
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        self._held: dict[str, tuple[int, set[str]]] = {}  # by run: the lock that says it lives, and its steps
        self.run_locks = RunLocks(Path(base_dir, "executed"))
        is_marked = make_whole(Path(base_dir, f"{INDEX_SHARD_NAME}.db"), INDEX)
        super().__init__(base_dir, inst_data)
        if not is_marked:
            self.reindex_events()
            self.reindex_assets()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "KeptSqliteEventLogStorage":
        """Where Dagster keeps its event logs below ``DAGSTER_HOME``, so that either class finds the other's."""
        return cls(str(Path(config_value["base_dir"], "history", "runs")), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            engine = self._find_engine(shard)
            if shard not in self._initialized_dbs:
                make_whole(Path(self.path_for_shard(shard)), INDEX if shard == INDEX_SHARD_NAME else EVENTS)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def store_event(self, event: EventLogEntry) -> None:
        """As Dagster's, but a process that says that it executes a run does so alone, and when the run was launched."""
        if _is_beginning(event):
            self.run_locks.take(event.run_id, lambda pid: self._say_that_we_wait(event.run_id, pid))
            self._await_launch(event.run_id)
        super().store_event(event)
        if event.is_dagster_event and event.dagster_event_type in _ENDINGS:
            self.run_locks.release(event.run_id)

    def _say_that_we_wait(self, run_id: str, pid: int | None) -> None:
        run = self._instance.get_run_by_id(run_id)
        text = f"process {pid or 'unknown'} executes this run already; process {os.getpid()} waits for its end"
        self._instance.report_engine_event(text, run, run_id=run_id)

    def _await_launch(self, run_id: str) -> None:
        """Wait while a run is in the queue: its launch took so long that it was submitted again, and comes yet."""
        while (run := self._instance.get_run_by_id(run_id)) and run.status is DagsterRunStatus.QUEUED:
            pause(_LAUNCH_POLL_SECONDS)

    def _find_engine(self, shard: str) -> sqlalchemy.Engine:
        if shard not in self._engines:
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": _BUSY_TIMEOUT_SECONDS}
            )
            sqlalchemy.event.listen(engine, "connect", _flush_at_checkpoints)
            self._engines[shard] = engine
            if len(self._engines) > _MAX_ENGINES:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """As Dagster's, but one process at a time, and no slot is kept by a process that is gone."""
        with self._alone():
            self._show_life(run_id, step_key)
            self._free_slots_of_the_dead(concurrency_key)
            status = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        if status.is_claimed:
            return status
        time.sleep(_CLAIM_AGAIN_SECONDS)
        waiting: ConcurrencyClaimStatus = status.with_sleep_interval(0.0)
        return waiting

    def free_concurrency_slot_for_step(self, run_id: str, step_key: str) -> None:
        """As Dagster's, but one process at a time."""
        with self._alone():
            super().free_concurrency_slot_for_step(run_id, step_key)
            self._end_life(run_id, step_key)

    def free_concurrency_slots_for_run(self, run_id: str) -> None:
        """As Dagster's, but one process at a time."""
        with self._alone():
            super().free_concurrency_slots_for_run(run_id)
            self._end_life(run_id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process of this host works on the pools; the lock of a killed one goes with it."""
        self._pools.mkdir(exist_ok=True)
        with (self._pools / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _pools(self) -> Path:
        return Path(self._base_dir, "pools")

    def _show_life(self, run_id: str, step_key: str) -> None:
        """Lock the file of a run: the lock goes with this process, however it ends."""
        if run_id not in self._held:
            descriptor = os.open(self._pools / run_id, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._held[run_id] = descriptor, set()
        self._held[run_id][1].add(step_key)

    def _end_life(self, run_id: str, step_key: str | None = None) -> None:
        descriptor, steps = self._held.get(run_id, (None, set()))
        steps -= {step_key} if step_key else set(steps)
        if not steps:
            self._held.pop(run_id, None)
            (self._pools / run_id).unlink(missing_ok=True)
            if descriptor is not None:
                os.close(descriptor)

    def _free_slots_of_the_dead(self, concurrency_key: str) -> None:
        """Free the slots and the places in the queue of runs whose process showed life and is gone."""
        info = self.get_concurrency_info(concurrency_key)
        for run_id in info.active_run_ids | info.assigned_run_ids | info.pending_run_ids:
            with suppress(FileNotFoundError, BlockingIOError), (self._pools / run_id).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                super().free_concurrency_slots_for_run(run_id)
                self._end_life(run_id)

    def wipe(self) -> None:
        """Forget everything; the files are removed, so the connections to them are closed first."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close the connections."""
        self._close()
        super().dispose()

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _is_beginning(event: EventLogEntry) -> bool:
    """Whether this process says that it begins to execute a run that was launched."""
    if not event.is_dagster_event or event.dagster_event_type is not DagsterEventType.ENGINE_EVENT:
        return False
    told = event.get_dagster_event()
    if not (told.message or "").startswith(_BEGINNING) or not told.event_specific_data:
        return False
    pid = told.engine_event_data.metadata.get("pid")
    return pid is not None and str(pid.value) == str(os.getpid())
