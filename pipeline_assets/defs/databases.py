"""The SQLite databases of the Dagster instance: whole or not there, whoever makes them and whenever that is killed.

Dagster makes its tables, then stamps their revision, then marks what needs no migration, each in transactions of its
own and without a lock. Two first commands at once so leave two revisions in one file, after which nothing opens it any
more (measured: in two of four rounds of four commands); a killed one leaves tables without indexes or a revision.
Here all of it is one transaction of SQLite, which is its lock as well, and what is half made is completed by the next
one that opens it. ``deploy/dagster.yaml`` names the classes; ``commands/chains.py`` uses them for older instances.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as db
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.migration import ASSET_DATA_MIGRATIONS, EVENT_LOG_DATA_MIGRATIONS
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs import migration as run_migration
from dagster._core.storage.runs.schema import RunsTable, RunStorageSqlMetadata
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules import migration as schedule_migration
from dagster._core.storage.schedules.schema import JobTable, ScheduleStorageSqlMetadata
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.sql import get_alembic_config
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import NullPool

_BUSY_TIMEOUT_SECONDS: Final = 60.0  # what the making of the tables by another process may take, many times over
_WAL_ATTEMPTS: Final = 50
_WAL_PAUSE_SECONDS: Final = 0.1
_VERSIONS: Final = db.Table(
    "alembic_version",
    db.MetaData(),
    db.Column("version_num", db.String(32), nullable=False),
    db.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_MARKS: Final = "secondary_indexes"
_NEXT_STEP: Final = (
    "move the folder of the instance (DAGSTER_HOME) away and start again: the data are not in it, and what is up to "
    "date by their records is entered in the new one without being made again"
)


class BrokenInstanceError(ValueError):
    """A database of the Dagster instance cannot be used and not be mended; the message says what to do."""


@dataclass(frozen=True)
class Schema:
    """What one kind of Dagster's databases holds.

    Attributes:
        metadata: Its tables and their indexes.
        main: The table that has a row as soon as anything was recorded.
        marks: Names of the migrations that it does not need any more.
        module: The file of Dagster's module, beside which the revisions of its tables are.
    """

    metadata: db.MetaData
    main: db.Table
    marks: Collection[str]
    module: str

    @property
    def names(self) -> set[str]:
        """The tables and indexes that there are in a whole one."""
        tables = self.metadata.tables.values()
        indexes = {str(index.name) for table in tables for index in table.indexes}
        return indexes | set(self.metadata.tables) | {_VERSIONS.name}


RUNS: Final = Schema(
    RunStorageSqlMetadata,
    RunsTable,
    (*run_migration.REQUIRED_DATA_MIGRATIONS, *run_migration.OPTIONAL_DATA_MIGRATIONS),
    sqlite_run_storage.__file__,
)
EVENTS: Final = Schema(SqlEventLogStorageMetadata, SqlEventLogStorageTable, (), sqlite_event_log.__file__)
INDEX: Final = Schema(
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
    (*EVENT_LOG_DATA_MIGRATIONS, *ASSET_DATA_MIGRATIONS),
    sqlite_event_log.__file__,
)
SCHEDULES: Final = Schema(
    ScheduleStorageSqlMetadata,
    JobTable,
    (
        *schedule_migration.REQUIRED_SCHEDULE_DATA_MIGRATIONS,
        *schedule_migration.OPTIONAL_SCHEDULE_DATA_MIGRATIONS,
    ),
    sqlite_schedule_storage.__file__,
)


class WholeSqliteRunStorage(sqlite_run_storage.SqliteRunStorage):
    """Dagster's run storage in SQLite, in a database that is whole."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WholeSqliteRunStorage":
        """Where Dagster keeps its runs below ``DAGSTER_HOME``."""
        return cls.from_local(str(Path(config_value["base_dir"], "history")), inst_data)

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> "WholeSqliteRunStorage":
        """The storage in the folder ``base_dir``, which is made where it is not there."""
        is_marked = make_whole(Path(base_dir, "runs.db"), RUNS)
        storage = cls(create_db_conn_string(base_dir, "runs"), inst_data)
        if not is_marked:
            storage.migrate()
            storage.optimize()
        return storage


class WholeSqliteScheduleStorage(sqlite_schedule_storage.SqliteScheduleStorage):
    """Dagster's storage of schedules and sensors in SQLite, in a database that is whole."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WholeSqliteScheduleStorage":
        """Where Dagster keeps its ticks and cursors below ``DAGSTER_HOME``."""
        return cls.from_local(str(Path(config_value["base_dir"], "schedules")), inst_data)

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> "WholeSqliteScheduleStorage":
        """The storage in the folder ``base_dir``, which is made where it is not there."""
        is_marked = make_whole(Path(base_dir, "schedules.db"), SCHEDULES)
        storage = cls(create_db_conn_string(base_dir, "schedules"), inst_data)
        if not is_marked:
            storage.migrate()
            storage.optimize()
        return storage


def make_whole(path: Path, schema: Schema) -> bool:
    """Make the database at ``path``, or complete what was half made; nothing is done to one that is whole.

    One that an older Dagster made is left as it is, for ``dagster instance migrate``.

    Returns:
        Whether all marks are there: where not, the migrations they stand for are still to be made.

    Raises:
        BrokenInstanceError: It is no database, or none that can be completed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = _look(path)
        if found.lacks(schema):
            _complete(path, schema)
            found = _look(path)
    except (db.exc.DatabaseError, sqlite3.Error, OSError) as error:
        raise BrokenInstanceError(_explain(path, error)) from error
    return set(schema.marks) <= found.marks


