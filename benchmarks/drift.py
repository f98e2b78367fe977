"""Drift: how often something is called drifted in worlds that do not change, and how soon in worlds that do.

Worlds of 1,000 customers, no two with the same seed, with a model and a reference every four weeks, as by default. A
false alarm is a day on which a feature, or the score, begins to be called drifted. The models have 50 trees instead of
400, which changes the score, not how it drifts.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from benchmarks.prequential import WEEK, join_all
from benchmarks.worlds import simulate_rows
from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.core.drift import (
    Comparison,
    DriftParams,
    Reference,
    build_reference,
    compare_window,
    count_payments,
)
from pipeline_assets.core.drift.bins import compute_psi, compute_squared_distance
from pipeline_assets.core.labels import label_mature_rows
from pipeline_assets.core.retraining import RetrainingParams
from pipeline_assets.core.scoring import FraudModel
from pipeline_assets.core.training import TrainingParams, train
from pipeline_assets.simulator.params import AmountDrift, CardTesting, Change, NewCustomers, WorldParams
from pipeline_assets.simulator.world import World

PARAMS: Final = DriftParams()
TRAINING: Final = TrainingParams(rounds=50)
START: Final = date(2025, 1, 5)
FIRST_MODEL: Final = 35  # days after the start
N_DAYS: Final = 315
QUIET_SEEDS: Final = (81, 82, 83)
CHANGED_SEEDS: Final = (91, 92)
CHANGED_ON: Final = START + timedelta(days=FIRST_MODEL + 6 * 28 + 4)  # four days after a training
WATCHED_DAYS: Final = 24  # until the next one
PHASES: Final = ((35, 63), (63, 91), (91, 147), (147, N_DAYS))
CHANGES: Final[dict[str, Change]] = {
    "amounts 1.3 times as high": AmountDrift(day=CHANGED_ON),
    "20 % new customers": NewCustomers(day=CHANGED_ON, n_customers=200),
    "card testing, 1 card in 1,000 a day": CardTesting(day=CHANGED_ON),
}


def main() -> None:
    """Print false alarms, days to detect, and what fewer rows change."""
    quiet = {seed: simulate(seed) for seed in QUIET_SEEDS}
    print_false_alarms([list(measure_world(*world, list_models(N_DAYS), N_DAYS)) for world in quiet.values()])
    trained = [week for week in list_models(N_DAYS) if week <= CHANGED_ON][-1:]
    last = (CHANGED_ON - START).days + WATCHED_DAYS
    changed = {}
    for name, change in CHANGES.items():
        worlds = {seed: simulate(seed, change) for seed in CHANGED_SEEDS}
        changed[name] = worlds[CHANGED_SEEDS[0]]
        print_detection(name, [list(measure_world(*world, trained, last)) for world in worlds.values()])
    print(f"\n{'payments of a week':36}   PSI: all, 1/2, 1/10       distance: all, 1/2, 1/10")
    for name, world in {"nothing has changed": quiet[QUIET_SEEDS[0]], **changed}.items():
        print_parts(name, world, trained[0])


def simulate(seed: int, change: Change | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The payments of a world with their features, and its chargebacks."""
    n_days = (CHANGED_ON - START).days + WATCHED_DAYS if change else N_DAYS
    world = World(WorldParams(START, 1_000, 2_000, seed, changes=(change,) if change else ()))
    transactions, chargebacks = simulate_rows(world, START + timedelta(days=n_days - 1))
    return join_all(transactions, chargebacks).drop("is_fraud"), chargebacks


def list_models(n_days: int) -> list[date]:
    """The as-of days of the models."""
    weeks = RetrainingParams().every_weeks
    return [START + timedelta(days=number) for number in range(FIRST_MODEL, n_days, weeks * 7)]


def measure_world(
    rows: pl.DataFrame, chargebacks: pl.DataFrame, models: Sequence[date], n_days: int
) -> Iterator[tuple[date, list[Comparison]]]:
    """Each day from the first model on, compared with the newest reference."""
    ends = [*models[1:], START + timedelta(days=n_days)]
    for as_of, end in zip(models, ends, strict=True):
        reference, model = make_reference(rows, chargebacks, as_of)
        first = as_of - timedelta(days=PARAMS.window_days - 1)
        n_counted = (end - first).days
        counted = rows.filter(pl.col("arrival_date").is_between(first, end - timedelta(days=1)))
        counts = count_payments(counted, first, n_counted, reference, model.predict)
        for number in range(PARAMS.window_days, n_counted + 1):
            window = {name: days[number - PARAMS.window_days : number].sum(axis=0) for name, days in counts.items()}
            yield first + timedelta(days=number - 1), compare_window(reference, window, PARAMS)


