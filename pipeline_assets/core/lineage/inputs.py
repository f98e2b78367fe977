"""Which versions a partition is to be made from now; the same answer for who makes it and for who plans."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from pipeline_assets.core.lineage.recipes import LANDING, WEEKLY_ASSETS, Reads, Recipe
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, parse_key

Versions = Mapping[date, str]
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Present:
    """What is there to be read: versions by asset and partition, and which of them are held."""

    versions: Mapping[str, Versions]
    held: Mapping[str, frozenset[date]] = field(default_factory=dict)

    def find_version(self, key: Key) -> str:
        """The version of a partition, ``unavailable`` where there is none to be read."""
        return self.versions.get(key.asset, {}).get(key.day, UNAVAILABLE)


@dataclass(frozen=True)
class ExpectedInputs:
    """The inputs of one partition: versions by ``asset@day``, and what it has to go on without."""

    versions: Mapping[str, str]
    lacking: tuple[str, ...]


def expect_inputs(recipe: Recipe, day: date, present: Present, also: Iterable[str] = ()) -> ExpectedInputs:
    """The inputs of ``recipe`` for ``day``.

    A day is lacking where the window holds partitions before it, and it is absent or held; weeks only where they are
    held, because not every day has one.

    Args:
        recipe: How it is made.
        day: The partition.
        present: What is there.
        also: Inputs outside the recipe's windows, as ``asset@day``, that turned out while it was made.
    """
    versions: dict[str, str] = {}
    lacking: list[str] = []
    for reads in recipe.reads:
        first, last = day + timedelta(days=reads.first), day + timedelta(days=reads.last)
        there = present.versions.get(reads.upstream, {})
        held = frozenset() if reads.reads_held else present.held.get(reads.upstream, frozenset())
        for one in _list_days(reads, there, held, first, last):
            name = str(Key(reads.upstream, one))
            if one in there and one not in held:
                versions[name] = there[one]
            elif reads.upstream != LANDING:
                lacking.append(name)
    for name in also:
        versions.setdefault(name, present.find_version(parse_key(name)))
    return ExpectedInputs(versions, tuple(sorted(lacking)))


def _list_days(reads: Reads, there: Versions, held: frozenset[date], first: date, last: date) -> list[date]:
    known = there.keys() | held
    if reads.upstream in WEEKLY_ASSETS:
        return sorted(day for day in known if first <= day <= last)
    start = max(first, min(known, default=date.max)) if not reads.is_own_day else first
    return [start + number * _DAY for number in range((last - start).days + 1)] if start <= last else []
