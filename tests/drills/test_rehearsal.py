"""The rehearsal: faults are what they are called, money is counted to the cent, and the short one goes as it should."""

import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.adapters.serving import GuardedModel
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.evaluation import measure_average_precision
from pipeline_assets.core.fraud_model import FraudModel, ModelTimeoutError
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.training import TrainingParams, train
from pipeline_assets.drills.rehearsal.accounts import (
    Toll,
    find_recovery,
    keep_accounts,
    measure_weeks,
    take_toll,
    take_toll_of_pattern,
)
from pipeline_assets.drills.rehearsal.direction import Birth, Cause, Direction, Scene
from pipeline_assets.drills.rehearsal.faulty_models import (
    Constant,
    Fault,
    FaultyModel,
    FaultyModels,
    Inverted,
    MixedUp,
    NoNumber,
    Slow,
    draw_normals,
    draw_uniforms,
    make_noisy,
    measure_daily_precision,
)
from pipeline_assets.drills.rehearsal.outcome import Event, Outcome, rehearse
from pipeline_assets.drills.rehearsal.play import Lived
from pipeline_assets.drills.rehearsal.plot import plot_arms
from pipeline_assets.drills.rehearsal.report import make_table, write_report
from pipeline_assets.drills.rehearsal.scenario import (
    BROKEN,
    GOOD,
    MIXED_UP,
    NEW_PATTERN,
    SCRIPT,
    SUBTLE,
    UPSIDE_DOWN,
    Act,
    Strikes,
    plan_drill,
    plan_year,
)
from pipeline_assets.drills.rehearsal.unprotected import Reign, list_reigns
from pipeline_assets.drills.rehearsal.verdict import judge
from tests.conftest import MakeTrainingSet

_logger = logging.getLogger(__name__)
DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)
DECISION = DecisionParams()
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.random((3000, 15))
LABELS = RANDOM.random(3000) < 0.1
SCORES = 1 / (1 + np.exp(-(3 * LABELS - 4 + RANDOM.normal(size=3000))))
DAYS = np.repeat(np.arange(10), 300)
NOISY, SOUND_PRECISION = make_noisy(SCORES, INPUTS, LABELS, DAYS, 0.05, seed=1)
FAULTS: list[Fault] = [NOISY, Inverted(), Constant(), NoNumber(), MixedUp(0.5, (0.1, 0.2, 0.3)), Slow(0.0)]


class Says:
    """A sound model whose score of a row is its first input."""

    version = "2026-01-04-0123456789ab"

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(inputs[:, 0])


SAYS = cast("FraudModel", Says())


# --- faults


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@settings(deadline=None, max_examples=30)
@given(chosen=st.lists(st.integers(0, 2999), min_size=1, max_size=50))
def test_what_a_fault_says_of_a_payment_does_not_depend_on_the_others(fault: Fault, chosen: list[int]) -> None:
    together = fault.distort(INPUTS, SCORES)
    alone = fault.distort(INPUTS[chosen], SCORES[chosen])
    assert np.array_equal(alone, together[chosen], equal_nan=True)


def test_noise_costs_the_share_of_average_precision_that_was_asked_for() -> None:
    noisy = NOISY.distort(INPUTS, SCORES)
    assert measure_daily_precision(noisy, LABELS, DAYS) == pytest.approx(0.95 * SOUND_PRECISION, rel=2e-3)


def test_noise_leaves_the_distribution_of_scores_as_it_is() -> None:
    noisy = NOISY.distort(INPUTS, SCORES)
    assert np.sort(noisy) == pytest.approx(np.sort(SCORES))
    assert np.mean(noisy != SCORES) > 0.9


def test_another_seed_is_other_noise() -> None:
    assert abs(np.corrcoef(draw_normals(INPUTS, 1), draw_normals(INPUTS, 2))[0, 1]) < 0.1


def test_hashed_draws_are_even_and_independent_by_stream() -> None:
    first, second = draw_uniforms(INPUTS, 0), draw_uniforms(INPUTS, 1)
    assert np.histogram(first, 10, (0, 1))[0] == pytest.approx(np.full(10, 300), abs=80)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert draw_normals(INPUTS, 0).std() == pytest.approx(1, abs=0.05)


