"""The decision of a day: sound, repeatable and reasoned on any evidence; what is missing or thin moves nothing."""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.policy import decide_day
from pipeline_assets.core.release.situation import Candidate
from pipeline_assets.core.release.states import State, Transition, apply, read_state
from tests.core.release.signals import (
    ANSWERED,
    BROKEN,
    DAY,
    PARAMS,
    START,
    Kinds,
    begin,
    histories,
    make_candidate,
    make_entry,
    make_health,
    measure,
    stay_well,
)
from tests.core.release.test_states import assert_is_sound, list_parts, share

MODELS = ("a", "b", "c", "d")
TODAY = START + 14 * DAY
CANDIDATES = [
    make_candidate(START - DAY, "a"),
    make_candidate(START + 4 * DAY, "b", "a"),
    make_candidate(START + 11 * DAY, "c", "a", "b"),
    make_candidate(START + 18 * DAY, "d", "a", "b", "c", is_good=False),
]
LIVES = settings(max_examples=40, deadline=None)  # an example is a month of decisions
IN_TRAFFIC = (ReleaseAction.START_CANARY, ReleaseAction.WIDEN_CANARY, ReleaseAction.PROMOTE)
WEEK = stay_well(TODAY - 28 * DAY, 28, "a", "b", "c")


def decide(kinds: Kinds, day: date, *entries: ReleaseEntry, candidates: Sequence[Candidate] = ()) -> ReleaseEntry:
    return decide_day(entries, day, make_health(kinds), candidates, PARAMS)


def live(
    kinds: Kinds,
    first: date,
    n_days: int,
    entries: Sequence[ReleaseEntry] = (),
    candidates: Sequence[Candidate] = (),
) -> list[ReleaseEntry]:
    """A log after days on each of which it was decided by what was known; the first entries were there before."""
    log, health = list(entries), make_health(kinds)
    for number in range(n_days):
        day = first + number * DAY
        entry = decide_day(log, day, health, [one for one in candidates if one.as_of <= day], PARAMS)
        log.append(dataclasses.replace(entry, sequence=len(log)))
    return log


lives = histories(MODELS, 30).map(lambda kinds: (kinds, live(kinds, START, 31, (), CANDIDATES)))


@LIVES
@given(lives)
def test_every_day_has_a_sound_decision_with_its_reason_and_every_change_its_evidence(
    lived: tuple[Kinds, list[ReleaseEntry]],
) -> None:
    before = State()
    for entry in lived[1]:
        after = read_state(entry)
        assert_is_sound(after)
        assert entry.reason
        assert entry.decided_by is DecidedBy.PIPELINE
        assert (entry.action is ReleaseAction.HOLD) == (after == before)
        if entry.action is not ReleaseAction.HOLD:
            assert any(entry.evidence.values())
        before = after


@LIVES
@given(lives)
def test_without_evidence_of_the_day_before_no_model_gets_more_traffic(
    lived: tuple[Kinds, list[ReleaseEntry]],
) -> None:
    kinds, log = lived
    before = read_state(None)
    for entry in log:
        after, known = read_state(entry), kinds.get(entry.as_of - DAY, {})
        for model in set(share(after)) - {None}:
            is_new = share(before).get(model, 0) == 0
            # The first model of all is promoted by its evaluation.
            if is_new and before.champion is not None:
                assert known[str(model)] in (*ANSWERED, "empty")
        if entry.action in IN_TRAFFIC[:2]:
            assert {known[str(after.canary)], known[str(after.champion)]} <= set(ANSWERED)
        before = after


@LIVES
@given(lives)
def test_a_model_that_was_rolled_back_never_comes_back_by_itself(lived: tuple[Kinds, list[ReleaseEntry]]) -> None:
    gone: set[str] = set()
    before = State()
    for entry in lived[1]:
        after = read_state(entry)
        assert not gone & set(list_parts(after))
        if entry.action in (ReleaseAction.ROLL_BACK, ReleaseAction.END_TRIAL):
            gone |= set(list_parts(before)) - set(list_parts(after))
        before = after


