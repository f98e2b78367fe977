"""A model on trial: rolled back, ended, a step further, or held."""

from collections.abc import Iterator, Mapping
from datetime import date

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release.champion import find_accuracy_drop
from pipeline_assets.core.release.evidence import Gains, compare_days, find_break, says_the_same
from pipeline_assets.core.release.sequential import Judgement, Verdict, judge_gain
from pipeline_assets.core.release.situation import DAY, Metrics, Proposal, Situation, summarise_gains
from pipeline_assets.core.release.states import Transition


def judge_trial(at: Situation) -> Iterator[Proposal]:
    """Of a model on trial: roll it back, end it, let it go a step further, or hold."""
    state, params = at.state, at.params
    model, champion = state.challenger, state.champion
    if model is None or champion is None or state.trial_since is None or state.stage_since is None:
        return
    trial = (at.day - state.trial_since).days
    gains = compare_days(at.health, model, champion, state.trial_since, at.yesterday)
    judged = judge_gain(gains.average_precision, gains.n_frauds, params.tolerated_loss, params.gate)
    evidence = {model: {**summarise_gains(gains), "gain_low": judged.bounds.low, "gain_high": judged.bounds.high}}
    broken = _find_challenger_break(at, model, champion)
    drop = find_accuracy_drop(at, model, champion, at.yesterday)
    tolerated = (params.tolerated_cost_share * cost for cost in gains.rival_cost_cents)
    spared = [gain + more for gain, more in zip(gains.cost_cents, tolerated, strict=True)]
    costs = judge_gain(spared, [1.0] * len(gains.days), 0.0, params.gate)
    if broken:
        yield Proposal(Transition(ReleaseAction.ROLL_BACK, model), f"{model}: {broken}", evidence)
    elif drop is not None:
        yield Proposal(Transition(ReleaseAction.ROLL_BACK, model), f"{model}: {drop.reason}", evidence)
    elif judged.verdict is Verdict.WORSE:
        yield Proposal(Transition(ReleaseAction.ROLL_BACK, model), f"average precision: {judged.reason}", evidence)
    elif costs.verdict is Verdict.WORSE:
        yield Proposal(
            Transition(ReleaseAction.ROLL_BACK, model),
            f"cents a payment, beyond what is tolerated: {costs.reason}",
            evidence,
        )
    elif state.is_held:
        yield Proposal(Transition(ReleaseAction.HOLD), f"{model} is held by a person", evidence)
    elif not _was_seen(at, at.yesterday, model):
        yield Proposal(Transition(ReleaseAction.HOLD), f"{model}: nothing is known of {at.yesterday}", evidence)
    else:
        yield from _find_next_step(at, model, judged, gains, evidence)
        if trial >= params.max_trial_days:
            reason = f"after {trial} days: {judged.reason}"
            yield Proposal(Transition(ReleaseAction.END_TRIAL, model), reason, evidence)
        yield Proposal(
            Transition(ReleaseAction.HOLD), f"day {trial} of the trial of {model}: {judged.reason}", evidence
        )


def _find_next_step(
    at: Situation, model: str, judged: Judgement, gains: Gains, evidence: Mapping[str, Metrics]
) -> Iterator[Proposal]:
    """The next share of the traffic, where the model has been long enough at this one.

    The first two shares go by what can be seen at once; the later ones need mature labels that do not speak against
    the model, and all of the traffic needs the proof. A canary that is proved to be better need not wait any longer.
    """
    state, params = at.state, at.params
    assert state.stage_since is not None
    days = (at.day - back * DAY for back in range(1, (at.day - state.stage_since).days + 1))
    stage = sum(_was_seen(at, day, model) for day in days)
    if state.shadow is not None:
        if stage >= params.shadow_days:
            first = Transition(ReleaseAction.START_CANARY, model, params.canary_shares[0])
            yield Proposal(first, f"{stage} days in shadow without a break", evidence)
        return
    enough = sum(gains.n_frauds) >= params.min_frauds
    if enough and judged.bounds.low > 0:
        yield Proposal(Transition(ReleaseAction.PROMOTE, model), f"it is better: {judged.reason}", evidence)
    if stage < params.stage_days:
        return
    further = [share for share in params.canary_shares if share > state.canary_share]
    if further:
        early = further[0] in params.canary_shares[:2]
        if early or (enough and len(gains.days) >= params.gate.min_days and gains.mean >= -params.tolerated_loss):
            step = Transition(ReleaseAction.WIDEN_CANARY, model, further[0])
            yield Proposal(step, f"{stage} days at {state.canary_share:.0%} without a break; {judged.reason}", evidence)
    elif enough and judged.verdict is Verdict.NOT_WORSE:
        yield Proposal(Transition(ReleaseAction.PROMOTE, model), judged.reason, evidence)


def _was_seen(at: Situation, day: date, model: str) -> bool:
    """Whether there is evidence of a day: payments that both the model and the champion were seen to score."""
    signals = (at.health.find(day, one) for one in (model, at.state.champion))
    return all(one is not None and one.get("n_payments", 0) > 0 and not says_the_same(one) for one in signals)


def _find_challenger_break(at: Situation, model: str, champion: str) -> str | None:
    now, beside = at.health.find(at.yesterday, model), at.health.find(at.yesterday, champion)
    if now is None:
        return None
    return find_break(now, [beside] if beside is not None else (), at.params)
