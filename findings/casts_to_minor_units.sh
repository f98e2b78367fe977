#!/usr/bin/env bash
# Expected: turning an amount in major units into whole cents with a cast gives the same number of
#   cents in each engine.
#
# What happens: polars, DataFusion, pyarrow (safe=False) and Daft cut: 1.15 * 100 is
#   114.99999999999999 in binary, so 114. DuckDB rounds: 115. And DuckDB rounds halves in two
#   ways, a DOUBLE to even (2.5 becomes 2) and a DECIMAL away from zero (2.5 becomes 3).
#
# Why it matters: `(amount * 100)::BIGINT` is how cents are made in every second query. Moved from
#   DuckDB to another engine, it loses a cent on some amounts and none on others, and the sum by
#   day no longer reconciles.
#
# Instead: round explicitly before the cast (`round(amount * 100)`), or keep decimals from the
#   source.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  polars==2.1.0 pyarrow==25.0.1 duckdb==2.0.1 datafusion==55.0.0 daft==0.7.26
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import daft
import datafusion
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(*(f"{p} {version(p)}" for p in ("polars", "pyarrow", "duckdb", "datafusion", "daft")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


prices = pa.table({"x": [1.15, 2.25, 0.29, 19.99]})
cut, right = [114, 225, 28, 1998], [115, 225, 29, 1999]

frame = pl.from_arrow(prices)
seen("polars", frame.select((pl.col("x") * 100).cast(pl.Int64))["x"].to_list(), cut)
seen("polars, rounded first", frame.select((pl.col("x") * 100).round().cast(pl.Int64))["x"].to_list(), right)
ctx = datafusion.SessionContext()
ctx.register_record_batches("t", [prices.to_batches()])
seen("datafusion", ctx.sql("SELECT CAST(x * 100 AS BIGINT) AS x FROM t").to_pydict()["x"], cut)
cents = pc.multiply(prices["x"], 100.0)
seen("pyarrow", cents.cast(pa.int64(), safe=False).to_pylist(), cut)
whole = (daft.col("x") * 100).cast(daft.DataType.int64())
seen("daft", daft.from_arrow(prices).select(whole).to_pydict()["x"], cut)
rows = duckdb.sql("SELECT (x * 100)::BIGINT FROM prices").fetchall()
seen("duckdb", [row[0] for row in rows], right)
halves = duckdb.sql("SELECT 2.5::DOUBLE::BIGINT, 2.5::DECIMAL(5, 1)::BIGINT").fetchall()[0]
seen("duckdb, 2.5 as DOUBLE and as DECIMAL", halves, (2, 3))
PY
