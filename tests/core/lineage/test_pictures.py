"""A tree as text, JSON and pictures: nothing lost on the way, and nothing said that is not so."""

import json
import re
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.lineage.pictures import describe_tree, draw_dot, draw_mermaid, render_text
from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.records import UNAVAILABLE
from pipeline_assets.core.lineage.tree import Landed, NodeId, Origin, Sources, Tree, build_tree
from tests.core.lineage.graphs import LAW, Graph, at, choose_roots, graphs, make_record

RUN = Origin("run-1", "daily", datetime(2026, 1, 5, 5, tzinfo=UTC), "c0ffee", "params-1")
LATER = Origin("run-2", "daily", datetime(2026, 1, 6, 5, tzinfo=UTC), "beef")


def make_small_tree(depth: int | None = None) -> Tree:
    """Scores made from three days of raw rows, of which the first was made again and the last could not be read."""
    raw = [make_record(at("raw", number), f"r{number}", {at(LANDING, number): f"l{number}"}) for number in range(4)]
    inputs = {at("raw", 0): "before", at("raw", 1): "r1", at("raw", 2): "r2", at("raw", 3): UNAVAILABLE}
    scores = make_record(at("scores", 3), "s", inputs, lacking=("raw@2026-01-03",))
    present = {record.key: record for record in (*raw, scores)}
    sources = Sources(present.get, lambda day: Landed(f"l{day.day - 4}", {"landing/a": "f1", "landing/b": "f2"}))
    return build_tree([NodeId(scores.key, scores.version)], sources, depth)


def test_the_text_of_a_small_tree() -> None:
    tree = make_small_tree()
    origins = {NodeId(at("scores", 3), "s degraded"): RUN, NodeId(at("raw", 1), "r1"): LATER}
    lines = list(render_text(tree, origins, is_collapsed=True))
    together = next(line.split()[6] for line in lines if "md5 of their versions" in line)
    assert re.fullmatch("[0-9a-f]{32}", together)
    landed = next(line.split()[5] for line in lines if line.endswith("4 files"))
    assert lines == [
        "scores@2026-01-07",
        "│   md5 s degraded  code 1 parameters abcdef",
        "│   made without raw@2026-01-03",
        "│   made 2026-01-05 05:00:00 UTC by run run-1 (daily), revision c0ffee, all parameters params-1",
        "├── raw@2026-01-04  (changed since: it is r0 now; of what went in only the version is known)",
        "│       md5 before",
        "│       made by a run that is not known here",
        "├── raw 2026-01-05 to 2026-01-06: 2 partitions",
        f"│   │   md5 of their versions {together}  code 1 parameters abcdef",
        "│   │   made 2026-01-06 05:00:00 UTC by run run-2 (daily), revision beef; of 1 the run is not known here",
        "│   └── landing 2026-01-05 to 2026-01-06: 2 partitions",
        f"│           md5 of their versions {landed}  4 files",
        "└── raw@2026-01-07  (should have been read, and could not be)",
    ]


def test_landed_files_are_named_where_their_day_stands_by_itself() -> None:
    lines = list(render_text(make_small_tree(), {}, is_collapsed=False))
    assert sum(line.endswith("landing/a  md5 f1") for line in lines) == 2


def test_the_text_says_what_lies_deeper() -> None:
    lines = list(render_text(make_small_tree(1), {}, is_collapsed=True))
    assert [line.strip("│ ") for line in lines if "deeper" in line] == ["and from 2 partitions that lie deeper"]


def test_a_version_that_was_replaced_and_is_still_known_says_so() -> None:
    old = make_record(at("raw", 0), "old")
    tree = build_tree([NodeId(old.key, "old")], Sources(lambda _: None, lambda _: None, [lambda *_: old]))
    assert next(render_text(tree, {}, is_collapsed=True)) == "raw@2026-01-04  (changed since: it is not there now)"


def test_many_runs_of_a_range_are_counted() -> None:
    records = [make_record(at("raw", number), f"m{number}") for number in range(6)]
    top = make_record(at("scores", 5), "s", {record.key: record.md5 for record in records})
    present = {record.key: record for record in (*records, top)}
    tree = build_tree([NodeId(top.key, "s")], Sources(present.get, lambda _: None))
    origins = {
        NodeId(record.key, record.md5): Origin(f"run-{number}", "daily", RUN.made_at, "c0ffee")
        for number, record in enumerate(records)
    }
    told = "\n".join(render_text(tree, origins, is_collapsed=True))
    assert "by runs run-0 (daily), run-1 (daily), run-2 (daily) and 3 more, revision c0ffee" in told


@LAW
@given(graphs(), st.data())
def test_one_by_one_the_text_has_each_version_in_full_once(graph: Graph, data: st.DataObject) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources)
    lines = [line.lstrip("│├└─ ") for line in render_text(tree, {}, is_collapsed=False)]
    titles = [line.split("  (")[0] for line in lines if re.match(r"\w+@[\d-]+(  \(|$)", line)]
    assert Counter(titles) == Counter(str(one.key) for one in tree.nodes)
    told = [line.removeprefix("md5 ").split("  ")[0] for line in lines if line.startswith("md5 ")]
    assert Counter(told) == Counter(one.version for one in tree.nodes if one.version != UNAVAILABLE)
    assert sum(line.endswith(", again") for line in lines) + len(titles) == len(list(tree.list_edges())) + len(
        tree.roots
    )


