"""The state machine of the release: who has which part, and which changes are allowed. No evidence here, only rules.

A state always keeps these: no model has two parts; at most one model is on trial, in shadow or as the canary, never
both; the shares of the traffic sum to 1; a model gets traffic only if it was seen to load and to score.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from pipeline_assets.contracts.vocabularies import Part, ReleaseAction, Rung
from pipeline_assets.core.release.entries import ReleaseEntry


class IllegalTransitionError(ValueError):
    """A change of the release that the state machine does not allow; the message says why not."""


@dataclass(frozen=True)
class State:
    """Who has which part on a day; see :class:`ReleaseEntry` for the attributes."""

    champion: str | None = None
    backup: str | None = None
    shadow: str | None = None
    canary: str | None = None
    canary_share: float = 0.0
    trial_since: date | None = None
    stage_since: date | None = None
    is_held: bool = False
    failed_over_since: date | None = None

    @property
    def challenger(self) -> str | None:
        """The model on trial, if any."""
        return self.canary or self.shadow

    @property
    def traffic(self) -> Mapping[Rung, float]:
        """The share of the customers that each rung is asked first for; they sum to 1."""
        first = Rung.CHAMPION if self.champion else Rung.RULES
        if self.failed_over_since is not None:
            return {Rung.BACKUP if self.backup else Rung.RULES: 1.0}
        if self.canary is None:
            return {first: 1.0}
        return {Rung.CANARY: self.canary_share, first: 1 - self.canary_share}


def list_parts(state: State) -> list[tuple[Part, str | None, float]]:
    """Who has which part, with the share of the customers for which it is asked first, in the order of the parts."""
    models = {
        Part.CHAMPION: state.champion,
        Part.BACKUP: state.backup,
        Part.CANARY: state.canary,
        Part.SHADOW: state.shadow,
    }
    shares = {str(rung): share for rung, share in state.traffic.items()}
    parts = [(part, model, shares.get(part, 0.0)) for part, model in models.items() if model]
    return sorted([*parts, (Part.RULES, None, shares.get(Part.RULES, 0.0))])


@dataclass(frozen=True)
class Transition:
    """A change: the action, the model that it is about, and the share of a canary."""

    action: ReleaseAction
    model: str | None = None
    share: float = 0.0


def read_state(entry: ReleaseEntry | None) -> State:
    """The state that an entry of the log stands for; before the first one the rules decide."""
    if entry is None:
        return State()
    return State(
        entry.champion, entry.backup, entry.shadow, entry.canary, entry.canary_share, entry.trial_since,
        entry.stage_since, entry.is_held, entry.failed_over_since,
    )  # fmt: skip


def apply(state: State, transition: Transition, day: date, fit: Collection[str]) -> State:
    """The state from ``day`` on.

    Args:
        state: The one before.
        transition: What changes.
        day: When.
        fit: The models that were seen to load and to give probabilities: only these may get traffic.

    Raises:
        IllegalTransitionError: It is not allowed in this state, or the model that it is about would get more traffic
            and is not fit. One that would only come along (a reserve, a canary whose champion is back) steps aside
            instead, and the rules or the champion decide: a change away from a model is never refused.
    """
    changed = _CHANGES[transition.action](state, transition, day)
    before, after = _list_shares(state), _list_shares(changed)
    for model in sorted(after):
        if model in fit or after[model] <= before.get(model, 0.0):
            continue
        if model == transition.model:
            raise _refuse(transition, f"{model} was not seen to load and to give probabilities")
        if model not in before:
            changed = _step_aside(changed, model)
    return changed


def _step_aside(state: State, model: str) -> State:
    if model == state.canary:
        return _without_trial(state)
    return replace(state, backup=None) if model == state.backup else replace(state, champion=None)


def _hold(state: State, transition: Transition, _: date) -> State:
    if transition.model is None:  # nothing happens
        return state
    if transition.model not in (state.challenger, state.champion):
        raise _refuse(transition, f"expected the model on trial or the champion, found {transition.model}")
    return replace(state, is_held=True)


def _start_shadow(state: State, transition: Transition, day: date) -> State:
    model = _name(transition)
    if state.champion is None:
        raise _refuse(transition, "there is no champion to be compared with")
    if state.challenger:
        raise _refuse(transition, f"{state.challenger} is on trial")
    if model in (state.champion, state.backup):
        raise _refuse(transition, f"{model} has a part already")
    return replace(state, shadow=model, trial_since=day, stage_since=day, is_held=False)


def _start_canary(state: State, transition: Transition, day: date) -> State:
    if state.shadow is None or _name(transition) != state.shadow:
        raise _refuse(transition, f"expected the model in shadow, {state.shadow}, found {transition.model}")
    _check_share(state, transition)
    return replace(state, shadow=None, canary=state.shadow, canary_share=transition.share, stage_since=day)


def _widen_canary(state: State, transition: Transition, day: date) -> State:
    if state.canary is None or _name(transition) != state.canary:
        raise _refuse(transition, f"expected the canary, {state.canary}, found {transition.model}")
    _check_share(state, transition)
    return replace(state, canary_share=transition.share, stage_since=day)


def _promote(state: State, transition: Transition, _: date) -> State:
    model = _name(transition)
    if model == state.champion:  # a person confirms it
        return replace(state, is_held=False, failed_over_since=None)
    backup = state.champion if state.failed_over_since is None else state.backup
    if backup == model:  # the backup becomes champion; the one that failed is not its reserve
        backup = None if state.failed_over_since else state.champion
    on_trial = None if state.challenger == model else state.challenger
    kept = replace(state, champion=model, backup=backup, failed_over_since=None, is_held=False)
    return kept if on_trial else _without_trial(kept)


def _roll_back(state: State, transition: Transition, _: date) -> State:
    model = _name(transition)
    if model == state.challenger:
        return _without_trial(state)
    if model == state.champion:  # by a person: whoever stood behind it is the champion from now on
        kept = replace(state, champion=state.backup, backup=None, failed_over_since=None)
        return _without_trial(kept)
    raise _refuse(transition, f"expected the model on trial or the champion, found {model}")


def _end_trial(state: State, transition: Transition, _: date) -> State:
    if _name(transition) != state.challenger:
        raise _refuse(transition, f"expected the model on trial, {state.challenger}, found {transition.model}")
    return _without_trial(state)


def _fail_over(state: State, transition: Transition, day: date) -> State:
    if state.champion is None or _name(transition) != state.champion:
        raise _refuse(transition, f"expected the champion, {state.champion}, found {transition.model}")
    if state.failed_over_since is not None:
        raise _refuse(transition, f"{state.champion} has failed over already")
    return replace(state, failed_over_since=day)


def _fail_back(state: State, transition: Transition, _: date) -> State:
    if state.failed_over_since is None or _name(transition) != state.champion:
        raise _refuse(transition, "expected a champion that has failed over")
    return replace(state, failed_over_since=None)


_CHANGES: Final[Mapping[ReleaseAction, Callable[[State, Transition, date], State]]] = {
    ReleaseAction.HOLD: _hold,
    ReleaseAction.START_SHADOW: _start_shadow,
    ReleaseAction.START_CANARY: _start_canary,
    ReleaseAction.WIDEN_CANARY: _widen_canary,
    ReleaseAction.PROMOTE: _promote,
    ReleaseAction.ROLL_BACK: _roll_back,
    ReleaseAction.END_TRIAL: _end_trial,
    ReleaseAction.FAIL_OVER: _fail_over,
    ReleaseAction.FAIL_BACK: _fail_back,
}


def _without_trial(state: State) -> State:
    return replace(state, shadow=None, canary=None, canary_share=0.0, trial_since=None, stage_since=None, is_held=False)


def _list_shares(state: State) -> dict[str, float]:
    """The share of the customers that each model is asked first for, of those that have any."""
    parts = {Rung.CHAMPION: state.champion, Rung.CANARY: state.canary, Rung.BACKUP: state.backup}
    return {model: share for rung, share in state.traffic.items() if share and (model := parts.get(rung))}


def _check_share(state: State, transition: Transition) -> None:
    if not state.canary_share < transition.share < 1:
        raise _refuse(transition, f"expected a share above {state.canary_share} and below 1, found {transition.share}")


def _name(transition: Transition) -> str:
    if transition.model is None:
        raise _refuse(transition, "expected the name of a model, found none")
    return transition.model


def _refuse(transition: Transition, why: str) -> IllegalTransitionError:
    return IllegalTransitionError(f"{transition.action} of {transition.model or 'nothing'} is not allowed: {why}")
