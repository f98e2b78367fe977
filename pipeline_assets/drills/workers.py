"""Runs of the bare chain, each in a process of its own, that a drill can kill, trace and let go again."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pipeline_assets.drills.drill import DrillError

N_WORKERS: Final = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
HANG_SECONDS: Final = 120.0  # many times what a run takes
_ONE_THREAD: Final = dict.fromkeys(
    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)  # the frames are tiny, and as many runs go on at once as there are cores
Point = TypeVar("Point")


@dataclass(frozen=True)
class RaisedError:
    """An exception that ended a run: its class, the numbers of it and its causes where they are OSErrors, its text."""

    type: str
    errnos: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.type}: {self.text}"


@dataclass(frozen=True)
class Outcome:
    """How a run went.

    Attributes:
        signal: What killed the process; None where it lives.
        error: What the chain raised; None where it went through, or was killed.
        seconds: How long it took.
        known_at: When the outcome was known, in seconds since the epoch.
        hung: Whether it did not come to an end and had to be killed.
    """

    signal: int | None
    error: RaisedError | None
    seconds: float
    known_at: float
    hung: bool

    @property
    def succeeded(self) -> bool:
        """Whether the chain went through."""
        return self.signal is None and self.error is None

    def __str__(self) -> str:
        """For a person."""
        if self.hung:
            return f"it hung and was killed after {self.seconds:.0f} s"
        if self.signal is not None:
            return f"it was killed by {signal.Signals(self.signal).name}"
        return f"it raised {self.error}" if self.error else "it went through"


class Run:
    """One process that waits to be let go."""

    def __init__(self, worker: "Worker", pid: int) -> None:
        """Of ``worker``, with the process id ``pid``."""
        self._worker = worker
        self.pid = pid

    def go(self, patience: float = HANG_SECONDS) -> Outcome:
        """Let the program run to its end, be that success, an exception or death; where it lives it can go again.

        Args:
            patience: Seconds after which it counts as hanging and is killed.
        """
        began = time.monotonic()
        answer, hung = self._worker.ask({"do": "go"}, self.pid, patience)
        error = answer.get("error")
        return Outcome(
            signal=answer["died"],
            error=RaisedError(error["type"], tuple(error["errnos"]), error["text"]) if error else None,
            seconds=time.monotonic() - began,
            known_at=time.time(),
            hung=hung,
        )

    def end(self) -> None:
        """Let the process end, if it lives."""
        self._worker.ask({"do": "end"})


class Worker:
    """A warm process that forks runs, one at a time; see ``warm.py``."""

    def __init__(self, params_file: Path, log: Path) -> None:
        """Use the parameters of ``params_file``; what the runs print goes to ``log``."""
        self._log = log
        with log.open("ab") as target:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline_assets.drills.warm", str(params_file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=target,
                text=True,
                env=os.environ | _ONE_THREAD,
            )

    def __enter__(self) -> Self:
        """As a context, it ends with the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def start(self, program: str, root: Path, first: date, last: date) -> Run:
        """A process that is about to run ``program`` (of ``chain.py``) on a data root, and waits."""
        request = {"do": "start", "program": program, "root": str(root), "first": f"{first}", "last": f"{last}"}
        answer, _ = self.ask(request)
        return Run(self, int(answer["pid"]))

    def run(self, program: str, root: Path, first: date, last: date, patience: float = HANG_SECONDS) -> Outcome:
        """Run a program to its end in a process of its own."""
        run = self.start(program, root, first, last)
        try:
            return run.go(patience)
        finally:
            run.end()

    def ask(
        self, request: dict[str, Any], doing: int | None = None, patience: float = HANG_SECONDS
    ) -> tuple[dict[str, Any], bool]:
        """The answer to a request, and whether the process ``doing`` what was asked had to be killed to get it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        hung = False
        if doing is not None and not select.select([self._process.stdout], [], [], patience)[0]:
            hung = True
            os.kill(doing, signal.SIGKILL)
        line = self._process.stdout.readline()
        if not line:
            raise DrillError(f"the process that runs the chain ended: {self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer, hung


def share_out(
    points: Sequence[Point],
    open_worker: Callable[[int], Worker],
    warm: Callable[[Worker, int], None],
    work: Callable[[Worker, int, Point], None],
) -> None:
    """Do ``work`` on all points, on as many workers as there are cores; the first exception ends it all.

    Args:
        points: What there is to do.
        open_worker: Opens the worker of a number.
        warm: Lets a new worker load what it will need.
        work: Does one point.
    """
    waiting: queue.SimpleQueue[Point] = queue.SimpleQueue()
    for point in points:
        waiting.put(point)
    errors: list[BaseException] = []

    def drain(number: int) -> None:
        try:
            with open_worker(number) as worker:
                warm(worker, number)
                while not errors:
                    work(worker, number, waiting.get_nowait())
        except queue.Empty:
            pass
        except BaseException as error:
            errors.append(error)

    with ExitStack() as stack:
        for number in range(N_WORKERS):
            thread = threading.Thread(target=drain, args=(number,))
            thread.start()
            stack.callback(thread.join)
    if errors:
        raise errors[0]
