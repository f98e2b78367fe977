"""The instance's event storage: Dagster's own in SQLite, but its connections are kept.

Dagster's opens a new SQLAlchemy engine for every event, which compiles every statement anew. A backfill records a
dozen events a day, so that this was most of what orchestration cost: measured on 91 days of ingestion and features,
2.9 times the bare stages; with connections kept, 1.6 times. ``deploy/dagster.yaml`` names this class; without that
entry the same files are read and written by Dagster's.

And its pools hold: Dagster claims their slots by locking the rows that it reads, which SQLite does not do, so that two
processes could claim one slot (measured: 2 of 117 claims, by twelve processes).
"""

import fcntl
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from dagster._utils.concurrency import ConcurrencyClaimStatus

_MAX_ENGINES: Final = 8  # runs whose connection is kept; one file is open for each
_BUSY_TIMEOUT_SECONDS: Final = 20  # how long a writer waits for another one: Dagster's own value


class KeptSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in SQLite files, a file a run and one for the index, with connections that are kept."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Use the folder ``base_dir``, which is made if it is not there."""
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

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
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _find_engine(self, shard: str) -> sqlalchemy.Engine:
        if shard not in self._engines:
            self._engines[shard] = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": _BUSY_TIMEOUT_SECONDS}
            )
            if len(self._engines) > _MAX_ENGINES:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """As Dagster's, but one process at a time."""
        with self._alone():
            return super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)

    def free_concurrency_slot_for_step(self, run_id: str, step_key: str) -> None:
        """As Dagster's, but one process at a time."""
        with self._alone():
            super().free_concurrency_slot_for_step(run_id, step_key)

    def free_concurrency_slots_for_run(self, run_id: str) -> None:
        """As Dagster's, but one process at a time."""
        with self._alone():
            super().free_concurrency_slots_for_run(run_id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process of this host works on the pools; the lock of a killed one goes with it."""
        with Path(self._base_dir, "pools.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

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
