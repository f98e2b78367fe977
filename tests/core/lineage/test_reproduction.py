"""What is built again sees what it saw then, in whatever order the past came about; else it is refused."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given

from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.lineage.reproduction import (
    NotReproducibleError,
    find_other_recipes,
    list_landed,
    list_records,
    name_some,
    plan_batches,
)
from pipeline_assets.core.lineage.tree import NodeId, Sources, Tree, build_tree
from pipeline_assets.core.lineage.verdicts import find_difference
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.settings import Params
from tests.core.lineage.graphs import LAW, at, make_record
from tests.core.lineage.lives import LAST, RECIPES, START, Life, lives


def trace_model(life: Life) -> Tree:
    """All that went into its model."""
    model = life.records[Key(MODEL, LAST)]
    return build_tree([NodeId(model.key, model.version)], life.sources)


def list_made(life: Life) -> list[Record]:
    """What its model was made from, without what landed."""
    return list_records(trace_model(life))


def is_reproducible(life: Life) -> bool:
    """Whether it has a model, and one that is not refused."""
    try:
        return bool(list_made(life))
    except (KeyError, NotReproducibleError):
        return False


REPRODUCIBLE = lives().filter(is_reproducible)


@LAW
@given(REPRODUCIBLE)
def test_every_partition_sees_exactly_what_it_saw_then(life: Life) -> None:
    records = list_made(life)
    rebuilt = Life(landed={node.id.key.day: node.id.version for node in list_landed(trace_model(life))})
    expected = {record.key: record for record in records}
    for batch in plan_batches(records, RECIPES):
        rebuilt.held = {}
        for key in batch.held:
            rebuilt.held.setdefault(key.asset, set()).add(key.day)
        for day in batch.days:
            for asset in RECIPES:
                if asset in batch.assets:
                    made = rebuilt.make(asset, day, batch.hidden)
                    assert made is not None
                    assert find_difference(expected[made.key], made) is None
    assert rebuilt.records.keys() == expected.keys()


@LAW
@given(REPRODUCIBLE)
def test_every_partition_is_built_once_and_after_its_inputs(life: Life) -> None:
    records = list_made(life)
    order = [
        Key(asset, day)
        for batch in plan_batches(records, RECIPES)
        for day in batch.days
        for asset in RECIPES
        if asset in batch.assets
    ]
    assert Counter(order) == Counter(record.key for record in records)
    place = {str(key): number for number, key in enumerate(order)}
    for record in records:
        built = [name for name in record.inputs if not name.startswith("landing@")]
        assert all(place[name] < place[str(record.key)] for name in built)


def test_where_nothing_went_wrong_each_step_is_one_batch() -> None:
    life = Life()
    for number in range((LAST - START).days):
        life.landed[START + timedelta(days=number)] = "first"
        for asset in RECIPES:
            life.make(asset, START + timedelta(days=number))
    life.make("training_set", LAST)
    assert life.make(MODEL, LAST)
    batches = plan_batches(list_made(life), RECIPES)
    assert [(batch.step, len(batch.assets), len(batch.days)) for batch in batches] == [
        ("ingest", 2, 7),
        ("features", 2, 7),
        ("training_set", 1, 1),
        (MODEL, 1, 1),
    ]
    assert not any(batch.hidden or batch.held for batch in batches)


def test_what_was_lacking_is_held_for_those_that_lacked_it_and_for_no_other() -> None:
    seen = {at("payments", 0): "p", at("payments", 1): "p"}
    records = [
        make_record(at("payments", 0), "p"),
        make_record(at("payments", 1), "p", {at("payments", 0): "p"}),
        make_record(at("cards", 1), "c", {at("payments", 1): "p"}, ("payments@2026-01-04",)),
        make_record(at("cards", 2), "c", seen),
    ]
    batches = plan_batches(records, RECIPES)
    assert [(batch.step, len(batch.days), set(map(str, batch.held))) for batch in batches] == [
        ("ingest", 2, set()),  # ingestion reads what is held
        ("features", 1, {"payments@2026-01-04"}),
        ("features", 1, set()),
    ]


def test_what_came_later_is_hidden_from_what_was_made_before() -> None:
    records = [
        make_record(at("payments", 0), "p"),
        make_record(at("payments", 1), "p"),
        make_record(at("payments", 2), "p", {at("payments", 0): "p", at("payments", 1): "p"}),
    ]
    assert [set(map(str, batch.hidden)) for batch in plan_batches(records, RECIPES)] == [
        set(),
        {"payments@2026-01-04"},
        set(),
    ]


def test_two_versions_of_a_partition_are_refused_and_named() -> None:
    old, new = (make_record(at("payments", 0), md5, {at("landing", 0): "l"}) for md5 in ("old", "new"))
    cards = make_record(at("cards", 0), "c", {at("payments", 0): "old"})
    model = make_record(at(MODEL, 0), "m", {at("payments", 0): "new", at("cards", 0): "c"})
    present = {record.key: record for record in (new, cards, model)}
    tree = build_tree([NodeId(model.key, "m")], Sources(present.get, lambda _: None, [lambda *_: old]))
    with pytest.raises(NotReproducibleError, match=r"payments@2026-01-04 new, payments@2026-01-04 old; .*heal --apply"):
        list_records(tree)


def test_a_version_that_nobody_remembers_is_refused_and_named() -> None:
    model = make_record(at(MODEL, 0), "m", {at("payments", 0): "lost"})
    tree = build_tree(
        [NodeId(model.key, "m")], Sources(lambda key: model if key == model.key else None, lambda _: None)
    )
    with pytest.raises(NotReproducibleError, match=r"^1 versions .*: payments@2026-01-04 lost; "):
        list_records(tree)


def test_what_landed_is_told_in_the_order_of_days_whatever_is_nearest_to_the_model() -> None:
    payments = make_record(at("payments", 0), "p", {at("landing", 0): "l"})
    model = make_record(at(MODEL, 0), "m", {at("landing", 2): "l", at("landing", 1): "l", at("payments", 0): "p"})
    present = {record.key: record for record in (payments, model)}
    tree = build_tree([NodeId(model.key, "m")], Sources(present.get, lambda _: None))
    assert [node.id.key for node in list_landed(tree)] == [at("landing", number) for number in range(3)]
    assert list_records(tree) == [model, payments]


def test_other_parameters_are_named_with_what_was_made_by_them() -> None:
    recipes, day = Params().describe_assets(), START
    records = [
        Record(asset, day + timedelta(days=number), {"f": "m"}, recipes[asset].code, {})
        for asset in (TRANSACTIONS.name, MODEL)
        for number in range(3)
    ]
    assert find_other_recipes(records, recipes) == ""
    other = Params(training=TrainingParams(rounds=7)).describe_assets()
    told = find_other_recipes(records, other)
    assert told == (
        f"fraud_model (3 partitions, 2026-01-04 to 2026-01-06): made by {recipes[MODEL].code!r}, here it is "
        f"{other[MODEL].code!r}"
    )
    assert "here it is 'unknown'" in find_other_recipes([make_record(at("gone", 0), "m")], recipes)


def test_of_many_names_the_first_few_are_shown() -> None:
    assert name_some(["b", "a"]) == "a, b"
    assert name_some(list("gfedcba")) == "a, b, c, d and 3 more"