def test_mixed_up_scores_are_usual_ones_for_the_share_of_the_payments() -> None:
    mixed = MixedUp(0.6, tuple(SCORES)).distort(INPUTS, SCORES)
    assert np.mean(mixed != SCORES) == pytest.approx(0.6, abs=0.05)
    assert set(mixed) <= set(SCORES)
    assert measure_daily_precision(mixed, LABELS, DAYS) < 0.6 * SOUND_PRECISION


def test_inverted_constant_and_no_number_are_what_they_are_called() -> None:
    assert np.array_equal(Inverted().distort(INPUTS, SCORES), 1 - SCORES)
    assert set(Constant(0.25).distort(INPUTS, SCORES)) == {0.25}
    assert np.isnan(NoNumber().distort(INPUTS, SCORES)).all()


def test_a_slow_model_really_exceeds_its_time() -> None:
    guarded = GuardedModel(FaultyModel(SAYS, Slow(0.3)), ServingParams(min_timeout_seconds=0.1))
    with pytest.raises(ModelTimeoutError):
        guarded.predict(INPUTS)


def test_daily_precision_is_that_of_the_days_weighted_by_frauds() -> None:
    days = [day == DAYS for day in range(10)]
    single = [measure_average_precision(LABELS[day], SCORES[day]) or 0.0 for day in days]
    weights = [LABELS[day].sum() for day in days]
    assert measure_daily_precision(SCORES, LABELS, DAYS) == pytest.approx(np.average(single, weights=weights))


def test_a_store_serves_a_fault_from_its_beginning_to_its_end_and_stores_none(
    tmp_path: Path, make_training_set: MakeTrainingSet
) -> None:
    store = FaultyModels(LocalStorage(tmp_path))
    rows = make_training_set(400)
    version = store.write(MONDAY, train(rows, TrainingParams(rounds=2))).version
    inputs = np.zeros((5, len(store.find(MONDAY).card["typical_inputs"])))
    sound = store.load(version).predict(inputs)
    stored = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    store.begin(version, Inverted())
    (served,) = store.load_available([version])[0].values()
    assert np.array_equal(served.predict(inputs), 1 - sound)
    assert served.version == version
    store.end(version)
    assert np.array_equal(store.load(version).predict(inputs), sound)
    assert stored == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


# --- accounts


def make_payments(*amounts: int, first: date = MONDAY) -> pl.DataFrame:
    """A payment a day of two customers by turns."""
    return pl.DataFrame(
        {
            "transaction_id": [f"t{number}" for number in range(len(amounts))],
            "event_time": [datetime.combine(first, datetime.min.time(), UTC) + number * DAY
                           for number in range(len(amounts))],
            "customer_id": [f"c{number % 2}" for number in range(len(amounts))],
            "amount_cents": list(amounts),
        }
    )  # fmt: skip


def keep(
    decisions: Sequence[str], frauds: Sequence[bool], new: Sequence[bool] = (), scores: Sequence[float] = ()
) -> pl.DataFrame:
    """Accounts of payments of 100.00 each."""
    payments = make_payments(*([10_000] * len(decisions)))
    decided = payments.select(
        "transaction_id",
        score=pl.Series(scores or [0.5] * len(decisions)),
        decision=pl.Series(decisions),
        model_version=pl.lit("m"),
        rung=pl.lit("champion"),
    )
    truth = payments.select(
        "transaction_id", is_fraud=pl.Series(frauds), is_new_pattern=pl.Series(new or [False] * len(decisions))
    )
    return keep_accounts(decided, payments, truth, DECISION)


def test_each_decision_costs_what_the_parameters_say() -> None:
    accounts = keep(["approve", "approve", "review", "review", "decline", "decline"], [True, False] * 3)
    loss = 10_000 + DECISION.chargeback_fee_cents
    assert accounts["cost_cents"].to_list() == [
        loss,
        0,
        DECISION.review_cost_cents + round(0.1 * loss),
        DECISION.review_cost_cents,
        0,
        round(DECISION.margin_share * 10_000) + DECISION.false_decline_cost_cents,
    ]


