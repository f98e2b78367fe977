#!/usr/bin/env bash
# Expected: 'the sum of the last hour' at a payment is one number, in any tool that has time
#   windows.
#
# What happens: with two payments at 01:00 and one at 00:00 there are four answers. pandas counts
#   by row: of two payments of the same instant the first does not see the second. polars counts
#   both and leaves out what is exactly an hour old. DuckDB counts both and also the one of an
#   hour ago. Daft's RANGE window takes in the one of an hour ago but not a later row of the same
#   instant.
#
# Why it matters: bursts share a second, and the velocity feature is made for bursts. Trained in
#   one tool and served by another, the feature differs on just the rows that matter, and in
#   pandas it depends on the order of the rows.
#
# Instead: write down both ends of the window (and what equal times see), and test the pair of
#   tools on tied times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 daft==0.7.26 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datetime as dt

import daft
import duckdb
import pandas as pd
import polars as pl
from daft import Window

print(*(f"{p} {version(p)}" for p in ("pandas", "polars", "duckdb", "daft", "numpy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


hours = [0, 1, 1, 2]
rows = {"t": [dt.datetime(2026, 1, 1, hour) for hour in hours], "x": [1, 10, 100, 1000]}
frame = pl.DataFrame(rows)

table = pd.DataFrame(rows).set_index("t")
seen("pandas rolling('1h')", table["x"].rolling("1h").sum().tolist(), [1.0, 10.0, 110.0, 1000.0])
table = pd.DataFrame(rows).iloc[[0, 2, 1, 3]].set_index("t")
seen("pandas, ties swapped", table["x"].rolling("1h").sum().tolist(), [1.0, 100.0, 110.0, 1000.0])
sums = frame.select(pl.col("x").rolling_sum_by("t", "1h"))["x"].to_list()
seen("polars rolling_sum_by('1h')", sums, [1, 110, 110, 1000])
sums = frame.select(pl.col("x").rolling_sum_by("t", "1h", closed="both"))["x"].to_list()
seen("polars closed='both'", sums, [1, 111, 111, 1110])
window = "OVER (ORDER BY t RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW)"
sums = [row[0] for row in duckdb.sql(f"SELECT sum(x) {window} FROM frame").fetchall()]
seen("duckdb RANGE 1 hour", sums, [1, 111, 111, 1110])
data = daft.from_pydict({"k": [1] * 4, "t": hours, "x": rows["x"]})
window = Window().partition_by("k").order_by("t").range_between(-1, Window.current_row)
sums = data.select("t", "x", daft.col("x").sum().over(window).alias("s")).sort(["t", "x"]).to_pydict()["s"]
seen("daft RANGE 1 hour", sums, [1, 11, 111, 1110])
PY
