"""A week's evaluation: a broken scorer spoils no other's report, and missing evidence is told, not made up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pipeline_assets.contracts.features import Feature
from pipeline_assets.contracts.tables import MODEL_EVALUATION
from pipeline_assets.core.assessment import Assessment, assess
from pipeline_assets.core.comparison import Verdict
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.evaluation import EvaluationParams, TestSet
from pipeline_assets.core.fraud_model import ModelFailedError
from pipeline_assets.core.rules import RulesParams

Floats = npt.NDArray[np.float64]
PARAMS = EvaluationParams(top_cards=5, resamples=100, min_frauds=20)


@dataclass(frozen=True)
class FakeModel:
    """Scores every row by its first input, the amount; the greater ``noise``, the worse."""

    version: str
    noise: float = 0.0
    constant: float | None = None
    fails: bool = False

    def predict(self, inputs: Floats) -> Floats:
        if self.fails:
            raise ModelFailedError(f"model {self.version}: no answer")
        if self.constant is not None:
            return np.full(len(inputs), self.constant)
        drawn = np.random.default_rng(len(inputs)).normal(size=len(inputs))
        found: Floats = 1 / (1 + np.exp(6 - inputs[:, 0] / 8000 - self.noise * drawn))
        return found

    def explain(self, inputs: Floats) -> Floats:
        return inputs

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: npt.NDArray[np.bool_]) -> None:
        """It needs no features."""


GOOD, WORSE, OLD = FakeModel("2026-01-15-c"), FakeModel("2026-01-08-b", noise=3), FakeModel("2026-01-01-a", noise=0.1)


@pytest.fixture(scope="module")
def history(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    rows = make_training_set(4000)
    chance = np.random.default_rng(1).random(rows.height)
    return rows.with_columns(is_fraud=pl.Series(chance < 1 / (1 + np.exp(6 - rows["amount_cents"].to_numpy() / 4000))))


def assess_all(
    rows: pl.DataFrame,
    candidate: FakeModel | None = GOOD,
    rivals: Sequence[FakeModel] = (OLD, WORSE),
    params: EvaluationParams = PARAMS,
) -> Assessment:
    by_version = {model.version: model for model in rivals}
    return assess(TestSet(rows.tail(2000), 0, 0), rows, candidate, by_version, params, RulesParams(), DecisionParams())


def test_the_table_has_each_metric_of_each_subject_once_and_every_rival_has_its_gain(history: pl.DataFrame) -> None:
    found = assess_all(history)
    frame = pl.DataFrame(list(found.list_rows()), MODEL_EVALUATION.empty().schema, orient="row")
    MODEL_EVALUATION.schema.validate(frame)
    values = {(subject, metric): value for subject, metric, value in frame.iter_rows()}
    for rival in ("rules", OLD.version, WORSE.version):
        gain = values["candidate", "average_precision"] - values[rival, "average_precision"]
        assert values[rival, "gain"] == pytest.approx(gain, abs=1e-9)
        assert values[rival, "gain_low"] <= values[rival, "gain"] <= values[rival, "gain_high"]
        cost_gain = values[rival, "cost_cents"] - values["candidate", "cost_cents"]
        assert values[rival, "cost_gain_cents"] == pytest.approx(cost_gain)
    assert ("candidate", "gain") not in values
    assert values["ladder:champion", "average_precision"] == values["candidate", "average_precision"]
    assert values["ladder:champion", "cost_cents"] == values["candidate", "cost_cents"]
    assert values["ladder:rules", "cost_loss_cents"] == pytest.approx(values["rules", "cost_gain_cents"])


def test_a_worse_rival_is_beaten_and_a_worse_candidate_is_rejected(history: pl.DataFrame) -> None:
    assert assess_all(history).conclusions[WORSE.version].verdict is Verdict.PROMOTE
    assert assess_all(history, WORSE, [GOOD]).conclusions[GOOD.version].verdict is Verdict.REJECT


@pytest.mark.parametrize(
    "broken",
    [FakeModel("broken", constant=float("nan")), FakeModel("broken", constant=1.5), FakeModel("broken", fails=True)],
    ids=["nan", "no probability", "failing"],
)
def test_a_broken_rival_is_told_and_spoils_no_other_report(history: pl.DataFrame, broken: FakeModel) -> None:
    found, sound = assess_all(history, rivals=[OLD, broken]), assess_all(history, rivals=[OLD])
    assert list(found.problems) == ["broken"]
    assert found.reports == sound.reports
    assert found.comparisons == sound.comparisons
    assert found.ladder == sound.ladder


@pytest.mark.parametrize("candidate", [None, FakeModel("broken", constant=float("nan"))])
def test_without_a_candidate_that_scores_there_is_no_verdict(
    history: pl.DataFrame, candidate: FakeModel | None
) -> None:
    found = assess_all(history, candidate)
    assert set(found.reports) == {"rules", OLD.version, WORSE.version}
    assert (found.comparisons, found.conclusions, found.ladder) == ({}, {}, ())
    assert not any(metric.startswith("gain") for _, metric, _ in found.list_rows())


@pytest.mark.parametrize("kind", ["empty", "honest"])
def test_a_week_without_payments_or_frauds_is_told_and_nothing_else(history: pl.DataFrame, kind: str) -> None:
    rows = history.clear() if kind == "empty" else history.with_columns(is_fraud=pl.lit(value=False))
    found = assess_all(rows)
    assert list(found.list_rows()) == []
    assert list(found.problems) == ["test week"]


def test_the_backup_is_the_newest_rival_that_is_not_the_candidate_and_can_score(history: pl.DataFrame) -> None:
    broken = FakeModel("2026-01-22-d", fails=True)
    assert assess_all(history, GOOD, [OLD, WORSE, GOOD, broken]).backup == WORSE.version
    assert assess_all(history, GOOD, [OLD, WORSE, GOOD, broken]).held_out == GOOD.version
    alone = assess_all(history, GOOD, [GOOD])
    assert alone.backup is None
    assert "backup" not in [step.name for step in alone.ladder]


def test_to_approve_everything_costs_the_frauds(history: pl.DataFrame) -> None:
    frauds = history.tail(2000).filter("is_fraud")["amount_cents"]
    expected = frauds.sum() + frauds.len() * DecisionParams().chargeback_fee_cents
    assert assess_all(history).unprotected_cents == expected


def test_the_order_of_payments_does_not_change_a_digit(history: pl.DataFrame) -> None:
    test = history.tail(2000)
    other = test.sample(fraction=1, shuffle=True, seed=2)
    rules, decision = RulesParams(), DecisionParams()
    straight, shuffled = (
        assess(TestSet(rows, 0, 0), history, FakeModel("a"), {"b": FakeModel("b")}, PARAMS, rules, decision)
        for rows in (test, other)
    )
    assert shuffled == straight
