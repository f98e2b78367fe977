"""What a drill is, what it notes while it runs, and the result. What recovery means is in ``verify.py``."""

import statistics
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline_assets.drills.verify import Difference
    from pipeline_assets.drills.world import World

_SHOWN_PROBLEMS: Final = 50  # of one drill; the rest is counted


class DrillError(RuntimeError):
    """A drill cannot be carried out here; the message says what is missing."""


@dataclass(frozen=True)
class Drill:
    """Something that is broken on purpose.

    Attributes:
        name: How it is called on the command line.
        breaks: What it breaks, for a person, in a few words.
        run: Breaks it, lets the pipeline recover and verifies, on copies of the world; notes all in the journal.
    """

    name: str
    breaks: str
    run: Callable[["World", "Journal"], None]


@dataclass(frozen=True)
class Result:
    """What a drill found.

    Attributes:
        name: The drill.
        breaks: What it broke.
        problems: What was not as it should be; empty means passed.
        seconds: How long the drill took.
        broken: How many faults were really injected, by kind.
        counts: What else was counted.
        detect_seconds: From each fault to the moment at which it was known.
        recover_seconds: From each beginning of a recovery to its end.
        rows_lost: Rows of the world never broken that the recovered ones lack, of all recoveries together.
        rows_doubled: Rows that the recovered ones have too many.
        files_compared: Files of all recovered worlds that were compared with those of the world never broken.
        files_equal: Those that had the same bytes.
        timeline: What happened when, in seconds from the drill's beginning.
    """

    name: str
    breaks: str
    problems: tuple[str, ...]
    seconds: float
    broken: Mapping[str, int]
    counts: Mapping[str, int]
    detect_seconds: tuple[float, ...]
    recover_seconds: tuple[float, ...]
    rows_lost: int
    rows_doubled: int
    files_compared: int
    files_equal: int
    timeline: tuple[tuple[float, str], ...]

    @property
    def passed(self) -> bool:
        """Whether something was broken and everything recovered."""
        return not self.problems

    @property
    def n_broken(self) -> int:
        """Faults that were really injected."""
        return sum(self.broken.values())

    @property
    def median_detect_seconds(self) -> float | None:
        """The median time to detect; None where nothing was timed."""
        return statistics.median(self.detect_seconds) if self.detect_seconds else None

    @property
    def median_recover_seconds(self) -> float | None:
        """The median time to recover; None where nothing was timed."""
        return statistics.median(self.recover_seconds) if self.recover_seconds else None


class Journal:
    """What a drill notes while it runs; safe to use from several threads."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Begin now; ``say`` hears of each event."""
        self._began = time.monotonic()
        self._say = say
        self._lock = threading.Lock()
        self._timeline: list[tuple[float, str]] = []
        self._problems: list[str] = []
        self._broken: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._detect: list[float] = []
        self._recover: list[float] = []
        self._rows = Counter({"lost": 0, "doubled": 0})
        self._files = Counter({"compared": 0, "equal": 0})

    def note(self, event: str) -> None:
        """Put an event into the timeline."""
        with self._lock:
            self._timeline.append((time.monotonic() - self._began, event))
        self._say(f"    {event}")

    def broke(self, kind: str, number: int = 1) -> None:
        """Count faults that were really injected: a process that died of the kill, a call that failed."""
        with self._lock:
            self._broken[kind] += number

    def count(self, what: str, number: int = 1) -> None:
        """Count something else."""
        with self._lock:
            self._counts[what] += number

    def detected(self, seconds: float) -> None:
        """Note how long after a fault it was known."""
        with self._lock:
            self._detect.append(seconds)

    def recovered(self, seconds: float) -> None:
        """Note how long a recovery took."""
        with self._lock:
            self._recover.append(seconds)

    def fail(self, problem: str) -> None:
        """Note what is not as it should be: the drill has failed."""
        with self._lock:
            self._problems.append(problem)

    def compare(self, where: str, difference: "Difference") -> None:
        """Note how a recovered world differs from the one never broken; any difference fails the drill."""
        with self._lock:
            self._files["compared"] += difference.n_compared
            self._files["equal"] += difference.n_equal
            self._rows["lost"] += difference.rows_lost
            self._rows["doubled"] += difference.rows_doubled
            self._counts["left-over temporary files"] += len(difference.leftovers)
            self._problems += [f"{where}: {problem}" for problem in difference.problems]

    def conclude(self, drill: Drill) -> Result:
        """The result; a drill that broke nothing has failed."""
        with self._lock:
            problems = list(self._problems)
            if not sum(self._broken.values()):
                problems.append("nothing was broken: no fault was really injected, so nothing is shown")
            more = len(problems) - _SHOWN_PROBLEMS
            if more > 0:
                problems = [*problems[:_SHOWN_PROBLEMS], f"and {more} more problems"]
            return Result(
                name=drill.name,
                breaks=drill.breaks,
                problems=tuple(problems),
                seconds=time.monotonic() - self._began,
                broken=dict(sorted(self._broken.items())),
                counts=dict(sorted(self._counts.items())),
                detect_seconds=tuple(self._detect),
                recover_seconds=tuple(self._recover),
                rows_lost=self._rows["lost"],
                rows_doubled=self._rows["doubled"],
                files_compared=self._files["compared"],
                files_equal=self._files["equal"],
                timeline=tuple(self._timeline),
            )


def run_drill(drill: Drill, world: "World", say: Callable[[str], None] = lambda _: None) -> Result:
    """Carry out a drill; whatever it raises is a problem of its result, so that the other drills still run."""
    journal = Journal(say)
    journal.note(f"{drill.name}: {drill.breaks}")
    try:
        drill.run(world, journal)
    except DrillError as error:
        journal.fail(f"not carried out: {error}")
    except Exception as error:
        journal.fail(f"the drill itself broke: {''.join(traceback.format_exception(error)).strip()}")
    return journal.conclude(drill)


def find_drills(drills: Sequence[Drill], names: Sequence[str]) -> list[Drill]:
    """The drills of ``names``, in the order of the list; all without a name.

    Raises:
        ValueError: There is no drill of a name.
    """
    known = {drill.name for drill in drills}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"drill: expected one of {', '.join(sorted(known))}, found {', '.join(unknown)}")
    return [drill for drill in drills if not names or drill.name in names]


def format_seconds(seconds: float | None) -> str:
    """A duration with two digits that count and its unit; a dash where nothing was timed."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
