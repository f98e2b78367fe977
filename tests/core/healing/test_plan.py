"""The laws of the healing plan, on a lake whose partitions are made by a pure function of what they are made from."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.healing.plan import Lake, Plan, RepairReason, find_first_wave, plan_healing
from pipeline_assets.core.lineage.inputs import expect_inputs
from pipeline_assets.core.lineage.recipes import LANDING, MODEL, RELEASE, Recipe
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, Record
from pipeline_assets.settings import Params

START = date(2026, 1, 4)
N_DAYS = 45
DAYS = [START + timedelta(days=number) for number in range(N_DAYS)]
WEEKS = [START + timedelta(days=35), START + timedelta(days=42)]
RECIPES = Params().describe_assets()
DUE = {name: DAYS if recipe.cadence is Cadence.DAILY else WEEKS for name, recipe in RECIPES.items()}
Content = Callable[[str, date, Record], str]


def hash_all(asset: str, day: date, record: Record) -> str:
    """Content that changes with every input."""
    return hashlib.md5(f"{asset} {day} {record.code} {record.inputs} {record.lacking}".encode()).hexdigest()


def make(lake: Lake, key: Key, content: Content = hash_all) -> Lake:
    """The lake after a run that makes one partition from what is there."""
    recipe = lake.recipes[key.asset]
    expected = expect_inputs(recipe, key.day, lake.present())
    record = Record(key.asset, key.day, {f"{key}": ""}, recipe.code, dict(expected.versions), expected.lacking)
    record = replace(record, files={f"{key}": content(key.asset, key.day, record)})
    damaged = {one: found for one, found in lake.damaged.items() if one != key}
    failed = set(lake.failed) - {key}
    return replace(lake, records={**lake.records, key: record}, damaged=damaged, failed=failed)


def build(landed: dict[date, str], recipes: dict[str, Recipe] = RECIPES, content: Content = hash_all) -> Lake:
    """A lake that is made from nothing."""
    lake = Lake(recipes, DUE, {}, landed)
    for asset in recipes:
        for day in DUE[asset]:
            lake = make(lake, Key(asset, day), content)
    return lake


LANDED = {day: f"files of {day}" for day in DAYS}
BUILT = build(LANDED)
KEYS = list(BUILT.records)


def heal(lake: Lake, content: Content = hash_all) -> tuple[Lake, list[Key]]:
    """The lake after all waves of its plans, and what was made."""
    made: list[Key] = []
    for _ in range(40):
        wave = find_first_wave(plan_healing(lake), lake.recipes)
        if not wave:
            return lake, made
        for repair in wave:
            lake = make(lake, repair.key, content)
            made.append(repair.key)
    raise AssertionError("the plan does not become empty")


def reasons(plan: Plan) -> dict[Key, RepairReason]:
    return {repair.key: repair.reason for repair in plan.repairs}


def test_a_lake_that_was_just_made_needs_nothing() -> None:
    assert plan_healing(BUILT) == Plan((), (), {})


def test_an_empty_lake_needs_everything_that_is_due_in_an_order_in_which_it_can_be_made() -> None:
    plan = plan_healing(Lake(RECIPES, DUE, {}, LANDED))
    assert [repair.key for repair in plan.repairs] == KEYS
    assert set(reasons(plan).values()) == {RepairReason.MISSING}


@pytest.mark.parametrize("key", [Key("transactions", DAYS[9]), Key("customer_features", DAYS[9]), Key(MODEL, WEEKS[0])])
def test_damage_is_found_alone_because_what_is_made_again_has_the_same_bytes(key: Key) -> None:
    plan = plan_healing(replace(BUILT, damaged={key: "found nothing"}))
    assert reasons(plan) == {key: RepairReason.CORRUPT}
    assert plan.followers == ()


def test_a_failed_run_over_sound_bytes_is_made_again_alone() -> None:
    key = Key("scores", DAYS[20])
    plan = plan_healing(replace(BUILT, failed={key}))
    assert reasons(plan) == {key: RepairReason.FAILED}
    assert plan.followers == ()


def test_what_is_in_progress_is_left_to_its_run_and_so_is_what_is_made_from_it() -> None:
    key = Key("transactions", DAYS[-1])
    lake = replace(BUILT, landed={**LANDED, DAYS[-1]: "corrected"}, in_progress={Key(a, DAYS[-1]) for a in RECIPES})
    assert key not in reasons(plan_healing(lake))
    assert reasons(plan_healing(lake)) == {}


def test_a_corrected_day_names_its_ingestion_and_what_may_follow() -> None:
    day = DAYS[-3]
    plan = plan_healing(replace(BUILT, landed={**LANDED, day: "corrected"}))
    ingestion = ("transactions", "chargebacks", "quarantine", "ledger")
    assert reasons(plan) == {Key(asset, day): RepairReason.UPSTREAM_CHANGED for asset in ingestion}
    assert all(repair.may_change for repair in plan.repairs)
    assert {key for key in plan.followers if key.asset == "customer_features"} == {
        Key("customer_features", later) for later in DAYS[-3:]
    }
    assert Key("training_set", WEEKS[0]) not in plan.followers  # it knows only the days before its own


def test_a_rebuild_with_the_same_bytes_stops_the_wave_there() -> None:
    day = DAYS[10]

    def stubborn(asset: str, of: date, record: Record) -> str:
        return (
            hash_all(asset, of, replace(record, inputs={}))
            if asset in ("transactions", "chargebacks")
            else (hash_all(asset, of, record))
        )

    lake = build(LANDED, content=stubborn)
    _, made = heal(replace(lake, landed={**LANDED, day: "the same rows in another file"}), stubborn)
    assert {key.asset for key in made} == {"transactions", "chargebacks", "quarantine", "ledger"}
    assert {key.day for key in made} == {day}


def test_other_code_or_parameters_change_that_asset_and_what_follows() -> None:
    changed = {**RECIPES, MODEL: replace(RECIPES[MODEL], code="2")}
    plan = plan_healing(replace(BUILT, recipes=changed))
    assert reasons(plan) == {Key(MODEL, week): RepairReason.CODE_CHANGED for week in WEEKS}
    assert {key.asset for key in plan.followers} == {
        "model_evaluation", "drift_reference", "model_health", RELEASE, "scores", "performance", "drift"
    }  # fmt: skip


def test_a_held_day_blocks_its_own_day_and_no_other() -> None:
    day = DAYS[-2]
    records = {key: record for key, record in BUILT.records.items() if key.day != day or key.asset == "transactions"}
    plan = plan_healing(replace(BUILT, records=records, held={Key("transactions", day)}))
    blocked = {Key(asset, day) for asset in ("customer_features", "terminal_features", "model_health", "scores")}
    assert set(plan.blocked) == blocked
    assert not blocked & set(reasons(plan))
    assert {key.day for key in reasons(plan)} == {day}


def test_what_was_made_before_a_day_was_held_stays_as_it_is() -> None:
    assert reasons(plan_healing(replace(BUILT, held={Key("transactions", DAYS[-2])}))) == {}


def test_a_day_that_is_repaired_changes_what_went_on_without_it() -> None:
    day = DAYS[-2]
    held = Key("transactions", day)
    lake = replace(build(LANDED), held={held})
    for later in (Key("customer_features", DAYS[-1]), Key("scores", DAYS[-1])):
        lake = make(lake, later)
    assert lake.records[Key("customer_features", DAYS[-1])].lacking == (str(held),)
    healed, _ = heal(replace(lake, held=frozenset()))
    assert healed.records == BUILT.records


def test_an_input_that_could_not_be_had_is_waited_for_and_then_changes_what_lacked_it() -> None:
    scores, model = Key("scores", DAYS[-1]), Key(MODEL, WEEKS[0])
    record = BUILT.records[scores]
    record = replace(record, inputs={**record.inputs, str(model): UNAVAILABLE})
    lake = replace(BUILT, records={**BUILT.records, scores: record}, damaged={model: "found nothing"})
    assert reasons(plan_healing(lake)) == {model: RepairReason.CORRUPT}
    assert reasons(plan_healing(make(lake, model))) == {scores: RepairReason.UPSTREAM_CHANGED}


def test_a_wave_holds_only_what_no_other_repair_comes_before() -> None:
    plan = plan_healing(Lake(RECIPES, DUE, {}, LANDED))
    assert {repair.key.asset for repair in find_first_wave(plan, RECIPES)} == {
        "transactions", "chargebacks", "quarantine", "ledger",
    }  # fmt: skip


DEFECTS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["damaged", "lost", "failed", "landed"])),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one[0],
)


@settings(max_examples=15, deadline=None)
@given(DEFECTS)
def test_healing_random_defects_ends_in_what_building_from_nothing_gives(defects: list[tuple[Key, str]]) -> None:
    records, landed = dict(BUILT.records), dict(LANDED)
    damaged: dict[Key, str] = {}
    failed: set[Key] = set()
    for key, kind in defects:
        match kind:
            case "damaged":
                damaged[key] = "found nothing"
            case "lost":
                del records[key]
            case "failed":
                failed.add(key)
            case "landed" if key.day in landed:
                landed[key.day] = f"corrected files of {key.day}"
    damaged = {key: found for key, found in damaged.items() if key in records}
    broken = Lake(RECIPES, DUE, records, landed, damaged=damaged, failed=failed)
    expected = {key for key, kind in defects if kind != "landed"} | {
        Key(asset, day)
        for day in landed
        if landed[day] != LANDED[day]
        for asset, recipe in RECIPES.items()
        if recipe.find_reads(LANDING)
    }
    assert {repair.key for repair in plan_healing(broken).repairs} == expected
    healed, made = heal(broken)
    assert healed.records == build(landed).records
    assert expected <= set(made)
    assert set(made) <= expected | set(plan_healing(broken).followers)
