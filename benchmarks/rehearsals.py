"""How often a subtly worse challenger is promoted, and an equally good one is not: a hundred rehearsals of each.

Each is a trial as the release makes it, day by day, up to its end: real models, real features of a simulated world,
the signals of every day as the pipeline measures them, the decisions of its policy with the parameters of params.yaml.
In each of 25 worlds a model is trained every four weeks; each of the four that follow the first is the challenger of
the one before it, once as it is and once with noise in its ranking that costs it 5 % of its average precision (mean of
the days of the trial, weighted by frauds, as the release sees it) and leaves the distribution of its scores as it is:
only labels can tell. Trials of one world follow one another, so they share few days.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from typing import Final

import numpy as np
import polars as pl

from benchmarks.prequential import join_all
from benchmarks.worlds import simulate_rows
from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.fraud_model import FraudModel, ModelInputs
from pipeline_assets.core.labels import label_mature_rows
from pipeline_assets.core.release import ReleaseEntry, ReleaseParams
from pipeline_assets.core.release.evidence import Health, Signals, read_health
from pipeline_assets.core.release.policy import decide_day
from pipeline_assets.core.release.situation import Candidate
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.shadow import judge_payments, measure_health
from pipeline_assets.core.training import TrainingParams, train
from pipeline_assets.drills.rehearsal.faulty_models import FaultyModel, make_noisy
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World

START: Final = date(2025, 1, 5)
N_WORLDS: Final = 25
N_CUSTOMERS: Final = 1000
HISTORY_WEEKS: Final = 8  # before the first model of a world
WEEKS_APART: Final = 4  # as retraining.every_weeks
N_TRIALS: Final = 4  # of each kind in each world
LOST_SHARE: Final = 0.05
DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
TRAINING: Final = TrainingParams(history_weeks=12, rounds=100)
RELEASE: Final = ReleaseParams()
RULES: Final = RulesParams()
DECISION: Final = DecisionParams()
TOP_CARDS: Final = 100
OUTCOMES: Final = (ReleaseAction.PROMOTE, ReleaseAction.ROLL_BACK, ReleaseAction.END_TRIAL)


@dataclass(frozen=True)
class Trial:
    """How a challenger fared.

    Attributes:
        seed: The world.
        kind: What it was.
        outcome: How the trial ended.
        n_days: After how many days.
        most: The greatest share of the customers that it decided for before.
        lost: What it really lost in average precision, mean of the days.
    """

    seed: int
    kind: str
    outcome: str
    n_days: int
    most: float
    lost: float


def rehearse_world(seed: int) -> list[Trial]:
    """All trials of one world."""
    last = START + (HISTORY_WEEKS + WEEKS_APART * N_TRIALS) * WEEK + RELEASE.max_trial_days * DAY
    transactions, chargebacks = simulate_rows(World(WorldParams(START, N_CUSTOMERS, 2 * N_CUSTOMERS, seed)), last)
    rows = join_all(transactions, chargebacks)
    weeks = [START + (HISTORY_WEEKS + WEEKS_APART * number) * WEEK for number in range(N_TRIALS + 1)]
    models = [fit(rows, chargebacks, week) for week in weeks]
    trials = []
    for number in range(N_TRIALS):
        champion, challenger, week = models[number], models[number + 1], weeks[number + 1]
        # Payments whose labels mature during the trial, and those that arrive during it.
        known = rows.filter(pl.col("arrival_date").is_between(week - LABEL_DELAY_DAYS * DAY, last_day(week)))
        worse, lost = make_worse(challenger, known, seed * N_TRIALS + number)
        for kind, model, loss in (("equally good", challenger, 0.0), ("5 % worse", worse, lost)):
            health = measure_days(champion, model, known, chargebacks, week)
            outcome, n_days, most = try_out(champion.version, model.version, health, week)
            trials.append(Trial(seed, kind, outcome, n_days, most, loss))
    return trials


def last_day(week: date) -> date:
    """The last day that a trial that begins in a week can take."""
    return week + RELEASE.max_trial_days * DAY


def fit(rows: pl.DataFrame, chargebacks: pl.DataFrame, week: date) -> FraudModel:
    """The pipeline's model as of a week."""
    training_set = label_mature_rows(rows.drop("is_fraud"), chargebacks, week, TRAINING.history_days)
    model = train(training_set, TRAINING)
    return FraudModel(f"{week}-{'0' * 12}", model.text.decode(), model.card["typical_inputs"])


