"""Twenty times a training is killed (SIGKILL) at a random moment and started again: the model is always the same."""

import hashlib
import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.adapters.storage import LocalStorage

_logger = logging.getLogger(__name__)
AS_OF: Final = date(2026, 3, 1)
N_KILLS: Final = 10
N_ROWS: Final = 10_000
PROGRAM: Final = """
import sys
from datetime import date
from pathlib import Path
import lightgbm, sklearn
import polars as pl
from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.training import TrainingParams, train

rows, root, as_of = pl.read_parquet(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3])
store = ModelStore(LocalStorage(root))
print("started", flush=True)
model = train(rows, TrainingParams(rounds=400, checkpoint_rounds=5), store.checkpoints(as_of))
written = store.write(as_of, model)
print(model.resumed_from, model.ignored_checkpoint, flush=True)
"""


def start(rows: Path, root: Path) -> subprocess.Popen[str]:
    """Start a training and wait until its imports are done and the work begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(rows), str(root), AS_OF.isoformat()], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Let a training end; the rounds it resumed from, and why it ignored a checkpoint."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    rounds, _, ignored = out.strip().partition(" ")
    return int(rounds), ignored


def hash_store(root: Path) -> str:
    """One hash of all files and their names, but what a killed write left, which no reader sees."""
    storage, digest = LocalStorage(root), hashlib.md5(usedforsecurity=False)
    for path in storage.list("."):
        digest.update(path.encode() + storage.read(path))
    return digest.hexdigest()


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_a_training_killed_at_random_moments_always_ends_in_the_same_model(
    make_training_set: Callable[[int], pl.DataFrame], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = tmp_path / "rows.parquet"
    make_training_set(N_ROWS).write_parquet(rows)
    began = start(rows, tmp_path / "whole")
    started = time.monotonic()
    assert finish(began) == (0, "None")
    seconds = time.monotonic() - started
    expected = hash_store(tmp_path / "whole")

    caplog.set_level(logging.INFO)  # a failure shows the seed; see it always with --log-cli-level=INFO
    seed = random.SystemRandom().randrange(10**6)
    moments, kills, resumed = random.Random(seed), 0, []
    _logger.info("seed %d, uninterrupted %.1f s", seed, seconds)
    for run in range(N_KILLS * 3):  # a kill that comes too late hits nothing and does not count
        if kills == N_KILLS:
            break
        root = tmp_path / f"killed {run}"
        process = start(rows, root)
        time.sleep(moments.uniform(0, seconds))
        process.kill()
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            continue
        kills += 1
        rounds, ignored = finish(start(rows, root))
        resumed.append(rounds)
        assert ignored == "None", "a kill must never leave a damaged checkpoint"
        assert hash_store(root) == expected, f"seed {seed}, run {run}: another model after resuming from round {rounds}"
        assert ModelStore(LocalStorage(root)).checkpoints(AS_OF).load() is None
    _logger.info("%d kills, resumed from rounds %s", kills, resumed)
    assert kills == N_KILLS
    assert sum(rounds > 0 for rounds in resumed) >= 3, "hardly any training resumed from a checkpoint"
