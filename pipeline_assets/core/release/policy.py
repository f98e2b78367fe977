"""The decision of a day on the release: what the evidence of the days before it allows.

The order is that of harm: a champion that is not well, then a model on trial, then a new candidate. What is missing or
thin holds everything as it is.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.release.champion import watch_absence, watch_champion
from pipeline_assets.core.release.entries import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.params import ReleaseParams
from pipeline_assets.core.release.situation import Candidate, Metrics, Proposal, Situation
from pipeline_assets.core.release.states import Transition, apply, read_state
from pipeline_assets.core.release.trial import judge_trial

_COMPARED: Final = "average_precision"
_RULES_SUBJECT: Final = "rules"
_SAME_TEST_SET: Final = ("n_rows", "n_removed", "n_frauds")  # evidence on other payments compares nothing


def decide_day(
    earlier: Sequence[ReleaseEntry], day: date, health: Health, candidates: Sequence[Candidate], params: ReleaseParams
) -> ReleaseEntry:
    """The entry of a day, in force from its first moment on.

    It depends on what was in force before the day only, never on an entry of the day itself: deciding again decides
    the same.

    Args:
        earlier: The entries of the log so far.
        day: See there.
        health: The signals of the days before; later ones are not looked at.
        candidates: The models with an as-of day up to ``day``, in order.
        params: See there.
    """
    start = datetime.combine(day, datetime.min.time(), UTC)
    before = [entry for entry in earlier if entry.effective_from < start]
    known = Health({one: models for one, models in health.days.items() if one < day})
    state = read_state(find_entry_in_force(before, start))
    situation = Situation(day, state, known, candidates, list_tried(before), params)
    proposal = propose(situation)
    return make_entry(situation, proposal, start)


def list_tried(entries: Sequence[ReleaseEntry]) -> set[str]:
    """The models that have had a part in what was ever in force."""
    return {model for one in entries for model in (one.champion, one.backup, one.shadow, one.canary) if model}


def make_entry(
    situation: Situation, proposal: Proposal, start: datetime, decided_by: DecidedBy = DecidedBy.PIPELINE
) -> ReleaseEntry:
    """The entry by which a proposal comes into force at ``start``.

    Raises:
        IllegalTransitionError: The state machine does not allow it.
    """
    state = apply(situation.state, proposal.transition, situation.day, situation.fit)
    return ReleaseEntry(
        as_of=situation.day,
        effective_from=start,
        action=proposal.transition.action,
        reason=proposal.reason,
        decided_by=decided_by,
        evidence={subject: {name: value for name, value in metrics.items() if math.isfinite(value)}
                  for subject, metrics in proposal.evidence.items()},
        **dataclasses.asdict(state),
    )  # fmt: skip


def propose(situation: Situation) -> Proposal:
    """What the evidence allows; the first rule that has something to say decides."""
    for rule in _RULES:
        for proposal in rule(situation):
            return proposal
    return Proposal(Transition(ReleaseAction.HOLD), "there is no model yet: the rules decide")


def _choose_candidate(at: Situation) -> Iterator[Proposal]:
    """Begin the trial of the newest model that had none, or make the first model champion."""
    newest = max((one.as_of for one in at.candidates if one.version in at.tried), default=date.min)
    new = [one for one in at.candidates if one.version not in at.tried and one.as_of > newest]
    if not new:
        if at.state.champion:
            yield Proposal(Transition(ReleaseAction.HOLD), "there is no new model")
        return
    one, rival = max(new, key=lambda one: (one.as_of, one.version)), at.state.champion or _RULES_SUBJECT
    doubt = find_doubt(one.evaluation, rival, at.params)
    if not doubt and at.state.champion is None and one.version not in at.fit:
        doubt = f"it could not be loaded or gave no probabilities on {at.yesterday}"
    evidence = {name: one.evaluation[name] for name in ("candidate", rival) if name in one.evaluation}
    if doubt or at.state.is_held:
        reason = f"{one.version}: {doubt}" if doubt else f"{rival} is held by a person"
        yield Proposal(Transition(ReleaseAction.HOLD), reason, evidence)
        return
    metrics = one.evaluation["candidate"]
    reason = (
        f"average precision {metrics[_COMPARED]:.4f} against {one.evaluation[rival][_COMPARED]:.4f} of {rival} "
        f"on {metrics['n_frauds']:.0f} frauds"
    )
    action = ReleaseAction.START_SHADOW if at.state.champion else ReleaseAction.PROMOTE
    yield Proposal(Transition(action, one.version), reason, evidence)


_RULES: Final[Sequence[Callable[[Situation], Iterator[Proposal]]]] = (
    watch_champion,
    watch_absence,
    judge_trial,
    _choose_candidate,
)


def find_doubt(evaluation: Mapping[str, Metrics], rival: str, params: ReleaseParams) -> str | None:
    """Why the evaluation of a model does not let it begin; None where it does."""
    return _find_gap(evaluation, rival) or _find_loss(evaluation["candidate"], evaluation[rival], rival, params)


def _find_gap(evaluation: Mapping[str, Metrics], rival: str) -> str | None:
    """What is missing for a comparison."""
    needed = {_COMPARED, *_SAME_TEST_SET}
    for who, subject in (("the candidate", "candidate"), (rival, rival)):
        if subject not in evaluation:
            return f"there is no evaluation of {who}"
        if missing := sorted(needed - set(evaluation[subject])):
            return f"the evaluation of {who} has no {', '.join(missing)}"
    if any(evaluation["candidate"][metric] != evaluation[rival][metric] for metric in _SAME_TEST_SET):
        return f"the candidate and {rival} were not evaluated on the same payments"
    return None


def _find_loss(candidate: Metrics, other: Metrics, rival: str, params: ReleaseParams) -> str | None:
    if candidate["n_frauds"] < params.min_frauds:
        return f"the test week has {candidate['n_frauds']:.0f} frauds, evidence needs {params.min_frauds}"
    # Written so that a metric that is not a number does not let it begin.
    if candidate[_COMPARED] >= other[_COMPARED] - params.tolerated_loss:
        return None
    if rival != _RULES_SUBJECT and other.get("gain_high", -1.0) >= 0:
        return None  # a loss that may be chance: the trial will tell, and decides on nothing meanwhile
    return (
        f"average precision {candidate[_COMPARED]:.4f} against {other[_COMPARED]:.4f} of {rival}: "
        f"more than {params.tolerated_loss} less"
    )
