#!/usr/bin/env bash
# Expected: seven days and one week cut the calendar at the same places, in each tool; and
#   fourteen days cut it in the same places everywhere.
#
# What happens: polars, pyarrow, Daft and DataFusion cut `7 days` on Thursdays (1 January 1970 was
#   one), DuckDB on Mondays, pandas' resample at the first row of the data. polars' and pyarrow's
#   `1 week` is Monday, Daft's `1 week` is Thursday again. Two weeks begin on 22 June in polars
#   and on 29 June in DuckDB.
#
# Why it matters: weekly drift (PSI) and weekly card totals are joined by the start of their
#   bucket. Built in two tools, they join on nothing, or compare a week with its neighbour; in
#   pandas the cut moves when an older row is added.
#
# Instead: cut with an explicit origin (a known Monday), and store that date as the key.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  polars==2.1.0 pyarrow==25.0.1 duckdb==2.0.1 daft==0.7.26 datafusion==55.0.0 pandas==3.1.1 \
  numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datetime as dt

import daft
import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(*(f"{p} {version(p)}" for p in ("polars", "pyarrow", "duckdb", "daft", "datafusion", "pandas", "numpy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


moment = dt.datetime(2026, 7, 1)  # a Wednesday
thursday, monday = "2026-06-25 Thu", "2026-06-29 Mon"


def day(value):
    return value.strftime("%Y-%m-%d %a")


def by_sql(text):
    return day(duckdb.sql(f"SELECT time_bucket(INTERVAL '{text}', TIMESTAMP '2026-07-01')").fetchall()[0][0])


def by_daft(text):
    data = daft.from_pydict({"t": [moment]})
    return day(data.select(daft.col("t").date_trunc(text)).to_pydict()["t"][0])


column, arrow = pl.Series([moment]), pa.array([moment])
seen("polars 7d", day(column.dt.truncate("7d")[0]), thursday)
seen("polars 1w", day(column.dt.truncate("1w")[0]), monday)
seen("polars 2w", day(column.dt.truncate("2w")[0]), "2026-06-22 Mon")
seen("pyarrow 7 days", day(pc.floor_temporal(arrow, 7, "day")[0].as_py()), thursday)
seen("pyarrow 1 week", day(pc.floor_temporal(arrow, 1, "week")[0].as_py()), monday)
seen("daft 7 days", by_daft("7 days"), thursday)
seen("daft 1 week", by_daft("1 week"), thursday)
query = "SELECT date_bin(INTERVAL '7 days', TIMESTAMP '2026-07-01') AS t"
seen("datafusion 7 days", day(datafusion.SessionContext().sql(query).to_pydict()["t"][0]), thursday)
seen("duckdb 7 days", by_sql("7 days"), monday)
seen("duckdb 14 days", by_sql("14 days"), "2026-06-29 Mon")
index = pd.Series([1], index=[pd.Timestamp(moment)]).resample("7D").sum().index
seen("pandas resample 7D", day(index[0]), "2026-07-01 Wed")
PY
