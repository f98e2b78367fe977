"""All drills, in the order in which they run, and the running of them. A new drill is a module and a line here."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.leftovers import open_scratch
from pipeline_assets.drills import (
    byte_faults,
    clock,
    concurrency,
    crash_matrix,
    dagster_kills,
    data_faults,
    foreign_requests,
    full_disk,
    hostile_names,
    io_errors,
    lost_instance,
    permanent,
    rehearsals,
    servers,
    shared_remote,
    snapshot_kills,
    tampered_log,
    two_operators,
)
from pipeline_assets.drills.drill import Drill, Result, find_drills, run_drill
from pipeline_assets.drills.report import make_table, write_report
from pipeline_assets.drills.world import World, build_world, find_scratch_folder

_ON_ALL_CORES: Final[tuple[Drill, ...]] = (
    crash_matrix.MATRIX,
    dagster_kills.KILLS,
    io_errors.FULL,
    io_errors.BROKEN,
)
_LANES: Final[tuple[tuple[Drill, ...], ...]] = (  # beside each other; they take about as long
    (
        byte_faults.ROT,
        byte_faults.READ,
        byte_faults.RANDOM,
        data_faults.POISONED,
        data_faults.DRIFT,
        data_faults.MISSING,
        data_faults.REPEATED,
        hostile_names.HOSTILE,
        permanent.PERMANENT,
        clock.CLOCK,
        snapshot_kills.KILLS,
        shared_remote.SHARED,
        tampered_log.TAMPERED,
        rehearsals.REHEARSAL,
    ),
    (
        concurrency.AT_ONCE,
        concurrency.LOCKED,
        servers.PROCESSES,
        servers.EVERYTHING,
        servers.PARTITION,
        full_disk.FULL,
        two_operators.OPERATORS,
        lost_instance.LOST,
        foreign_requests.FOREIGN,
    ),
)
DRILLS: Final = (*_ON_ALL_CORES, *(drill for lane in _LANES for drill in lane))
Say = Callable[[str], None]


def run_drills(names: Sequence[str], report: Path, say: Say) -> list[Result]:
    """Run the drills of ``names`` (all without a name) on one world, write the report, print the table.

    Those that take all cores come one after another; then the others, in lanes beside each other.

    Args:
        names: Of :data:`DRILLS`.
        report: The folder of the report, which is made.
        say: Hears of the progress and of the results; can be pickled.

    Raises:
        ValueError: There is no drill of a name.
        DrillError: The world could not be built.
    """
    chosen = find_drills(DRILLS, names)
    results: list[Result] = []
    with open_world(say) as world:
        for result in _run_in_lanes(chosen, world, say):
            results.append(result)
            results.sort(key=lambda one: [drill.name for drill in DRILLS].index(one.name))
            write_report(results, report)  # after each, so that a drill that never ends leaves what is known
    say(make_table(results))
    for result in results:
        for problem in result.problems:
            say(f"{result.name}: {problem}")
    say(f"report: {report / 'report.html'}")
    return results


def _run_in_lanes(chosen: Sequence[Drill], world: World, say: Say) -> Iterator[Result]:
    """The results in the order in which they are there."""
    for drill in chosen:
        if drill in _ON_ALL_CORES:
            yield run_drill(drill, world, say)
    with ExitStack() as stack:
        futures = []
        for lane in _LANES:  # each in a process of its own: drills patch and set variables
            pool = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"), _listen_to_progress))
            futures += [pool.submit(run_drill, drill, world, say) for drill in lane if drill in chosen]
        for future in as_completed(futures):
            yield future.result()


def _listen_to_progress() -> None:
    logging.basicConfig(format="    %(message)s", level=logging.WARNING)


@contextmanager
def open_world(say: Callable[[str], None] = lambda _: None) -> Iterator[World]:
    """The world that drills break, built in a temporary folder that is removed afterwards."""
    with open_scratch("pipeline-drills-", find_scratch_folder()) as folder:
        yield build_world(folder, say)
