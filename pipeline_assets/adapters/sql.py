"""DuckDB for people: a view over each table of the lake. It only ever reads; the lake has one writer."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.contracts.tables import TABLES
from pipeline_assets.core.spreadsheet import render_csv, show_as_text

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
        except duckdb.Error as error:
            raise QueryError(f"{error}\n{_list(names)}") from error
        return _fetch(result)
    finally:
        connection.close()


def _fetch(result: "duckdb.DuckDBPyRelation") -> pl.DataFrame:
    import duckdb

    twice = sorted({name for name in result.columns if result.columns.count(name) > 1})
    if twice:
        raise QueryError(f"expected each column of the result once, found more than once: {', '.join(twice)}")
    try:
        # Not .pl(), which needs pyarrow; nor Arrow's C interface, after which DuckDB reports leaks at exit.
        rows = result.fetchall()
    except duckdb.Error as error:
        # From None: DuckDB quotes the value it stumbled over, which may be a person's.
        raise QueryError(_hide_values(error)) from None
    frame = pl.DataFrame(rows, result.columns, orient="row", infer_schema_length=None)
    # What neither csv nor JSON can hold.
    return frame.with_columns(show_as_text(series) for series in frame if series.dtype in (pl.Object, pl.Binary))


def _hide_values(error: Exception) -> str:
    """Say what went wrong while rows were read, without the value that it went wrong with."""
    import duckdb

    if isinstance(error, duckdb.IOException):  # of files, not of what is in them
        return str(error)
    kind, _, told = str(error).partition(": ")
    told = re.sub(r"['\"(].*['\")]", "(a value of the data)", told, flags=re.DOTALL).partition("\n")[0]
    if isinstance(error, duckdb.InvalidInputException) or not told:
        told = "a value of the data is not what the statement expects"
    return f"{kind}: {re.sub(r'(?<![A-Za-z0-9])[0-9]+', '…', told)}; values are not shown here: select them"


def render(frame: pl.DataFrame, style: str) -> str:
    """The result as text.

    Args:
        frame: What :func:`query` returned.
        style: ``table`` for a terminal; ``csv``, in which no spreadsheet finds a formula (see
            :mod:`pipeline_assets.core.spreadsheet`); or ``json``, one object a line.
    """
    if style == "csv":
        return render_csv(frame)
    if style == "json":
        return frame.write_ndjson()
    with pl.Config(tbl_rows=100, tbl_cols=-1, tbl_hide_column_data_types=True, fmt_str_lengths=60, tbl_width_chars=200):
        return f"{frame}\n"


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
