#!/usr/bin/env bash
# Expected: asking a Delta table for its state at a moment before it existed is an error (as it is
#   in Spark), and so is a moment in the future.
#
# What happens: delta-rs gives version 0 for any earlier moment and the newest version for any
#   later one, both silently; polars.read_delta passes this on. Asking for a version number that
#   does not exist does raise.
#
# Why it matters: the state of a feature table at the time of a decision is what an audit and a
#   backtest ask for. For decisions older than the table the answer contains data that nobody had
#   then (look-ahead), and a clock in the wrong unit or zone (a year 2099) silently means 'now'.
#
# Instead: read DeltaTable(...).history() and refuse a moment outside its first and last
#   timestamps.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check deltalake==1.6.6 pyarrow==25.0.1 polars==2.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datetime as dt

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

print(*(f"{p} {version(p)}" for p in ("deltalake", "pyarrow", "polars")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


for value in (1, 2, 3):
    write_deltalake("features", pa.table({"v": [value]}), mode="append")


def version_at(moment):
    table = DeltaTable("features")
    table.load_as_version(moment)
    return table.version(), table.to_pyarrow_table().num_rows


seen("long before the table", version_at("2001-01-01T00:00:00Z"), (0, 1))
seen("far in the future", version_at("2099-01-01T00:00:00Z"), (2, 3))
early = dt.datetime(2001, 1, 1, tzinfo=dt.timezone.utc)
seen("polars, long before the table", pl.read_delta("features", version=early).height, 1)
try:
    DeltaTable("features", version=99)
    outcome = "no error"
except Exception as error:
    outcome = type(error).__name__
seen("a version number that is not there", outcome, "DeltaError")
stamps = [entry["timestamp"] for entry in DeltaTable("features").history()]
born = dt.datetime.fromtimestamp(min(stamps) / 1000, dt.timezone.utc)
seen("the history shows the moment is too early", early < born, True)
PY
