"""What is decided between the daily decisions: a champion that is not well is failed over as soon as it is known.

And what only a person can answer: a champion that has become weak, with nothing to take its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.release.champion import watch_champion
from pipeline_assets.core.release.entries import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.params import ReleaseParams
from pipeline_assets.core.release.policy import list_tried, make_entry
from pipeline_assets.core.release.situation import DAY, Candidate, Situation
from pipeline_assets.core.release.states import read_state

_MAX_AGE_DAYS: Final = 2  # of evidence that says something of now: a day's comes on the next, or one later
_STRICT: Final = ConfigDict(extra="forbid")


@validated(frozen=True, config=_STRICT)
class AccuracyParams:
    """When people are told that the champion has become weak.

    Attributes:
        window_days: The latest days with mature labels that it is judged by.
        alert_drop: It is told where its average precision on them is so much below that of its evaluation.
        alert_recovery: It is over where it is less than this below. In between it stays as it was.
    """

    window_days: int = Field(default=14, ge=1, le=56)
    alert_drop: float = Field(default=0.2, gt=0, lt=1)
    alert_recovery: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _is_hysteresis(self) -> Self:
        if self.alert_recovery >= self.alert_drop:
            raise ValueError(f"alert_recovery: expected less than alert_drop, found {self.alert_recovery}")
        return self


@dataclass(frozen=True)
class Accuracy:
    """How precise the champion is, and how precise it was said to be.

    Attributes:
        champion: Its version.
        expected: Average precision of its evaluation.
        found: Average precision on the latest mature days, weighted by frauds.
        n_days: How many days that were.
        n_frauds: How many frauds they had.
    """

    champion: str
    expected: float
    found: float
    n_days: int
    n_frauds: float

    @property
    def drop(self) -> float:
        """By how much it is less precise than it was said to be."""
        return self.expected - self.found


def is_recent(evidence: date, now: datetime) -> bool:
    """Whether evidence of a day says something of now: that of old days, which were made again, does not."""
    return (now.date() - evidence).days <= _MAX_AGE_DAYS


def look_at(
    entries: Sequence[ReleaseEntry],
    evidence: date,
    now: datetime,
    health: Health,
    candidates: Sequence[Candidate],
    params: ReleaseParams,
) -> Situation:
    """What is in force at ``now``, with what is known up to the day ``evidence``."""
    known = Health({day: models for day, models in health.days.items() if day <= evidence})
    effective = [entry for entry in entries if entry.effective_from <= now]
    state = read_state(find_entry_in_force(effective, now))
    return Situation(evidence + DAY, state, known, candidates, list_tried(effective), params)


def fail_over_at_once(entries: Sequence[ReleaseEntry], at: Situation, now: datetime) -> ReleaseEntry | None:
    """The entry that fails the champion over from ``now`` on; None where it is well, or has failed over already.

    It is what the daily decision of the day after the evidence will say, too. Evidence of days before a person made a
    model champion, or confirmed it, does not undo that: the person may have seen it.
    """
    evidence = at.yesterday
    if any(_confirms(entry, at.state.champion, evidence) for entry in entries if entry.effective_from <= now):
        return None
    for proposal in watch_champion(at):
        return make_entry(at, proposal, now)
    return None


def _confirms(entry: ReleaseEntry, champion: str | None, evidence: date) -> bool:
    is_by_hand = entry.decided_by is DecidedBy.PERSON and entry.action is ReleaseAction.PROMOTE
    return is_by_hand and entry.champion == champion and entry.effective_from.date() > evidence


def measure_accuracy(at: Situation, params: AccuracyParams) -> Accuracy | None:
    """How precise the champion is by the latest evidence; None where there is none, or too few frauds say so."""
    champion = at.state.champion
    expected = next((one.evaluation for one in at.candidates if one.version == champion), {}).get("candidate", {})
    if champion is None or "average_precision" not in expected:
        return None
    days = (at.day - timedelta(days=back) for back in range(1, params.window_days + 1))
    signals = [one for day in days if (one := at.health.find(day, champion)) is not None]
    rows = [
        (one["mature_average_precision"], one["mature_n_frauds"])
        for one in signals
        if {"mature_average_precision", "mature_n_frauds"} <= set(one)
    ]
    n_frauds = sum(n for _, n in rows)
    if n_frauds < at.params.min_frauds:
        return None
    found = sum(value * n for value, n in rows) / n_frauds
    return Accuracy(champion, expected["average_precision"], found, len(rows), n_frauds)
