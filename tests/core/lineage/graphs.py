"""Invented lineage: a few days of a few assets, of which some were made again since, and some are lost."""

from dataclasses import dataclass
from datetime import date, timedelta

from hypothesis import settings
from hypothesis import strategies as st

from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, Record
from pipeline_assets.core.lineage.tree import Landed, NodeId, Sources

LAW = settings(max_examples=60, deadline=None)
START = date(2026, 1, 4)
ASSETS = ("raw", "features", "scores")  # each is made from what stands before it, and from its own earlier days


def at(asset: str, number: int) -> Key:
    """The partition of a day by its number."""
    return Key(asset, START + timedelta(days=number))


def make_record(key: Key, md5: str, inputs: dict[Key, str] | None = None, lacking: tuple[str, ...] = ()) -> Record:
    """A record with one file."""
    named = {str(upstream): version for upstream, version in (inputs or {}).items()}
    return Record(key.asset, key.day, {f"lake/{key.asset}/{key.day}": md5}, "1 abcdef", named, lacking)


@dataclass
class Graph:
    """What is there, and what was there before.

    Attributes:
        present: The record that each partition has.
        earlier: Records of versions that were replaced and are still known.
        landed: The version of what landed on each day.
    """

    present: dict[Key, Record]
    earlier: dict[NodeId, Record]
    landed: dict[date, str]

    @property
    def sources(self) -> Sources:
        return Sources(
            self.present.get,
            lambda day: Landed(self.landed[day], {f"landing/{day}": "f"}) if day in self.landed else None,
            [lambda key, version: self.earlier.get(NodeId(key, version))],
        )

    @property
    def records(self) -> dict[NodeId, Record]:
        """Every record that can be found, by what it describes."""
        return {**self.earlier, **{NodeId(key, record.version): record for key, record in self.present.items()}}

    def trace(self, root: NodeId) -> set[NodeId]:
        """All that went into ``root``, and itself: the plain way."""
        found, waiting = set(), [root]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                record = self.records.get(one)
                waiting += list_inputs(record) if record else []
        return found


def list_inputs(record: Record) -> list[NodeId]:
    """The versions that a record names."""
    parts = ((name.split("@"), version) for name, version in record.inputs.items())
    return [NodeId(Key(asset, date.fromisoformat(day)), version) for (asset, day), version in parts]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of up to five days; a partition goes in as it is now, as it was before, as it is lost, or not at all."""
    graph = Graph({}, {}, {})
    there: list[Key] = []
    for number in range(draw(st.integers(1, 5))):
        landed = at(LANDING, number)
        there.append(landed)
        graph.landed[landed.day] = f"l{number}"
        for asset in ASSETS:
            key = at(asset, number)
            for md5 in draw(st.sampled_from([("new",), ("old", "new")])):
                chosen = draw(st.lists(st.sampled_from(there), unique=True, max_size=6))
                inputs = {one: draw(st.sampled_from(_list_versions(graph, one))) for one in chosen}
                lacking = draw(st.sampled_from([(), ("raw@2025-12-31",)]))
                record = make_record(key, f"{md5}-{asset}-{number}", inputs, lacking)
                graph.earlier[NodeId(key, record.version)] = record
                graph.present[key] = record
            graph.earlier.pop(NodeId(key, graph.present[key].version))
            there.append(key)
    return graph


def _list_versions(graph: Graph, key: Key) -> list[str]:
    """Versions that a partition may have had, mostly the one that it has."""
    if key.asset == LANDING:
        return [graph.landed[key.day]] * 3 + ["landed differently then", UNAVAILABLE]
    earlier = [one.version for one in graph.earlier if one.key == key]
    return [graph.present[key].version] * 4 + earlier + ["lost", UNAVAILABLE]


def choose_roots(graph: Graph, draw: st.DataObject) -> list[NodeId]:
    """One to three of the partitions that are there, perhaps one of them twice."""
    ids = [NodeId(key, record.version) for key, record in graph.present.items()]
    return draw.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=3), label="roots")
