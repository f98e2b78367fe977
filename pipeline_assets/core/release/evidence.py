"""What is known of the models, day by day: the table ``model_health`` as the release reads it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Final

import polars as pl

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core.release.params import ReleaseParams

_BIN: Final = "score_bin_"
_MIN_PAYMENTS: Final = 100  # of a day, below which a model may well say the same of all of them
Signals = Mapping[str, float]


@dataclass(frozen=True)
class Health:
    """The signals of every model by day and version; what is undefined is left out."""

    days: Mapping[date, Mapping[str, Signals]]

    def find(self, day: date, model: str | None) -> Signals | None:
        """The signals of a model on a day; None where it was not looked at, or could not be loaded."""
        found = self.days.get(day, {}).get(model or "")
        return None if found is None or found.get("unavailable") else found

    def list_back(self, model: str | None, last: date, n_days: int) -> list[Signals]:
        """The signals of the latest days up to ``last``, of those days that have them, in order."""
        days = (last - timedelta(days=back) for back in range(n_days - 1, -1, -1))
        return [found for day in days if (found := self.find(day, model)) is not None]


def read_health(frames: Mapping[date, pl.DataFrame]) -> Health:
    """Partitions of the table ``model_health`` as signals."""
    days: dict[date, dict[str, dict[str, float]]] = {}
    for day, frame in frames.items():
        by_model = days.setdefault(day, {})
        for model, signal, value in frame.drop_nulls().iter_rows():
            by_model.setdefault(model, {})[signal] = value
    return Health(days)


@dataclass(frozen=True)
class Gains:
    """One model's daily metrics less another's on the same payments, of the days on which both have them.

    Attributes:
        days: The days on which the payments were made.
        average_precision: Gain of each day.
        card_precision: Likewise.
        cost_cents: What the decisions of the first would have cost less, of each day, per payment.
        rival_cost_cents: What those of the other would have cost, likewise.
        n_frauds: Frauds of each day.
    """

    days: tuple[date, ...]
    average_precision: tuple[float, ...]
    card_precision: tuple[float, ...]
    cost_cents: tuple[float, ...]
    rival_cost_cents: tuple[float, ...]
    n_frauds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean gain in average precision, weighted by frauds; NaN where there are none."""
        total = sum(self.n_frauds)
        if not total:
            return math.nan
        return sum(gain * n for gain, n in zip(self.average_precision, self.n_frauds, strict=True)) / total

    def list_back(self, last: date, n_days: int) -> "Gains":
        """Those of the payments of the ``n_days`` up to ``last``."""
        chosen = [place for place, day in enumerate(self.days) if last - timedelta(days=n_days) < day <= last]
        columns = (
            self.average_precision, self.card_precision, self.cost_cents, self.rival_cost_cents, self.n_frauds
        )  # fmt: skip
        return Gains(tuple(self.days[place] for place in chosen),
                     *(tuple(column[place] for place in chosen) for column in columns))  # fmt: skip


def compare_days(health: Health, model: str, rival: str, since: date, until: date) -> Gains:
    """The gains of a model over a rival, of labels that matured from ``since`` to ``until``, both inclusive."""
    rows = []
    for day in sorted(health.days):
        one, other = health.find(day, model), health.find(day, rival)
        if not since <= day <= until or one is None or other is None:
            continue
        names = (
            "mature_average_precision",
            "mature_card_precision",
            "mature_cost_cents",
            "mature_n_frauds",
            "mature_n_payments",
        )
        if any(name not in signals for name in names for signals in (one, other)):
            continue
        per_payment = 1 / max(1.0, one["mature_n_payments"])
        rows.append(
            (
                day - timedelta(days=LABEL_DELAY_DAYS),
                *(one[name] - other[name] for name in names[:2]),
                (other[names[2]] - one[names[2]]) * per_payment,
                other[names[2]] * per_payment,
                one[names[3]],
            )
        )
    columns = list(zip(*rows, strict=True)) or [()] * 6
    return Gains(*columns)


def find_break(now: Signals, usual: Sequence[Signals], params: ReleaseParams) -> str | None:
    """Why a model is broken by what it says, without any label; None where nothing speaks against it.

    Args:
        now: Its signals of one day.
        usual: What to expect of that day: its own signals of days before, or another model's of the same payments.
        params: See there.
    """
    return _find_failure(now, params) or _find_oddity(now, pool_signals(usual), params)


def _find_failure(now: Signals, params: ReleaseParams) -> str | None:
    """What is wrong whatever was to be expected."""
    n = now.get("n_payments", 0)
    if now.get("timed_out"):
        return "it did not answer in time"
    if n and now.get("n_invalid", 0) > params.max_invalid_share * n:
        return f"{now['n_invalid']:.0f} of {n:.0f} scores were no probabilities"
    return None


def says_the_same(signals: Signals) -> bool:
    """Whether a model says the same of every payment; of a few payments it may well do so."""
    n = signals.get("n_payments", 0)
    return n >= _MIN_PAYMENTS and max(_list_bins(signals).values(), default=0.0) == n


def _find_oddity(now: Signals, expected: Signals, params: ReleaseParams) -> str | None:
    """What is far from what was to be expected."""
    n = now.get("n_payments", 0)
    if not n or not expected["n_payments"]:
        return None
    if says_the_same(now) and not says_the_same(expected):  # else it is the inputs, not the model
        return f"it says the same of all {n:.0f} payments"
    flagged, should = now.get("flagged_share", 0) * n, expected["flagged_share"] * n
    if max(flagged, should) >= params.min_flagged and not (
        should / params.max_flagged_ratio <= flagged <= should * params.max_flagged_ratio
    ):
        return f"{flagged:.0f} payments flagged, expected about {should:.0f} of {n:.0f}"
    moved = measure_score_shift(now, expected)
    if moved > params.max_score_shift:
        return f"its scores have moved by {moved:.2f} in log-odds, above {params.max_score_shift}"
    return None


def pool_signals(signals: Iterable[Signals]) -> dict[str, float]:
    """The signals of several days as of one: counts are added, the share of flagged payments is of all of them."""
    pooled: dict[str, float] = {"n_payments": 0.0, "flagged": 0.0}
    for one in signals:
        pooled["n_payments"] += one.get("n_payments", 0)
        pooled["flagged"] += one.get("flagged_share", 0) * one.get("n_payments", 0)
        for name, value in one.items():
            if name.startswith(_BIN):
                pooled[name] = pooled.get(name, 0.0) + value
    pooled["flagged_share"] = pooled["flagged"] / pooled["n_payments"] if pooled["n_payments"] else 0.0
    return pooled


def measure_score_shift(now: Signals, expected: Signals) -> float:
    """How far scores have moved, on average, in log-odds: the bins are one apart; 0 where either has no scores.

    It is the earth mover's distance. An index that sums over the bins, as PSI does, is large where most payments have
    nearly the same score and it lies on either side of an edge: measured 8.7 between two sound models.
    """
    bins = [_list_bins(signals) for signals in (now, expected)]
    totals = [sum(one.values()) for one in bins]
    if not all(totals):
        return 0.0
    names = sorted({*bins[0], *bins[1]})
    differences = (bins[0].get(name, 0.0) / totals[0] - bins[1].get(name, 0.0) / totals[1] for name in names)
    return sum((abs(moved) for moved in accumulate(differences)), start=0.0)


def _list_bins(signals: Signals) -> dict[str, float]:
    return {name: count for name, count in signals.items() if name.startswith(_BIN)}
