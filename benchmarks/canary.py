"""The gate of the canary, asked every day: how often it is wrong, and how soon it is right, on simulated payments.

Models are trained on simulated worlds and score the payments of the sixteen weeks that follow. A newer model is as good
as the champion. The worse ones are the champion with something wrong, just so much of it that they lose 5 % of its
average precision, or exactly what the gate tolerates: noise on all scores, or one group of features missing for some
customers, which is only seen when such a customer or terminal is defrauded, and then for weeks. Trials are drawn from
those days in blocks of four weeks, so that days stay as correlated as they are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.prequential import WEEK, join_all
from benchmarks.worlds import simulate_rows
from pipeline_assets.contracts.features import CUSTOMER_FEATURES, LABEL_DELAY_DAYS, TERMINAL_FEATURES
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.fraud_model import FraudModel
from pipeline_assets.core.labels import label_mature_rows
from pipeline_assets.core.release.params import ReleaseParams
from pipeline_assets.core.release.sequential import Verdict, judge_gain
from pipeline_assets.core.training import TrainingParams, train
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World

SEEDS: Final = {300: range(10), 1_000: range(5), 5_000: range(1)}  # of the worlds, by the number of customers
START: Final = date(2025, 1, 5)
FIRST_MODEL: Final = START + 14 * WEEK
NEWER_MODEL: Final = FIRST_MODEL + 6 * WEEK
N_DAYS: Final = 112  # that are scored, from the newer model on, and of a trial
BLOCK_DAYS: Final = 28
N_DRAWS: Final = 4  # times that chance decides on the customers with missing features, or on the noise, in each world
N_TRIALS: Final = 400
PARAMS: Final = ReleaseParams()
SHORT: Final = PARAMS.max_trial_days - LABEL_DELAY_DAYS  # days with mature labels of the longest trial
LOST_SHARE: Final = 0.05
NAIVE_QUANTILE: Final = 1.645  # of a usual one-sided interval of 95 %
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """The payments of a world, in the order of days, and the log-odds of fraud that models give them."""

    day: npt.NDArray[np.int64]
    is_fraud: npt.NDArray[np.bool_]
    customer: npt.NDArray[np.int64]
    champion: Floats
    newer: Floats
    without: Mapping[str, Floats]  # the champion's without a group of features

    @property
    def n_frauds(self) -> Floats:
        """Of each day."""
        return np.bincount(self.day, self.is_fraud, N_DAYS).astype(np.float64)


def score_world(n_customers: int, seed: int) -> Scored:
    """Train two models on a world and score the days that follow."""
    last = NEWER_MODEL + timedelta(days=N_DAYS + LABEL_DELAY_DAYS)
    transactions, chargebacks = simulate_rows(World(WorldParams(START, n_customers, 2 * n_customers, seed)), last)
    rows = join_all(transactions, chargebacks)
    champion, newer = (_train(rows, chargebacks, as_of) for as_of in (FIRST_MODEL, NEWER_MODEL))
    days = rows.with_columns(day=(pl.col("event_time").dt.date() - NEWER_MODEL).dt.total_days())
    scored = days.filter(pl.col("day").is_between(0, N_DAYS - 1)).sort("day", maintain_order=True)
    inputs = make_model_inputs(scored)
    without = {}
    for name, group in (("customer", CUSTOMER_FEATURES), ("terminal", TERMINAL_FEATURES)):
        lacking = inputs.copy()
        champion.fill(lacking, group, np.ones(len(lacking), np.bool_))
        without[name] = _find_log_odds(champion.predict(lacking))
    return Scored(
        scored["day"].to_numpy(), scored["is_fraud"].to_numpy(),
        scored["customer_id"].rank("dense").cast(pl.Int64).to_numpy() - 1,
        _find_log_odds(champion.predict(inputs)), _find_log_odds(newer.predict(inputs)), without,
    )  # fmt: skip


def _train(rows: pl.DataFrame, chargebacks: pl.DataFrame, as_of: date) -> FraudModel:
    params = TrainingParams(rounds=100)
    model = train(label_mature_rows(rows.drop("is_fraud"), chargebacks, as_of, params.history_days), params)
    return FraudModel(f"{as_of}", model.text.decode(), model.card["typical_inputs"])


def _find_log_odds(score: Floats) -> Floats:
    kept = score.clip(1e-9, 1 - 1e-9)
    log_odds: Floats = np.log(kept / (1 - kept))
    return log_odds


def measure_days(world: Scored, score: Floats) -> Floats:
    """Average precision of each day, as scikit-learn's; NaN on a day without frauds."""
    order = np.lexsort((-score, world.day))
    day, fraud, ranked = world.day[order], world.is_fraud[order].astype(np.float64), score[order]
    first = np.searchsorted(day, day)
    found = np.cumsum(fraud)
    precision = (found - np.concatenate([[0.0], found])[first]) / (np.arange(day.size) - first + 1)
    is_last = np.append((np.diff(ranked) != 0) | (np.diff(day) != 0), True)  # equal scores have one precision
    lasts = np.flatnonzero(is_last)
    precision = precision[lasts[np.searchsorted(lasts, np.arange(day.size))]]
    with np.errstate(invalid="ignore"):
        means: Floats = np.bincount(day, precision * fraud, N_DAYS) / world.n_frauds
    return means


