"""The program that builds partitions again in a folder of their own: `python -m … ORDER.json OUTCOME.json`.

It runs by itself because it may be that of another revision, by whose code something was made.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.revision import find_revision
from pipeline_assets.adapters.stages.features import FEATURE_TABLES, build_features
from pipeline_assets.adapters.stages.ingestion import INGESTED, ingest
from pipeline_assets.adapters.stages.made import Made
from pipeline_assets.adapters.stages.models import build_training_sets, train_models
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import TRAINING_SET
from pipeline_assets.core.lineage.recipes import BUILD_FEATURES, INGEST, MODEL
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.lineage.reproduction import Batch, find_other_recipes, plan_batches
from pipeline_assets.core.lineage.verdicts import Difference, Order, Outcome, find_difference, read_order
from pipeline_assets.settings import Params, read_params

_CHECK: Final = "reproduction"  # the check that holds what was gone without


def _ingest(stores: Stores, params: Params, batch: Batch) -> Iterator[Made]:
    tables = [table for table in INGESTED if table.name in batch.assets]
    return ingest(stores, params.ingestion, batch.days, tables)


def _build_features(stores: Stores, _: Params, batch: Batch) -> Iterator[Made]:
    return build_features(stores, batch.days, [table for table in FEATURE_TABLES if table.name in batch.assets])


def _build_training_sets(stores: Stores, params: Params, batch: Batch) -> Iterator[Made]:
    return build_training_sets(stores, params.training, batch.days)


def _train_models(stores: Stores, params: Params, batch: Batch) -> Iterator[Made]:
    return train_models(stores, params.training, batch.days)


STEPS: Final[Mapping[str, Callable[[Stores, Params, Batch], Iterator[Made]]]] = {
    INGEST: _ingest,
    BUILD_FEATURES: _build_features,
    TRAINING_SET.name: _build_training_sets,
    MODEL: _train_models,
}


def rebuild(order: Order) -> Outcome:
    """Build what is ordered, partition after partition, up to the first that is not as it was."""
    params, stores = read_params(Path(order.parameters)), open_stores(order.root)
    recipes = params.describe_assets()
    others = find_other_recipes(order.records, recipes)
    if others:
        return Outcome(find_revision(), refusal=f"these parameters are not those of then: {others}")
    expected = {record.key: record for record in order.records}
    n_equal = 0
    for batch in plan_batches(order.records, recipes):
        with _seeing(stores, batch):
            for made in STEPS[batch.step](stores, params, batch):
                difference = _compare(stores, expected[Key(made.name, made.day)])
                if difference is not None:
                    return Outcome(find_revision(), n_equal, difference)
                n_equal += 1
    return Outcome(find_revision(), n_equal)


def _compare(stores: Stores, expected: Record) -> Difference | None:
    found = stores.records.find(expected.key)
    assert found is not None, expected.key
    return find_difference(expected, found)


@contextmanager
def _seeing(stores: Stores, batch: Batch) -> Iterator[None]:
    """While a batch is built it sees no more than it saw then: the rest has no record, or is held."""
    now = datetime.now(UTC)
    hidden = [record for key in sorted(batch.hidden) if (record := stores.records.find(key)) is not None]
    for record in hidden:
        stores.records.delete(record.key)
    for key in sorted(batch.held):
        stores.holds.hold(key, _CHECK, "what is built now went on without it", "", now)
    yield
    for key in sorted(batch.held):
        stores.holds.repair(key, _CHECK, "", now)
    for record in hidden:
        stores.records.write(record)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(rebuild(read_order(Path(sys.argv[1]).read_bytes())).to_bytes())
