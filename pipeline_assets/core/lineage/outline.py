"""The outline of a tree for people: each version once, neighbouring days of an asset together in one branch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby, pairwise

from pipeline_assets.core.lineage.recipes import WEEKLY_ASSETS
from pipeline_assets.core.lineage.tree import Node, NodeId, Tree


@dataclass
class Branch:
    """A line of the outline with what hangs below it.

    Attributes:
        nodes: One version, or those of neighbouring days of one asset, in their order.
        is_again: Whether they have their own place elsewhere in the outline.
        direct: How many of them went into what is above; the others went into these.
        children: What they were made from.
    """

    nodes: tuple[Node, ...]
    is_again: bool = False
    direct: int = 0
    children: list["Branch"] = field(default_factory=list)

    @property
    def asset(self) -> str:
        """Whose partitions they are."""
        return self.nodes[0].id.key.asset


def outline(tree: Tree, *, is_collapsed: bool) -> list[Branch]:
    """The outline of a tree, a branch for each root: every node of the tree is in exactly one branch of its own.

    Collapsed, a branch holds neighbouring days of an asset, together with those days of the same asset that they were
    made from in turn. So it is as deep as there are assets in a row, however long history is.
    """
    seen = set(tree.roots)
    branches = [Branch((tree.nodes[root],), direct=1) for root in tree.roots]
    waiting = [one for branch in reversed(branches) for one in _list_wanted(tree, branch, set(), is_collapsed)]
    while waiting:
        parent, wanted = waiting.pop()
        direct = {one for one in wanted if one not in seen}
        own = _close(tree, direct, seen) if is_collapsed else direct
        seen |= own
        new = [Branch(run, direct=sum(node.id in direct for node in run)) for run in _list_runs(tree, own)]
        again = (Branch(run, is_again=True, direct=len(run)) for run in _list_runs(tree, set(wanted) - own))
        parent.children += [*new, *again]
        for branch in reversed(new):
            waiting += _list_wanted(tree, branch, own, is_collapsed)
    return branches


def _list_wanted(
    tree: Tree, branch: Branch, own: set[NodeId], is_collapsed: bool
) -> Iterator[tuple[Branch, list[NodeId]]]:
    """What is to be placed below a branch, together by asset; the last first, because it is taken from the end.

    ``own`` has its place beside the branch, made from one another.
    """
    inputs = {one for node in branch.nodes for one in node.inputs if one in tree.nodes} - own
    groups = groupby(sorted(inputs, reverse=True), key=lambda one: one.key.asset if is_collapsed else one)
    return ((branch, sorted(group)) for _, group in groups)


def _close(tree: Tree, start: set[NodeId], seen: set[NodeId]) -> set[NodeId]:
    """``start`` with all that it was made from of the same asset, but for what is ``seen``."""
    closed, waiting = set(start), list(start)
    while waiting:
        one = waiting.pop()
        for upstream in tree.nodes[one].inputs:
            is_new = upstream in tree.nodes and upstream not in closed and upstream not in seen
            if is_new and upstream.key.asset == one.key.asset:
                closed.add(upstream)
                waiting.append(upstream)
    return closed


def _list_runs(tree: Tree, ids: Iterable[NodeId]) -> Iterator[tuple[Node, ...]]:
    """Neighbours in one run: of the asset's cadence, and of which the same is known."""
    nodes = [tree.nodes[one] for one in sorted(ids)]
    cuts = [
        place + 1
        for place, (one, other) in enumerate(pairwise(nodes))
        if (one.state, one.is_replaced) != (other.state, other.is_replaced) or not _are_neighbours(one, other)
    ]
    for first, last in pairwise([0, *cuts, len(nodes)]):
        if first < last:
            yield tuple(nodes[first:last])


def _are_neighbours(one: Node, other: Node) -> bool:
    step = timedelta(days=7 if one.id.key.asset in WEEKLY_ASSETS else 1)
    return other.id.key.day - one.id.key.day in {timedelta(0), step}
