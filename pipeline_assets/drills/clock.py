"""The clock is wrong by more than a year, both ways: nothing is made and little is said until it is right again.

Once the clock is that of a real process, which the program ``faketime`` deceives; then all of it is wrong: ours,
Dagster's and the libraries'. Started as ``python -m pipeline_assets.drills.clock FOLDER PARAMS_FILE``.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.histories import (
    copy_history,
    detect,
    find_unrest,
    list_last_days,
    live_day,
    make_params,
    verify,
)
from pipeline_assets.drills.unattended import TICK, Unattended, open_unattended
from pipeline_assets.drills.world import World
from pipeline_assets.settings import read_params

_WRONG: Final = timedelta(days=400)
_HOURS: Final = 0.25  # that the clock is wrong, besides the moments at which the schedules fire
_N_DAYS: Final = 2  # before the end: they come when the clock is right again
_SPEED: Final = 100  # of the deceived clock, so that its minutes are less than seconds
_N_TICKS: Final = 8  # of the deceived process
_SECONDS: Final = 120.0  # for which it is waited
_PROCESS: Final = "clock of a process set ahead"
_CLOCK_ALERT: Final = "alert freshness/clock"


def run_clock(world: World, journal: Journal) -> None:
    """See the module."""
    with copy_history(world, _N_DAYS, "clock") as folder:
        params = make_params(world.params, folder)
        with open_unattended(folder, params) as pipeline:
            pipeline.settle()
            right = pipeline.now
            for wrong, kind in ((_WRONG, "clock set ahead"), (-_WRONG, "clock set back")):
                pipeline.now = right + wrong
                _set_wrong(pipeline, journal, kind)
                pipeline.now = right = right + timedelta(hours=1)
                _set_right(pipeline, journal, kind)
        _deceive_process(world, folder, right + _WRONG, journal)
        with open_unattended(folder, params, right) as pipeline:
            _set_right(pipeline, journal, _PROCESS)
            for day in list_last_days(world, _N_DAYS):
                live_day(world, pipeline, day)
            verify(world, pipeline, journal, "after the clock was right again")


def _set_wrong(pipeline: Unattended, journal: Journal, kind: str) -> None:
    """Tick for a while, and at the next moments at which each schedule fires."""
    known, n_runs = pipeline.find_signs(), len(pipeline.asked)
    journal.broke(kind)
    detect(pipeline, journal, kind)
    pipeline.leave_alone(_HOURS)
    sunday = pipeline.now + timedelta(days=(6 - pipeline.now.weekday()) % 7 or 7)
    for hour in (5, 6, 10):
        pipeline.now = sunday.replace(hour=hour, minute=0, second=0, microsecond=0)
        pipeline.tick()
    _judge(journal, kind, pipeline.asked[n_runs:], pipeline.find_signs() - known)


def _set_right(pipeline: Unattended, journal: Journal, kind: str) -> None:
    """Tick again by the right clock: nothing is to be made, and nothing is said any more."""
    began, n_runs = time.monotonic(), len(pipeline.asked)
    pipeline.settle()
    journal.recovered(time.monotonic() - began)
    for problem in (*map(str, pipeline.asked[n_runs:]), *find_unrest(pipeline)):
        journal.fail(f"{kind}, then right again: {problem}")


def _deceive_process(world: World, folder: Path, moment: datetime, journal: Journal) -> None:
    """Let a real process with a wrong clock evaluate the sensors and schedules for some minutes.

    Raises:
        DrillError: The program faketime is not installed, or the process failed.
    """
    faketime = shutil.which("faketime")
    if faketime is None:
        raise DrillError(
            "expected the program faketime, found none; install it: apt-get install faketime (Debian package)"
        )
    process = subprocess.run(
        [faketime, "-f", f"@{moment:%Y-%m-%d %H:%M:%S} x{_SPEED}", sys.executable, "-m", __spec__.name,
         str(folder), str(world.params_file)],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True, text=True, check=False, timeout=_SECONDS,
    )  # fmt: skip
    if process.returncode:
        raise DrillError(f"the process under faketime failed: {process.stderr[-2000:]}")
    told = json.loads(process.stdout.splitlines()[-1])
    journal.broke(_PROCESS)
    journal.note(f"{_PROCESS}: it believed {told['from']} to {told['to']}")
    if not told["from"] >= f"{moment.date()}":
        journal.fail(f"{_PROCESS}: expected its clock at {moment}, found {told['from']}")
    _judge(journal, _PROCESS, told["asked"], set(told["signs"]))


def _judge(journal: Journal, kind: str, asked: Sequence[object], signs: set[str]) -> None:
    journal.note(f"{kind}: {len(asked)} runs, {', '.join(sorted(signs)) or 'nothing said'}")
    journal.count("runs while the clock was wrong", len(asked))
    if asked:
        journal.fail(f"{kind}: expected no run, found {'; '.join(map(str, asked))}")
    if signs - {_CLOCK_ALERT}:
        journal.fail(f"{kind}: expected at most {_CLOCK_ALERT}, found {sorted(signs)}")


def main() -> None:
    """Tick by the clock of this process, and tell what was asked for and said."""
    folder, params_file = map(Path, sys.argv[1:])
    params = make_params(read_params(params_file), folder)
    with open_unattended(folder, params, clock=lambda: datetime.now(UTC)) as pipeline:
        began, known = pipeline.now, pipeline.find_signs()
        for _ in range(_N_TICKS):
            pipeline.tick()
            time.sleep(TICK.total_seconds())  # by the clock of this process
        told = {
            "from": began.isoformat(),
            "to": pipeline.now.isoformat(),
            "asked": [str(asked) for asked in pipeline.asked],
            "signs": sorted(pipeline.find_signs() - known),
        }
    sys.stdout.write(json.dumps(told) + "\n")


CLOCK: Final = Drill("clock", "the clock is 400 days ahead, then 400 days behind", run_clock)

if __name__ == "__main__":
    main()
