"""All that a decision on the release is made from, and what may come of it."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from pipeline_assets.core.release.evidence import Gains, Health, find_break, says_the_same
from pipeline_assets.core.release.params import ReleaseParams
from pipeline_assets.core.release.states import State, Transition

Metrics = Mapping[str, float]
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Candidate:
    """A model that was trained: its as-of day, its version, and its evaluation by subject, if there is one."""

    as_of: date
    version: str
    evaluation: Mapping[str, Metrics] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """All that a decision is made from.

    Attributes:
        day: The day for which it is decided; nothing of that day or later is known.
        state: Who has which part up to then.
        health: The signals of the days before.
        candidates: The models with an as-of day up to ``day``, in order.
        tried: The models that had a part before.
        params: See there.
    """

    day: date
    state: State
    health: Health
    candidates: Sequence[Candidate]
    tried: Collection[str]
    params: ReleaseParams

    @property
    def yesterday(self) -> date:
        """The last day of which anything is known."""
        return self.day - DAY

    @property
    def fit(self) -> set[str]:
        """The models that may get traffic: evaluated, or seen to score the payments of the day before."""
        seen = self.health.days.get(self.yesterday, {})
        broken = {model for model in seen if self._is_unfit(model)}
        return {*seen, *(one.version for one in self.candidates if "candidate" in one.evaluation)} - broken

    def _is_unfit(self, model: str) -> bool:
        signals = self.health.find(self.yesterday, model)
        if signals is None:
            return True
        is_broken = find_break(signals, (), self.params) is not None or says_the_same(signals)
        return signals.get("n_payments", 0) > 0 and is_broken


@dataclass(frozen=True)
class Proposal:
    """What is to change, why, and the numbers it rests on."""

    transition: Transition
    reason: str
    evidence: Mapping[str, Metrics] = field(default_factory=dict)


def summarise_gains(gains: Gains) -> dict[str, float]:
    """What a decision says of gains."""
    n = len(gains.days)
    return {
        "n_days": float(n),
        "n_frauds": sum(gains.n_frauds),
        "gain": gains.mean,
        "card_precision_gain": sum(gains.card_precision) / n if n else math.nan,
        "cost_gain_cents": sum(gains.cost_cents) / n if n else math.nan,
    }
