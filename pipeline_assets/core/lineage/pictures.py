"""A tree of lineage as text, as JSON, and as pictures in mermaid and dot: every version once."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline_assets.core.lineage.outline import Branch, outline
from pipeline_assets.core.lineage.tree import Node, NodeId, Origin, State, Tree

Origins = Mapping[NodeId, Origin]
_SHOWN: Final = 3  # of different codes, revisions or runs of one branch; the count tells of the rest
_SHORT: Final = 8  # digits of a hash in a picture
_COLOURS: Final = {
    "root": "#cfe3ff",
    State.RECORDED: "#ffffff",
    State.LANDED: "#d9f2d9",
    State.CHANGED: "#ffe6b3",
    State.UNAVAILABLE: "#ffcccc",
}


def render_text(tree: Tree, origins: Origins, *, is_collapsed: bool) -> Iterator[str]:
    """The tree in lines; each version in full at one place, and ``again`` wherever else it went in."""
    for root in outline(tree, is_collapsed=is_collapsed):
        waiting = [(root, "", "")]
        while waiting:
            branch, stem, below = waiting.pop()
            title, *details = _tell(tree, branch, origins)
            yield stem + title
            yield from (below + ("│   " if branch.children else "    ") + detail for detail in details)
            last = len(branch.children) - 1
            waiting += [
                (child, below + ("└── " if number == last else "├── "), below + ("    " if number == last else "│   "))
                for number, child in reversed(list(enumerate(branch.children)))
            ]


def describe_tree(tree: Tree, origins: Origins) -> dict[str, Any]:
    """The tree as JSON has it: every version and every edge."""
    return {
        "roots": [str(root) for root in tree.roots],
        "nodes": [_describe(tree, node, origins.get(node.id)) for node in tree.nodes.values()],
        "edges": [{"made": str(made), "made_from": str(upstream)} for made, upstream in tree.list_edges()],
    }


def draw_mermaid(tree: Tree, *, is_collapsed: bool) -> Iterator[str]:
    """A flowchart from the landed files to the roots, which Markdown pages show."""
    boxes, arrows = _draw(tree, is_collapsed)
    yield "flowchart LR"
    for number, (kind, lines) in enumerate(boxes):
        yield f'  n{number}["{"<br/>".join(_quote(line) for line in lines)}"]:::{kind}'
    yield from (f"  n{one} -->{f'|{count}|' if count else ''} n{other}" for (one, other), count in arrows.items())
    yield from (f"  classDef {kind} fill:{colour},stroke:#555,color:#000" for kind, colour in _COLOURS.items())


def draw_dot(tree: Tree, *, is_collapsed: bool) -> Iterator[str]:
    """The same flowchart for Graphviz."""
    boxes, arrows = _draw(tree, is_collapsed)
    yield "digraph lineage {"
    yield '  rankdir=LR; node [shape=box, style="rounded,filled", fontname="Helvetica"]; edge [color="#555555"];'
    for number, (kind, lines) in enumerate(boxes):
        label = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
        yield f'  n{number} [label="{label}", fillcolor="{_COLOURS[kind]}"];'
    yield from (
        f"  n{one} -> n{other}{f' [label={count}]' if count else ''};" for (one, other), count in arrows.items()
    )
    yield "}"


def describe_code(node: Node) -> tuple[str | None, str | None]:
    """The version of the code and the hash of the parameters in a node's record; None where they are not known."""
    if node.record is None:
        return None, None
    code, _, parameters = node.record.code.partition(" ")
    return code, parameters or None


def _tell(tree: Tree, branch: Branch, origins: Origins) -> Iterator[str]:
    nodes = branch.nodes
    is_one = len(nodes) == 1
    title = str(nodes[0].id.key) if is_one else f"{branch.asset} {_span(nodes)}: {_count(nodes)}"
    if branch.is_again:
        yield f"{title}, again"
        return
    if branch.direct < len(nodes):
        title += f"; {branch.direct} of them directly, the others through these"
    yield title + _tell_state(nodes)
    if nodes[0].state is State.UNAVAILABLE:
        return
    yield "  ".join(_tell_bytes(nodes))
    lacking = sorted({name for node in nodes if node.record for name in node.record.lacking})
    if lacking:
        yield f"made without {_list(lacking)}"
    if nodes[0].state is State.LANDED:
        if is_one:
            yield from (f"{path}  md5 {md5}" for path, md5 in nodes[0].files.items())
    else:
        yield _tell_origin([origins[node.id] for node in nodes if node.id in origins], len(nodes))
    left_out = tree.list_left_out(*nodes)
    if left_out:
        yield f"and from {len(left_out)} partitions that lie deeper"


def _tell_state(nodes: Sequence[Node]) -> str:
    node = nodes[0]
    if node.state is State.UNAVAILABLE:
        return "  (should have been read, and could not be)"
    if not node.is_replaced:
        return ""
    now = f"it is {node.present} now" if node.present else "it is not there now"
    if len(nodes) > 1:
        now = "other versions are there now, or none"
    known = "" if node.state is State.RECORDED else "; of what went in only the version is known"
    return f"  (changed since: {now}{known})"


