#!/usr/bin/env bash
# Expected: an as-of join (the last known value before a payment) gives the same value in each
#   tool when both sides are sorted.
#
# What happens: of two changes of the same instant pandas and polars take the later row, DuckDB
#   the earlier. With 'nearest' and equal distances pandas looks back and polars looks into the
#   future. A null in the `by` key matches a null in pandas and nothing in polars and DuckDB.
#
# Why it matters: limits, rates and risk lists change twice within a second when they are loaded
#   in bulk. The feature then depends on the tool, 'nearest' leaks the future into the training
#   set in one of them, and cards without a group get the value of all others without one.
#
# Instead: make (key, time) unique on the right side with a sequence number, use 'backward' only,
#   and drop null keys first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 numpy==2.4.6 pyarrow==25.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import warnings

import duckdb
import pandas as pd
import polars as pl

print(*(f"{p} {version(p)}" for p in ("pandas", "polars", "duckdb", "numpy", "pyarrow")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


warnings.simplefilter("ignore")  # polars notes that it cannot check the order within groups


def answers(left, right, strategy="backward"):
    by_pandas = pd.merge_asof(left, right, on="t", by="k", direction=strategy)["v"].tolist()
    pair = pl.from_pandas(left), pl.from_pandas(right)
    by_polars = pair[0].join_asof(pair[1], on="t", by="k", strategy=strategy)["v"].to_list()
    return by_pandas, by_polars


pay = pd.DataFrame({"t": [10], "k": ["a"]})
twice = pd.DataFrame({"t": [10, 10], "k": ["a", "a"], "v": [1, 2]})
seen("two changes at 10: pandas, polars", answers(pay, twice), ([2], [2]))
query = "SELECT v FROM pay ASOF LEFT JOIN {0} ON pay.k = {0}.k AND pay.t >= {0}.t"
seen("two changes at 10: duckdb", duckdb.sql(query.format("twice")).fetchall(), [(1,)])

around = pd.DataFrame({"t": [8, 12], "k": ["a", "a"], "v": [8, 12]})
seen("nearest of 8 and 12: pandas, polars", answers(pay, around, "nearest"), ([8], [12]))

pay = pd.DataFrame({"t": [10], "k": pd.Series([None], dtype="str")})
other = pd.DataFrame({"t": [5], "k": pd.Series([None], dtype="str"), "v": [1]})
seen("null key: pandas, polars", answers(pay, other), ([1], [None]))
seen("null key: duckdb", duckdb.sql(query.format("other")).fetchall(), [(None,)])
PY
