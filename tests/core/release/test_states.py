"""The state machine of the release: what holds in every state that any sequence of changes leads to."""

import dataclasses
from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline_assets.contracts.vocabularies import ReleaseAction, Rung
from pipeline_assets.core.release.states import IllegalTransitionError, State, Transition, apply, read_state
from tests.core.release.signals import make_entry

MODELS = ("a", "b", "c", "d")
ALL = frozenset(MODELS)
TODAY = date(2026, 3, 10)
TRIAL = State("a", "b", shadow="c", trial_since=TODAY, stage_since=TODAY)
CANARY = State("a", "b", canary="c", canary_share=0.05, trial_since=TODAY, stage_since=TODAY)
AWAY = dataclasses.replace(CANARY, failed_over_since=TODAY)


def list_parts(state: State) -> list[str]:
    parts = (state.champion, state.backup, state.shadow, state.canary)
    return [model for model in parts if model]


def share(state: State) -> Mapping[str | None, float]:
    """The share of the customers by model; None stands for the rules."""
    parts = {Rung.CHAMPION: state.champion, Rung.CANARY: state.canary, Rung.BACKUP: state.backup, Rung.RULES: None}
    shares: dict[str | None, float] = {}
    for rung, part in state.traffic.items():
        assert rung is Rung.RULES or parts[rung] is not None, f"{rung} is asked, and there is none"
        shares[parts[rung]] = shares.get(parts[rung], 0.0) + part
    return shares


def assert_is_sound(state: State) -> None:
    parts, shares = list_parts(state), share(state)
    assert not (state.shadow and state.canary), "two are on trial"
    assert len(parts) == len(set(parts)), "a model has two parts"
    assert all(0 <= part <= 1 for part in shares.values())
    assert sum(shares.values()) == pytest.approx(1, abs=1e-12)
    assert (state.canary is not None) == (state.canary_share > 0)
    assert (state.challenger is not None) == (state.trial_since is not None) == (state.stage_since is not None)
    if state.champion is None:
        assert state == State(), "something hangs on a champion that is not there"


@st.composite
def transitions(draw: st.DrawFn, state: State) -> Transition:
    """Changes of which about every second is allowed."""
    action = draw(st.sampled_from(ReleaseAction))
    model = draw(
        st.sampled_from([*MODELS, *list_parts(state), *filter(None, [state.challenger, state.champion]), None])
    )
    return Transition(action, model, draw(st.sampled_from([0.0, 0.01, 0.05, 0.25, 0.5, 1.0])))