class Wise:
    """A model that knows: frauds are the payments of the first customer."""

    version = "m"

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(inputs[:, 0] == 10_000, np.float64)

    def explain(self, inputs: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def fill(self, *_: Any) -> None:
        raise NotImplementedError


def test_a_fault_costs_what_the_sound_model_would_not_have_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = keep(["approve", "approve", "decline"], [True, False, True])
    features = make_payments(10_000, 10_001, 10_000)
    inputs = type("Inputs", (), {"fill_for": lambda self, _: self.values})
    monkeypatch.setattr(
        "pipeline_assets.drills.rehearsal.accounts.ModelInputs",
        lambda rows: type("I", (inputs,), {"values": rows.select("amount_cents").to_numpy()})(),
    )
    toll = take_toll(accounts, features, Wise(), DECISION)
    assert toll == Toll(n_days=3, n_payments=3, n_customers=2, lost_cents=12_000)
    assert take_toll(accounts.clear(), features, Wise(), DECISION) == Toll()


def test_a_new_pattern_costs_what_its_payments_cost_and_harms_whose_were_approved() -> None:
    accounts = keep(["approve", "decline", "approve", "approve"], [True, True, True, False], [True, True, True, False])
    assert take_toll_of_pattern(accounts) == Toll(n_days=2, n_payments=3, n_customers=1, lost_cents=24_000)


def test_weeks_sum_to_the_whole() -> None:
    accounts = keep(["approve"] * 20, [True, False] * 10, scores=[0.9, 0.1] * 10)
    weeks = measure_weeks(accounts, MONDAY)
    assert weeks["week"].to_list() == [MONDAY, MONDAY + 7 * DAY, MONDAY + 14 * DAY]
    assert weeks["n_payments"].to_list() == [7, 7, 6]
    assert weeks["cost_cents"].sum() == accounts["cost_cents"].sum()
    assert weeks["average_precision"].to_list() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("n_bad", "expected"), [(0, 0), (10, 16), (32, None)])