@LIVES
@given(lives)
def test_a_champion_takes_over_again_only_after_days_on_each_of_which_it_was_well(
    lived: tuple[Kinds, list[ReleaseEntry]],
) -> None:
    kinds, log = lived
    for entry in log:
        if entry.action is ReleaseAction.FAIL_BACK:
            days = [entry.as_of - back * DAY for back in range(1, PARAMS.recovery_days + 1)]
            assert {kinds[day][str(entry.champion)] for day in days} <= set(ANSWERED)


@LIVES
@given(histories(MODELS, 30), st.integers(1, 28), st.data())
def test_deciding_a_day_again_knows_neither_what_was_decided_since_nor_what_was_seen_since(
    kinds: Kinds, n_days: int, data: st.DataObject
) -> None:
    log, day = live(kinds, START, n_days, (), CANDIDATES), START + n_days * DAY
    known = {one: models for one, models in kinds.items() if one < day}
    once = decide(known, day, *log, candidates=CANDIDATES[:3])
    later = [
        make_entry(day + data.draw(st.integers(0, 3)) * DAY, champion, reason=f"later {number}", sequence=99 + number)
        for number, champion in enumerate(data.draw(st.lists(st.sampled_from(MODELS), max_size=3)))
    ]
    within = make_entry(day, "d", effective_from=begin(day) + timedelta(hours=14), decided_by=DecidedBy.PERSON)
    assert decide(kinds, day, *log, once, *later, within, candidates=CANDIDATES[:3]) == once


@LIVES
@given(histories(MODELS, 20), st.integers(2, 20), st.randoms(use_true_random=False))
def test_the_order_of_entries_candidates_days_and_models_is_irrelevant(
    kinds: Kinds, n_days: int, mix: random.Random
) -> None:
    log, day = live(kinds, START, n_days, (), CANDIDATES), START + n_days * DAY

    def shuffle(found: Mapping[date, Mapping[str, str]]) -> Kinds:
        days = mix.sample(sorted(found), len(found))
        return {one: dict(mix.sample(sorted(found[one].items()), len(found[one]))) for one in days}

    mixed, candidates = mix.sample(log, len(log)), mix.sample(CANDIDATES[:3], 3)
    assert decide(shuffle(kinds), day, *mixed, candidates=candidates) == decide(
        kinds, day, *log, candidates=CANDIDATES[:3]
    )


@given(
    st.sampled_from(
        [
            State("a"),
            State("a", "b"),
            State("a", "b", shadow="c", trial_since=START, stage_since=START),
            State("a", "b", canary="c", canary_share=0.05, trial_since=START, stage_since=START),
            State("a", "b", canary="c", canary_share=0.25, trial_since=START, stage_since=START),
            State("a", "b", canary="c", canary_share=0.25, trial_since=START, stage_since=START, is_held=True),
            State("a", "b", failed_over_since=START),
            State("a", None),
        ]
    ),
    st.sampled_from(["absent", "unavailable", "empty"]),
    st.integers(0, 60),
)
def test_where_nothing_is_known_everything_stays_as_it_is(state: State, kind: str, n_days: int) -> None:
    day = START + n_days * DAY
    kinds = {START + number * DAY: dict.fromkeys("abc", kind) for number in range(n_days)}
    before = make_entry(START, **dataclasses.asdict(state))
    after = decide(kinds, day + DAY, before, candidates=[Candidate(START, "d")])
    assert (after.action, read_state(after)) == (ReleaseAction.HOLD, state)


# --- the champion


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_champion_is_failed_over_on_the_next_day_and_comes_back_when_it_was_well_for_long(kind: str) -> None:
    kinds = {**WEEK, TODAY: {"a": kind, "b": "well"}, **stay_well(TODAY + DAY, 9, "a", "b")}
    log = live(kinds, TODAY, 8, [make_entry(TODAY - DAY, "a", "b")])[1:]
    actions = [entry.action for entry in log]
    away = PARAMS.recovery_days
    assert actions[:2] == [ReleaseAction.HOLD, ReleaseAction.FAIL_OVER]
    assert [entry.failed_over_since for entry in log[1 : 1 + away]] == [TODAY + DAY] * away
    assert [share(read_state(entry)) for entry in log[1 : 1 + away]] == [{"b": 1}] * away
    assert actions[1 + away] is ReleaseAction.FAIL_BACK
    assert share(read_state(log[1 + away])) == {"a": 1}
    assert log[1].evidence["a"]["n_payments"] == 1000


