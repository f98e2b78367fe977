"""The daily and the weekly chain as they are, stage after stage, without Dagster: what drills kill and let rerun.

And the making of a Dagster instance, which is killed and made again as well.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipeline_assets.adapters import garbage as garbage_of_remotes
from pipeline_assets.adapters.log_heads import RELEASE_LOG
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.restoring import choose_folders, restore
from pipeline_assets.adapters.retention import find_garbage
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stages.drift import build_drift_references, measure_drift
from pipeline_assets.adapters.stages.features import build_features
from pipeline_assets.adapters.stages.health import measure_models
from pipeline_assets.adapters.stages.ingestion import ingest
from pipeline_assets.adapters.stages.models import build_training_sets, evaluate_models, train_models
from pipeline_assets.adapters.stages.monitoring import measure_performance
from pipeline_assets.adapters.stages.release import release_models
from pipeline_assets.adapters.stages.scoring import score
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.commands.chains import prepare_home
from pipeline_assets.commands.simulation import simulate_until
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from pipeline_assets.settings import Params, Settings

FAR_FUTURE: Final = datetime(2100, 1, 1, tzinfo=UTC)
KEEP_LITTLE: Final = SnapshotParams(keep_days=1, keep_weeks=0)
Program = Callable[[Stores, Params, date, date], None]


def simulate(stores: Stores, params: Params, first: date, last: date) -> None:
    """Let a world that begins on ``first`` land its files up to ``last``."""
    simulate_until(Settings(stores.root.root, params, first), last, lambda _: None)


def run_inputs(stores: Stores, params: Params, first: date, last: date) -> None:
    """The first half of the daily chain: ingest all tables and build the features."""
    days = _list_days(first, last)
    _exhaust(ingest(stores, params.ingestion, days))
    _exhaust(build_features(stores, days))


def run_decisions(stores: Stores, params: Params, first: date, last: date) -> None:
    """The second half of the daily chain: watch the models, decide who decides, decide, and measure the decisions."""
    days = _list_days(first, last)
    top_cards = params.evaluation.top_cards
    _exhaust(measure_models(stores, params.decision, params.rules, params.serving, top_cards, days))
    _exhaust(release_models(stores, params.release, days))
    _exhaust(score(stores, params.decision, params.rules, params.serving, days))
    _exhaust(measure_drift(stores, params.drift, days, params.serving))
    _exhaust(measure_performance(stores, params.performance, top_cards, days))


def run_daily(stores: Stores, params: Params, first: date, last: date) -> None:
    """The daily chain of the days from ``first`` to ``last``, both inclusive."""
    run_inputs(stores, params, first, last)
    run_decisions(stores, params, first, last)


def run_weekly(stores: Stores, params: Params, first: date, last: date) -> None:
    """The weekly chain as of every seventh day from ``first`` to ``last``, both inclusive."""
    run_training(stores, params, first, last)
    run_evaluation(stores, params, first, last)


def run_training(stores: Stores, params: Params, first: date, last: date) -> None:
    """The first half of the weekly chain: collect the training sets and train the models."""
    weeks = _list_days(first, last)[::7]
    _exhaust(build_training_sets(stores, params.training, weeks))
    _exhaust(train_models(stores, params.training, weeks))


def run_evaluation(stores: Stores, params: Params, first: date, last: date) -> None:
    """The second half of the weekly chain: evaluate the models, and take down what they were trained on."""
    weeks = _list_days(first, last)[::7]
    _exhaust(evaluate_models(stores, params.training, params.evaluation, params.rules, params.decision, weeks))
    _exhaust(build_drift_references(stores, params.drift, weeks, params.serving))


def take_snapshot(stores: Stores, params: Params, first: date, last: date) -> None:
    """Keep everything; the days are of no matter."""
    heads = {RELEASE_LOG: stores.release_log.find_head()}
    _open_snapshots(stores, params).take(f"{first} to {last}", "drill", params.to_bytes(), datetime.now(UTC), heads)


def bring_back(stores: Stores, params: Params, first: date, last: date) -> None:
    """Restore the latest snapshot; the days are of no matter."""
    snapshots = _open_snapshots(stores, params)
    latest = snapshots.list()[-1]
    snapshots.adopt(latest.root, datetime.now(UTC))
    restore(stores.root, snapshots, latest, choose_folders(latest, ()))


def collect_garbage(stores: Stores, params: Params, first: date, last: date) -> None:
    """Collect everything that is garbage in the far future; the days are of no matter."""
    snapshots = _open_snapshots(stores, params)
    garbage = find_garbage(stores, snapshots, KEEP_LITTLE, FAR_FUTURE, is_offline=True)
    collected = garbage_of_remotes.collect_garbage(snapshots, garbage, FAR_FUTURE, timedelta(0))
    assert not any(one.refused for one in collected), collected


def make_instance(stores: Stores, params: Params, first: date, last: date) -> None:
    """Make the Dagster instance of the data root, as every first command does; the days are of no matter."""
    os.environ["DAGSTER_HOME"] = f"{stores.root.root}/dagster"
    prepare_home(stores.root.root)


def _open_snapshots(stores: Stores, params: Params) -> Snapshots:
    return Snapshots(stores.root, open_replicas(stores.root, params.snapshots.remotes))


PROGRAMS: Final[Mapping[str, Program]] = {
    program.__name__: program
    for program in (
        simulate, run_inputs, run_decisions, run_daily, run_training, run_evaluation, run_weekly,
        take_snapshot, bring_back, collect_garbage, make_instance,
    )
}  # fmt: skip


def _list_days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _exhaust(made: Iterable[object]) -> None:
    for _ in made:
        pass
