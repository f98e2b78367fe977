"""The model card: the same bytes for the same values, honest about what is not known, and never a person's data."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import pairwise

import polars as pl
import pytest

from pipeline_assets.core.assessment import Assessment, assess
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.evaluation import EvaluationParams, TestSet
from pipeline_assets.core.fraud_model import FraudModel
from pipeline_assets.core.ladder import Step
from pipeline_assets.core.model_card import ModelFacts, explain_step, list_verdicts, render_card, title_card
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.training import TrainedModel, TrainingParams, train

AS_OF = date(2026, 2, 8)
WEEK = (date(2026, 1, 25), date(2026, 1, 31))
PARAMS, DECISION = EvaluationParams(top_cards=20, resamples=100), DecisionParams()
VERSION = "2026-02-08-377c3a0b22a7"


@pytest.fixture(scope="module")
def rows(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    return make_training_set(4000)


@pytest.fixture(scope="module")
def trained(rows: pl.DataFrame) -> TrainedModel:
    return train(rows.head(2500), TrainingParams(rounds=20, learning_rate=0.1))


@pytest.fixture(scope="module")
def facts(trained: TrainedModel) -> ModelFacts:
    return ModelFacts(VERSION, trained.card)


@pytest.fixture(scope="module")
def assessment(rows: pl.DataFrame, trained: TrainedModel) -> Assessment:
    return make_assessment(rows.tail(1500), rows, trained)


def make_assessment(test: pl.DataFrame, rows: pl.DataFrame, trained: TrainedModel) -> Assessment:
    models = [FraudModel(name, trained.text.decode(), trained.card["typical_inputs"]) for name in ("candidate", "old")]
    return assess(TestSet(test, 7, 3), rows, models[0], {"old": models[1]}, PARAMS, RulesParams(), DECISION)


def render(model: ModelFacts | None, assessment: Assessment) -> str:
    return render_card(AS_OF, model, WEEK, assessment, PARAMS, DECISION)


def list_headings(card: str) -> list[str]:
    return [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]


def test_the_card_says_what_a_person_has_to_know(facts: ModelFacts, assessment: Assessment) -> None:
    card = render(facts, assessment)
    assert card.startswith(title_card(VERSION) + "\n")
    assert list_headings(card) == [
        "What it was trained on", "Quality on the test week", "Quality by segment", "Calibration",
        "Against earlier models and the rules", "What degraded means: the priced ladder", "Limits", "Lineage",
    ]  # fmt: skip
    for stated in (
        facts.made_of["md5"], facts.made_of["training_digest"], f"{facts.made_of['n_rows']:,}", "`rounds` | 20",
        facts.made_of["first_event_time"], f"{assessment.reports['candidate'].average_precision:.4f}",
        "not its own", "trained on what was known before 2026-01-25 and tested on 2026-01-25 to 2026-01-31",
        "7 payments of 3 cards", "a declined payment is never reported",
    ):  # fmt: skip
        assert stated in card, stated


def test_the_card_has_every_verdict_every_step_and_every_bin(facts: ModelFacts, assessment: Assessment) -> None:
    card = render(facts, assessment)
    assert list_verdicts(assessment) in card
    for rival, one in assessment.conclusions.items():
        assert f"| {rival} | {one.verdict.upper()} | {one.reason} |" in card
    for step in assessment.ladder:
        assert f"| `{step.name}` | {step.average_precision:.4f} |" in card
    for step in assessment.ladder[1:]:
        assert explain_step(step, assessment.ladder[0], PARAMS.top_cards) in card
    for mean, rate, n in assessment.reports["candidate"].calibration:
        assert f"| {mean:.5f} | {rate:.5f} | {n:,} |" in card
    for segment in assessment.segments:
        assert f"| {segment.name} | {segment.n_rows:,} | {segment.n_frauds} |" in card


def test_a_step_is_explained_so_that_it_can_be_acted_on() -> None:
    top = Step("champion", 0.75, 0.2, 100_000, 10_000)
    terminal = Step("terminal_features_missing", 0.5, 0.1, 323_450, 10_000)
    assert explain_step(terminal, top, 100) == (
        "If the terminal features are missing: average precision is 0.500 instead of 0.750; of 100 cards investigated "
        "a day 10.0 instead of 20.0 had a fraud; a week like this one costs 2,234.50 more, 223.45 on 1,000 payments."
    )
    cheaper = explain_step(Step("features_stale_1d", 0.76, 0.2, 50_000, 10_000), top, 100)
    assert cheaper.startswith("If all features are 1 day old: ")
    assert "costs 500.00 less, 50.00 on 1,000 payments" in cheaper


def test_the_same_values_give_the_same_bytes_in_any_order_of_payments(
    rows: pl.DataFrame, trained: TrainedModel, facts: ModelFacts, assessment: Assessment
) -> None:
    shuffled = rows.tail(1500).sample(fraction=1, shuffle=True, seed=1)
    assert render(facts, make_assessment(shuffled, rows, trained)) == render(facts, assessment)


def test_every_table_has_as_many_cells_in_each_line(facts: ModelFacts, assessment: Assessment) -> None:
    lines = render(facts, assessment).splitlines()
    for line, following in pairwise(lines):
        if line.startswith("|") and following.startswith("|"):
            assert line.count("|") == following.count("|"), following


def test_what_is_not_known_is_said(facts: ModelFacts, assessment: Assessment) -> None:
    without_model = render(None, assessment)
    assert without_model.startswith("# Model card: no model as of 2026-02-08\n")
    assert "No model was trained as of this day" in without_model
    assert "Lineage" not in list_headings(without_model)
    nothing = render(facts, Assessment(problems={"test week": "there is no payment"}))
    assert "No figures of the test week: there is no payment." in nothing
    assert list_headings(nothing) == ["What it was trained on", "Quality on the test week", "Limits", "Lineage"]
    broken = render(facts, replace(assessment, problems={"older": "its scores are no probabilities"}))
    assert "No figures of the older: its scores are no probabilities." in broken


def test_no_card_holder_and_no_terminal_is_named(rows: pl.DataFrame, facts: ModelFacts, assessment: Assessment) -> None:
    words = set(render(facts, assessment).replace("|", " ").split())
    for column in ("transaction_id", "customer_id", "terminal_id"):
        assert not words & set(rows[column].to_list())