@dataclass(frozen=True)
class _Found:
    """What there is in a database: the names of tables and indexes, the revisions, the marks."""

    names: set[str]
    versions: list[str]
    marks: set[str]

    def lacks(self, schema: Schema) -> bool:
        """Whether it is not whole."""
        return len(self.versions) != 1 or bool(schema.names - self.names)


def _look(path: Path) -> _Found:
    if not path.exists():
        return _Found(set(), [], set())
    with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS)) as connection:
        return _read(lambda text: connection.execute(text).fetchall())


def _read(ask: Callable[[str], Collection[Any]]) -> _Found:
    names = {row[0] for row in ask("select name from sqlite_master")}
    versions = [row[0] for row in ask("select version_num from alembic_version")] if _VERSIONS.name in names else []
    marks: Collection[Any] = ()
    if _MARKS in names:
        marks = ask("select name from secondary_indexes where migration_completed is not null")
    return _Found(names, versions, {row[0] for row in marks})


def _complete(path: Path, schema: Schema) -> None:
    """Bring a database to what is wanted, in one transaction; who comes second finds it whole."""
    engine = db.create_engine(
        db.URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS, "isolation_level": None},  # transactions are begun by hand
    )
    with engine.connect() as connection:
        _write_ahead(connection)
        connection.exec_driver_sql("begin immediate")
        try:
            _complete_tables(path, connection, schema)
            connection.exec_driver_sql("commit")
        except BaseException:
            connection.exec_driver_sql("rollback")
            raise
    engine.dispose()


def _write_ahead(connection: db.Connection) -> None:
    """Let readers and a writer go on beside each other; SQLite does not wait by itself while somebody else is at it."""
    for attempt in range(_WAL_ATTEMPTS):
        with contextlib.suppress(db.exc.OperationalError):
            if connection.exec_driver_sql("pragma journal_mode=wal").scalar() == "wal":
                return
        time.sleep(_WAL_PAUSE_SECONDS * min(attempt, 10))
    connection.exec_driver_sql("pragma journal_mode=wal")  # its error says what stands in the way


def _complete_tables(path: Path, connection: db.Connection, schema: Schema) -> None:
    found = _read(lambda text: connection.exec_driver_sql(text).fetchall())
    if not found.lacks(schema):
        return
    head = ScriptDirectory.from_config(get_alembic_config(schema.module)).as_revision_number("head")
    if len(found.versions) == 1 and found.versions != [head]:
        return  # another version of Dagster made it
    _check_columns(path, connection, schema, found)
    schema.metadata.create_all(connection)
    for table in schema.metadata.tables.values():
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    _VERSIONS.create(connection, checkfirst=True)
    connection.execute(_VERSIONS.delete())
    connection.execute(_VERSIONS.insert().values(version_num=head))
    if connection.execute(db.select(schema.main).limit(1)).first() is None:  # there is nothing to be migrated
        marks = schema.metadata.tables[_MARKS]
        for name in sorted(set(schema.marks) - found.marks):
            connection.execute(marks.delete().where(marks.c.name == name))
            connection.execute(marks.insert().values(name=name, migration_completed=datetime.now()))  # noqa: DTZ005


def _check_columns(path: Path, connection: db.Connection, schema: Schema, found: _Found) -> None:
    inspector = db.inspect(connection)
    for table in schema.metadata.tables.values():
        if table.name in found.names:
            there = {column["name"] for column in inspector.get_columns(table.name)}
            lacking = sorted({column.name for column in table.columns} - there)
            if lacking:
                raise BrokenInstanceError(
                    f"{path}: expected one revision and all columns of Dagster's tables, found the revisions "
                    f"{found.versions} and {table.name} without {', '.join(lacking)}; {_NEXT_STEP}"
                )


def _explain(path: Path, error: Exception) -> str:
    cause = str(getattr(error, "orig", error))
    if "locked" in cause or "busy" in cause:
        return (
            f"{path}: another process has held this database of the Dagster instance for {_BUSY_TIMEOUT_SECONDS:.0f} s "
            f"({cause}); end it, or wait for it, then try again (who it is: fuser -v {path})"
        )
    if isinstance(error, OSError) or "unable to open" in cause or "readonly" in cause or "full" in cause:
        return (
            f"{path}: expected a database of the Dagster instance that can be read and written, found: {cause}; "
            "see its permissions and the room on its disk, or choose another DAGSTER_HOME"
        )
    return f"{path}: expected a database of the Dagster instance, found: {cause}; {_NEXT_STEP}"