def make_worse(model: FraudModel, payments: pl.DataFrame, seed: int) -> tuple[FaultyModel, float]:
    """The model with noise that costs it 5 % of its average precision on some payments, and how much that is."""
    inputs = ModelInputs(payments).fill_for(model)
    days = (payments["arrival_date"] - START).dt.total_days().to_numpy()
    labels = payments["is_fraud"].to_numpy()
    fault, sound = make_noisy(model.predict(inputs), inputs, labels, days, LOST_SHARE, seed)
    return FaultyModel(model, fault), LOST_SHARE * sound


def measure_days(
    champion: FraudModel, challenger: FraudModel, payments: pl.DataFrame, chargebacks: pl.DataFrame, week: date
) -> Health:
    """The signals of both on each day of a trial."""
    models = {champion.version: champion, challenger.version: challenger}
    days: dict[date, Mapping[str, Signals]] = {}
    for first in range(0, RELEASE.max_trial_days, 14):
        chunk = [week + number * DAY for number in range(first, min(first + 14, RELEASE.max_trial_days))]
        seen = payments.filter(pl.col("arrival_date").is_between(chunk[0] - LABEL_DELAY_DAYS * DAY, chunk[-1]))
        judged = judge_payments(seen.drop("is_fraud"), models, DECISION, RULES)
        frames = {day: measure_health(judged, chargebacks, day, models, TOP_CARDS) for day in chunk}
        days |= read_health(frames).days
    return Health(days)


def try_out(champion: str, challenger: str, health: Health, week: date) -> tuple[str, int, float]:
    """How a trial ends, after how many days, and the greatest share that the challenger had before its end."""
    passed = {"average_precision": 0.9, "n_rows": 1.0, "n_removed": 0.0, "n_frauds": 1e3}  # its evaluation sees nothing
    first = Candidate(week - WEEKS_APART * WEEK, champion, {"candidate": passed, "rules": passed})
    second = Candidate(week, challenger, {"candidate": passed, champion: passed})
    entries: list[ReleaseEntry] = [decide_day([], first.as_of, Health({}), [first], RELEASE)]
    most = 0.0
    for number in range(RELEASE.max_trial_days + 1):
        entries.append(decide_day(entries, week + number * DAY, health, [first, second], RELEASE))
        if entries[-1].action in OUTCOMES:
            return str(entries[-1].action), number, most
        most = max(most, entries[-1].canary_share)
    return str(entries[-1].action), RELEASE.max_trial_days, most


def bound_share(n_found: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of Clopper and Pearson for a share."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, n_found, n - n_found + 1)) if n_found else 0.0
    high = float(beta.isf(tail, n_found + 1, n - n_found)) if n_found < n else 1.0
    return low, high


def tell(trials: Sequence[Trial]) -> Iterator[str]:
    """What came of the trials of one kind."""
    kind, n = trials[0].kind, len(trials)
    lost = np.array([one.lost for one in trials])
    yield f"{kind}: {n} trials in {len({one.seed for one in trials})} worlds" + (
        f"; average precision lower by {lost.mean():.4f} ({lost.min():.4f} to {lost.max():.4f})" if lost.any() else ""
    )
    for outcome in OUTCOMES:
        found = [one for one in trials if one.outcome == outcome]
        low, high = bound_share(len(found), n)
        days = sorted(one.n_days for one in found)
        after = f", after {days[0]} to {days[-1]} days, median {int(np.median(days))}" if days else ""
        yield f"  {outcome:10} {len(found):4} of {n} ({low:.1%} to {high:.1%}){after}"
    shares = {share: sum(one.most == share for one in trials) for share in sorted({one.most for one in trials})}
    told = ", ".join(f"{share:.0%}: {number}" for share, number in shares.items())
    yield f"  greatest share of the customers before the end: {told}"


def main() -> None:
    """Print how the trials of each kind ended; the number of worlds may be given."""
    n_worlds, started = int(sys.argv[1]) if len(sys.argv) > 1 else N_WORLDS, time.perf_counter()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        trials = [trial for world in pool.map(rehearse_world, range(n_worlds)) for trial in world]
    print(f"{n_worlds} worlds of {N_CUSTOMERS} customers, {time.perf_counter() - started:.0f} s")
    for kind in ("equally good", "5 % worse"):
        print("\n".join(tell([one for one in trials if one.kind == kind])))
    promoted = sum(one.outcome == ReleaseAction.PROMOTE for one in trials if one.kind == "5 % worse")
    n_worse = sum(one.kind == "5 % worse" for one in trials)
    print(f"never promoted: {n_worse - promoted} of {n_worse} that are 5 % worse (limit: 95 %)")


if __name__ == "__main__":
    main()