class Release(RuleBasedStateMachine):
    """Any changes, on days that go on, with any models fit."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.day = TODAY

    @rule(data=st.data(), fit=st.sets(st.sampled_from(MODELS)) | st.just(set(MODELS)))
    def change(self, data: st.DataObject, fit: set[str]) -> None:
        before, copied = self.state, dataclasses.replace(self.state)
        transition = data.draw(transitions(before))
        try:
            after = apply(before, transition, self.day, fit)
        except IllegalTransitionError:
            after = before
        assert before == copied, "a change, or its refusal, alters the state that was"
        self.check(before, transition, after, fit)
        self.state = after

    @rule()
    def wait(self) -> None:
        self.day += timedelta(days=1)

    @invariant()
    def is_sound(self) -> None:
        assert_is_sound(self.state)

    @invariant()
    def survives_the_log(self) -> None:
        entry = make_entry(self.day, **dataclasses.asdict(self.state))
        assert read_state(entry) == self.state

    @staticmethod
    def check(before: State, transition: Transition, after: State, fit: set[str]) -> None:
        had, has = share(before), share(after)
        for model in set(has) - {None} - fit:
            assert model in had, "a model got traffic that is not fit"
            if model == transition.model:
                assert has[model] <= had[model], "a model got more traffic that is not fit"
        if before == after:
            return
        if transition.action in (ReleaseAction.ROLL_BACK, ReleaseAction.END_TRIAL):
            assert transition.model not in list_parts(after)
        if transition.action is ReleaseAction.FAIL_OVER:
            assert set(has) <= {before.backup, None}
        if transition.action in (ReleaseAction.START_CANARY, ReleaseAction.WIDEN_CANARY):
            assert after.canary_share > before.canary_share
            assert after.champion == before.champion
        if transition.action in (ReleaseAction.HOLD, ReleaseAction.START_SHADOW):
            assert has == had


TestRelease = Release.TestCase
TestRelease.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_the_rules_decide_before_there_is_a_model() -> None:
    assert State().traffic == {Rung.RULES: 1.0}
    assert read_state(None) == State()


def test_a_model_goes_the_whole_way_and_its_champion_becomes_its_backup() -> None:
    state = apply(State(), Transition(ReleaseAction.PROMOTE, "a"), TODAY, ALL)
    for step in (
        Transition(ReleaseAction.START_SHADOW, "b"),
        Transition(ReleaseAction.START_CANARY, "b", 0.01),
        Transition(ReleaseAction.WIDEN_CANARY, "b", 0.25),
    ):
        state = apply(state, step, TODAY, ALL)
    assert state.traffic == {Rung.CANARY: 0.25, Rung.CHAMPION: 0.75}
    assert apply(state, Transition(ReleaseAction.PROMOTE, "b"), TODAY, ALL) == State("b", "a")


@pytest.mark.parametrize(
    ("state", "transition", "why"),
    [
        (State(), Transition(ReleaseAction.START_SHADOW, "a"), "there is no champion"),
        (TRIAL, Transition(ReleaseAction.START_SHADOW, "d"), "c is on trial"),
        (CANARY, Transition(ReleaseAction.START_SHADOW, "d"), "c is on trial"),
        (State("a", "b"), Transition(ReleaseAction.START_SHADOW, "a"), "a has a part already"),
        (State("a", "b"), Transition(ReleaseAction.START_SHADOW, "b"), "b has a part already"),
        (State("a", "b"), Transition(ReleaseAction.START_CANARY, "c", 0.01), "expected the model in shadow"),
        (TRIAL, Transition(ReleaseAction.START_CANARY, "d", 0.01), "expected the model in shadow, c, found d"),
        (TRIAL, Transition(ReleaseAction.START_CANARY, "c", 0.0), "expected a share above 0.0"),
        (TRIAL, Transition(ReleaseAction.START_CANARY, "c", 1.0), "below 1, found 1.0"),
        (CANARY, Transition(ReleaseAction.WIDEN_CANARY, "c", 0.05), "above 0.05"),
        (TRIAL, Transition(ReleaseAction.WIDEN_CANARY, "c", 0.05), "expected the canary, None"),
        (CANARY, Transition(ReleaseAction.ROLL_BACK, "b"), "expected the model on trial or the champion"),
        (CANARY, Transition(ReleaseAction.END_TRIAL, "a"), "expected the model on trial, c"),
        (CANARY, Transition(ReleaseAction.FAIL_OVER, "b"), "expected the champion, a"),
        (AWAY, Transition(ReleaseAction.FAIL_OVER, "a"), "a has failed over already"),
        (CANARY, Transition(ReleaseAction.FAIL_BACK, "a"), "expected a champion that has failed over"),
        (CANARY, Transition(ReleaseAction.HOLD, "b"), "expected the model on trial or the champion, found b"),
        (CANARY, Transition(ReleaseAction.PROMOTE), "expected the name of a model"),
        (CANARY, Transition(ReleaseAction.ROLL_BACK), "expected the name of a model"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_reason(state: State, transition: Transition, why: str) -> None:
    with pytest.raises(IllegalTransitionError, match=f"is not allowed: .*{why}"):
        apply(state, transition, TODAY, ALL)


@pytest.mark.parametrize(
    ("state", "transition", "unfit"),
    [
        (State(), Transition(ReleaseAction.PROMOTE, "a"), "a"),
        (TRIAL, Transition(ReleaseAction.START_CANARY, "c", 0.01), "c"),
        (TRIAL, Transition(ReleaseAction.PROMOTE, "c"), "c"),
        (CANARY, Transition(ReleaseAction.WIDEN_CANARY, "c", 0.25), "c"),
        (CANARY, Transition(ReleaseAction.PROMOTE, "c"), "c"),
        (CANARY, Transition(ReleaseAction.PROMOTE, "b"), "b"),
        (AWAY, Transition(ReleaseAction.FAIL_BACK, "a"), "a"),
        (AWAY, Transition(ReleaseAction.PROMOTE, "a"), "a"),
    ],
)
def test_no_change_gives_more_traffic_to_a_model_that_is_not_fit(
    state: State, transition: Transition, unfit: str
) -> None:
    with pytest.raises(IllegalTransitionError, match=f"{unfit} was not seen to load and to give probabilities"):
        apply(state, transition, TODAY, ALL - {unfit})


@pytest.mark.parametrize(
    ("state", "transition", "fit", "traffic"),
    [
        (CANARY, Transition(ReleaseAction.FAIL_OVER, "a"), "b", {"b": 1}),
        (CANARY, Transition(ReleaseAction.FAIL_OVER, "a"), "", {None: 1}),
        (CANARY, Transition(ReleaseAction.ROLL_BACK, "a"), "b", {"b": 1}),
        (CANARY, Transition(ReleaseAction.ROLL_BACK, "a"), "", {None: 1}),
        (CANARY, Transition(ReleaseAction.ROLL_BACK, "c"), "", {"a": 1}),
        (CANARY, Transition(ReleaseAction.END_TRIAL, "c"), "", {"a": 1}),
        (AWAY, Transition(ReleaseAction.FAIL_BACK, "a"), "ac", {"a": 0.95, "c": 0.05}),
        (AWAY, Transition(ReleaseAction.FAIL_BACK, "a"), "a", {"a": 1}),
        (AWAY, Transition(ReleaseAction.PROMOTE, "b"), "b", {"b": 1}),
    ],
)
def test_a_change_away_from_a_model_is_never_refused_and_who_is_not_fit_steps_aside(
    state: State, transition: Transition, fit: str, traffic: Mapping[str | None, float]
) -> None:
    assert share(apply(state, transition, TODAY, set(fit))) == pytest.approx(traffic)


def test_the_canary_waits_while_the_backup_decides_and_goes_on_when_the_champion_is_back() -> None:
    away = apply(CANARY, Transition(ReleaseAction.FAIL_OVER, "a"), TODAY, ALL)
    assert away == AWAY
    assert apply(away, Transition(ReleaseAction.FAIL_BACK, "a"), TODAY, ALL) == CANARY


@pytest.mark.parametrize(
    ("state", "model", "expected"),
    [
        (State("a", "b"), "c", State("c", "a")),
        (State("a", "b"), "b", State("b", "a")),
        (CANARY, "c", State("c", "a")),
        (CANARY, "b", dataclasses.replace(CANARY, champion="b", backup="a")),
        (CANARY, "a", CANARY),
        (AWAY, "a", CANARY),
        (AWAY, "b", dataclasses.replace(CANARY, champion="b", backup=None)),
        (AWAY, "c", State("c", "b")),
        (dataclasses.replace(CANARY, is_held=True), "a", CANARY),
    ],
)
def test_the_reserve_of_a_promoted_model_is_the_last_one_that_was_well(
    state: State, model: str, expected: State
) -> None:
    assert apply(state, Transition(ReleaseAction.PROMOTE, model), TODAY, ALL) == expected


@given(st.sampled_from([State("a"), TRIAL, CANARY, AWAY]))
def test_holding_changes_no_share_and_holding_nothing_changes_nothing(state: State) -> None:
    held = apply(state, Transition(ReleaseAction.HOLD, "a"), TODAY, ALL)
    assert held == dataclasses.replace(state, is_held=True)
    assert apply(state, Transition(ReleaseAction.HOLD), TODAY, set()) == state
