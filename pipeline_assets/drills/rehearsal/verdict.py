"""What was to come of a rehearsal, and whether it did."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.drills.rehearsal.faulty_models import Wrong
from pipeline_assets.drills.rehearsal.outcome import Event, Outcome, find_pattern_model, list_unexpected
from pipeline_assets.drills.rehearsal.scenario import Part


@dataclass(frozen=True)
class Expectation:
    """Something that was to come true.

    Attributes:
        what: It.
        is_met: Whether it did.
        found: What happened instead, or how it did.
    """

    what: str
    is_met: bool
    found: str


def judge(outcome: Outcome) -> list[Expectation]:
    """All that was expected of a rehearsal."""
    return [
        *(one for event in outcome.events if event.scene is not None for one in _judge_scene(event, outcome)),
        *_judge_pattern(outcome),
        _judge_calm(outcome),
        *_judge_money(outcome),
    ]


def _judge_scene(event: Event, outcome: Outcome) -> Iterator[Expectation]:
    scene, name = event.scene, event.act.name
    assert scene is not None
    if scene.version is None or (event.act.wrong is not None and scene.wrong_since is None):
        yield Expectation(f"{name}: happens", is_met=False, found="its turn never came")
        return
    shares = [entry.canary_share for entry in scene.entries if entry.canary == scene.version]
    stages = outcome.scenario.params.release.canary_shares
    told = ", ".join(f"{entry.action} on {entry.as_of}" for entry in scene.entries) or "nothing was done"
    is_promoted = ReleaseAction.PROMOTE in scene.actions
    if event.act.part is Part.CHAMPION:
        yield from _judge_failover(event, outcome, told)
    elif event.act.wrong is None:
        is_met = is_promoted and tuple(shares) == stages
        yield Expectation(f"{name}: promoted, share by share", is_met, told)
    elif event.act.wrong is Wrong.NOISY:
        yield Expectation(f"{name}: never promoted", not is_promoted, told)
    else:
        is_met = ReleaseAction.ROLL_BACK in scene.actions and max(shares, default=0.0) <= stages[0]
        yield Expectation(f"{name}: rolled back before it had more than {stages[0]:.0%}", is_met, told)


def _judge_failover(event: Event, outcome: Outcome, told: str) -> Iterator[Expectation]:
    """By what it says at once, within a day; by labels, within the days by which a champion is judged."""
    scene = event.scene
    assert scene is not None
    is_silent = event.act.wrong is Wrong.MIXED_UP
    delay = outcome.scenario.params.release.accuracy_window_days if is_silent else 1
    found = event.n_days_to_detect
    is_met = ReleaseAction.FAIL_OVER in scene.actions and found is not None and found <= delay
    yield Expectation(f"{event.act.name}: failed over within {delay} days", is_met, told)
    back = scene.find_day(ReleaseAction.FAIL_BACK)
    is_too_early = back is not None and scene.is_wrong(back)
    yield Expectation(f"{event.act.name}: not back before it is repaired", not is_too_early, told)


def _judge_pattern(outcome: Outcome) -> Iterator[Expectation]:
    pattern_day = outcome.scenario.pattern_day
    if pattern_day is None:
        return
    birth, champion_since = find_pattern_model(outcome.lived, pattern_day)
    alarm = next((one for one in outcome.lived.alarms if one.day >= pattern_day), None)
    found = f"on {alarm.day}: {', '.join(alarm.response.subjects)}" if alarm else "no drift was found"
    yield Expectation("new_fraud_pattern: drift is found", alarm is not None, found)
    found = f"{birth.version} on {birth.day}" if birth else "no model was trained because of it"
    yield Expectation("new_fraud_pattern: a model is trained because of it", birth is not None, found)
    found = _name_day("champion since", champion_since)
    yield Expectation("new_fraud_pattern: that model, or a newer one, decides", champion_since is not None, found)
    recovery = outcome.recovery["protected"]
    found = f"average precision {recovery.usual:.3f} before, {recovery.least:.3f} at worst, " + (
        f"as before after {recovery.n_days} days" if recovery.n_days is not None else "never as before"
    )
    yield Expectation("new_fraud_pattern: average precision recovers", recovery.n_days is not None, found)


def _judge_calm(outcome: Outcome) -> Expectation:
    unexpected = list_unexpected(outcome.lived)
    found = "; ".join(f"{entry.action} on {entry.as_of}: {entry.reason}" for entry in unexpected) or "none"
    return Expectation("no sound model is rolled back or failed over", not unexpected, found)


def _judge_money(outcome: Outcome) -> Iterator[Expectation]:
    for event in outcome.events:
        if event.act.wrong is None or event.scene is None or event.scene.wrong_since is None:
            continue
        protected, unprotected = event.protected, event.unprotected
        found = f"{protected.n_customers} customers against {unprotected.n_customers}"
        is_met = protected.n_customers <= unprotected.n_customers and protected.lost_cents <= unprotected.lost_cents
        yield Expectation(f"{event.act.name}: harms fewer than without protection, and costs less", is_met, found)


def _name_day(what: str, day: date | None) -> str:
    return f"{what} {day}" if day else "never"
