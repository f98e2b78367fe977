"""A small world, landed and run through both chains once for all tests of this room."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import dagster as dg
import pytest

from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.commands.chains import Chains, prepare_home
from pipeline_assets.commands.simulation import simulate_until
from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.release import ReleaseParams
from pipeline_assets.core.retraining import RetrainingParams
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.definitions import build_definitions
from pipeline_assets.defs.failures import RETRY
from pipeline_assets.settings import Params, Settings, SimulationParams

if TYPE_CHECKING:
    from tests.defs.worlds import World

START = date(2026, 1, 4)
LAST = START + timedelta(days=48)
PARAMS = Params(
    history_start=START,
    history_end=LAST,
    first_model_after_days=35,
    training=TrainingParams(rounds=20),
    retraining=RetrainingParams(every_weeks=1),
    evaluation=EvaluationParams(top_cards=10),
    release=ReleaseParams(tolerated_loss=0.5, min_frauds=1),
    simulation=SimulationParams(n_customers=300, n_terminals=600),
)


@dataclass(frozen=True)
class Pipeline:
    """A data root with its definitions and stores; ``chains`` runs on its instance."""

    root: Path
    definitions: dg.Definitions
    stores: Stores
    chains: Chains

    def instance(self) -> dg.DagsterInstance:
        """Its Dagster instance; to be used as a context."""
        return dg.DagsterInstance.from_config(str(self.root / "dagster"))


def open_pipeline(root: Path, patch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline of a data root; ``DAGSTER_HOME`` is its own."""
    patch.setenv("DAGSTER_HOME", str(root / "dagster"))
    prepare_home(str(root))
    definitions = build_definitions(Settings(str(root), PARAMS, START))
    return Pipeline(root, definitions, open_stores(str(root)), Chains(definitions, lambda _: None))


def run_everything(pipeline: Pipeline) -> None:
    """Both chains over all of history, as ``pipeline-assets run`` does it."""
    pipeline.chains.run_daily(("ingestion", "features"), START, LAST)
    pipeline.chains.run_weekly(START, LAST)
    pipeline.chains.run_daily(("release", "scoring", "monitoring"), START, LAST)


@pytest.fixture(scope="session")
def built_root(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A data root with everything built, by one process for all; tests that change it copy it first."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    root, done = shared / "built", shared / "built.done"
    with (shared / "built.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            simulate_until(Settings(str(root), PARAMS, START), LAST, lambda _: None)
            run_everything(open_pipeline(root, patch))
            done.touch()
    return root


@pytest.fixture
def built(built_root: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The built pipeline, to be read only."""
    return open_pipeline(built_root, monkeypatch)


class CopyWorld(Protocol):
    """A function that copies the built world; see :func:`tests.defs.worlds.copy_world`."""

    def __call__(self, until: date = LAST, landed_until: date | None = None, params: Params = PARAMS) -> "World": ...


@pytest.fixture
def copy_world(built_root: Path, tmp_path: Path) -> Iterator[CopyWorld]:
    """Copies of the built world for one test, each with an instance of its own, in memory."""
    from tests.defs.worlds import copy_world as copy

    with ExitStack() as stack:

        def make(until: date = LAST, landed_until: date | None = None, params: Params = PARAMS) -> "World":
            root = tmp_path / f"world-{len(list(tmp_path.iterdir()))}"
            instance = stack.enter_context(dg.DagsterInstance.ephemeral())
            return copy(built_root, root, instance, until, landed_until or until, params)

        yield make


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Definitions that are built from now on wait hardly before they try again what is transient."""
    quick = dg.RetryPolicy(max_retries=RETRY.max_retries, delay=0.01)
    for room in ("ingestion", "features", "models", "health", "release", "scoring", "monitoring", "drift", "integrity"):
        monkeypatch.setattr(f"pipeline_assets.defs.{room}.RETRY", quick)
