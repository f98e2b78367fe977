#!/usr/bin/env bash
# Expected: a line of cron means the same times in each Python library that reads cron, also in a
#   zone whose clocks go back.
#
# What happens: `30 2 * * *` on the night in October runs twice in croniter and APScheduler and
#   once in cronsim and cron-converter. `0 * * * *` leaves out one of the two hours from 02:00 in
#   cron-converter only. And `0 0 * * 1` is Monday, but in APScheduler
#   (`CronTrigger.from_crontab`) Tuesday, for it counts days from Monday = 0.
#
# Why it matters: the settlement run at 02:30 pays out twice or misses an hour once a year,
#   depending on the library below the scheduler; and a weekly job moved to APScheduler runs a day
#   late, every week.
#
# Instead: schedule in UTC, make each run idempotent by its business date, and write weekdays by
#   name (`mon`).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  croniter==7.0.0 cronsim==2.8 APScheduler==3.11.3 cron-converter==2.0.2 tzdata==2026.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from cron_converter import Cron
from croniter import croniter
from cronsim import CronSim

print(*(f"{p} {version(p)}" for p in ("croniter", "cronsim", "APScheduler", "cron-converter", "tzdata")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


zone = ZoneInfo("Europe/Berlin")


def apscheduler(line, start):
    trigger, last = CronTrigger.from_crontab(line, timezone=zone), None
    while True:
        last = trigger.get_next_fire_time(last, last or start)
        yield last


def fires(line, start, count):
    other = Cron(line).schedule(start)
    every = {
        "croniter": croniter(line, start).all_next(datetime),
        "cronsim": CronSim(line, start),
        "apscheduler": apscheduler(line, start),
        "cron-converter": iter(other.next, None),
    }
    return {name: [t.strftime("%d %H:%M%z") for t in islice(times, count)] for name, times in every.items()}


once, twice = ["25 02:30+0200", "26 02:30+0100"], ["25 02:30+0200", "25 02:30+0100"]
expected = {"croniter": twice, "cronsim": once, "apscheduler": twice, "cron-converter": once}
seen("30 2 * * *", fires("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=zone), 2), expected)
both, one = ["25 02:00+0200", "25 02:00+0100"], ["25 02:00+0200", "25 03:00+0100"]
expected = {"croniter": both, "cronsim": both, "apscheduler": both, "cron-converter": one}
seen("0 * * * *", fires("0 * * * *", datetime(2026, 10, 25, 1, 30, tzinfo=zone), 2), expected)
days = fires("0 0 * * 1", datetime(2026, 7, 1, tzinfo=zone), 1)
monday, tuesday = ["06 00:00+0200"], ["07 00:00+0200"]
expected = {"croniter": monday, "cronsim": monday, "apscheduler": tuesday, "cron-converter": monday}
seen("0 0 * * 1", days, expected)
named = CronTrigger.from_crontab("0 0 * * mon", timezone=zone)
seen("apscheduler, mon", named.get_next_fire_time(None, datetime(2026, 7, 1, tzinfo=zone)).day, 6)
PY
