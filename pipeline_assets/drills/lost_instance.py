"""A lost Dagster instance: its folder is deleted while the data are whole, and late files land for two days.

The real server starts on a new instance. Its sensors must ask for these two days alone, the newest first, and for none
of the history that is up to date by its records; then every partition of every asset is shown as there, and the bytes
are those of the bare chain run for the two days.
"""

import shutil
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.drills.dagster_server import wait_for
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.servers import ServerRun, Session
from pipeline_assets.drills.world import World, copy_root

_DAYS_BACK: Final = 12  # from the newest day to the older one for which a late file lands
_MOST_RUNS: Final = 4  # the day's chain for each of the two, and what follows from them; it was 24 and more
_QUIET_SECONDS: Final = 45.0  # each sensor ticks within it
_PATIENCE_SECONDS: Final = 600.0
_PARTITION: Final = "dagster/partition"
_START, _END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def lose_instance(world: World, journal: Journal) -> None:
    """See the module."""
    folder, newest = world.make_folder("lost-instance-expected"), world.daily.day
    older = newest - timedelta(days=_DAYS_BACK)
    before = copy_root(world.daily.before, folder / "before")  # the newest day's late file has landed in it
    _repeat_file(before, older)
    after = copy_root(before, folder / "after")
    with world.open_worker(0) as worker:
        worker.run("make_instance", before, newest, newest)
        for day in (older, newest):
            outcome = worker.run(world.daily.program, after, day, day)
            if not outcome.succeeded:
                raise DrillError(f"the bare chain of {day}: {outcome}")
    session = Session(world, journal, "lost-instance", (before, after))
    shutil.rmtree(session.root / "dagster")
    journal.broke("lost instance")
    journal.broke("late file", 2)
    journal.note(f"the instance is deleted; late files lie in {older} and {newest}")
    session.server.is_forgetful = True
    with session.server:
        journal.note("the server is ready, on a new instance")
        _await_recovery(session, journal, older, newest)
        session.compare("after the loss of the instance")


def _repeat_file(root: Path, day: date) -> None:
    """Let a file of a day land once more, under another name: its rows count as repeated, which its ledger tells."""
    landed = root / "landing" / Feed.TRANSACTIONS.value / f"{day}"
    file = min(landed.iterdir())
    shutil.copyfile(file, landed / f"again-{file.name}")


def _await_recovery(session: Session, journal: Journal, older: date, newest: date) -> None:
    began, wanted = time.monotonic(), {f"{older}", f"{newest}"}
    assets = sorted(path.name for path in (session.whole.root / "records").iterdir())

    def has_settled() -> bool:
        runs = session.list_runs()
        days = {run.tags.get(_PARTITION) for run in runs if run.status == "SUCCESS"}
        return wanted <= days and not any(_is_going_on(run) for run in runs)

    wait_for(session.list_runs, _PATIENCE_SECONDS, "the first run that is asked for")
    journal.detected(time.monotonic() - began)
    wait_for(has_settled, _PATIENCE_SECONDS, "the runs of the two days")
    journal.note(f"the late files are ingested after {time.monotonic() - began:.0f} s")
    wait_for(lambda: not session.find_unmade(assets), _PATIENCE_SECONDS, "every partition to be shown as there")
    journal.recovered(time.monotonic() - began)
    journal.note(f"every partition of {len(assets)} assets is green after {time.monotonic() - began:.0f} s")
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_SECONDS:
        if any(_is_going_on(run) for run in session.list_runs()):
            quiet_since = time.monotonic()
        time.sleep(1)
    _judge(session, journal, older, newest)


def _judge(session: Session, journal: Journal, older: date, newest: date) -> None:
    runs = list(reversed(session.list_runs()))  # in the order in which they were asked for
    for run in runs:
        first = run.tags.get(_START) or run.tags.get(_PARTITION) or ""
        last = run.tags.get(_END) or first
        journal.note(f"asked for by {run.tags.get('dagster/sensor_name')}: {first} to {last}, {run.status}")
        if not (f"{older}" <= first <= last <= f"{newest}"):
            journal.fail(f"expected runs of what differs, {older} and {newest}, found one of {first} to {last}")
    landed = [run.tags[_PARTITION] for run in runs if run.tags.get("dagster/sensor_name") == "transactions_landed"]
    if landed != [f"{newest}", f"{older}"]:
        journal.fail(f"expected the days with late files to be asked for, the newest first, found {landed}")
    journal.count("runs that were asked for", len(runs))
    if len(runs) > _MOST_RUNS:
        journal.fail(f"expected at most {_MOST_RUNS} runs, found {len(runs)}")


def _is_going_on(run: ServerRun) -> bool:
    return run.status not in ("SUCCESS", "FAILURE", "CANCELED")


LOST: Final = Drill("lost_instance", "the Dagster instance is deleted, and two late files land", lose_instance)
