#!/usr/bin/env bash
# Expected: the time window of an hourly Dagster partition lasts an hour, and the window of a
#   daily one as long as that day.
#
# What happens: start and end carry the same zone, and Python subtracts and compares two such
#   times by the wall clock. The first of the two hours from 02:00 in October is a window from
#   02:00 to 02:00: of length zero, with start < end false. The 25 hours of that day give 24, the
#   23 of the day in March 24.
#
# Why it matters: code in an asset that filters by `start <= t < end` in Python, divides by `end -
#   start` (a rate per second) or counts expected rows by length loads nothing for that hour or
#   divides by zero, once a year, at night.
#
# Instead: convert both ends of the window to UTC before any arithmetic:
#   `window.start.astimezone(timezone.utc)`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check dagster==1.13.27
cd "$work"
DAGSTER_DISABLE_TELEMETRY=yes "$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from dagster import DailyPartitionsDefinition, HourlyPartitionsDefinition

print("dagster " + version("dagster"))


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


zone = "Europe/Berlin"
hourly = HourlyPartitionsDefinition("2026-10-25-00:00", end_date="2026-10-25-05:00", timezone=zone)
daily = DailyPartitionsDefinition("2026-03-01", timezone=zone)

window = hourly.time_window_for_partition_key("2026-10-25-02:00")
seen("length of the first 02:00", window.end - window.start, timedelta(0))
seen("start < end", window.start < window.end, False)
payment = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc).astimezone(ZoneInfo(zone))
seen("start <= payment of that hour < end", window.start <= payment < window.end, False)
for key, elapsed in (("2026-10-25", 25), ("2026-03-29", 23)):
    window_of_day = daily.time_window_for_partition_key(key)
    seen(f"length of {key}", window_of_day.end - window_of_day.start, timedelta(hours=24))
    start, end = (time.astimezone(timezone.utc) for time in (window_of_day.start, window_of_day.end))
    seen(f"length of {key} in UTC", end - start, timedelta(hours=elapsed))
start, end = (time.astimezone(timezone.utc) for time in (window.start, window.end))
seen("the hour in UTC holds the payment", start <= payment < end, True)
PY
