"""Many runs of the chains at once on one data root and one Dagster instance, each in a process of its own.

Started as ``python -m pipeline_assets.drills.simultaneous``; it loads everything once, then forks a process for each
task, which are let go together. The process itself must not work with polars before: its threads would be missing in
the children. Tasks come as JSON on the standard input, what became of them goes as JSON to the standard output.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.drills.drill import DrillError
from pipeline_assets.settings import ALERTS_VARIABLE, DATA_VARIABLE, PARAMS_VARIABLE, read_settings

if TYPE_CHECKING:
    import dagster as dg

_DAILY_GROUPS: Final = ("ingestion", "features", "release", "scoring", "monitoring")
_PATIENCE_SECONDS: Final = 500.0  # many times what the tasks take
_LOCKED: Final = "database is locked"


@dataclass(frozen=True)
class Task:
    """One run of a chain: ``daily`` or ``weekly``, of the partitions from ``first`` to ``last``."""

    chain: str
    first: date
    last: date


@dataclass(frozen=True)
class Outcome:
    """What became of the tasks.

    Attributes:
        failures: Of each task that failed, what it said last.
        seconds: How long each took.
        repairs: What the healing plan then names, with every byte read.
        n_retried_steps: Steps that failed and were tried again by their run.
        n_locked: How often a process said that the instance's database is locked.
        trainings: When each training began and ended, in Unix time.
        runs: When each run began and ended.
    """

    failures: Mapping[int, str]
    seconds: Sequence[float]
    repairs: Sequence[str]
    n_retried_steps: int
    n_locked: int
    trainings: Sequence[tuple[float, float]]
    runs: Sequence[tuple[float, float]]


def run_together(tasks: Sequence[Task], root: Path, params_file: Path, logs: Path) -> Outcome:
    """Run the tasks all at once on the data root ``root``; what they print goes into the folder ``logs``.

    Raises:
        DrillError: They could not be started, or did not end.
    """
    environment = os.environ | {
        DATA_VARIABLE: str(root),
        PARAMS_VARIABLE: str(params_file),
        ALERTS_VARIABLE: "",
        "DAGSTER_HOME": str(root / "dagster"),
        **dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),  # the frames are tiny
    }
    asked = json.dumps([asdict(task) for task in tasks], default=str)
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(logs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            answer, said = process.communicate(asked, _PATIENCE_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, 9)  # a session of its own: the process and all its children
            if isinstance(error, subprocess.TimeoutExpired):
                raise DrillError(f"{len(tasks)} runs at once did not end; see {logs}") from error
            raise
    if process.returncode:
        raise DrillError(f"{len(tasks)} runs at once could not be carried out: {said[-2000:]}")
    values = json.loads(answer)
    failures = {int(number): text for number, text in values.pop("failures").items()}
    return Outcome(failures=failures, **values)


def main() -> None:
    """Carry out the tasks of the standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get into the answer
    logs = Path(sys.argv[1])
    tasks = [
        Task(one["chain"], date.fromisoformat(one["first"]), date.fromisoformat(one["last"]))
        for one in json.load(sys.stdin)
    ]
    definitions = _load()
    began = time.time()
    go_read, go_write = os.pipe()
    children: dict[int, int] = {}
    for number, task in enumerate(tasks):
        pid = os.fork()
        if pid == 0:
            os.close(go_write)
            _live(definitions, task, logs / f"run-{number}.log", go_read)
        children[pid] = number
    os.close(go_read)
    os.close(go_write)  # each of them reads the end now
    failures, seconds = {}, [0.0] * len(tasks)
    began_all = time.monotonic()
    for _ in tasks:
        pid, status = os.wait()
        number = children[pid]
        seconds[number] = time.monotonic() - began_all
        if status:
            said = (logs / f"run-{number}.log").read_text()
            failures[number] = f"{os.waitstatus_to_exitcode(status)}: {said[-2000:]}"
    outcome = Outcome(failures, seconds, **_look_back(logs, began))
    answers.write(json.dumps(asdict(outcome)))
    answers.flush()


def _load() -> "dg.Definitions":
    """Import what the runs need, so that each does not have to."""
    import lightgbm  # noqa: F401
    import sklearn.metrics  # noqa: F401

    import pipeline_assets.core.features.customer
    import pipeline_assets.core.features.terminal  # noqa: F401
    from pipeline_assets.commands.chains import prepare_home
    from pipeline_assets.definitions import build_definitions

    settings = read_settings()
    prepare_home(settings.data_root)
    return build_definitions(settings)


def _live(definitions: "dg.Definitions", task: Task, log: Path, go: int) -> None:
    """A child's life: wait, run the task, end."""
    from pipeline_assets.commands.chains import Chains

    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(target, 1)
    os.dup2(target, 2)
    code = 1
    try:
        os.read(go, 1)
        chains = Chains(definitions, lambda _: None)
        if task.chain == "daily":
            chains.run_daily(_DAILY_GROUPS, task.first, task.last)
        else:
            chains.run_weekly(task.first, task.last)
        code = 0
    except BaseException as error:  # whatever it is, it is told to the drill, which judges it
        os.write(2, f"\n{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _look_back(logs: Path, began: float) -> dict[str, Any]:
    """What the instance and the stores say after all runs have ended."""
    import dagster as dg

    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.commands.healing import Healer
    from pipeline_assets.definitions import build_surveyor

    settings = read_settings()
    healer = Healer(build_surveyor(settings), open_stores(settings.data_root), [], lambda _: None)
    repairs = [f"{repair.key}: {repair.reason}, {repair.detail}" for repair in healer.plan(healer.verify())[1].repairs]
    trainings, runs, n_retried = [], [], 0
    with dg.DagsterInstance.get() as instance:
        for record in instance.get_run_records():
            run_id = record.dagster_run.run_id
            if record.start_time is None or record.end_time is None or record.start_time < began:
                continue
            runs.append((record.start_time, record.end_time))
            n_retried += len(instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY))
            steps = instance.get_run_step_stats(run_id, [MODEL])
            trainings += [(step.start_time or 0.0, step.end_time or 0.0) for step in steps]
    n_locked = sum(log.read_text().count(_LOCKED) for log in logs.glob("run-*.log"))
    return {
        "repairs": repairs,
        "n_retried_steps": n_retried,
        "n_locked": n_locked,
        "trainings": sorted(trainings),
        "runs": sorted(runs),
    }


if __name__ == "__main__":
    main()
