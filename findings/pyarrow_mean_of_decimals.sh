#!/usr/bin/env bash
# Expected: the mean of decimal amounts has more places than the amounts, or is a float: the mean
#   of 0.10, 0.20 and 0.20 is 0.1667 and not a number of cents.
#
# What happens: pyarrow gives the mean in the scale of the column, 0.17, and so does pandas with
#   an Arrow decimal column. DataFusion adds four places but cuts instead of rounding (0.166666);
#   polars and DuckDB give a double.
#
# Why it matters: an average ticket, a mean rate or a share of a decimal(…, 2) column loses
#   everything below a cent: a mean rate of 0.004 in scale 2 is 0.00. A ratio to the mean, the
#   usual fraud feature, then divides by zero or is off by whole percents.
#
# Instead: cast the column to float64, or to a larger scale, before taking the mean.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  pyarrow==25.0.1 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 datafusion==55.0.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from decimal import Decimal

import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(*(f"{p} {version(p)}" for p in ("pyarrow", "pandas", "polars", "duckdb", "datafusion")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


amounts = pa.array([Decimal("0.10"), Decimal("0.20"), Decimal("0.20")], pa.decimal128(10, 2))
rates = pa.array([Decimal("0.00"), Decimal("0.00"), Decimal("0.01")], pa.decimal128(10, 2))
frame = pa.table({"x": amounts})

seen("pyarrow", str(pc.mean(amounts).as_py()), "0.17")
seen("pyarrow, small rates", str(pc.mean(rates).as_py()), "0.00")
seen("pandas, Arrow decimal", str(pd.Series(amounts, dtype=pd.ArrowDtype(amounts.type)).mean()), "0.17")
seen("pyarrow, cast to float64", round(pc.mean(amounts.cast(pa.float64())).as_py(), 6), 0.166667)
ctx = datafusion.SessionContext()
ctx.register_record_batches("t", [frame.to_batches()])
seen("datafusion", str(ctx.sql("SELECT avg(x) AS m FROM t").to_pydict()["m"][0]), "0.166666")
seen("polars", round(pl.from_arrow(amounts).mean(), 6), 0.166667)
seen("duckdb", round(duckdb.sql("SELECT avg(x) FROM frame").fetchall()[0][0], 6), 0.166667)
PY
