#!/usr/bin/env bash
# Expected: the two different hours between 02:00 and 03:00 of the night in October stay two hours
#   when payments are counted by the hour of a zone-aware time, and a bucket of one day begins at
#   midnight.
#
# What happens: DuckDB's date_trunc('hour') on TIMESTAMP WITH TIME ZONE puts both hours into the
#   second one. Its time_bucket of one day begins at 01:00 (in winter) of the local day, that is
#   at midnight UTC, while date_trunc('day') begins at local midnight. pyarrow refuses to floor to
#   hours that night; polars keeps both hours.
#
# Why it matters: an alert on the number of payments by hour sees an empty hour followed by a
#   double one every October, and two 'daily' totals in the same query count different days all
#   year round.
#
# Instead: truncate the instant in UTC (`t AT TIME ZONE 'UTC'`) for hours; for local days use
#   date_trunc('day', t).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check duckdb==2.0.1 polars==2.1.0 pyarrow==25.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datetime as dt

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(*(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


zone = "Europe/Berlin"
night = [dt.datetime(2026, 10, 25, hour, 30, tzinfo=dt.timezone.utc) for hour in (0, 1)]
frame = pl.DataFrame({"t": night}).with_columns(pl.col("t").dt.convert_time_zone(zone))
duckdb.sql(f"SET TimeZone = '{zone}'")


def by_sql(expression):
    return [row[0] for row in duckdb.sql(f"SELECT {expression} FROM frame").fetchall()]


hours = [moment.hour for moment in by_sql("date_trunc('hour', t) AT TIME ZONE 'UTC'")]
seen("duckdb date_trunc('hour'), as UTC hours", hours, [1, 1])
hours = [moment.hour for moment in by_sql("date_trunc('hour', t AT TIME ZONE 'UTC')")]
seen("duckdb, truncated in UTC", hours, [0, 1])
hours = frame["t"].dt.truncate("1h").dt.convert_time_zone("UTC").dt.hour().to_list()
seen("polars truncate('1h'), as UTC hours", hours, [0, 1])
try:
    pc.floor_temporal(frame.to_arrow()["t"], 1, "hour")
    outcome = "no error"
except pa.ArrowInvalid as error:
    outcome = str(error)[:23]
seen("pyarrow floor to hours", outcome, "Local time is ambiguous")

winter = "TIMESTAMPTZ '2026-01-15 12:00:00+01:00'"
starts = by_sql(f"strftime(time_bucket(INTERVAL 1 DAY, {winter}), '%H:%M')")
seen("duckdb time_bucket(1 day) begins at", starts[0], "01:00")
starts = by_sql(f"strftime(date_trunc('day', {winter}), '%H:%M')")
seen("duckdb date_trunc('day') begins at", starts[0], "00:00")
PY