def make_reference(rows: pl.DataFrame, chargebacks: pl.DataFrame, as_of: date) -> tuple[Reference, FraudModel]:
    """The reference as of a day, and the model."""
    training_set = label_mature_rows(rows, chargebacks, as_of, TRAINING.history_days)
    trained = train(training_set, TRAINING)
    model = FraudModel("model", trained.text.decode(), trained.card["typical_inputs"])
    since = as_of - timedelta(days=LABEL_DELAY_DAYS)
    unseen = rows.filter(pl.col("arrival_date").is_between(since, as_of, closed="left"))
    return build_reference(training_set, unseen, model.predict, as_of, PARAMS), model


def print_false_alarms(worlds: Sequence[Sequence[tuple[date, list[Comparison]]]]) -> None:
    """How often a month something begins to be called drifted, by phase of the history."""
    print(f"worlds in which nothing changes: {len(worlds)}, budget {PARAMS.false_alarms_a_month:g} a month")
    print("days of history   months   false alarms a month   drifted days a month   median threshold")
    for begin, end in PHASES:
        n_days = n_begun = n_drifted = 0
        thresholds = []
        for days in worlds:
            before: set[str] = set()
            for day, compared in days:
                drifted = {one.subject for one in compared if one.is_drifted}
                if begin <= (day - START).days < end:
                    n_days += 1
                    n_begun += len(drifted - before)
                    n_drifted += len(drifted)
                    thresholds += [one.threshold for one in compared if one.threshold is not None]
                before = drifted
        months = n_days / 30
        print(
            f"{begin:>3} to {end - 1:>3}        {months:5.1f}    {n_begun / months:6.2f}                 "
            f"{n_drifted / months:6.2f}                 {np.median(thresholds):.3f}"
        )


def print_detection(name: str, worlds: Sequence[Sequence[tuple[date, list[Comparison]]]]) -> None:
    """On which day after a change something is drifted, and on which it is for long enough to be answered."""
    found = []
    for days in worlds:
        since = {day: {one.subject for one in compared if one.is_drifted} for day, compared in days}
        hits = [day for day, drifted in since.items() if day >= CHANGED_ON and drifted]
        lasting = [
            day
            for day in hits
            if set.intersection(*(since.get(day - timedelta(days=n), set()) for n in range(PARAMS.persistent_days)))
        ]
        told = [f"day {(day - CHANGED_ON).days + 1}" if day else "missed" for day in (_first(hits), _first(lasting))]
        what = ", ".join(sorted(since[hits[0]])) if hits else "nothing"
        found.append(f"drifted on {told[0]} ({what}), for {PARAMS.persistent_days} days on {told[1]}")
    print(f"\n{name}:", *found, sep="\n  ")


def print_parts(name: str, world: tuple[pl.DataFrame, pl.DataFrame], as_of: date) -> None:
    """PSI and distance of all payments of three weeks, of half of them and of a tenth; mean over features and weeks."""
    rows, chargebacks = world
    training_set = label_mature_rows(rows, chargebacks, as_of, TRAINING.history_days)
    reference = build_reference(training_set, rows.clear(), lambda inputs: inputs[:, 0], as_of, PARAMS)  # of no score
    figures = []
    for parts in (1, 2, 10):
        psi, squares = [], []
        sample = rows.filter(pl.int_range(pl.len()).shuffle(seed=1) % parts == 0)
        for week in (as_of + number * WEEK for number in (1, 2, 3)):
            counted = sample.filter(pl.col("arrival_date").is_between(week, week + WEEK, closed="left"))
            for subject, days in count_payments(counted, week, 7, reference, None).items():
                psi.append(compute_psi(reference[subject].rows, days.sum(axis=0)))
                squares.append(compute_squared_distance(reference[subject].rows, days.sum(axis=0)))
        figures.append((np.mean(psi), np.sqrt(max(0.0, float(np.mean(squares))))))
    told = (", ".join(f"{figure[number]:.4f}" for figure in figures) for number in (0, 1))
    print(f"{name:36}", *told, sep="   ")


def _first(days: Sequence[date]) -> date | None:
    return days[0] if days else None


if __name__ == "__main__":
    main()
