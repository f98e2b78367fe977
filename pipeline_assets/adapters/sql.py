"""DuckDB for people: a view over each table of the lake. It only ever reads; the lake has one writer."""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.contracts.tables import TABLES

if TYPE_CHECKING:
    import duckdb


class QueryError(ValueError):
    """A query that DuckDB refuses, with its own words and the tables that there are."""


def query(roots: list[Storage], statement: str) -> pl.DataFrame:
    """The result of one SQL statement over the views, which are named after the tables.

    Each view has the table's columns and ``date``, the partition's day. Only reading is possible: the database is in
    memory, sees no file but through the views, and is gone afterwards.

    Args:
        roots: Storages whose top-level folders are tables (the lake, the reports).
        statement: One SQL statement.

    Raises:
        QueryError: The statement is not valid, not a query, or names a table that has no partition yet.
    """
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        names = [name for root in roots for name in _make_views(connection, root)]
        try:
            parsed = connection.extract_statements(statement)
            if [one.type for one in parsed] != [duckdb.StatementType.SELECT]:
                raise QueryError(
                    f"expected one SELECT statement, found {statement!r}; the lake is read-only here\n{_list(names)}"
                )
            result = connection.sql(statement)
            # Not .pl(), which needs pyarrow; nor Arrow's C interface, after which DuckDB reports leaks at exit.
            return pl.DataFrame(result.fetchall(), result.columns, orient="row", infer_schema_length=None)
        except duckdb.Error as error:
            raise QueryError(f"{error}\n{_list(names)}") from error
    finally:
        connection.close()


def _list(names: list[str]) -> str:
    return f"tables: {', '.join(sorted(names)) or 'none yet; run the pipeline first'}"


def _make_views(connection: "duckdb.DuckDBPyConnection", root: Storage) -> list[str]:
    if root.root.startswith("s3://"):
        return _make_views_of_bucket(connection, root)
    made = []
    for name in TABLES:
        folder = Path(root.root, name)
        if any(folder.glob("date=*/part.parquet")):
            connection.sql(_view(name, [f"{folder}/date=*/part.parquet"]))
            made.append(name)
    return made


def _make_views_of_bucket(connection: "duckdb.DuckDBPyConnection", root: Storage) -> list[str]:
    from obstore.fsspec import FsspecStore

    # The object store that the lake itself uses: credentials are given once, and no DuckDB extension is fetched.
    if "s3" not in connection.list_filesystems():
        connection.register_filesystem(FsspecStore("s3"))
    made = []
    for name in TABLES:
        files = [path for path in root.list(name) if path.endswith("/part.parquet")]
        if files:  # named one by one: DuckDB does not find them by a pattern there
            connection.sql(_view(name, [f"{root.root}/{path}" for path in files]))
            made.append(name)
    return made


def _view(name: str, files: list[str]) -> str:
    quoted = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return (
        f"create view {name} as select * from "  # noqa: S608 - the names are ours
        f"read_parquet([{quoted}], hive_partitioning = true, hive_types = {{'date': date}})"
    )