@pytest.mark.parametrize("kind", ["invalid", "timed_out", "flags"])
def test_a_champion_that_breaks_again_has_to_be_well_for_as_long_again(kind: str) -> None:
    kinds = {
        **WEEK,
        TODAY: {"a": kind, "b": "well"},
        **stay_well(TODAY + DAY, 12, "a", "b"),
        TODAY + 3 * DAY: {"a": kind, "b": "well"},
    }
    log = live(kinds, TODAY, 9, [make_entry(TODAY - DAY, "a", "b")])[1:]
    back = [entry.as_of for entry in log if entry.action is ReleaseAction.FAIL_BACK]
    assert back == [TODAY + (4 + PARAMS.recovery_days) * DAY]


@pytest.mark.parametrize("kind", ["flags", "moved"])
def test_days_on_which_it_was_broken_never_become_what_is_usual(kind: str) -> None:
    """Of few days before, and a backup that knows nothing of the payments after the first of them."""
    kinds = {**stay_well(TODAY - 2 * DAY, 2, "a"), **{TODAY + n * DAY: {"a": kind} for n in range(PARAMS.give_up_days)}}
    kinds[TODAY] = {"a": kind, "b": "well"}
    log = live(kinds, TODAY + DAY, PARAMS.give_up_days - 1, [make_entry(TODAY, "a", "b")])[1:]
    assert [entry.action for entry in log] == [ReleaseAction.FAIL_OVER, *[ReleaseAction.HOLD] * (len(log) - 1)]


@pytest.mark.parametrize("kind", ["flags", "moved", "constant"])
def test_what_is_only_odd_is_no_reason_to_fail_over_where_nobody_can_tell_whether_it_is_the_world(kind: str) -> None:
    kinds = {**stay_well(TODAY - 9 * DAY, 9, "a"), TODAY: {"a": kind}}
    assert decide(kinds, TODAY + DAY, make_entry(TODAY, "a")).action is ReleaseAction.HOLD
    kinds[TODAY] = {"a": kind, "b": "well"}
    assert decide(kinds, TODAY + DAY, make_entry(TODAY, "a", "b")).action is ReleaseAction.FAIL_OVER


def test_a_champion_that_cannot_be_asked_is_no_reason_to_fail_over_and_none_to_come_back() -> None:
    kinds = {**WEEK, TODAY: {"a": "unavailable", "b": "well"}}
    assert decide(kinds, TODAY + DAY, make_entry(TODAY, "a", "b")).action is ReleaseAction.HOLD
    away = make_entry(TODAY - 5 * DAY, "a", "b", failed_over_since=TODAY - 5 * DAY)
    assert decide(WEEK, TODAY, away).action is ReleaseAction.FAIL_BACK
    assert decide(kinds, TODAY + DAY, away).action is ReleaseAction.HOLD


def test_a_backup_that_is_clearly_more_precise_takes_over_on_mature_labels() -> None:
    kinds = {**WEEK, **{TODAY - back * DAY: {"a": "worse", "b": "well"} for back in range(1, 8)}}
    entry = decide(kinds, TODAY, make_entry(TODAY - DAY, "a", "b"))
    assert entry.action is ReleaseAction.FAIL_OVER
    assert "0.3000 below that of b on the 7 days" in entry.reason
    assert entry.evidence["a"]["gain"] == pytest.approx(-0.3)


def test_a_few_bad_days_of_many_are_no_reason_to_fail_over() -> None:
    kinds = {**WEEK, **{TODAY - back * DAY: {"a": "worse", "b": "well"} for back in range(1, 3)}}
    assert decide(kinds, TODAY, make_entry(TODAY - DAY, "a", "b")).action is ReleaseAction.HOLD