def _add_noise(world: Scored, strength: float, seed: int) -> Floats:
    return world.champion + strength * np.random.default_rng(seed).normal(size=world.day.size)


def _lack(group: str) -> Callable[[Scored, float, int], Floats]:
    def lack(world: Scored, share: float, seed: int) -> Floats:
        is_lacking = np.random.default_rng(seed).random(world.customer.max() + 1) < share
        return np.where(is_lacking[world.customer], world.without[group], world.champion)

    return lack


DAMAGES: Final = {  # what is wrong, and the most of it
    "noise": (_add_noise, 4.0),
    "no customer features": (_lack("customer"), 1.0),
    "no terminal features": (_lack("terminal"), 1.0),
}


@dataclass(frozen=True)
class Pool:
    """Days to draw trials from: gains and frauds, a row a world and draw."""

    gains: Floats
    n_frauds: Floats

    @property
    def mean(self) -> float:
        """Mean gain of a day, weighted by frauds."""
        return float((np.nan_to_num(self.gains) * self.n_frauds).sum() / self.n_frauds.sum())

    def draw(self, n_trials: int) -> Iterator[tuple[Floats, Floats]]:
        """Gains and frauds of trials, in blocks."""
        random = np.random.default_rng(0)
        for _ in range(n_trials):
            blocks = N_DAYS // BLOCK_DAYS
            row = np.repeat(random.integers(len(self.gains), size=blocks), BLOCK_DAYS)
            first = np.repeat(random.integers(N_DAYS, size=blocks), BLOCK_DAYS)
            day = (first + np.tile(np.arange(BLOCK_DAYS), blocks)) % N_DAYS
            yield self.gains[row, day], self.n_frauds[row, day]


def pool_newer(worlds: Sequence[Scored], shift: float | None) -> Pool:
    """Days of the newer models as they are, or so that each gains ``shift`` on average."""
    gains = np.stack([measure_days(one, one.newer) - measure_days(one, one.champion) for one in worlds])
    n_frauds = np.stack([one.n_frauds for one in worlds])
    if shift is not None:
        gains += shift - ((np.nan_to_num(gains) * n_frauds).sum(1) / n_frauds.sum(1))[:, None]
    return Pool(gains, n_frauds)


def pool_worse(worlds: Sequence[Scored], damage: str, loss: float) -> Pool:
    """Days of models with so much wrong that they lose ``loss`` on average over all worlds and draws."""
    spoil, high = DAMAGES[damage]
    low = 0.0
    champions = [measure_days(one, one.champion) for one in worlds]
    for _ in range(10):
        strength = (low + high) / 2
        gains = [
            measure_days(one, spoil(one, strength, seed)) - champion
            for one, champion in zip(worlds, champions, strict=True)
            for seed in range(N_DRAWS)
        ]
        pool = Pool(np.stack(gains), np.repeat([one.n_frauds for one in worlds], N_DRAWS, axis=0))
        low, high = (strength, high) if pool.mean > -loss else (low, strength)
    return pool


