#!/usr/bin/env bash
# Expected: a sum of integers that does not fit is an error or a wider type, in any engine that
#   sums money; and when polars widens Int16 for a sum, it widens Int32 too.
#
# What happens: polars widens Int8 and Int16 to Int64 but leaves Int32: a group total, a
#   cumulative or a rolling sum of Int32 cents wraps to a negative number. Sums of 64-bit integers
#   wrap silently in polars, pyarrow, pandas, DataFusion and Daft; of those tried only DuckDB
#   widens (to HUGEINT).
#
# Why it matters: 2^31 cents is 21 million: one merchant's day. The total turns negative without a
#   word, so `total > limit` is false for the largest of them. 64-bit sums meet this with amounts
#   in 10^-8 units, or with hashes summed as a checksum.
#
# Instead: cast 32-bit amounts to Int64 when they are read; sum what can be larger as decimal or
#   float.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  polars==2.1.0 pyarrow==25.0.1 duckdb==2.0.1 datafusion==55.0.0 daft==0.7.26 pandas==3.1.1 \
  numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import daft
import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(*(f"{p} {version(p)}" for p in ("polars", "pyarrow", "duckdb", "datafusion", "daft", "pandas", "numpy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


wrapped = -(2**31)
for kind, total in ((pl.Int16, 2**15), (pl.Int32, wrapped)):
    top = 2**15 - 1 if kind == pl.Int16 else 2**31 - 1
    frame = pl.DataFrame({"shop": [1, 1], "t": [1, 2], "x": pl.Series([top, 1], dtype=kind)})
    seen(f"polars {kind}, by group", frame.group_by("shop").agg(pl.col("x").sum())["x"][0], total)
    seen(f"polars {kind}, cumulative", frame["x"].cum_sum()[1], total)
seen("polars Int32, rolling", frame.select(pl.col("x").rolling_sum_by("t", "5i"))["x"][1], wrapped)
frame = frame.cast({"x": pl.Int64})
seen("polars, cast to Int64 first", frame["x"].cum_sum()[1], 2**31)

big = pa.table({"x": [2**62, 2**62]})
seen("polars, 64 bit", pl.from_arrow(big)["x"].sum(), -(2**63))
seen("pyarrow, 64 bit", pc.sum(big["x"]).as_py(), -(2**63))
seen("pandas, 64 bit", int(pd.Series([2**62, 2**62]).sum()), -(2**63))
ctx = datafusion.SessionContext()
ctx.register_record_batches("t", [big.to_batches()])
seen("datafusion, 64 bit", ctx.sql("SELECT sum(x) AS s FROM t").to_pydict()["s"], [-(2**63)])
seen("daft, 64 bit", daft.from_arrow(big).sum("x").to_pydict()["x"], [-(2**63)])
seen("duckdb, 64 bit", duckdb.sql("SELECT sum(x) FROM big").fetchall()[0][0], 2**63)
PY
