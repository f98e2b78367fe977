"""What is rehearsed: a small world, its parameters, and what goes wrong in it, one thing after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.release import ReleaseParams
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.drills.rehearsal.faulty_models import Wrong
from pipeline_assets.settings import Params, SimulationParams
from pipeline_assets.simulator.params import CardTesting

START: Final = date(2025, 1, 5)
LOST_SHARE: Final = 0.05  # of its average precision, by which the subtly worse model is worse
MIXED_UP_SHARE: Final = 0.6  # of the payments, of a champion whose scores are mixed up
SLOW_FACTOR: Final = 1.5  # a slow model takes so many times longer than it may
_WEEK: Final = timedelta(days=7)
_HISTORY_WEEKS: Final = 8  # before the first model
_WAITING_WEEKS: Final = 3  # after it: by then a new model, held out from a test week, knows as much as the first one
_TIMEOUT_SECONDS: Final = 2.0  # healthy models take a hundredth of it; the slow one really takes longer
_PATTERN_WEEKS: Final = 14  # before the end, so that there is time to train anew and to try the new model
_PATTERN_DAY: Final = timedelta(days=3)  # of its week
_PATTERN_RATE: Final = 0.004  # share of the customers whose card is tried on a day


class Part(StrEnum):
    """Whom an act is about."""

    CHALLENGER = "challenger"  # a model that is trained for the act
    CHAMPION = "champion"  # the model that decides for everybody
    WORLD = "world"  # the fraudsters


class Strikes(StrEnum):
    """When a model goes wrong: on the day after."""

    IN_SHADOW = "in_shadow"  # its trial began
    IN_TRAFFIC = "in_traffic"  # it decided for customers for the first time; well in shadow
    AS_CHAMPION = "as_champion"  # the act before was over


@dataclass(frozen=True)
class Act:
    """Something that happens, and for how long it may go on.

    Attributes:
        name: How it is called in reports.
        title: What happens, for a person.
        part: Whom it is about.
        weeks: How long it takes, so that a rehearsal of some length can be planned.
        wrong: What is wrong; None for a sound challenger.
        strikes: When it goes wrong.
        repaired_after_days: Of a champion: when it is sound again.
    """

    name: str
    title: str
    part: Part
    weeks: int
    wrong: Wrong | None = None
    strikes: Strikes = Strikes.IN_SHADOW
    repaired_after_days: int = 0


GOOD: Final = Act("good", "a challenger as good as the champion", Part.CHALLENGER, 4)
SUBTLE: Final = Act("subtly_worse", "average precision down 5 %", Part.CHALLENGER, 5, Wrong.NOISY)
BROKEN: Final = tuple(  # each is seen on the day after it goes wrong, which it does a day after its first share
    Act(wrong, title, Part.CHALLENGER, 2, wrong, Strikes.IN_TRAFFIC)
    for wrong, title in (
        (Wrong.INVERTED, "scores upside down"),
        (Wrong.CONSTANT, "one score for everybody"),
        (Wrong.NO_NUMBER, "no number for a score"),
        (Wrong.SLOW, "an answer that comes too late"),
    )
)
GOOD_AGAIN: Final = Act("good_again", "one more good challenger", Part.CHALLENGER, 4)
MIXED_UP: Final = Act(
    "champion_mixed_up", f"{MIXED_UP_SHARE:.0%} of the champion's scores belong to other payments", Part.CHAMPION, 5,
    Wrong.MIXED_UP, Strikes.AS_CHAMPION, repaired_after_days=14,
)  # fmt: skip
UPSIDE_DOWN: Final = Act(
    "champion_inverted", "the champion's scores are upside down", Part.CHAMPION, 3,
    Wrong.INVERTED, Strikes.AS_CHAMPION, repaired_after_days=5,
)  # fmt: skip
NEW_PATTERN: Final = Act("new_fraud_pattern", "stolen cards are tried by small amounts", Part.WORLD, _PATTERN_WEEKS)
SCRIPT: Final = (GOOD, SUBTLE, *BROKEN, GOOD_AGAIN, MIXED_UP)
SHORT_SCRIPT: Final = (
    BROKEN[0],
    *(replace(act, strikes=Strikes.IN_SHADOW, weeks=1) for act in BROKEN[1:]),
    GOOD,
    UPSIDE_DOWN,
)


@dataclass(frozen=True)
class Scenario:
    """A rehearsal.

    Attributes:
        params: Those of the pipeline and of the world.
        n_weeks: How long it takes, with the weeks of history before the first model.
        script: What happens, one after the other.
        left_out: What there is no time for.
        pattern_day: When the world changes; None where it does not.
    """

    params: Params
    n_weeks: int
    script: tuple[Act, ...]
    left_out: tuple[Act, ...] = ()
    pattern_day: date | None = None

    @property
    def first_week(self) -> date:
        """The as-of day of the first model."""
        return START + timedelta(days=self.params.first_model_after_days)

    @property
    def first_trial(self) -> date:
        """The as-of day of the first challenger."""
        return self.first_week + _WAITING_WEEKS * _WEEK

    @property
    def last_day(self) -> date:
        """The last day."""
        return START + self.n_weeks * _WEEK - timedelta(days=1)

    @property
    def days(self) -> list[date]:
        """The days from the first model on."""
        return list_days(self.first_week, self.last_day)

    @property
    def weeks(self) -> list[date]:
        """The days as of which a model can be trained."""
        return self.days[::7]


def plan_year(n_weeks: int = 52, seed: int = 0, n_customers: int = 1000) -> Scenario:
    """The whole programme, as far as the weeks suffice for it.

    Raises:
        ValueError: They do not suffice for its first act.
    """
    before = _HISTORY_WEEKS + _WAITING_WEEKS
    script, left_out = _fit(SCRIPT, n_weeks - before - _PATTERN_WEEKS)
    if left_out:  # then there is no time for the new pattern either
        script, left_out = _fit(SCRIPT, n_weeks - before)
        left_out = (*left_out, NEW_PATTERN)
    if not script:
        everything = before + sum(act.weeks for act in SCRIPT) + _PATTERN_WEEKS
        raise ValueError(
            f"weeks: expected at least {before + SCRIPT[0].weeks}, and {everything} for everything, found {n_weeks}"
        )
    pattern_day = None if left_out else START + (n_weeks - _PATTERN_WEEKS) * _WEEK + _PATTERN_DAY
    return Scenario(_make_params(seed, n_customers, pattern_day), n_weeks, script, left_out, pattern_day)


def plan_drill(seed: int = 0) -> Scenario:
    """What fits into a minute: a good challenger, four broken ones, a champion that breaks."""
    n_weeks = _HISTORY_WEEKS + _WAITING_WEEKS + sum(act.weeks for act in SHORT_SCRIPT)
    return Scenario(_make_params(seed, 1000, None), n_weeks, SHORT_SCRIPT)


def list_days(first: date, last: date) -> list[date]:
    """The days from ``first`` to ``last``, both inclusive."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _make_params(seed: int, n_customers: int, pattern_day: date | None) -> Params:
    """As in params.yaml, but for what a small world and little time need; the release is as there."""
    return Params(
        history_start=START,
        first_model_after_days=7 * _HISTORY_WEEKS,
        training=TrainingParams(history_weeks=12, rounds=60),
        evaluation=EvaluationParams(top_cards=n_customers // 10, resamples=100, min_frauds=n_customers // 40),
        release=ReleaseParams(min_frauds=n_customers // 40),  # in proportion to the world
        serving=ServingParams(min_timeout_seconds=_TIMEOUT_SECONDS),
        simulation=SimulationParams(
            n_customers=n_customers,
            n_terminals=2 * n_customers,
            seed=seed,
            changes=(CardTesting(day=pattern_day, customer_rate=_PATTERN_RATE),) if pattern_day else (),
        ),
    )


def _fit(script: Sequence[Act], n_weeks: int) -> tuple[tuple[Act, ...], tuple[Act, ...]]:
    """The acts that there is time for, and the others."""
    kept: list[Act] = []
    for act in script:
        n_weeks -= act.weeks
        if n_weeks < 0:
            break
        kept.append(act)
    return tuple(kept), tuple(script[len(kept) :])
