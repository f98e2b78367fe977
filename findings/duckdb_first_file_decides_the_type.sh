#!/usr/bin/env bash
# Expected: reading a folder of Parquet files of which one has amounts as BIGINT and the next as
#   DOUBLE is an error, or gives DOUBLE.
#
# What happens: in DuckDB the first file's type counts for all: 1.6 and 2.5 of the second file
#   become 2, without a word. Renaming the files changes the sum. polars refuses; DuckDB's
#   `union_by_name = true` gives DOUBLE.
#
# Why it matters: a month of exports in whole units is followed by one with cents, which is how
#   such a change arrives. The query over the folder goes on working, and the total depends on the
#   order of the file names.
#
# Instead: pass union_by_name = true to every read_parquet over more than one file, or cast to a
#   declared schema.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check duckdb==2.0.1 polars==2.1.0 pyarrow==25.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


pq.write_table(pa.table({"amount": [10]}), "a.parquet")
pq.write_table(pa.table({"amount": [1.6, 2.5]}), "b.parquet")

query = "SELECT sum(amount)::DOUBLE FROM read_parquet({})"
files = "['a.parquet', 'b.parquet']"
seen("BIGINT first", duckdb.sql(query.format(files)).fetchall()[0][0], 14.0)
back = "['b.parquet', 'a.parquet']"
seen("DOUBLE first", duckdb.sql(query.format(back)).fetchall()[0][0], 14.1)
named = files + ", union_by_name = true"
seen("union_by_name", duckdb.sql(query.format(named)).fetchall()[0][0], 14.1)
try:
    pl.read_parquet(["a.parquet", "b.parquet"])
    outcome = "no error"
except Exception as error:
    outcome = type(error).__name__
seen("polars", outcome, "SchemaError")
PY
