"""Records and recipes: what a partition was made from, the same bytes for the same work."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.lineage.inputs import Present, expect_inputs
from pipeline_assets.core.lineage.recipes import LANDING, RELEASE
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, Record, RecordError, parse_key, read_record
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.settings import Params

DAY = date(2026, 3, 1)
RECIPES = Params().describe_assets()


def back(days: int) -> date:
    return DAY - timedelta(days=days)


@given(
    st.dictionaries(st.text(min_size=1), st.text(), min_size=1),
    st.dictionaries(st.text(), st.text()),
    st.lists(st.text()),
)
def test_a_record_reads_back_as_it_was_written(
    files: dict[str, str], inputs: dict[str, str], lacking: list[str]
) -> None:
    record = Record("scores", DAY, files, "1", inputs, tuple(lacking))
    assert read_record(record.to_bytes()) == record


def test_the_order_in_which_inputs_were_read_changes_no_byte() -> None:
    forth = Record("scores", DAY, {"p": "m"}, "1", {"a@2026-01-01": "1", "b@2026-01-01": "2"})
    back = Record("scores", DAY, {"p": "m"}, "1", {"b@2026-01-01": "2", "a@2026-01-01": "1"})
    assert forth.to_bytes() == back.to_bytes()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"asset": "scores"}', b"\xff"])
def test_other_bytes_are_no_record(content: bytes) -> None:
    with pytest.raises(RecordError, match="expected the record of a partition"):
        read_record(content)


def test_what_was_made_without_something_is_another_version() -> None:
    whole = Record("scores", DAY, {"p": "m"}, "1", {})
    lacking = Record("scores", DAY, {"p": "m"}, "1", {}, ("transactions@2026-02-27",))
    assert whole.md5 == lacking.md5
    assert whole.version != lacking.version


@pytest.mark.parametrize("text", ["scores", "@2026-01-01", "scores@yesterday"])
def test_what_names_no_partition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Invalid"):
        parse_key(text)


def test_a_key_reads_back() -> None:
    assert parse_key(str(Key("scores", DAY))) == Key("scores", DAY)


def test_features_are_made_from_the_window_that_is_there() -> None:
    versions = {back(3): "v3", back(1): "v1", DAY: "v0"}
    expected = expect_inputs(RECIPES["customer_features"], DAY, Present({"transactions": versions, "chargebacks": {}}))
    assert expected.versions == {
        f"transactions@{back(3)}": "v3",
        f"transactions@{back(1)}": "v1",
        f"transactions@{DAY}": "v0",
    }
    assert expected.lacking == (f"transactions@{back(2)}",)


def test_nothing_is_lacking_before_the_first_day() -> None:
    expected = expect_inputs(RECIPES["customer_features"], DAY, Present({"transactions": {DAY: "v"}}))
    assert expected.lacking == ()


def test_a_held_day_is_lacking_for_features_and_read_by_ingestion() -> None:
    present = Present(
        {"transactions": {back(1): "v1", DAY: "v0"}, LANDING: {DAY: "f"}}, {"transactions": frozenset({back(1)})}
    )
    assert expect_inputs(RECIPES["customer_features"], DAY, present).lacking == (f"transactions@{back(1)}",)
    assert f"transactions@{back(1)}" in expect_inputs(RECIPES["transactions"], DAY, present).versions


def test_scores_are_made_from_every_release_that_a_late_row_may_fall_under() -> None:
    releases = {back(days): f"r{days}" for days in range(12)}
    expected = expect_inputs(RECIPES["scores"], DAY, Present({RELEASE: releases}))
    names = [name for name in expected.versions if name.startswith(RELEASE)]
    assert names == [f"{RELEASE}@{back(days)}" for days in range(7, -1, -1)]


def test_an_input_outside_the_windows_is_unavailable_where_it_is_not_there() -> None:
    expected = expect_inputs(RECIPES["scores"], DAY, Present({}), [f"fraud_model@{back(6)}"])
    assert expected.versions[f"fraud_model@{back(6)}"] == UNAVAILABLE


def test_parameters_are_part_of_the_code_of_what_they_decide_on_and_of_nothing_else() -> None:
    other = Params(training=TrainingParams(rounds=7)).describe_assets()
    changed = {name for name, recipe in RECIPES.items() if recipe.code != other[name].code}
    assert changed == {"fraud_model", "model_evaluation"}
    assert {name for name in RECIPES if RECIPES[name].code_version != other[name].code_version} == set()


def test_every_recipe_reads_only_what_comes_before_it() -> None:
    made = {LANDING}
    for name, recipe in RECIPES.items():
        later = {reads.upstream for reads in recipe.reads if reads.upstream not in made and reads.last >= 0}
        assert later <= {name}, name
        made.add(name)
