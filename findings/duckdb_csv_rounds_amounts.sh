#!/usr/bin/env bash
# Expected: when a CSV column that looked whole meets its first fraction far down the file, the
#   reader either takes the column as DOUBLE or stops with an error.
#
# What happens: DuckDB guesses the type from a sample of the first rows. A later `1.5` is then
#   read as BIGINT by rounding it to 2, without an error or a rejected row; the same for a
#   declared BIGINT column. polars and pyarrow refuse the value.
#
# Why it matters: a clearing file begins with thousands of whole amounts and holds a few with
#   cents. The total is off by less than a unit for each, so it looks like a rounding matter and
#   no check of row counts finds it.
#
# Instead: declare money columns as DECIMAL(p, s) in read_csv, or read everything with sample_size
#   = -1.
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
import pyarrow.csv

print(*(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


with open("clearing.csv", "w") as file:
    file.write("id,amount\n" + "".join(f"{i},1\n" for i in range(30_000)) + "30000,1.5\n")


def error_of(action):
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "no error"


query = "SELECT typeof(any_value(amount)), sum(amount)::DOUBLE, max(amount)::DOUBLE FROM "
rows = duckdb.sql(query + "'clearing.csv'").fetchall()
seen("duckdb, guessed", rows, [("BIGINT", 30002.0, 2.0)])
rows = duckdb.sql(query + "read_csv('clearing.csv', types={'amount': 'BIGINT'})").fetchall()
seen("duckdb, declared BIGINT", rows, [("BIGINT", 30002.0, 2.0)])
rows = duckdb.sql(query + "read_csv('clearing.csv', sample_size=-1)").fetchall()
seen("duckdb, whole file sampled", rows, [("DOUBLE", 30001.5, 1.5)])
rows = duckdb.sql(query + "read_csv('clearing.csv', types={'amount': 'DECIMAL(12,2)'})").fetchall()
seen("duckdb, declared DECIMAL", rows, [("DECIMAL(12,2)", 30001.5, 1.5)])
seen("polars, guessed", error_of(lambda: pl.read_csv("clearing.csv")), "ComputeError")
whole = pa.csv.ConvertOptions(column_types={"amount": pa.int64()})
action = lambda: pa.csv.read_csv("clearing.csv", convert_options=whole)
seen("pyarrow, declared int64", error_of(action), "ArrowInvalid")
PY
