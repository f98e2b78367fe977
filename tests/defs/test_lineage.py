"""What the recipes say and what Dagster is told are the same: the blocking checks, and the partitions that are read."""

from datetime import date, timedelta

import dagster as dg
import pytest

from pipeline_assets.core.lineage.recipes import LANDING, Recipe
from tests.defs.conftest import PARAMS, Pipeline

RECIPES = PARAMS.describe_assets()
# Of the four tables of one step the two feeds alone declare what it reads; the others would split a backfill.
UNDECLARED = {"quarantine", "ledger"}


def test_the_checks_that_hold_a_partition_are_the_blocking_ones(built: Pipeline) -> None:
    graph = built.definitions.resolve_asset_graph()
    blocking: dict[str, set[str]] = {asset: set() for asset in RECIPES}
    for key in graph.asset_check_keys:
        if graph.get(key).blocking:
            blocking[key.asset_key.to_user_string()].add(key.name)
    assert blocking == {asset: set(recipe.checks) for asset, recipe in RECIPES.items()}


@pytest.mark.parametrize(
    "recipe", [one for one in RECIPES.values() if one.asset not in UNDECLARED], ids=lambda r: r.asset
)
def test_dagster_knows_of_every_partition_that_is_read(built: Pipeline, recipe: Recipe) -> None:
    graph = built.definitions.resolve_asset_graph()
    key = dg.AssetKey(recipe.asset)
    definition = graph.get(key).partitions_def
    assert definition is not None
    for reads in recipe.reads:
        if reads.upstream == LANDING:
            continue
        upstream = dg.AssetKey(reads.upstream)
        upstream_definition = graph.get(upstream).partitions_def
        assert upstream_definition is not None
        mapping = graph.get_partition_mapping(key, upstream)
        known = [date.fromisoformat(one) for one in upstream_definition.get_partition_keys()]
        for partition in definition.get_partition_keys():
            day = date.fromisoformat(partition)
            window = (day + timedelta(days=reads.first), day + timedelta(days=reads.last))
            mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(
                definition.subset_with_partition_keys([partition]), definition, upstream_definition
            )
            expected = {str(one) for one in known if window[0] <= one <= window[1]}
            assert expected <= set(mapped.partitions_subset.get_partition_keys()), (partition, reads)
