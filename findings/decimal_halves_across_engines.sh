#!/usr/bin/env bash
# Expected: a decimal amount brought from three places to two is rounded one way, whichever engine
#   does it: half up, as in school and in SQL.
#
# What happens: DuckDB, DataFusion and Daft round halves away from zero, polars rounds them to
#   even, and pyarrow has both even (`round`) and truncation (`cast(safe=False)`, the only cast
#   that does not refuse). 0.125 becomes 0.13 or 0.12, 0.135 becomes 0.14 or 0.13.
#
# Why it matters: fees and interest are computed with more places and booked with two. When the
#   batch job runs in one engine and the reconciliation in another, one in about twenty of such
#   amounts differs by a cent, and always in the same direction.
#
# Instead: name the rounding rule in the contract, and round in one place, with
#   decimal.ROUND_HALF_UP or HALF_EVEN in Python or in one engine only.
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

from decimal import Decimal

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


texts = ["0.125", "0.135", "-0.125"]
amounts = pa.array([Decimal(text) for text in texts], pa.decimal128(10, 3))
prices = pa.table({"x": amounts})
column = pl.Series(texts).cast(pl.Decimal(10, 3))


def plain(values):
    return [str(value.quantize(Decimal("0.01"))) for value in values]


away = ["0.13", "0.14", "-0.13"]
even = ["0.12", "0.14", "-0.12"]
rows = duckdb.sql("SELECT round(x, 2), x::DECIMAL(10, 2) FROM prices").fetchall()
seen("duckdb round", plain(row[0] for row in rows), away)
seen("duckdb cast", plain(row[1] for row in rows), away)
ctx = datafusion.SessionContext()
ctx.register_record_batches("t", [prices.to_batches()])
rows = ctx.sql("SELECT CAST(x AS DECIMAL(10, 2)) AS x FROM t").to_pydict()["x"]
seen("datafusion cast", plain(rows), away)
cents = daft.col("x").cast(daft.DataType.decimal128(10, 2))
seen("daft cast", plain(daft.from_arrow(prices).select(cents).to_pydict()["x"]), away)
seen("polars round", plain(column.round(2)), even)
seen("polars cast", plain(column.cast(pl.Decimal(10, 2))), even)
seen("pyarrow round", plain(pc.round(amounts, 2).to_pylist()), even)
rows = amounts.cast(pa.decimal128(10, 2), safe=False).to_pylist()
seen("pyarrow cast(safe=False)", plain(rows), ["0.12", "0.13", "-0.12"])
PY