@LAW
@given(graphs(), st.data(), st.sampled_from([None, 1]))
def test_json_has_every_version_and_every_edge(graph: Graph, data: st.DataObject, depth: int | None) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources, depth)
    origins = dict.fromkeys(tree.roots, RUN)
    told = json.loads(json.dumps(describe_tree(tree, origins)))
    assert told["roots"] == [str(root) for root in tree.roots]
    assert [node["id"] for node in told["nodes"]] == [str(one) for one in tree.nodes]
    edges = Counter((edge["made"], edge["made_from"]) for edge in told["edges"])
    assert edges == Counter((str(made), str(upstream)) for made, upstream in tree.list_edges())
    for shown, node in zip(told["nodes"], tree.nodes.values(), strict=True):
        assert shown["inputs_left_out"] == len(tree.list_left_out(node))
        assert shown["state"] == node.state
        assert shown["files"] == node.files
        assert shown["lacking"] == (list(node.record.lacking) if node.record else [])
        assert (shown["code"], shown["code_parameters"]) == (("1", "abcdef") if node.record else (None, None))
        assert (shown["origin"] or {}).get("run_id") == ("run-1" if node.id in tree.roots else None)


@LAW
@given(graphs(), st.data(), st.booleans())
def test_the_arrows_of_a_picture_stand_for_all_edges_between_its_boxes(
    graph: Graph, data: st.DataObject, is_collapsed: bool
) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources)
    mermaid, dot = list(draw_mermaid(tree, is_collapsed=is_collapsed)), list(draw_dot(tree, is_collapsed=is_collapsed))
    boxes = [line for line in mermaid if re.match(r"  n\d+\[", line)]
    arrows = [match for line in mermaid if (match := re.match(r"  n(\d+) -->(?:\|(\d+)\|)? n(\d+)$", line))]
    in_dot = [match for line in dot if (match := re.match(r"  n(\d+) -> n(\d+)(?: \[label=(\d+)\])?;$", line))]
    assert [(m[1], m[3], m[2]) for m in arrows] == [(m[1], m[2], m[3]) for m in in_dot]
    assert sum(line.startswith("  n") and '[label="' in line for line in dot) == len(boxes)
    between = Counter(
        (_name_box(tree, a, is_collapsed), _name_box(tree, b, is_collapsed)) for a, b in tree.list_edges()
    )
    between = Counter({pair: count for pair, count in between.items() if pair[0] != pair[1]})
    assert sorted(int(m[2] or 1) for m in arrows) == sorted(between.values())
    assert all(m[1] != m[3] for m in arrows)
    assert len(boxes) == len({_name_box(tree, one, is_collapsed) for one in tree.nodes})


def _name_box(tree: Tree, one: NodeId, is_collapsed: bool) -> object:
    node = tree.nodes[one]
    return (one.key.asset, node.state, node.is_replaced) if is_collapsed and one not in tree.roots else one


def test_a_collapsed_picture_has_a_box_an_asset_and_the_roots_by_themselves() -> None:
    records = [make_record(at("raw", n), f"m{n}", {at("raw", n - 1): f"m{n - 1}"} if n else {}) for n in range(4)]
    present = {record.key: record for record in records}
    tree = build_tree([NodeId(at("raw", 3), "m3")], Sources(present.get, lambda _: None))
    lines = list(draw_mermaid(tree, is_collapsed=True))
    assert lines[:4] == [
        "flowchart LR",
        '  n0["raw<br/>2026-01-04 to 2026-01-06<br/>3 partitions<br/>each from earlier ones too"]:::recorded',
        '  n1["raw@2026-01-07<br/>m3"]:::root',
        "  n0 --> n1",
    ]


def test_what_changed_since_and_what_was_unavailable_have_boxes_of_their_own() -> None:
    kinds = re.findall(r":::(\w+)", "\n".join(draw_mermaid(make_small_tree(), is_collapsed=True)))
    assert Counter(kinds) == {"root": 1, "changed_since": 1, "recorded": 1, "unavailable": 1, "landed": 1}


def test_names_cannot_break_out_of_their_boxes() -> None:
    tree = build_tree([NodeId(at('a"]<b>\\', 0), "m")], Sources(lambda _: None, lambda _: None))
    (box,) = (line for line in draw_mermaid(tree, is_collapsed=True) if line.startswith("  n0["))
    assert box.startswith('  n0["a#quot;]&lt;b&gt;\\@2026-01-04<br/>')
    (box,) = (line for line in draw_dot(tree, is_collapsed=True) if line.startswith("  n0 ["))
    assert box.startswith('  n0 [label="a\\"]<b>\\\\@2026-01-04\\n')
