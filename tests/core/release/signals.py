"""One builder of what models say: signals of a day, health tables, entries of the log, evaluations of candidates."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release import ReleaseEntry, ReleaseParams
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.sequential import SequentialParams
from pipeline_assets.core.release.situation import Candidate

START: Final = date(2026, 3, 1)
DAY: Final = timedelta(days=1)
PARAMS: Final = ReleaseParams(
    min_frauds=20, shadow_days=3, stage_days=2, max_trial_days=20, recovery_days=3, give_up_days=8,
    gate=SequentialParams(min_days=4, planned_days=8),
)  # fmt: skip
GAINS: Final = {"better": 0.15, "stronger": 0.05, "well": 0.0, "dearer": 0.0, "weaker": -0.05, "worse": -0.3}
BROKEN: Final = ("invalid", "timed_out", "flags", "moved", "constant")  # what can be seen without any label
ANSWERED: Final = (*GAINS, "flags", "moved")  # with probabilities that are not all the same
KINDS: Final = ("absent", "unavailable", "empty", *GAINS, *BROKEN)
Kinds = Mapping[date, Mapping[str, str]]  # what each model was like, by day and version


def make_signals(kind: str = "well", average_precision: float = 0.7, n_frauds: float = 100.0) -> dict[str, float]:
    """The signals of a model on a day of a thousand payments, of which it flags fifty."""
    if kind == "unavailable":
        return {"unavailable": 1.0}
    n = 0.0 if kind == "empty" else 1000.0
    average_precision += GAINS.get(kind, 0.0)
    bins = {"moved": {6: 0.5, 7: 0.5}, "constant": {5: 1.0}}.get(kind, {0: 0.9, 5: 0.1})
    return {
        "unavailable": 0.0,
        "n_payments": n,
        "n_invalid": 0.5 * n if kind == "invalid" else 0.0,
        "timed_out": float(kind == "timed_out"),
        "flagged_share": 0.5 if kind == "flags" else 0.05,
        **{f"score_bin_{number:02d}": bins.get(number, 0.0) * n for number in range(12)},
        "mature_n_payments": n,
        "mature_n_frauds": n_frauds if n else 0.0,
        "mature_average_precision": average_precision,
        "mature_card_precision": average_precision / 2,
        "mature_cost_cents": 100_000.0 * (1 - average_precision) + (5_000.0 if kind == "dearer" else 0.0),
    }


def make_health(kinds: Kinds) -> Health:
    """What is known of days, of each model by its kind."""
    return Health(
        {
            day: {model: make_signals(kind) for model, kind in models.items() if kind != "absent"}
            for day, models in kinds.items()
        }
    )


def stay_well(first: date, n_days: int, *models: str) -> dict[date, dict[str, str]]:
    """Days on which nothing happens to any of the models."""
    return {first + number * DAY: dict.fromkeys(models, "well") for number in range(n_days)}


def make_entry(day: date, champion: str | None = "a", backup: str | None = None, **of: Any) -> ReleaseEntry:
    """An entry in force from the beginning of a day on."""
    of = {"action": ReleaseAction.HOLD, "reason": "", "effective_from": begin(day), **of}
    return ReleaseEntry(as_of=day, champion=champion, backup=backup, **of)


def begin(day: date) -> datetime:
    """Its first moment."""
    return datetime.combine(day, datetime.min.time(), UTC)


def measure(average_precision: float, n_frauds: float = 60, n_rows: float = 900) -> dict[str, float]:
    """The metrics of one subject of an evaluation."""
    return {"average_precision": average_precision, "n_frauds": n_frauds, "n_rows": n_rows, "n_removed": 4}


def make_candidate(as_of: date, version: str, *rivals: str, is_good: bool = True) -> Candidate:
    """A model with an evaluation beside the rules and ``rivals``."""
    evaluation = {"candidate": measure(0.7 if is_good else 0.1), **dict.fromkeys(("rules", *rivals), measure(0.6))}
    return Candidate(as_of, version, evaluation)


@st.composite
def histories(draw: st.DrawFn, models: tuple[str, ...], n_days: int, first: date = START) -> Kinds:
    """Days on which anything may happen to any model; mostly they stay as they are for a while."""
    kinds: dict[date, dict[str, str]] = {}
    present = dict.fromkeys(models, "well")
    for number in range(n_days):
        if not draw(st.integers(0, 2)):
            present = {**present, draw(st.sampled_from(models)): draw(st.sampled_from(KINDS))}
        kinds[first + number * DAY] = present
    return kinds
