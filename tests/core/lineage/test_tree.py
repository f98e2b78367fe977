"""The tree of what went in: complete, exact in versions, and honest about what is not known any more."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.records import UNAVAILABLE
from pipeline_assets.core.lineage.tree import Landed, Node, NodeId, Sources, State, build_tree
from tests.core.lineage.graphs import ASSETS, LAW, Graph, at, choose_roots, graphs, list_inputs, make_record

NOTHING = Sources(lambda _: None, lambda _: None)


@LAW
@given(graphs(), st.data())
def test_the_tree_holds_exactly_what_went_in(graph: Graph, data: st.DataObject) -> None:
    roots = choose_roots(graph, data)
    assert set(build_tree(roots, graph.sources).nodes) == set().union(*(graph.trace(root) for root in roots))


@LAW
@given(graphs(), st.data())
def test_every_input_of_every_record_is_exactly_one_edge(graph: Graph, data: st.DataObject) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources)
    named = [
        (one, upstream) for one in tree.nodes if one in graph.records for upstream in list_inputs(graph.records[one])
    ]
    assert Counter(tree.list_edges()) == Counter(named)


@LAW
@given(graphs(), st.data())
def test_each_version_says_what_is_known_of_it(graph: Graph, data: st.DataObject) -> None:
    for one, node in build_tree(choose_roots(graph, data), graph.sources).nodes.items():
        if one.version == UNAVAILABLE:
            assert node.state is State.UNAVAILABLE
        elif one.key.asset == LANDING:
            is_same = one.version == graph.landed[one.key.day]
            assert node.state is (State.LANDED if is_same else State.CHANGED)
            assert node.present == graph.landed[one.key.day]
            assert bool(node.files) is is_same
        else:
            assert node.state is (State.RECORDED if one in graph.records else State.CHANGED)
            assert node.record == graph.records.get(one)
            assert node.present == graph.present[one.key].version
            assert node.is_replaced is (one.version != graph.present[one.key].version)


@LAW
@given(graphs(), st.data(), st.integers(0, 6))
def test_depth_leaves_out_what_lies_deeper_and_says_how_much(graph: Graph, data: st.DataObject, depth: int) -> None:
    (root,) = choose_roots(graph, data)[:1]
    near, reached = {root}, {root}
    for _ in range(depth):
        near = {one for each in near if each in graph.records for one in list_inputs(graph.records[each])} - reached
        reached |= near
    tree = build_tree([root], graph.sources, depth)
    assert set(tree.nodes) == reached
    for node in tree.nodes.values():
        assert tree.list_left_out(node) == set(node.inputs) - reached


def test_a_version_from_before_is_shown_with_what_really_went_into_it() -> None:
    old, new = make_record(at("raw", 0), "old", {at(LANDING, 0): "l0"}), make_record(at("raw", 0), "new")
    scores = make_record(at("scores", 0), "s", {at("raw", 0): "old"})
    present = {record.key: record for record in (new, scores)}
    earlier = [lambda *_: None, lambda *_: new, lambda *_: old]  # what is of another version is not taken for it
    sources = Sources(present.get, lambda _: Landed("l0", {"a file": "f"}), earlier)
    tree = build_tree([NodeId(scores.key, "s")], sources)
    raw = tree.nodes[NodeId(at("raw", 0), "old")]
    assert (raw.state, raw.record, raw.present, raw.is_replaced) == (State.RECORDED, old, "new", True)
    assert NodeId(at(LANDING, 0), "l0") in tree.nodes


def test_what_had_landed_before_is_shown_with_the_files_that_went_in() -> None:
    one = NodeId(at(LANDING, 0), "then")
    finders = [lambda *_: None, lambda _, version: {"a": "f"} if version == "then" else None]
    sources = Sources(lambda _: None, lambda _: Landed("now", {"b": "g"}), (), finders)
    (node,) = build_tree([one], sources).nodes.values()
    assert node == Node(one, State.LANDED, present="now", files={"a": "f"})
    assert node.is_replaced


def test_the_present_record_is_asked_first() -> None:
    record = make_record(at("raw", 0), "m")

    def refuse(*_: object) -> None:
        pytest.fail("an earlier record was looked for")

    (node,) = build_tree([NodeId(record.key, "m")], Sources(lambda _: record, lambda _: None, [refuse])).nodes.values()
    assert node.record is record


def test_degraded_is_part_of_a_version_and_not_of_its_hash() -> None:
    whole, degraded = NodeId(at("raw", 0), "m"), NodeId(at("raw", 0), "m degraded")
    assert whole.md5 == degraded.md5 == "m"
    record = make_record(at("raw", 0), "m", lacking=("raw@2026-01-03",))
    tree = build_tree([whole, degraded], Sources(lambda _: record, lambda _: None))
    assert tree.nodes[degraded].state is State.RECORDED
    assert tree.nodes[whole].state is State.CHANGED


def test_records_that_name_each_other_end() -> None:
    one, other = at("raw", 0), at("features", 0)
    records = {one: make_record(one, "a", {other: "b"}), other: make_record(other, "b", {one: "a"})}
    tree = build_tree([NodeId(one, "a")], Sources(records.get, lambda _: None))
    assert len(tree.nodes) == len(list(tree.list_edges())) == 2


def test_what_was_asked_for_twice_is_told_once() -> None:
    one = NodeId(at(ASSETS[0], 0), "m")
    tree = build_tree([one, one], NOTHING)
    assert tree.roots == (one,)
    assert tree.nodes == {one: Node(one, State.CHANGED)}
