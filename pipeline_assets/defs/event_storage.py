"""The instance's event storage: Dagster's own in SQLite, but its connections are kept.

Dagster's opens a new SQLAlchemy engine for every event, which compiles every statement anew. A backfill records a
dozen events a day, so that this was most of what orchestration cost: measured on 91 days of ingestion and features,
2.9 times the bare stages; with connections kept, 1.6 times. ``deploy/dagster.yaml`` names this class; without that
entry the same files are read and written by Dagster's.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

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