def test_where_the_world_has_changed_for_both_the_champion_stays() -> None:
    kinds = {**WEEK, TODAY: {"a": "flags", "b": "flags"}}
    assert decide(kinds, TODAY + DAY, make_entry(TODAY, "a", "b")).action is ReleaseAction.HOLD


@pytest.mark.parametrize("kind", ["absent", "unavailable", "invalid", "timed_out"])
def test_where_the_backup_is_not_known_to_be_well_the_rules_take_over(kind: str) -> None:
    kinds = {**WEEK, TODAY: {"a": "invalid", "b": kind}}
    entry = decide(kinds, TODAY + DAY, make_entry(TODAY, "a", "b"))
    assert entry.action is ReleaseAction.FAIL_OVER
    assert share(read_state(entry)) == {None: 1}


@pytest.mark.parametrize(
    ("backup", "seen", "action", "champion"),
    [
        ("b", "well", ReleaseAction.PROMOTE, "b"),
        ("b", "absent", ReleaseAction.HOLD, "a"),
        ("b", "invalid", ReleaseAction.HOLD, "a"),
        (None, "absent", ReleaseAction.ROLL_BACK, None),
    ],
)
def test_a_champion_that_stays_away_is_given_up_for_who_is_known_to_be_well(
    backup: str | None, seen: str, action: ReleaseAction, champion: str | None
) -> None:
    since = TODAY - PARAMS.give_up_days * DAY
    kinds = {**WEEK, **{since + number * DAY: {"a": "invalid", "b": seen} for number in range(-1, PARAMS.give_up_days)}}
    away = make_entry(since, "a", backup, failed_over_since=since)
    early, late = decide(kinds, TODAY - DAY, away), decide(kinds, TODAY, away)
    assert (early.action, late.action, late.champion) == (ReleaseAction.HOLD, action, champion)


def test_after_the_only_model_was_given_up_the_next_one_has_its_turn() -> None:
    before = make_entry(TODAY - 30 * DAY, "x"), make_entry(TODAY - DAY, None, action=ReleaseAction.ROLL_BACK)
    entry = decide({}, TODAY, *before, candidates=[make_candidate(TODAY - 40 * DAY, "x"), make_candidate(TODAY, "y")])
    assert (entry.action, entry.champion) == (ReleaseAction.PROMOTE, "y")


# --- a model on trial


def try_out(kind: str, n_days: int = 24, **of: object) -> list[ReleaseEntry]:
    """The entries of a trial of c against a, on each day of which c is of one kind."""
    kinds = {**WEEK, **{TODAY + number * DAY: {"a": "well", "b": "well", "c": kind} for number in range(n_days)}}
    shadow = make_entry(TODAY, "a", "b", shadow="c", trial_since=TODAY, stage_since=TODAY, **of)
    return live(kinds, TODAY + DAY, n_days, [shadow])[1:]


def test_a_good_model_goes_from_shadow_over_every_share_to_all_of_the_traffic() -> None:
    steps = [entry for entry in try_out("well") if entry.action is not ReleaseAction.HOLD]
    assert [entry.action for entry in steps] == [
        ReleaseAction.START_CANARY, ReleaseAction.WIDEN_CANARY, ReleaseAction.WIDEN_CANARY, ReleaseAction.PROMOTE,
    ]  # fmt: skip
    assert [entry.canary_share for entry in steps] == [*PARAMS.canary_shares, 0.0]
    assert [(entry.as_of - TODAY).days for entry in steps][:3] == [3, 5, 7]
    assert (steps[-1].as_of - steps[-2].as_of).days >= PARAMS.stage_days
    assert (steps[-1].champion, steps[-1].backup) == ("c", "a")
    assert "loses at most 0.02" in steps[-1].reason


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("weaker", "average precision: gain -0.05"),
        ("worse", "below that of a"),
        ("dearer", "cents a payment, beyond what is tolerated: gain -3.5"),
    ],
)
def test_a_worse_model_is_rolled_back_as_soon_as_labels_say_so_and_never_gets_a_later_share(
    kind: str, why: str
) -> None:
    log = try_out(kind)
    ended = next(entry for entry in log if entry.action is ReleaseAction.ROLL_BACK)
    assert (ended.as_of - TODAY).days <= PARAMS.gate.min_days
    assert max(entry.canary_share for entry in log) <= PARAMS.canary_shares[0]
    assert why in ended.reason
    assert min(ended.evidence["c"]["gain"], ended.evidence["c"]["cost_gain_cents"]) < 0
    assert {entry.champion for entry in log} == {"a"}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_model_on_trial_is_rolled_back_on_the_next_day(kind: str) -> None:
    first = try_out(kind)[0]
    assert first.action is ReleaseAction.ROLL_BACK
    assert first.canary_share == 0
    canary = {"canary": "c", "canary_share": 0.05, "trial_since": START, "stage_since": START}
    kinds = {**WEEK, TODAY: {"a": "well", "b": "well", "c": kind}}
    assert decide(kinds, TODAY + DAY, make_entry(TODAY, "a", "b", **canary)).canary is None


