"""The small world that drills break: simulated and built once, in three states, of which a drill copies what it needs.

The last day is one on which much happens: malformed, repeated and late rows arrive, and one file lands only after the
day was ingested, so that the daily chain both replaces partitions and makes new ones.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import yaml
from pydantic import TypeAdapter

from pipeline_assets.contracts.vocabularies import Feed, Reason
from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.release import ReleaseParams
from pipeline_assets.core.retraining import RetrainingParams
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.drills.drill import DrillError
from pipeline_assets.drills.workers import Worker
from pipeline_assets.settings import Params, SimulationParams
from pipeline_assets.simulator.faults import LateRows, MalformedRows, RepeatedFile, RepeatedRows

_START: Final = date(2026, 1, 4)
_FIRST_MODEL_AFTER_DAYS: Final = 21
_FIRST_WEEK: Final = _START + timedelta(days=_FIRST_MODEL_AFTER_DAYS)
_WEEK: Final = _FIRST_WEEK + timedelta(weeks=2)  # the one whose training is broken; two models come before it
_DAY: Final = _WEEK - timedelta(days=1)
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_ROOM_BYTES: Final = 500_000_000  # ten copies of the world, traces, and a Dagster instance
_COPY: Final = shutil.which("cp") or "cp"
_LATE_FILE: Final = "late"  # what its name contains
_BUILD_SECONDS: Final = 600.0  # with an empty cache of compiled kernels on a busy machine
PARAMS: Final = Params(
    history_start=_START,
    history_end=_DAY,
    first_model_after_days=_FIRST_MODEL_AFTER_DAYS,
    training=TrainingParams(history_weeks=4, rounds=16, checkpoint_rounds=4),
    retraining=RetrainingParams(every_weeks=1),  # so that a short history has several models
    evaluation=EvaluationParams(top_cards=10),
    release=ReleaseParams(tolerated_loss=0.9, min_frauds=1, accuracy_drop=0.95),
    simulation=SimulationParams(
        n_customers=300,
        n_terminals=600,
        faults=(
            MalformedRows(day=_DAY, defect=Reason.MISSING_VALUE, n_rows=5),
            RepeatedRows(day=_DAY, n_rows=7),
            RepeatedFile(day=_DAY - timedelta(days=1), days_later=1, feed=Feed.CHARGEBACKS),
            LateRows(day=_DAY - timedelta(days=2), days_late=2, n_rows=10),
        ),
    ),
)


@dataclass(frozen=True)
class Scene:
    """A step of the pipeline, the data root before it, and the one after it that was never broken.

    Attributes:
        name: What happens.
        program: Of ``chain.py``.
        day: The partition it makes.
        before: The data root that the step begins with; to be copied, never written.
        after: The data root that it ends with; to be compared with, never written.
    """

    name: str
    program: str
    day: date
    before: Path
    after: Path


@dataclass(frozen=True)
class World:
    """The built world.

    Attributes:
        folder: Where everything is; drills make folders of their own in it.
        params: Its parameters.
        params_file: The same as a file, for ``PIPELINE_PARAMS``.
        daily: The last day's run, when a file has landed after the day was ingested.
        weekly: The training and evaluation that follow it.
        halves: The same two in halves, so that breaking one costs no more than its half.
    """

    folder: Path
    params: Params
    params_file: Path
    daily: Scene
    weekly: Scene
    halves: tuple[Scene, ...]

    @property
    def complete(self) -> Path:
        """The data root with everything built; to be copied, never written."""
        return self.weekly.after

    def make_folder(self, name: str) -> Path:
        """An empty folder of its own for a drill, or for one run of it."""
        folder = self.folder / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def open_worker(self, number: int) -> Worker:
        """A process that runs the bare chain; to be used as a context."""
        return Worker(self.params_file, self.folder / f"worker-{number}.log")


def find_scratch_folder() -> Path:
    """Where copies are cheapest: in memory where there is room, else the usual folder for temporary files.

    A kill of a process loses nothing that it has written, on no file system; calls and their errors are the same.
    """
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES:
        return _MEMORY
    return Path(tempfile.gettempdir())


def copy_root(source: Path, target: Path) -> Path:
    """A copy of a data root, in the place of what was at ``target``; whole files, nothing is shared."""
    if target.exists():
        shutil.rmtree(target)
    subprocess.run([_COPY, "-R", source, target], check=True)  # a fifth of what Python needs for a thousand files
    return target


def write_params(params: Params, file: Path) -> None:
    """Write parameters to a file, for ``PIPELINE_PARAMS``."""
    file.write_text(yaml.safe_dump(TypeAdapter(Params).dump_python(params, mode="json")), encoding="utf-8")


def build_world(folder: Path, say: Callable[[str], None] = lambda _: None) -> World:
    """Simulate and build the world below ``folder``, which is empty; half a minute where kernels are compiled.

    Raises:
        DrillError: The unbroken chain failed; the message says of what.
    """
    folder = folder.absolute()
    params_file = folder / "params.yaml"
    write_params(PARAMS, params_file)
    root = folder / "building"
    daily = Scene("the daily run", "run_daily", _DAY, folder / "before-daily", folder / "before-weekly")
    weekly = Scene("the training run", "run_weekly", _WEEK, daily.after, folder / "complete")
    halfway, trained = folder / "before-decisions", folder / "before-evaluation"
    halves = (
        Scene("the daily run up to the features", "run_inputs", _DAY, daily.before, halfway),
        Scene("the daily run from the scores on", "run_decisions", _DAY, halfway, daily.after),
        Scene("the training run up to the model", "run_training", _WEEK, weekly.before, trained),
        Scene("the training run from the evaluation on", "run_evaluation", _WEEK, trained, weekly.after),
    )
    world = World(folder, PARAMS, params_file, daily, weekly, halves)
    say(f"building a world of {PARAMS.simulation.n_customers} customers and {(_DAY - _START).days + 1} days ...")
    with world.open_worker(0) as worker:
        build = _Builder(worker, root)
        build.run("simulate", _START, _DAY)
        late = _take_away_late_file(root, folder)
        build.run("run_inputs", _START, _DAY)
        build.run("run_weekly", _FIRST_WEEK, _DAY)
        build.run("run_decisions", _START, _DAY - timedelta(days=1))
        shutil.move(folder / late.name, late)
        for half in halves:
            copy_root(root, half.before)
            build.run(half.program, half.day, half.day)
        root.rename(weekly.after)
    return world


class _Builder:
    def __init__(self, worker: Worker, root: Path) -> None:
        self._worker = worker
        self._root = root

    def run(self, program: str, first: date, last: date) -> None:
        outcome = self._worker.run(program, self._root, first, last, _BUILD_SECONDS)
        if not outcome.succeeded:
            raise DrillError(f"building the world, {program} of {first} to {last}: {outcome}")


def _take_away_late_file(root: Path, aside: Path) -> Path:
    landed = root / "landing" / Feed.TRANSACTIONS.value / f"{_DAY}"
    found = [file for file in landed.iterdir() if _LATE_FILE in file.name]
    if len(found) != 1:
        raise DrillError(f"{landed}: expected one file of late rows, found {[file.name for file in found]}")
    shutil.move(found[0], aside / found[0].name)
    return found[0]
