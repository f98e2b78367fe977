#!/usr/bin/env bash
# Expected: the product of two exact decimals is exact (scale 2 times scale 2 gives scale 4), as
#   SQL engines do it, and rounding is left to the one who books.
#
# What happens: polars keeps the larger of the two scales: 10.05 * 0.15 is 1.51 in Decimal(38, 2),
#   already rounded. DuckDB gives 1.5075. A sum of products is therefore a sum of rounded values.
#
# Why it matters: fees are amount times rate. Over many small payments the rounding of each
#   product drifts from the rounded total that the scheme invoices: here by 25.00 over ten
#   thousand payments, without a word.
#
# Instead: cast the amount to a scale that holds the exact product before multiplying, e.g. to
#   Decimal(38, 4), and round once at the end.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check polars==2.1.0 duckdb==2.0.1 pyarrow==25.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import polars as pl

print(*(f"{p} {version(p)}" for p in ("polars", "duckdb", "pyarrow")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


frame = pl.DataFrame({"amount": ["10.05"], "rate": ["0.15"]}).cast(pl.Decimal(12, 2))
fee = frame.select(fee=pl.col("amount") * pl.col("rate"))
seen("polars, type", str(fee.schema["fee"]), "Decimal(precision=38, scale=2)")
seen("polars", str(fee["fee"][0]), "1.51")
exact = duckdb.sql("SELECT amount * rate FROM frame").fetchall()[0][0]
seen("duckdb", str(exact), "1.5075")
wide = frame.select(fee=pl.col("amount").cast(pl.Decimal(38, 4)) * pl.col("rate"))
seen("polars, amount cast to scale 4", str(wide["fee"][0]), "1.5075")

many = pl.DataFrame({"amount": ["1.05"] * 10_000, "rate": ["0.15"] * 10_000})
many = many.cast(pl.Decimal(12, 2))
total = many.select((pl.col("amount") * pl.col("rate")).sum()).item()
seen("polars, sum over 10,000 payments", str(total), "1600.00")
total = duckdb.sql("SELECT sum(amount * rate) FROM many").fetchall()[0][0]
seen("duckdb, sum over 10,000 payments", str(total), "1575.0000")
PY