def _tell_bytes(nodes: Sequence[Node]) -> Iterator[str]:
    if len(nodes) == 1:
        yield f"md5 {nodes[0].id.version}"
    else:
        together = "\n".join(str(node.id) for node in nodes)
        yield f"md5 of their versions {hashlib.md5(together.encode(), usedforsecurity=False).hexdigest()}"
    if nodes[0].state is State.LANDED:
        yield f"{sum(len(node.files) for node in nodes)} files"
    codes = sorted({node.record.code for node in nodes if node.record})
    if codes:
        yield "code " + _list([" parameters ".join(code.split(" ", maxsplit=1)) for code in codes])


def _tell_origin(origins: Sequence[Origin], count: int) -> str:
    if not origins:
        return "made by a run that is not known here"
    times = sorted(f"{origin.made_at:%Y-%m-%d %H:%M:%S}" for origin in origins)
    span = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    runs = list(dict.fromkeys(f"{origin.run_id} ({origin.job})" for origin in origins))
    told = f"made {span} UTC by {'run' if len(runs) == 1 else 'runs'} {_list(runs)}"
    revisions = sorted({origin.revision for origin in origins if origin.revision})
    told += f", revision {_list(revisions) if revisions else 'unknown'}"
    parameters = sorted({origin.parameters for origin in origins if origin.parameters})
    told += f", all parameters {_list(parameters)}" if parameters else ""
    return told + (f"; of {count - len(origins)} the run is not known here" if len(origins) < count else "")


def _list(values: Sequence[str]) -> str:
    rest = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + rest


def _span(nodes: Sequence[Node]) -> str:
    first, last = nodes[0].id.key.day, nodes[-1].id.key.day
    return f"{first}" if first == last else f"{first} to {last}"


def _count(nodes: Sequence[Node]) -> str:
    days = len({node.id.key.day for node in nodes})
    return f"{days} partitions" if days == len(nodes) else f"{days} partitions in {len(nodes)} versions"


def _describe(tree: Tree, node: Node, origin: Origin | None) -> dict[str, Any]:
    code, parameters = describe_code(node)
    return {
        "id": str(node.id),
        "asset": node.id.key.asset,
        "day": f"{node.id.key.day}",
        "version": node.id.version,
        "state": str(node.state),
        "is_replaced": node.is_replaced,
        "present_version": node.present,
        "code": code,
        "code_parameters": parameters,
        "files": dict(node.files),
        "lacking": list(node.record.lacking) if node.record else [],
        "inputs_left_out": len(tree.list_left_out(node)),
        "origin": {
            "run_id": origin.run_id,
            "job": origin.job,
            "made_at": origin.made_at.isoformat(),
            "revision": origin.revision,
            "parameters": origin.parameters,
        }
        if origin
        else None,
    }


def _draw(tree: Tree, is_collapsed: bool) -> tuple[list[tuple[str, list[str]]], dict[tuple[int, int], int]]:
    """Boxes (kind, lines) and arrows from input to what was made of it, with how many inputs it stands for."""
    groups: dict[object, list[Node]] = {}
    name: Callable[[Node], object] = (lambda node: _name_group(tree, node)) if is_collapsed else (lambda node: node.id)
    for node in sorted(tree.nodes.values(), key=lambda node: node.id):
        groups.setdefault(name(node), []).append(node)
    places = {node.id: place for place, nodes in enumerate(groups.values()) for node in nodes}
    arrows: dict[tuple[int, int], int] = {}
    for made, upstream in tree.list_edges():
        arrow = (places[upstream], places[made])
        if arrow[0] != arrow[1]:  # what days of an asset take from days before them is said in its box
            arrows[arrow] = arrows.get(arrow, 0) + 1
    return [
        ("root" if nodes[0].id in tree.roots else str(nodes[0].state), list(_label(tree, nodes)))
        for nodes in groups.values()
    ], {arrow: count if is_collapsed and count > 1 else 0 for arrow, count in arrows.items()}


def _name_group(tree: Tree, node: Node) -> object:
    return node.id if node.id in tree.roots else (node.id.key.asset, node.state, node.is_replaced)


def _label(tree: Tree, nodes: Sequence[Node]) -> Iterator[str]:
    if len(nodes) == 1:
        yield str(nodes[0].id.key)
        yield nodes[0].id.version[:_SHORT] if nodes[0].state is not State.UNAVAILABLE else "unavailable"
    else:
        yield nodes[0].id.key.asset
        yield _span(nodes)
        yield _count(nodes)
    own = {node.id for node in nodes}
    if any(upstream in own and upstream in tree.nodes for node in nodes for upstream in node.inputs):
        yield "each from earlier ones too"
    if nodes[0].is_replaced:
        yield "changed since"


def _quote(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;").replace(">", "&gt;")
