"""From a plan to runs: a bad day fails alone, a range is one run, and nothing is asked for before what it reads."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from pipeline_assets.core.healing.plan import Lake, plan_healing
from pipeline_assets.core.healing.requests import Request, list_requests
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key
from tests.core.healing.test_plan import BUILT, DAYS, LANDED, RECIPES, WEEKS

DAY = DAYS[-2]
CHAIN = ("transactions", "chargebacks", "quarantine", "ledger", "customer_features", "terminal_features", "scores")


def ask(lake: Lake, permanent: Mapping[Key, str] | None = None, settled: tuple[str, ...] = ()) -> dict[str, Request]:
    return {one.key: one for one in list_requests(plan_healing(lake), lake, permanent or {}, settled)}


def lose(*keys: Key) -> Lake:
    return replace(BUILT, records={key: record for key, record in BUILT.records.items() if key not in keys})


def test_a_sound_lake_asks_for_nothing() -> None:
    assert ask(BUILT) == {}


def test_all_that_a_day_lacks_is_one_run() -> None:
    lost = [Key(asset, DAY) for asset in (*CHAIN, "performance")]
    (request,) = ask(lose(*lost)).values()
    assert (request.key, request.first, request.last) == (f"daily@{DAY}", DAY, DAY)
    assert request.assets == (*CHAIN, "performance")
    assert not request.is_waiting


def test_what_would_fail_again_is_left_out_of_its_day_and_named_where_nothing_else_is_left() -> None:
    features, scores = Key("customer_features", DAY), Key("scores", DAY)
    why = {features: "build_features failed for good in run 1"}
    (both,) = ask(lose(features, scores), why).values()
    assert (both.assets, both.permanent_reason) == (("scores",), None)
    (alone,) = ask(lose(features), why).values()
    assert (alone.assets, alone.permanent_reason) == (("customer_features",), why[features])


def test_a_week_waits_for_the_days_before_it_unless_they_are_given_up() -> None:
    day, week = Key("customer_features", DAYS[3]), Key(MODEL, WEEKS[0])
    found = ask(lose(day, week))
    assert not found[f"daily@{DAYS[3]}"].is_waiting
    assert found[f"weekly@{WEEKS[0]}"].is_waiting
    assert not ask(lose(day, week), settled=(f"daily@{DAYS[3]}",))[f"weekly@{WEEKS[0]}"].is_waiting
    assert not ask(lose(day, week), {day: "for good"})[f"weekly@{WEEKS[0]}"].is_waiting


def test_a_day_waits_for_the_run_that_makes_what_it_reads() -> None:
    lake = replace(lose(Key("scores", DAY)), in_progress={Key("customer_features", DAY)})
    assert ask(lake)[f"daily@{DAY}"].is_waiting


def test_days_in_a_row_that_are_out_of_date_are_one_run_and_a_gap_makes_two() -> None:
    changed = {day: f"corrected {day}" for day in (DAYS[5], DAYS[6], DAYS[20])}
    found = ask(replace(BUILT, landed={**LANDED, **changed}))
    assert [(one.first, one.last) for one in found.values()] == [(DAYS[5], DAYS[6]), (DAYS[20], DAYS[20])]
    assert {one.assets for one in found.values()} == {("transactions", "chargebacks", "quarantine", "ledger")}


def test_a_range_that_failed_as_a_whole_is_made_day_by_day() -> None:
    changed = {day: f"corrected {day}" for day in DAYS[5:8]}
    lake = replace(BUILT, landed={**LANDED, **changed})
    (whole,) = list_requests(plan_healing(lake), lake, {}, ())
    split = list_requests(plan_healing(lake), lake, {}, (), {whole.key})
    assert [(one.first, one.last) for one in split] == [(day, day) for day in DAYS[5:8]]


def test_what_is_out_of_date_waits_until_nothing_is_undone_or_in_progress() -> None:
    changed = replace(BUILT, landed={**LANDED, DAYS[5]: "corrected"})
    key = f"ingest@{DAYS[5]}..{DAYS[5]}"
    assert not ask(changed)[key].is_waiting
    assert ask(replace(changed, in_progress={Key("scores", DAYS[-1])}))[key].is_waiting
    missing = {one: record for one, record in BUILT.records.items() if one != Key("scores", DAY)}
    assert ask(replace(changed, records=missing))[key].is_waiting


def test_other_code_is_no_reason_to_run_by_itself() -> None:
    assert ask(replace(BUILT, recipes={**RECIPES, "scores": replace(RECIPES["scores"], code="2")})) == {}


def test_damage_that_would_fail_again_is_named() -> None:
    key = Key("transactions", DAY)
    (request,) = ask(replace(BUILT, damaged={key: "found nothing"}), {key: "for good"}).values()
    assert request.permanent_reason == "for good"
    assert isinstance(request.first, date)
