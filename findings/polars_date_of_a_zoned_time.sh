#!/usr/bin/env bash
# Expected: `cast(pl.Date)` and `.dt.date()` are two spellings of the same thing, also for times
#   that carry a zone.
#
# What happens: `.dt.date()` gives the calendar day in the column's zone, `cast(pl.Date)` the day
#   in UTC: 1 July 00:30 in Berlin becomes 30 June. The same cast in pyarrow, DataFusion and Daft
#   gives the local day, 1 July. `cast(pl.Time)` is in UTC as well.
#
# Why it matters: the booking day decides the partition, the settlement file and the daily limit
#   of a card. The payments between midnight and two in the morning land in the day before, and
#   only for this one spelling, so a total by day differs between two reports that look equal.
#
# Instead: use `.dt.date()` (or convert the zone, then replace it by none) and keep cast(pl.Date)
#   for columns without a zone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  polars==2.1.0 pyarrow==25.0.1 datafusion==55.0.0 daft==0.7.26
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datetime as dt

import daft
import datafusion
import polars as pl
import pyarrow as pa

print(*(f"{p} {version(p)}" for p in ("polars", "pyarrow", "datafusion", "daft")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


moment = dt.datetime(2026, 6, 30, 22, 30, tzinfo=dt.timezone.utc)
times = pl.Series("t", [moment]).dt.convert_time_zone("Europe/Berlin")
arrow = times.to_frame().to_arrow()
june, july = dt.date(2026, 6, 30), dt.date(2026, 7, 1)

seen("local text", times.dt.strftime("%Y-%m-%d %H:%M").to_list(), ["2026-07-01 00:30"])
seen("polars .dt.date()", times.dt.date().to_list(), [july])
seen("polars cast(pl.Date)", times.cast(pl.Date).to_list(), [june])
seen("polars cast(pl.Time)", times.cast(pl.Time).to_list(), [dt.time(22, 30)])
seen("pyarrow cast(date32)", arrow["t"].cast(pa.date32()).to_pylist(), [july])
ctx = datafusion.SessionContext()
ctx.register_record_batches("pay", [arrow.to_batches()])
seen("datafusion CAST AS DATE", ctx.sql("SELECT CAST(t AS DATE) AS d FROM pay").to_pydict()["d"], [july])
day = daft.col("t").cast(daft.DataType.date())
seen("daft cast(date)", daft.from_arrow(arrow).select(day).to_pydict()["t"], [july])
PY
