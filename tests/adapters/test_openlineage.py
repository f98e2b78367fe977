"""Lineage as OpenLineage events: what the specification asks for, and the whole of the tree."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.adapters.openlineage import describe_runs
from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.tree import Landed, NodeId, Origin, Sources, Tree, build_tree
from tests.core.lineage.graphs import LAW, Graph, at, choose_roots, graphs, make_record

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN = Origin("929d2756-76de-4f36-9328-c6a887483ecd", "daily", datetime(2026, 1, 5, 5, tzinfo=UTC), "c0ffee", "p")


def make_tree() -> Tree:
    raw = make_record(at("raw", 0), "r", {at(LANDING, 0): "l"})
    scores = make_record(at("scores", 0), "s", {raw.key: "r"})
    present = {record.key: record for record in (raw, scores)}
    sources = Sources(present.get, lambda _: Landed("l", {"landing/transactions/2026-01-04/a.csv": "f"}))
    return build_tree([NodeId(scores.key, "s")], sources)


def tell(tree: Tree, root: str = "/data", repository: str | None = None, **origins: Origin) -> list[dict[str, Any]]:
    known = {one: origins[one.version] for one in tree.nodes if one.version in origins}
    return [json.loads(line) for line in describe_runs(tree, known, root, NOW, repository)]


def find_facets(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [facet for one in value for facet in find_facets(one)]
    if not isinstance(value, dict):
        return []
    here = [value] if "_schemaURL" in value else []
    return here + [facet for one in value.values() for facet in find_facets(one)]


def test_an_event_has_what_the_specification_requires() -> None:
    for event in tell(make_tree(), r=RUN):
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        assert event["eventType"] == "COMPLETE"
        assert event["producer"].startswith("urn:pipeline-assets:")
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        assert UUID(event["run"]["runId"])
        assert event["job"]["namespace"] == "file:///data"
        facets = find_facets(event)
        assert facets
        assert {facet["_producer"] for facet in facets} == {event["producer"]}


def test_a_run_tells_of_its_partition_its_code_and_its_parent() -> None:
    raw, scores = tell(make_tree(), r=RUN)
    assert (raw["job"]["name"], scores["job"]["name"]) == ("raw", "scores")
    facets = raw["run"]["facets"]
    assert raw["eventTime"] == "2026-01-05T05:00:00+00:00"
    assert facets["parent"]["run"]["runId"] == RUN.run_id
    assert facets["parent"]["job"] == {"namespace": "file:///data", "name": "daily", "facets": {}}
    assert facets["nominalTime"]["nominalStartTime"] == "2026-01-04T00:00:00+00:00"
    assert facets["nominalTime"]["nominalEndTime"] == "2026-01-05T00:00:00+00:00"
    tags = {tag["key"]: tag["value"] for tag in facets["tags"]["tags"]}
    assert tags == {
        "code": "1", "code_parameters": "abcdef", "partition": "2026-01-04", "revision": "c0ffee", "parameters": "p"
    }  # fmt: skip


def test_where_no_run_is_known_the_event_has_the_time_of_asking_and_no_parent() -> None:
    _, scores = tell(make_tree(), r=RUN)
    assert scores["eventTime"] == NOW.isoformat()
    assert "parent" not in scores["run"]["facets"]


def test_datasets_have_their_versions_and_their_files() -> None:
    raw, scores = tell(make_tree())
    (landed,), (made,) = raw["inputs"], raw["outputs"]
    assert landed["name"] == "landing@2026-01-04"
    assert landed["facets"]["version"]["datasetVersion"] == "l"
    assert landed["facets"]["symlinks"]["identifiers"] == [
        {"namespace": "file", "name": "/data/landing/transactions/2026-01-04/a.csv", "type": "FILE"}
    ]
    assert (made["name"], made["facets"]["version"]["datasetVersion"]) == ("raw@2026-01-04", "r")
    assert made["facets"]["symlinks"]["identifiers"][0]["name"] == "/data/lake/raw/2026-01-04"
    assert scores["inputs"][0]["facets"]["version"]["datasetVersion"] == "r"


def test_of_a_bucket_the_files_have_the_bucket_as_their_namespace() -> None:
    raw, _ = tell(make_tree(), "s3://bucket/some/prefix")
    assert raw["job"]["namespace"] == "s3://bucket/some/prefix"
    (file,) = raw["outputs"][0]["facets"]["symlinks"]["identifiers"]
    assert (file["namespace"], file["name"]) == ("s3://bucket", "some/prefix/lake/raw/2026-01-04")


@pytest.mark.parametrize("repository", [None, "https://git.example/pipeline"])
def test_where_the_code_lies_is_told_if_it_is_known(repository: str | None) -> None:
    raw, _ = tell(make_tree(), repository=repository, r=RUN)
    facet = raw["job"]["facets"].get("sourceCodeLocation")
    if repository is None:
        assert facet is None
    else:
        assert (facet["type"], facet["url"], facet["version"]) == ("git", repository, "c0ffee")


def test_a_week_is_the_nominal_time_of_what_is_made_weekly() -> None:
    model = make_record(at("fraud_model", 0), "m")
    tree = build_tree([NodeId(model.key, "m")], Sources(lambda _: model, lambda _: None))
    (event,) = tell(tree)
    assert event["run"]["facets"]["nominalTime"]["nominalEndTime"] == "2026-01-11T00:00:00+00:00"


def test_asked_again_the_same_run_has_the_same_id_and_another_run_another() -> None:
    tree = make_tree()
    events = (tell(tree, r=RUN), tell(tree, r=RUN), tell(tree))
    ids = [[event["run"]["runId"] for event in told] for told in events]
    assert ids[0] == ids[1]
    assert ids[0][0] != ids[2][0]
    assert len({*ids[0], *ids[2]}) == 3


@LAW
@given(graphs(), st.data())
def test_the_events_are_the_edges_and_what_was_made_first_comes_first(graph: Graph, data: st.DataObject) -> None:
    tree = build_tree(choose_roots(graph, data), graph.sources)
    told = []
    seen: set[tuple[str, str]] = set()
    for event in tell(tree):
        (made,) = event["outputs"]
        output = (made["name"], made["facets"]["version"]["datasetVersion"])
        for one in event["inputs"]:
            upstream = (one["name"], one["facets"]["version"]["datasetVersion"])
            told.append((output, upstream))
            is_recorded = any((str(each.key), each.version) == upstream for each in graph.records)
            assert upstream in seen or not is_recorded
        seen.add(output)
    edges = [((str(a.key), a.version), (str(b.key), b.version)) for a, b in tree.list_edges()]
    assert sorted(told) == sorted(edges)
