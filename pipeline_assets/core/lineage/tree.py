"""The tree of what partitions were really made from, to the landed files: every version that went in, each once.

A record names the versions of its inputs, and each of those has, or had, a record of its own. Where that is not at hand
any more the version itself still is: lineage then ends there, and says so.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, Record, parse_key

FindRecord = Callable[[Key, str], Record | None]  # the record of one version of a partition
FindLanded = Callable[[date, str], Mapping[str, str] | None]  # the files of one version of what landed on a day


class NodeId(NamedTuple):
    """One version of one partition; the same partition may have gone in twice, as different versions."""

    key: Key
    version: str

    def __str__(self) -> str:
        """As JSON names it."""
        return f"{self.key} {self.version}"

    @property
    def md5(self) -> str:
        """The hash that the version names, which is its Dagster data version."""
        return self.version.split(" ", maxsplit=1)[0]


class State(StrEnum):
    """What is known of a version that went in."""

    RECORDED = "recorded"  # its record is at hand
    LANDED = "landed"  # these files landed: lineage begins here
    CHANGED = "changed_since"  # the partition has another version now, or none: only this version is known
    UNAVAILABLE = "unavailable"  # it should have been read and could not be


@dataclass(frozen=True)
class Landed:
    """What landed on a day: its version, and the hash of each file by path."""

    version: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Sources:
    """Where records are looked up.

    Attributes:
        present: The record that a partition has now, if any.
        landed: What is in the landing zone for a day now, if anything.
        earlier: Finders of versions that were replaced since, asked in their order.
        earlier_landed: The same for what had landed.
    """

    present: Callable[[Key], Record | None]
    landed: Callable[[date], Landed | None]
    earlier: Sequence[FindRecord] = ()
    earlier_landed: Sequence[FindLanded] = ()


@dataclass(frozen=True)
class Node:
    """One version of one partition, as it went in.

    Attributes:
        id: Which partition, in which version.
        state: What is known of it.
        record: Its record, where that is at hand.
        present: The version that the partition has now; None where there is none.
        files: Hash of each of its files, by path.
        inputs: What it was made from, by its record; in order.
    """

    id: NodeId
    state: State
    record: Record | None = None
    present: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[NodeId, ...] = ()

    @property
    def is_replaced(self) -> bool:
        """Whether the partition has another version now than the one that went in."""
        return self.state is not State.UNAVAILABLE and self.present != self.id.version


@dataclass(frozen=True)
class Origin:
    """The run that made a version.

    Attributes:
        run_id: Dagster's id of it.
        job: The job that it ran.
        made_at: When the bytes were reported, UTC.
        revision: Revision of the code; None where it was not reported.
        parameters: Hash of the parameters; None where it was not reported.
    """

    run_id: str
    job: str
    made_at: datetime
    revision: str | None = None
    parameters: str | None = None


@dataclass(frozen=True)
class Tree:
    """What ``roots`` were made from; of shared inputs there is one node, so that it really is a graph.

    Attributes:
        roots: What was asked for.
        nodes: Every version that was reached, the nearest to the roots first.
    """

    roots: tuple[NodeId, ...]
    nodes: Mapping[NodeId, Node]

    def list_edges(self) -> Iterator[tuple[NodeId, NodeId]]:
        """Each node with each of the nodes that it was made from."""
        return ((node.id, one) for node in self.nodes.values() for one in node.inputs if one in self.nodes)

    def list_left_out(self, *nodes: Node) -> set[NodeId]:
        """The inputs of some nodes that lie deeper than the tree goes."""
        return {one for node in nodes for one in node.inputs if one not in self.nodes}


def build_tree(roots: Iterable[NodeId], sources: Sources, depth: int | None = None) -> Tree:
    """The tree of ``roots``: all versions that went in, down to the landed files.

    Args:
        roots: What is asked for.
        sources: Where records are looked up.
        depth: How many steps it goes down from the roots; None for all.
    """
    roots = tuple(dict.fromkeys(roots))
    nodes: dict[NodeId, Node] = {}
    reached = set(roots)
    waiting = deque((root, 0) for root in roots)
    while waiting:
        one, distance = waiting.popleft()
        nodes[one] = node = _make_node(one, sources)
        if depth is not None and distance >= depth:
            continue
        for upstream in node.inputs:
            if upstream not in reached:
                reached.add(upstream)
                waiting.append((upstream, distance + 1))
    return Tree(roots, nodes)


def find_record(one: NodeId, sources: Sources) -> Record | None:
    """The record of one version of a partition: the one that it has now, or else one from before; None where lost."""
    for find in ((lambda key, _: sources.present(key)), *sources.earlier):
        record = find(one.key, one.version)
        if record is not None and (record.key, record.version) == one:
            return record
    return None


def _make_node(one: NodeId, sources: Sources) -> Node:
    if one.version == UNAVAILABLE:
        return Node(one, State.UNAVAILABLE)
    if one.key.asset == LANDING:
        return _make_landed_node(one, sources)
    present = sources.present(one.key)
    version = present.version if present else None
    record = find_record(one, sources)
    if record is None:
        return Node(one, State.CHANGED, present=version)
    inputs = (NodeId(parse_key(name), upstream) for name, upstream in record.inputs.items())
    return Node(one, State.RECORDED, record, version, record.files, tuple(sorted(inputs)))


def _make_landed_node(one: NodeId, sources: Sources) -> Node:
    landed = sources.landed(one.key.day)
    present = landed.version if landed else None
    if landed is not None and present == one.version:
        return Node(one, State.LANDED, present=present, files=landed.files)
    for find in sources.earlier_landed:
        files = find(one.key.day, one.version)
        if files is not None:
            return Node(one, State.LANDED, present=present, files=files)
    return Node(one, State.CHANGED, present=present)