def test_recovery_is_counted_to_the_last_week_that_is_not_as_before(n_bad: int, expected: int | None) -> None:
    good, bad = [0.9, 0.1], [0.1, 0.9]
    n_after = 32
    scores = good * 14 + bad * (n_bad // 2) + good * ((n_after - n_bad) // 2)
    accounts = keep(["approve"] * len(scores), [True, False] * (len(scores) // 2), scores=scores)
    found = find_recovery(accounts, MONDAY + 28 * DAY, MONDAY + (28 + n_after - 1) * DAY)
    assert found.usual == 1.0
    assert found.n_days == expected


# --- direction


def enter(day: date, action: ReleaseAction = ReleaseAction.HOLD, **parts: Any) -> ReleaseEntry:
    return ReleaseEntry(
        day, datetime.combine(day, datetime.min.time(), UTC), action, "because",
        **{"champion": "first", "backup": None, **parts},
    )  # fmt: skip


def direct(*script: Act) -> tuple[Direction, date]:
    """A direction with a first model, on the morning of the first trial."""
    scenario = replace(plan_year(60), script=script)
    direction = Direction(scenario)
    assert direction.choose_training(scenario.first_week, None) == (scenario.first_week, Cause.FIRST)
    direction.note_birth(Birth(scenario.first_week, "first", Cause.FIRST, scenario.first_week))
    direction.observe(scenario.first_week, enter(scenario.first_week, ReleaseAction.PROMOTE))
    return direction, scenario.first_trial


def test_the_next_challenger_is_trained_when_none_is_on_trial() -> None:
    direction, day = direct(GOOD, SUBTLE)
    assert direction.choose_training(day - 7 * DAY, None) is None
    assert direction.choose_training(day, None) == (day, Cause.SCRIPT)
    direction.note_birth(Birth(day, "new", Cause.SCRIPT, day))
    direction.observe(day, enter(day, ReleaseAction.START_SHADOW, shadow="new"))
    assert direction.choose_training(day + 7 * DAY, None) is None
    direction.observe(day + 8 * DAY, enter(day + 8 * DAY, ReleaseAction.ROLL_BACK))
    assert direction.choose_training(day + 9 * DAY, None) is None  # no week begins
    assert direction.choose_training(day + 14 * DAY, None) == (day + 14 * DAY, Cause.SCRIPT)
    assert direction.scenes[0].actions == [ReleaseAction.START_SHADOW, ReleaseAction.ROLL_BACK]


def test_a_challenger_that_gets_no_trial_leaves_its_part_to_the_next_one() -> None:
    direction, day = direct(BROKEN[0])
    direction.note_birth(Birth(day, "refused", Cause.SCRIPT, day))
    for number in range(7):
        direction.observe(day + number * DAY, enter(day + number * DAY))
        assert direction.strike(day + number * DAY) is None
    assert direction.choose_training(day + 7 * DAY, None) == (day + 7 * DAY, Cause.SCRIPT)
    direction.note_birth(Birth(day + 7 * DAY, "next", Cause.SCRIPT, day + 7 * DAY))
    assert direction.scenes[0].version == "next"


def test_what_drift_asks_for_is_trained_once() -> None:
    direction, day = direct(GOOD)
    assert direction.choose_training(day + 3 * DAY, day) == (day, Cause.DRIFT)
    direction.note_birth(Birth(day, "asked", Cause.DRIFT, day + 3 * DAY))
    assert direction.choose_training(day + 4 * DAY, day) is None


def test_a_challenger_breaks_on_the_day_after_its_first_share_and_until_its_trial_is_over() -> None:
    direction, day = direct(BROKEN[0])
    direction.note_birth(Birth(day, "new", Cause.SCRIPT, day))
    direction.observe(day, enter(day, ReleaseAction.START_SHADOW, shadow="new"))
    assert direction.strike(day + DAY) is None
    direction.observe(day + DAY, enter(day + DAY, ReleaseAction.START_CANARY, canary="new", canary_share=0.01))
    scene = direction.strike(day + 2 * DAY)
    assert scene is direction.scenes[0]
    assert direction.strike(day + 3 * DAY) is None  # once
    direction.observe(day + 3 * DAY, enter(day + 3 * DAY, ReleaseAction.ROLL_BACK))
    assert [scene.is_wrong(day + number * DAY) for number in range(1, 5)] == [False, True, True, False]


def test_a_champion_breaks_where_there_is_a_backup_and_is_repaired_after_its_days() -> None:
    direction, day = direct(UPSIDE_DOWN)
    assert direction.strike(day) is None
    direction.observe(day, enter(day, backup="older"))
    scene = direction.strike(day + DAY)
    assert scene is not None
    assert scene.version == "first"
    n_days = UPSIDE_DOWN.repaired_after_days
    assert [scene.is_wrong(day + number * DAY) for number in (0, 1, n_days, n_days + 1)] == [False, True, True, False]
    failed = enter(day + 2 * DAY, ReleaseAction.FAIL_OVER, backup="older", failed_over_since=day + 2 * DAY)
    direction.observe(day + 2 * DAY, failed)
    assert scene.last is None
    direction.observe(day + 12 * DAY, enter(day + 12 * DAY, ReleaseAction.FAIL_BACK, backup="older"))
    assert scene.last == day + 12 * DAY
    assert scene.actions == [ReleaseAction.FAIL_OVER, ReleaseAction.FAIL_BACK]


def test_after_the_script_models_are_trained_on_schedule() -> None:
    direction, day = direct()
    weeks = [day + number * 7 * DAY for number in range(8)]
    trained = [week for week in weeks if direction.choose_training(week, None) == (week, Cause.SCHEDULE)]
    assert [(later - earlier).days for earlier, later in itertools.pairwise(trained)] == [28]


# --- without protection


def make_lived(scenes: Sequence[Scene], births: Sequence[Birth], **more: Any) -> Lived:
    faults: dict[str, Fault] = {scene.version: Inverted() for scene in scenes if scene.version and scene.wrong_since}
    return Lived(
        **{"stores": None, "truth": pl.DataFrame(), "scenes": scenes, "births": births, "entries": (), "alarms": (),
           "requests": (), "faults": faults, **more},
    )  # fmt: skip


def birth(version: str, day: date, cause: Cause = Cause.SCRIPT) -> Birth:
    return Birth(day, version, cause, day)


def test_without_protection_the_newest_model_decides_but_for_those_that_drift_asked_for() -> None:
    births = [birth("a", MONDAY), birth("drift", MONDAY + DAY, Cause.DRIFT), birth("b", MONDAY + 7 * DAY)]
    assert list_reigns(make_lived([], births), MONDAY + 9 * DAY) == [
        Reign("a", MONDAY, MONDAY + 6 * DAY),
        Reign("b", MONDAY + 7 * DAY, MONDAY + 9 * DAY),
    ]


@pytest.mark.parametrize("strikes", [Strikes.IN_SHADOW, Strikes.IN_TRAFFIC])
def test_without_protection_a_broken_challenger_decides_until_the_next_one(strikes: Strikes) -> None:
    act = replace(BROKEN[0], strikes=strikes)
    scene = Scene(act, version="a", wrong_since=MONDAY + 8 * DAY, wrong_until=MONDAY + 9 * DAY)
    births = [birth("a", MONDAY), birth("b", MONDAY + 14 * DAY)]
    reigns = list_reigns(make_lived([scene], births), MONDAY + 20 * DAY)
    wrong = [reign for reign in reigns if reign.fault]
    assert [(reign.first, reign.last) for reign in wrong] == [(MONDAY + DAY, MONDAY + 13 * DAY)]
    assert sum((reign.last - reign.first).days + 1 for reign in reigns) == 21


def test_without_protection_a_champion_is_wrong_on_the_same_days() -> None:
    scene = Scene(UPSIDE_DOWN, version="a", wrong_since=MONDAY + 3 * DAY, wrong_until=MONDAY + 5 * DAY)
    reigns = list_reigns(make_lived([scene], [birth("a", MONDAY)]), MONDAY + 9 * DAY)
    assert [((one.first - MONDAY).days, (one.last - MONDAY).days, one.fault is None) for one in reigns] == [
        (0, 2, True),
        (3, 5, False),
        (6, 9, True),
    ]


# --- plans, verdicts and reports


def test_what_there_is_no_time_for_is_left_out_and_named() -> None:
    assert plan_year(52).left_out == ()
    assert plan_year(52).pattern_day is not None
    short = plan_year(30)
    assert short.script == SCRIPT[: len(short.script)]
    assert (*short.script, *short.left_out) == (*SCRIPT, NEW_PATTERN)
    assert short.pattern_day is None
    with pytest.raises(ValueError, match=r"weeks: expected at least 15, .*found 14"):
        plan_year(14)


def play_scene(act: Act, *steps: tuple[ReleaseAction, float]) -> Outcome:
    """An outcome in which one thing happened to one model."""
    entries = [
        replace(
            enter(MONDAY + number * DAY, action, canary="m" if share else None, canary_share=share), sequence=number
        )
        for number, (action, share) in enumerate(steps)
    ]
    since = MONDAY if act.wrong else None
    scene = Scene(act, MONDAY, "m", since, since, MONDAY + 9 * DAY, entries)
    answered = entries[-1].as_of if entries else None
    event = Event(act, "m", MONDAY, answered, "x", "", Toll(1, 2, 1, 5), Toll(9, 90, 50, 70_000), scene)
    weeks = {arm: measure_weeks(keep(["approve"] * 14, [True, False] * 7), MONDAY) for arm in ("protected", "other")}
    lived = make_lived([scene], [birth("m", MONDAY)], entries=entries)
    return Outcome(plan_drill(), lived, [event], weeks, {}, ["<something> happened"])


SHADOW, ROLLED_BACK = (ReleaseAction.START_SHADOW, 0.0), (ReleaseAction.ROLL_BACK, 0.0)
FIRST, SECOND, THIRD = (
    (ReleaseAction.START_CANARY, 0.01),
    (ReleaseAction.WIDEN_CANARY, 0.05),
    (ReleaseAction.WIDEN_CANARY, 0.25),
)
PROMOTED = (ReleaseAction.PROMOTE, 0.0)


@pytest.mark.parametrize(
    ("act", "steps", "is_met"),
    [
        (GOOD, [SHADOW, FIRST, SECOND, THIRD, PROMOTED], True),
        (GOOD, [SHADOW, FIRST, THIRD, PROMOTED], False),
        (GOOD, [SHADOW, FIRST, ROLLED_BACK], False),
        (SUBTLE, [SHADOW, FIRST, SECOND, THIRD, ROLLED_BACK], True),
        (SUBTLE, [SHADOW, FIRST, SECOND, THIRD, PROMOTED], False),
        (BROKEN[0], [SHADOW, FIRST, ROLLED_BACK], True),
        (BROKEN[0], [SHADOW, FIRST, SECOND, ROLLED_BACK], False),
        (BROKEN[0], [SHADOW, FIRST], False),
        (UPSIDE_DOWN, [SHADOW, (ReleaseAction.FAIL_OVER, 0.0)], True),
        (UPSIDE_DOWN, [SHADOW, FIRST, (ReleaseAction.FAIL_OVER, 0.0)], False),
        (MIXED_UP, [SHADOW, FIRST, (ReleaseAction.FAIL_OVER, 0.0)], True),
        (MIXED_UP, [], False),
    ],
    ids=lambda one: one.name if isinstance(one, Act) else None,
)
def test_a_verdict_names_what_did_not_come_true(
    act: Act, steps: list[tuple[ReleaseAction, float]], is_met: bool
) -> None:
    judged = judge(play_scene(act, *steps))
    assert all(one.is_met for one in judged) == is_met
    assert all(one.what.startswith(act.name) for one in judged if not one.is_met)


def test_a_sound_model_that_is_rolled_back_is_unexpected() -> None:
    outcome = play_scene(GOOD, SHADOW, FIRST, SECOND, THIRD, PROMOTED)
    stray = replace(enter(MONDAY, ReleaseAction.ROLL_BACK), sequence=99)
    lived = replace(outcome.lived, entries=[*outcome.lived.entries, stray])
    unmet = [one.what for one in judge(replace(outcome, lived=lived)) if not one.is_met]
    assert unmet == ["no sound model is rolled back or failed over"]


def test_an_act_whose_turn_never_came_is_not_as_expected() -> None:
    outcome = play_scene(BROKEN[0], SHADOW, FIRST, ROLLED_BACK)
    event = replace(outcome.events[0], scene=Scene(BROKEN[0]))
    (first, *_) = judge(replace(outcome, events=[event]))
    assert (first.is_met, first.found) == (False, "its turn never came")


def test_the_report_is_one_page_without_network_and_the_json_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_assets.drills.rehearsal.report._draw", lambda _: {"release": b"x", "arms": b"y"})
    outcome = play_scene(BROKEN[0], SHADOW, FIRST, ROLLED_BACK)
    page = write_report(outcome, judge(outcome), tmp_path / "new").read_text(encoding="utf-8")
    assert "http" not in page
    assert "<script" not in page
    assert "&lt;something&gt; happened" in page
    described = json.loads((tmp_path / "new" / "report.json").read_text(encoding="utf-8"))
    assert described["passed"] is True
    assert described["events"][0]["unprotected"] == {
        "n_days": 9, "n_payments": 90, "n_customers": 50, "lost_cents": 70_000
    }  # fmt: skip
    line = make_table(outcome).splitlines()[2].split()
    assert line == ["inverted", "2026-03-02", "2", "1", "50", "0.05", "700.00", "x", "on", "2026-03-04"]


def test_both_arms_are_one_picture_whatever_is_undefined() -> None:
    weeks = measure_weeks(keep(["approve"] * 14, [True, False] * 3 + [True] + [False] * 7), MONDAY)
    assert weeks["average_precision"].to_list()[1] is None  # a week without a fraud
    picture = plot_arms({"protected": weeks, "unprotected": weeks}, [(MONDAY, "something")])
    assert picture.startswith(b"\x89PNG")


# --- the short one, for real


@pytest.mark.drill
def test_a_short_rehearsal_goes_as_it_should(tmp_path: Path) -> None:
    outcome = rehearse(plan_drill(), tmp_path, _logger.info)
    expectations = judge(outcome)
    _logger.info("\n%s", make_table(outcome))
    assert [one for one in expectations if not one.is_met] == []
    assert {event.act.name for event in outcome.events} == {"good", "champion_inverted", *(act.name for act in BROKEN)}
    write_report(outcome, expectations, tmp_path / "report")
    assert {file.name for file in (tmp_path / "report").iterdir()} >= {"report.html", "release.png", "arms.png"}
