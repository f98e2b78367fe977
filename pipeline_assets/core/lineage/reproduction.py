"""Making something again from its lineage: what is built, in which order, and what each partition may see then.

A partition has the same bytes again if it is made by the same code from what it saw then. So what its record does not
name is hidden from it, even where it was built for another partition; and what it lacked is held, which to a reader is
the same as absent.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from pipeline_assets.core.lineage.recipes import LANDING, Recipe
from pipeline_assets.core.lineage.records import Key, Record, parse_key
from pipeline_assets.core.lineage.tree import Node, NodeId, Tree

_SHOWN: Final = 4  # of what is named one by one


class NotReproducibleError(ValueError):
    """Something cannot be made again; the message says why, and what helps."""


@dataclass(frozen=True)
class Batch:
    """Partitions that one step builds together.

    Attributes:
        step: The step.
        assets: Which of its assets.
        days: Their partitions, in order.
        hidden: Partitions that may be built by then and that these did not see.
        held: What these went on without.
    """

    step: str
    assets: frozenset[str]
    days: tuple[date, ...]
    hidden: frozenset[Key] = frozenset()
    held: frozenset[Key] = frozenset()


def list_records(tree: Tree) -> list[Record]:
    """The records of all partitions of a tree.

    Raises:
        NotReproducibleError: Some are not known any more, or a partition went in as two versions.
    """
    lost = [one for one, node in tree.nodes.items() if node.record is None and one.key.asset != LANDING]
    if lost:
        raise NotReproducibleError(
            f"{len(lost)} versions that went in have no record any more, not in a snapshot either: {name_some(lost)}; "
            "what they were made from is not known"
        )
    versions: dict[Key, list[NodeId]] = {}
    for one in sorted(tree.nodes):
        versions.setdefault(one.key, []).append(one)
    twice = [one for several in versions.values() if len(several) > 1 for one in several]
    if twice:
        raise NotReproducibleError(
            f"some partitions went in as two versions, of which one rebuild can make only one: {name_some(twice)}; "
            "they were replaced, and of what was made from them a part was not: make it so with pipeline-assets heal "
            "--apply, and reproduce the model that is trained then"
        )
    return [node.record for node in tree.nodes.values() if node.record is not None]


def list_landed(tree: Tree) -> list[Node]:
    """What landed of a tree, in the order of days."""
    return sorted((node for one, node in tree.nodes.items() if one.key.asset == LANDING), key=lambda node: node.id)


def find_other_recipes(records: Collection[Record], recipes: Mapping[str, Recipe]) -> str:
    """Which partitions were made by other code or parameters than ``recipes`` state; empty where none was."""
    others: dict[tuple[str, str], list[date]] = {}
    for record in records:
        recipe = recipes.get(record.asset)
        if recipe is None or record.code != recipe.code:
            others.setdefault((record.asset, record.code), []).append(record.day)
    return "; ".join(
        f"{asset} ({len(days)} partitions, {min(days)} to {max(days)}): made by {code!r}, here it is "
        f"{recipes[asset].code if asset in recipes else 'unknown'!r}"
        for (asset, code), days in others.items()
    )


def plan_batches(records: Collection[Record], recipes: Mapping[str, Recipe]) -> list[Batch]:
    """In which batches partitions are built again so that each sees exactly what it saw then.

    No recipe looks at later days than its own: step after step, each in the order of days, all inputs come first. Days
    in a row to which the same is hidden and held share a batch; that is a whole step, unless something went wrong then.

    Args:
        records: All that is to be built.
        recipes: By asset, in an order in which they can be made.
    """
    days: dict[str, set[date]] = {}
    for record in records:
        days.setdefault(record.asset, set()).add(record.day)
    batches: list[Batch] = []
    for step in dict.fromkeys(recipe.step for recipe in recipes.values()):
        by_day: dict[date, list[Record]] = {}
        for record in records:
            if recipes[record.asset].step == step:
                by_day.setdefault(record.day, []).append(record)
        for day in sorted(by_day):
            for batch in _plan_day(by_day[day], recipes, days):
                if batches and replace(batches[-1], days=()) == replace(batch, days=()):
                    batches[-1] = replace(batch, days=(*batches[-1].days, day))
                else:
                    batches.append(batch)
    return batches


def _plan_day(
    records: Sequence[Record], recipes: Mapping[str, Recipe], days: Mapping[str, Collection[date]]
) -> Iterator[Batch]:
    """The partitions of one step and day; together, where the same is hidden from them."""
    groups: dict[tuple[frozenset[Key], frozenset[Key]], set[str]] = {}
    for record in records:
        recipe = recipes[record.asset]
        held = frozenset(key for key in map(parse_key, record.lacking) if not _reads_held(recipe, key.asset))
        hidden = _list_window(recipe, record.day, days) - {*map(parse_key, record.inputs), *held}
        groups.setdefault((frozenset(hidden), held), set()).add(record.asset)
    step, day = recipes[records[0].asset].step, records[0].day
    for (hidden_keys, held_keys), assets in groups.items():
        yield Batch(step, frozenset(assets), (day,), hidden_keys, held_keys)


def _reads_held(recipe: Recipe, upstream: str) -> bool:
    reads = recipe.find_reads(upstream)
    return reads is not None and reads.reads_held


def _list_window(recipe: Recipe, day: date, days: Mapping[str, Collection[date]]) -> set[Key]:
    """Of what is built, everything that a partition could see by its recipe."""
    return {
        Key(reads.upstream, one)
        for reads in recipe.reads
        for one in days.get(reads.upstream, ())
        if day + timedelta(days=reads.first) <= one <= day + timedelta(days=reads.last)
    }


def name_some(names: Collection[object]) -> str:
    """The first few of some names, and how many there are more."""
    shown = [str(name) for name in sorted(names, key=str)]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
