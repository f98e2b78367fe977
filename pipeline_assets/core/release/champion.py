"""Whether the champion is well: by what it says at once, and by mature labels once there are any."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release.evidence import Gains, compare_days, find_break, says_the_same
from pipeline_assets.core.release.situation import DAY, Metrics, Proposal, Situation, summarise_gains
from pipeline_assets.core.release.states import Transition

_LEADING: Final = ("n_payments", "n_invalid", "timed_out", "flagged_share", "score_mean")


def watch_champion(at: Situation) -> Iterator[Proposal]:
    """Fail over where the champion is not well."""
    champion = at.state.champion
    if champion is None or at.state.failed_over_since is not None:
        return
    why, evidence = find_champion_problem(at, at.yesterday)
    if why:
        yield Proposal(Transition(ReleaseAction.FAIL_OVER, champion), why, evidence)


def watch_absence(at: Situation) -> Iterator[Proposal]:
    """Of a champion that has failed over: fail back, give it up, or wait; nothing else is decided meanwhile."""
    state, params = at.state, at.params
    since, champion = state.failed_over_since, state.champion
    if since is None or champion is None:
        return
    away = (at.day - since).days
    days = [at.yesterday - back * DAY for back in range(params.recovery_days)]
    found = {day: at.health.find(day, champion) or {} for day in days}
    seen = [day for day, signals in found.items() if signals.get("n_payments") and not says_the_same(signals)]
    problems = [why for day in seen if (why := _find_leading_problem(at, day, needs_witness=False)[0])]
    gains = _find_recent_gains(at, champion, state.backup, at.yesterday) if state.backup else None
    lost = gains is not None and not gains.mean >= -params.tolerated_loss
    latest = at.health.find(at.yesterday, champion) or {}
    known = {"n_days_away": float(away), "n_days_seen": float(len(seen))}
    known |= {name: latest[name] for name in _LEADING if name in latest}
    evidence = {champion: {**known, **(summarise_gains(gains) if gains else {})}}
    is_well = len(seen) == len(days) and not problems and not lost and champion in at.fit
    if away >= params.recovery_days and is_well:
        yield Proposal(
            Transition(ReleaseAction.FAIL_BACK, champion), f"{champion} was well on {len(days)} days", evidence
        )
    elif away >= params.give_up_days and state.backup is None:
        reason = f"{champion} was not well for {away} days: the rules decide until there is another model"
        yield Proposal(Transition(ReleaseAction.ROLL_BACK, champion), reason, evidence)
    elif away >= params.give_up_days and state.backup in at.fit:
        reason = f"{champion} was not well for {away} days: {state.backup} is champion from now on"
        yield Proposal(Transition(ReleaseAction.PROMOTE, state.backup), reason, evidence)
    else:
        todo = (
            problems[0] if problems else f"well on {len(seen)} of {len(days)} days" + (", less precise" if lost else "")
        )
        reason = f"{state.backup or 'the rules'} in the place of {champion} since {since}: {todo}"
        yield Proposal(Transition(ReleaseAction.HOLD), reason, evidence)


def find_champion_problem(at: Situation, day: date) -> tuple[str | None, Mapping[str, Metrics]]:
    """Why the champion is not well by the signals of a day, with the numbers; None where nothing speaks against it.

    By what it says: it is broken in the light of its own days before, and of the backup on the same payments, which
    knows whether it is the world that has changed. By mature labels: the backup is clearly more precise.
    """
    champion, backup = at.state.champion, at.state.backup
    assert champion is not None
    why, evidence = _find_leading_problem(at, day, needs_witness=True)
    if why:
        return why, evidence
    drop = find_accuracy_drop(at, champion, backup, day) if backup else None
    if drop is None:
        return None, {}
    return f"{champion}: {drop.reason}", {champion: summarise_gains(drop.gains)}


def _find_leading_problem(at: Situation, day: date, *, needs_witness: bool) -> tuple[str | None, Mapping[str, Metrics]]:
    champion, params = at.state.champion, at.params
    assert champion is not None
    now = at.health.find(day, champion)
    if now is None:
        return None, {}  # what is not there is healed, and scored by the next rung meanwhile
    since = at.state.failed_over_since
    broke = day if since is None else since - DAY  # it was failed over by what was seen of the day before
    last_usual = min(day, broke) - DAY
    why = find_break(now, (), params)
    if why is None:
        usual = at.health.list_back(champion, last_usual, params.usual_days)
        beside = at.health.find(day, at.state.backup)
        why = find_break(now, usual, params)
        # What is only odd needs a witness: where the backup says the same of these payments, it is the world that has
        # changed, or a feature that is missing; where there is none, nobody can tell.
        is_of_the_world = needs_witness if beside is None else find_break(now, [beside], params) is None
        if is_of_the_world:
            return None, {}
    evidence = {champion: {name: now[name] for name in _LEADING if name in now}}
    return (f"{champion} on {day}: {why}", evidence) if why else (None, {})


@dataclass(frozen=True)
class AccuracyDrop:
    """A model that is much less precise than another one, by the latest mature days: the numbers, and a sentence."""

    gains: Gains
    reason: str


def find_accuracy_drop(at: Situation, model: str, rival: str, day: date) -> AccuracyDrop | None:
    """Whether a model is much less precise than its rival on the latest days whose labels matured by ``day``."""
    gains, params = _find_recent_gains(at, model, rival, day), at.params
    if sum(gains.n_frauds) < params.min_frauds or not gains.mean < -params.accuracy_drop:
        return None
    # Most days must say so, that one alone does not outweigh the others.
    if sum(gain < 0 for gain in gains.average_precision) <= len(gains.days) / 2:
        return None
    span = f"the {len(gains.days)} days up to {gains.days[-1]}"
    return AccuracyDrop(gains, f"average precision {-gains.mean:.4f} below that of {rival} on {span}")


def _find_recent_gains(at: Situation, champion: str, backup: str, day: date) -> Gains:
    return compare_days(at.health, champion, backup, day - (at.params.accuracy_window_days - 1) * DAY, day)
