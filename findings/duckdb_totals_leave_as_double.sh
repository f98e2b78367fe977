#!/usr/bin/env bash
# Expected: the sum of a BIGINT column, written to Parquet by DuckDB, is an integer for the next
#   reader.
#
# What happens: sum(BIGINT) is a HUGEINT in DuckDB, and Parquet has no such type: COPY writes it
#   as DOUBLE. 9007199254740993 is read back as 9007199254740992 by everyone, DuckDB included. The
#   same for any HUGEINT key.
#
# Why it matters: totals by merchant and day leave the warehouse this way. They are exact up to
#   2^53 and then rounded, so the check sum of a settlement run differs by a unit that nobody can
#   find; and an id that was a HUGEINT no longer joins.
#
# Instead: cast the total on the way out: `sum(x)::BIGINT` or `::DECIMAL(38, 0)`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check duckdb==2.0.1 pyarrow==25.0.1 polars==2.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import polars as pl
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("duckdb", "pyarrow", "polars")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


query = "SELECT {} AS total FROM (VALUES (9007199254740992), (1)) AS t(x)"
for name, total in (
    ("plain", "sum(x)"),
    ("bigint", "sum(x)::BIGINT"),
    ("decimal", "sum(x)::DECIMAL(38, 0)"),
):
    duckdb.sql(f"COPY ({query.format(total)}) TO '{name}.parquet'")
seen("in duckdb", duckdb.sql(query.format("sum(x)")).fetchall()[0][0], 9007199254740993)
seen("type in the file", str(pq.read_schema("plain.parquet").field("total").type), "double")
seen("polars reads", int(pl.read_parquet("plain.parquet")["total"][0]), 9007199254740992)
value = duckdb.sql("SELECT total::HUGEINT FROM 'plain.parquet'").fetchall()[0][0]
seen("duckdb reads", value, 9007199254740992)
for name in ("bigint", "decimal"):
    value = int(pl.read_parquet(f"{name}.parquet")["total"][0])
    seen(f"cast to {name}, polars reads", value, 9007199254740993)
PY