@LIVES
@given(st.sets(st.integers(1, 23)))
def test_days_without_evidence_do_not_count_for_any_step(unseen: set[int]) -> None:
    kinds = {
        **WEEK,
        **{TODAY + n * DAY: {"a": "well", "c": "absent" if n in unseen else "well"} for n in range(24)},
    }
    shadow = make_entry(TODAY, "a", shadow="c", trial_since=TODAY, stage_since=TODAY)
    for entry in live(kinds, TODAY + DAY, 18, [shadow])[1:]:
        n_seen = sum(number not in unseen for number in range((entry.as_of - TODAY).days))
        needed = PARAMS.shadow_days + PARAMS.stage_days * PARAMS.canary_shares.index(entry.canary_share or 0.01)
        assert entry.canary is None or n_seen >= needed
        assert entry.champion == "a" or n_seen >= max(PARAMS.gate.min_days, PARAMS.shadow_days + 3 * PARAMS.stage_days)


def test_a_trial_that_shows_nothing_ends_and_the_next_model_has_its_turn() -> None:
    # Every other day better, every other worse: neither a loss nor that there is none is proved.
    kinds = {
        **WEEK,
        **{TODAY + n * DAY: {"a": "well", "c": "stronger" if n % 2 else "weaker"} for n in range(40)},
    }
    params = dataclasses.replace(PARAMS, tolerated_loss=0.001)
    log = [make_entry(TODAY, "a", shadow="c", trial_since=TODAY, stage_since=TODAY)]
    for number in range(1, 30):
        candidates = [make_candidate(TODAY + 7 * DAY, "d", "a")]
        log.append(decide_day(log, TODAY + number * DAY, make_health(kinds), candidates, params))
    ended = next(entry for entry in log if entry.action is ReleaseAction.END_TRIAL)
    assert (ended.as_of - TODAY).days == PARAMS.max_trial_days
    assert log[log.index(ended) + 1].shadow == "d"


def test_what_a_person_holds_goes_no_further_and_is_rolled_back_all_the_same() -> None:
    assert {entry.action for entry in try_out("well", is_held=True)} == {ReleaseAction.HOLD}
    assert try_out("invalid", is_held=True)[0].action is ReleaseAction.ROLL_BACK


def test_while_a_person_holds_the_champion_no_trial_begins() -> None:
    new = make_candidate(TODAY, "new", "a")
    entry = decide({}, TODAY, make_entry(START, "a", is_held=True), candidates=[new])
    assert (entry.action, entry.shadow, entry.is_held) == (ReleaseAction.HOLD, None, True)
    assert "held by a person" in entry.reason
    assert decide({}, TODAY, make_entry(START, "a"), candidates=[new]).shadow == "new"


# --- a person


def test_what_a_person_decided_within_a_day_stays_until_something_else_happens() -> None:
    """The daily decision of the same day is often made later: it is in force from the day's beginning only."""
    kinds = {**WEEK, **stay_well(TODAY, 8, "a", "b", "c")}
    log = [make_entry(TODAY - DAY, "a", "b", canary="c", canary_share=0.01, trial_since=START, stage_since=START)]
    held = apply(read_state(log[0]), Transition(ReleaseAction.HOLD, "c"), TODAY, set())
    by_hand = make_entry(
        TODAY,
        effective_from=begin(TODAY) + timedelta(hours=14),
        decided_by=DecidedBy.PERSON,
        sequence=1,
        **{"backup": "b", **dataclasses.asdict(held)},
    )
    log = live(kinds, TODAY, 8, [*log, by_hand])
    same_day, *later = log[2:]
    assert same_day.effective_from < by_hand.effective_from
    assert [(entry.action, entry.is_held) for entry in later] == [(ReleaseAction.HOLD, True)] * 7
    assert {entry.canary_share for entry in later} == {0.01}


