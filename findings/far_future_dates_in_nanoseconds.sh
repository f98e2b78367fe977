#!/usr/bin/env bash
# Expected: a validity that ends on 9999-12-31 is later than today, whatever the unit of the other
#   time, or the comparison is an error.
#
# What happens: nanoseconds end in the year 2262. Comparing a polars Datetime('ns') with a Date
#   column that holds 9999-12-31 gives null, so a filter drops the row; with a Datetime column it
#   gives true. Daft casts 9999-12-31 to nanoseconds as a day in the year 1816. pyarrow and DuckDB
#   refuse.
#
# Why it matters: open-ended limits, contracts and risk lists carry 9999-12-31. `paid_at <
#   valid_to` drops exactly the entries that are still valid, as soon as times are in nanoseconds,
#   which is what pandas wrote for years.
#
# Instead: cast times to microseconds when they are read, and store an open end as null.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  polars==2.1.0 daft==0.7.26 pyarrow==25.0.1 duckdb==2.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datetime as dt

import daft
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(*(f"{p} {version(p)}" for p in ("polars", "daft", "pyarrow", "duckdb")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


paid = pl.Series("paid", [dt.datetime(2026, 7, 1)])
end = pl.Series("valid_to", [dt.date(9999, 12, 31)])
frame = pl.DataFrame([paid.cast(pl.Datetime("ns")), end])
valid = pl.col("paid") < pl.col("valid_to")

seen("polars, ns < date", frame.select(valid).item(), None)
seen("polars, rows left by the filter", frame.filter(valid).height, 0)
as_datetime = frame.with_columns(pl.col("valid_to").cast(pl.Datetime("us")))
seen("polars, ns < datetime", as_datetime.select(valid).item(), True)
cured = frame.with_columns(pl.col("paid").cast(pl.Datetime("us")))
seen("polars, us < date", cured.select(valid).item(), True)

until = daft.from_pydict({"t": [dt.datetime(9999, 12, 31)]})
year = until.select(daft.col("t").cast(daft.DataType.timestamp("ns"))).to_pydict()["t"][0].year
seen("daft, 9999-12-31 as nanoseconds", year, 1816)


def error_of(action):
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "no error"


times = as_datetime.to_arrow()
action = lambda: pc.less(times["paid"], times["valid_to"])
seen("pyarrow, ns < datetime", error_of(action), "ArrowInvalid")
action = lambda: duckdb.sql("SELECT paid < valid_to FROM frame").fetchall()
seen("duckdb, ns < date", error_of(action), "ConversionException")
PY
