"""The verdict names the first node that differs, what of it, and what follows."""

import json
from dataclasses import replace

import pytest

from pipeline_assets.core.lineage.records import Record
from pipeline_assets.core.lineage.reproduction import NotReproducibleError
from pipeline_assets.core.lineage.tree import Node, NodeId, State
from pipeline_assets.core.lineage.verdicts import (
    NOTHING,
    Difference,
    Order,
    Outcome,
    Verdict,
    compare_landed,
    describe_verdict,
    find_difference,
    read_order,
    read_outcome,
    tell_verdict,
)
from tests.core.lineage.graphs import at, make_record

RECORD = make_record(at("cards", 1), "m", {at("payments", 0): "p0", at("payments", 1): "p1"}, ("reports@2026-01-04",))
DAY = NodeId(at("landing", 0), "v")
VERDICT = Verdict("2026-01-04-abc", "m", "r", "p", 7, 4, 1.25)


def test_equal_partitions_have_no_difference() -> None:
    assert find_difference(RECORD, RECORD) is None


def test_other_bytes_from_equal_inputs_are_the_code_the_parameters_or_the_machine() -> None:
    difference = find_difference(RECORD, replace(RECORD, files={"lake/cards/2026-01-05": "other"}))
    assert difference == Difference(
        "cards@2026-01-05",
        {"lake/cards/2026-01-05": "m"},
        {"lake/cards/2026-01-05": "other"},
        "all its 2 inputs were equal: so it is the code, the parameters, or this machine with its libraries",
    )


def test_a_file_too_many_and_one_too_few_differ() -> None:
    difference = find_difference(RECORD, replace(RECORD, files={"lake/else": "m"}))
    assert difference is not None
    assert difference.expected == {"lake/cards/2026-01-05": "m", "lake/else": NOTHING}
    assert difference.found == {"lake/cards/2026-01-05": NOTHING, "lake/else": "m"}


@pytest.mark.parametrize(
    "found",
    [
        replace(RECORD, inputs={**RECORD.inputs, "payments@2026-01-03": "p"}),
        replace(RECORD, inputs={"payments@2026-01-05": "p1"}),
        replace(RECORD, inputs={**RECORD.inputs, "payments@2026-01-05": "p2"}),
    ],
)
def test_the_same_bytes_from_other_inputs_prove_nothing(found: Record) -> None:
    difference = find_difference(RECORD, found)
    assert difference is not None
    assert "looks at other partitions" in difference.explanation
    assert "inputs were equal" not in difference.explanation


def test_that_an_input_was_made_without_something_is_none_of_its_bytes() -> None:
    degraded = {**RECORD.inputs, "payments@2026-01-05": "p1 degraded"}
    assert find_difference(RECORD, replace(RECORD, inputs=degraded, lacking=())) is None


def test_what_landed_differs_by_file() -> None:
    node = Node(DAY, State.LANDED, present="w", files={"a": "1", "b": "2", "c": "3"})
    difference = compare_landed(node, {"a": "1", "b": "other", "d": "4"})
    assert difference is not None
    assert difference.node == "landing@2026-01-04"
    assert difference.expected == {"b": "2", "c": "3", "d": NOTHING}
    assert difference.found == {"b": "other", "c": NOTHING, "d": "4"}


def test_where_the_files_of_then_are_not_known_the_versions_are_named() -> None:
    difference = compare_landed(Node(DAY, State.CHANGED, present="w"), {"a": "1"})
    assert difference is not None
    assert (difference.expected, difference.found) == ({"landing@2026-01-04": "v"}, {"landing@2026-01-04": "w"})
    gone = compare_landed(Node(DAY, State.CHANGED), {})
    assert gone is not None
    assert gone.found == {"landing@2026-01-04": NOTHING}


def test_what_landed_as_it_went_in_has_no_difference() -> None:
    assert compare_landed(Node(DAY, State.LANDED, present="v", files={"a": "1"}), {"a": "1"}) is None


def test_orders_and_outcomes_read_back_even_if_another_revision_wrote_more_into_them() -> None:
    order = Order("root", "parameters.yaml", (RECORD,))
    assert read_order(order.to_bytes()) == order
    outcome = Outcome("r", 3, Difference("cards@2026-01-05", {"f": "1"}, {"f": "2"}, "because"))
    assert read_outcome(outcome.to_bytes()) == outcome
    assert read_outcome(b'{"revision": "r", "new": 1}') == Outcome("r")
    with pytest.raises(NotReproducibleError, match="expected the outcome"):
        read_outcome(b"{}")


def test_a_proof_says_how_much_is_equal_and_by_what() -> None:
    told = "\n".join(tell_verdict(VERDICT))
    assert told.startswith("proved: model 2026-01-04-abc")
    assert "7 partitions and 4 landed files, 1.2 s" in told
    assert describe_verdict(VERDICT)["outcome"] == "proved"


def test_a_difference_names_node_and_hashes() -> None:
    verdict = replace(VERDICT, difference=Difference("cards@2026-01-05", {"f": "1"}, {"f": "2"}, "because"))
    told = list(tell_verdict(verdict))
    assert told[:3] == [
        "not proved: model 2026-01-04-abc: the first node that differs is cards@2026-01-05",
        "    f: expected 1, found 2",
        "    because",
    ]
    described = json.loads(json.dumps(describe_verdict(verdict)))
    assert described["outcome"] == "differs"
    assert described["difference"]["found"] == {"f": "2"}