# --- a candidate


@pytest.mark.parametrize(("candidate", "rules"), [(0.5, 0.3), (0.3, 0.3), (0.281, 0.3)])
def test_the_first_model_that_is_not_worse_than_the_rules_becomes_champion(candidate: float, rules: float) -> None:
    new = Candidate(TODAY, "new", {"candidate": measure(candidate), "rules": measure(rules)})
    entry = decide({}, TODAY, candidates=[new])
    assert (entry.action, entry.champion, entry.backup) == (ReleaseAction.PROMOTE, "new", None)
    assert entry.effective_from == begin(TODAY)
    assert entry.evidence == new.evaluation


def test_a_candidate_that_is_not_worse_begins_in_shadow_and_the_newest_has_its_turn() -> None:
    evaluation = {"candidate": measure(0.50), "a": measure(0.51), "rules": measure(0.9)}
    new = Candidate(TODAY, "new", evaluation)
    older = Candidate(TODAY - 7 * DAY, "older", evaluation)
    entry = decide({}, TODAY, make_entry(START, "a", "b"), candidates=[older, new])
    assert (entry.action, entry.shadow) == (ReleaseAction.START_SHADOW, "new")
    assert (entry.champion, entry.backup, entry.canary_share) == ("a", "b", 0)
    assert (entry.trial_since, entry.stage_since) == (TODAY, TODAY)
    assert entry.evidence == {"candidate": measure(0.50), "a": measure(0.51)}
    assert "0.5000 against 0.5100 of a" in entry.reason


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({}, "no evaluation of the candidate"),
        ({"candidate": measure(0.9)}, "no evaluation of old"),
        ({"candidate": measure(0.9), "rules": measure(0.1)}, "no evaluation of old"),
        ({"old": measure(0.1)}, "no evaluation of the candidate"),
        ({"candidate": measure(0.9, n_frauds=19), "old": measure(0.1, n_frauds=19)}, "19 frauds"),
        ({"candidate": measure(0.9), "old": measure(0.1, n_rows=901)}, "not evaluated on the same payments"),
        ({"candidate": {"n_frauds": 60.0}, "old": measure(0.1)}, "the candidate has no average_precision"),
        ({"candidate": measure(0.479), "old": measure(0.5)}, "more than 0.02 less"),
        ({"candidate": measure(float("nan")), "old": measure(0.5)}, "more than 0.02 less"),
        ({"candidate": measure(0.9), "old": measure(float("nan"))}, "more than 0.02 less"),
    ],
)
def test_without_evidence_for_the_candidate_it_gets_no_part(evidence: dict[str, dict[str, float]], reason: str) -> None:
    before = make_entry(START, "old", "older")
    entry = decide({}, TODAY, before, candidates=[Candidate(TODAY, "new", evidence)])
    assert (entry.action, read_state(entry)) == (ReleaseAction.HOLD, read_state(before))
    assert reason in entry.reason


@pytest.mark.parametrize("kind", ["unavailable", "invalid", "timed_out"])
def test_a_first_model_that_was_seen_to_fail_is_not_promoted(kind: str) -> None:
    entry = decide({TODAY - DAY: {"a": kind}}, TODAY, candidates=[make_candidate(TODAY - DAY, "a")])
    assert (entry.action, entry.champion) == (ReleaseAction.HOLD, None)


def test_without_any_model_the_rules_decide_and_the_entry_says_so() -> None:
    entry = decide_day([], TODAY, Health({}), [], PARAMS)
    assert (entry.action, read_state(entry)) == (ReleaseAction.HOLD, State())
    assert "the rules decide" in entry.reason
