"""The outline of a tree: no version lost, none twice, and as short as neighbours allow."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.lineage.outline import Branch, outline
from pipeline_assets.core.lineage.tree import NodeId, Sources, Tree, build_tree
from tests.core.lineage.graphs import LAW, Graph, at, choose_roots, graphs, make_record


def walk(branches: list[Branch]) -> list[Branch]:
    found, waiting = [], list(branches)
    while waiting:
        branch = waiting.pop()
        found.append(branch)
        waiting += branch.children
    return found


def own(branches: list[Branch]) -> list[Branch]:
    return [branch for branch in walk(branches) if not branch.is_again]


@LAW
@given(graphs(), st.data(), st.booleans())
def test_the_outline_loses_no_version_and_shows_none_twice(
    graph: Graph, data: st.DataObject, is_collapsed: bool
) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources, data.draw(st.sampled_from([None, 1, 2])))
    branches = outline(tree, is_collapsed=is_collapsed)
    shown = Counter(node.id for branch in own(branches) for node in branch.nodes)
    assert shown == Counter(dict.fromkeys(tree.nodes, 1))
    assert [[node.id for node in branch.nodes] for branch in branches] == [[root] for root in tree.roots]


@LAW
@given(graphs(), st.data())
def test_one_by_one_each_edge_is_one_line(graph: Graph, data: st.DataObject) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources)
    branches = outline(tree, is_collapsed=False)
    shown = [(one.nodes[0].id, child.nodes[0].id) for one in walk(branches) for child in one.children]
    assert Counter(shown) == Counter(tree.list_edges())


@LAW
@given(graphs(), st.data())
def test_collapsed_each_edge_is_below_what_was_made_or_within_its_chain(graph: Graph, data: st.DataObject) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources)
    for branch in own(outline(tree, is_collapsed=True)):
        below = {node.id for child in branch.children for node in child.nodes}
        for node in branch.nodes:
            other = {one for one in node.inputs if one.key.asset != branch.asset}
            assert other <= below


@LAW
@given(graphs(), st.data())
def test_a_branch_holds_neighbours_of_which_the_same_is_known(graph: Graph, data: st.DataObject) -> None:
    for branch in walk(outline(build_tree(choose_roots(graph, data), graph.sources), is_collapsed=True)):
        days = [node.id.key.day for node in branch.nodes]
        assert {node.id.key.asset for node in branch.nodes} == {branch.asset}
        assert len({(node.state, node.is_replaced) for node in branch.nodes}) == 1
        assert (max(days) - min(days)).days == len(set(days)) - 1
        assert branch.direct <= len(branch.nodes)


def make_chain(n_days: int) -> Tree:
    """A partition a day, each made from all of the two days before."""
    records = {}
    for number in range(n_days):
        inputs = {at("raw", back): f"m{back}" for back in range(max(0, number - 2), number)}
        records[at("raw", number)] = make_record(at("raw", number), f"m{number}", inputs)
    return build_tree([NodeId(at("raw", n_days - 1), f"m{n_days - 1}")], Sources(records.get, lambda _: None))


def test_a_long_history_is_one_branch_and_says_what_was_read_directly() -> None:
    (root,) = outline(make_chain(3000), is_collapsed=True)
    (branch,) = root.children
    assert (len(branch.nodes), branch.direct, branch.children) == (2999, 2, [])


def test_a_long_history_one_by_one_needs_no_deep_stack() -> None:
    assert len(own(outline(make_chain(3000), is_collapsed=False))) == 3000


def test_what_went_into_a_chain_is_not_shown_again_in_full_where_it_went_in_directly() -> None:
    raw = [make_record(at("raw", 0), "m0"), make_record(at("raw", 1), "m1", {at("raw", 0): "m0"})]
    features = make_record(at("features", 1), "f", {at("raw", 1): "m1"})
    scores = make_record(at("scores", 1), "s", {at("features", 1): "f", at("raw", 0): "m0"})
    present = {record.key: record for record in (*raw, features, scores)}
    (root,) = outline(build_tree([NodeId(scores.key, "s")], Sources(present.get, lambda _: None)), is_collapsed=True)
    first, second = root.children
    (chain,) = first.children
    assert ([node.id.md5 for node in chain.nodes], chain.direct) == (["m0", "m1"], 1)
    assert ([node.id.md5 for node in second.nodes], second.is_again) == (["m0"], True)


def test_weeks_are_neighbours_of_weekly_assets_and_of_no_others() -> None:
    def count(asset: str) -> int:
        records = [make_record(at(asset, 7 * week), f"m{week}") for week in range(3)]
        top = make_record(at("scores", 20), "s", {record.key: record.md5 for record in records})
        present = {record.key: record for record in (*records, top)}
        tree = build_tree([NodeId(top.key, "s")], Sources(present.get, lambda _: None))
        (root,) = outline(tree, is_collapsed=True)
        return len(root.children)

    assert count("fraud_model") == 1
    assert count("raw") == 3


def test_records_that_name_each_other_have_their_place_once() -> None:
    one, other = at("raw", 0), at("features", 0)
    records = {one: make_record(one, "a", {other: "b"}), other: make_record(other, "b", {one: "a"})}
    tree = build_tree([NodeId(one, "a")], Sources(records.get, lambda _: None))
    assert len(own(outline(tree, is_collapsed=True))) == 2
