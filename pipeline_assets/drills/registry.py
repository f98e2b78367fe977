"""All drills, in the order in which they run, and the running of them. A new drill is a module and a line here."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipeline_assets.drills import (
    byte_faults,
    clock,
    concurrency,
    crash_matrix,
    dagster_kills,
    data_faults,
    io_errors,
    permanent,
    servers,
)
from pipeline_assets.drills.drill import Drill, Result, find_drills, run_drill
from pipeline_assets.drills.report import make_table, write_report
from pipeline_assets.drills.world import World, build_world, find_scratch_folder

DRILLS: Final[tuple[Drill, ...]] = (
    crash_matrix.MATRIX,
    dagster_kills.KILLS,
    io_errors.FULL,
    io_errors.BROKEN,
    byte_faults.ROT,
    byte_faults.READ,
    byte_faults.RANDOM,
    data_faults.POISONED,
    data_faults.DRIFT,
    data_faults.MISSING,
    data_faults.REPEATED,
    permanent.PERMANENT,
    clock.CLOCK,
    concurrency.AT_ONCE,
    concurrency.LOCKED,
    servers.PROCESSES,
    servers.EVERYTHING,
    servers.PARTITION,
)


def run_drills(names: Sequence[str], report: Path, say: Callable[[str], None]) -> list[Result]:
    """Run the drills of ``names`` (all without a name) on one world, write the report, print the table.

    Args:
        names: Of :data:`DRILLS`.
        report: The folder of the report, which is made.
        say: Hears of the progress and of the results.

    Raises:
        ValueError: There is no drill of a name.
        DrillError: The world could not be built.
    """
    chosen = find_drills(DRILLS, names)
    with open_world(say) as world:
        results = []
        for drill in chosen:
            results.append(run_drill(drill, world, say))
            write_report(results, report)  # after each, so that a drill that never ends leaves what is known
    say(make_table(results))
    for result in results:
        for problem in result.problems:
            say(f"{result.name}: {problem}")
    say(f"report: {report / 'report.html'}")
    return results


@contextmanager
def open_world(say: Callable[[str], None] = lambda _: None) -> Iterator[World]:
    """The world that drills break, built in a temporary folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="pipeline-drills-", dir=find_scratch_folder()) as folder:
        yield build_world(Path(folder), say)