def judge_naively(gains: Floats, weights: Floats) -> Verdict:
    """The gate's question with a usual confidence interval of each day's own."""
    known = weights > 0
    x, w = gains[known], weights[known]
    if x.size < PARAMS.gate.min_days:
        return Verdict.CONTINUE
    mean = np.average(x, weights=w)
    margin = NAIVE_QUANTILE * np.std(w / w.mean() * (x - mean), ddof=1) / np.sqrt(x.size)
    if mean + margin < 0:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if mean - margin > -PARAMS.tolerated_loss else Verdict.CONTINUE


def judge_by_gate(gains: Floats, weights: Floats) -> Verdict:
    """The gate."""
    return judge_gain(gains.tolist(), weights.tolist(), PARAMS.tolerated_loss, PARAMS.gate).verdict


def run_trials(pool: Pool, judge: Callable[[Floats, Floats], Verdict]) -> list[tuple[Verdict, int]]:
    """How each trial ended and on which of its days, asked every day."""
    ends = []
    for gains, n_frauds in pool.draw(N_TRIALS):
        days = range(PARAMS.gate.min_days, N_DAYS + 1)
        verdicts = ((judge(gains[:n], n_frauds[:n]), n) for n in days)
        ends.append(next((end for end in verdicts if end[0] is not Verdict.CONTINUE), (Verdict.CONTINUE, N_DAYS)))
    return ends


def describe(ends: list[tuple[Verdict, int]]) -> str:
    """Shares of the trials that ended either way, within the longest trial and in the end, and the median day."""
    told = []
    for verdict in (Verdict.NOT_WORSE, Verdict.WORSE):
        days = [day for found, day in ends if found is verdict]
        early = sum(day <= SHORT for day in days) / len(ends)
        told.append(f"{early:6.1%} {len(days) / len(ends):6.1%} {f'{np.median(days):.0f}' if days else '-':>4}")
    return " ".join(told)


def main() -> None:
    """Print the table, by size of the world."""
    both = f"{'promoted':^19}{'rolled back':^19}"
    print(f"{N_TRIALS} trials each; ended within {SHORT} and {N_DAYS} days with mature labels, median day")
    for n_customers, seeds in SEEDS.items():
        worlds = [score_world(n_customers, seed) for seed in seeds]
        champion = float(np.nanmean([measure_days(one, one.champion) for one in worlds]))
        n_frauds = float(np.mean([one.n_frauds for one in worlds]))
        print(f"\n{n_customers} customers, worlds: {len(worlds)}, {n_frauds:.1f} frauds a day, AP {champion:.3f}")
        print(f"{'':36}gain  spread  {'gate':^38} {'interval of each day':^38}\n{'':50}{both} {both}")
        for name, pool in list_pools(worlds, champion):
            ends = " ".join(describe(run_trials(pool, judge)) for judge in (judge_by_gate, judge_naively))
            print(f"{name:34} {pool.mean:+.3f} {np.nanstd(pool.gains):7.3f}  {ends}", flush=True)


def list_pools(worlds: Sequence[Scored], champion: float) -> Iterator[tuple[str, Pool]]:
    """What is tried, by name."""
    yield "newer, as it is", pool_newer(worlds, None)
    yield "newer, as good", pool_newer(worlds, 0.0)
    yield "newer, better by the tolerated", pool_newer(worlds, PARAMS.tolerated_loss)
    for loss, told in ((LOST_SHARE * champion, f"{LOST_SHARE:.0%} worse"), (PARAMS.tolerated_loss, "at the limit")):
        for damage in DAMAGES:
            yield f"{told}: {damage}", pool_worse(worlds, damage, loss)


if __name__ == "__main__":
    main()
