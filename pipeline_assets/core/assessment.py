"""All that a week's evaluation says: reports of every subject, what the candidate gains over each, and the ladder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.vocabularies import Decision, Rung
from pipeline_assets.core.comparison import (
    Comparison,
    Conclusion,
    Resampled,
    compare,
    conclude,
    draw_resamples,
    resample,
)
from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions, measure_costs
from pipeline_assets.core.evaluation import (
    Evaluation,
    EvaluationParams,
    InvalidScoresError,
    NothingToEvaluateError,
    TestSet,
    evaluate,
)
from pipeline_assets.core.fraud_model import Model, ModelFailedError, ModelInputs, ModelTimeoutError
from pipeline_assets.core.ladder import Step, price_ladder
from pipeline_assets.core.rules import RulesParams, score_by_rules
from pipeline_assets.core.segments import Segment, measure_segments

CANDIDATE: Final = "candidate"  # the recipe, held out from the test week
RULES: Final = "rules"
LADDER_PREFIX: Final = "ladder:"  # of the subjects that are steps of the priced ladder
_TEST_WEEK: Final = "test week"
Floats = npt.NDArray[np.float64]
Row = tuple[str, str, float | None]  # subject, metric, value


@dataclass(frozen=True)
class Assessment:
    """What a week's evaluation says. What could not be measured is absent, and ``problems`` says why.

    Attributes:
        reports: By subject: the candidate, the rules, and the versions of rivals.
        comparisons: What the candidate gains over each of the others.
        conclusions: The verdict on the candidate beside each of the others, and why.
        costs: What the decisions of each subject cost on the test week, in cents.
        ladder: The priced ladder, the candidate's step first.
        backup: The rival whose step of the ladder is the backup's; None where there is none.
        held_out: The version of the candidate, where it is a model that was trained when the test week began.
        unprotected_cents: What it would have cost to approve every payment of the test week.
        segments: The candidate on parts of the test week.
        problems: By subject, or for the test week itself, why there is no report.
    """

    reports: Mapping[str, Evaluation] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    conclusions: Mapping[str, Conclusion] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    ladder: Sequence[Step] = ()
    backup: str | None = None
    held_out: str | None = None
    unprotected_cents: int = 0
    segments: Sequence[Segment] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    def list_rows(self) -> Iterable[Row]:
        """The rows of the table ``model_evaluation``."""
        for subject, report in self.reports.items():
            yield from ((subject, metric, value) for metric, value in report.as_metrics().items())
            yield subject, "cost_cents", self.costs[subject]
            yield subject, "cost_per_1000_cents", self.costs[subject] / report.n_rows * 1000
        for rival, comparison in self.comparisons.items():
            yield from ((rival, metric, value) for metric, value in comparison.as_metrics().items())
        for step in self.ladder:
            metrics = step.as_metrics(self.ladder[0])
            yield from ((f"{LADDER_PREFIX}{step.name}", metric, value) for metric, value in metrics.items())


def assess(
    test: TestSet,
    history: pl.DataFrame,
    candidate: Model | None,
    rivals: Mapping[str, Model],
    params: EvaluationParams,
    rules: RulesParams,
    decision: DecisionParams,
) -> Assessment:
    """Measure a candidate, the rules and rivals on one test set; a scorer that is broken spoils no other's report.

    Args:
        test: The payments that count, as in the table ``training_set``.
        history: That table: all payments with their features.
        candidate: The recipe, held out; None where it could not be trained.
        rivals: Earlier models by version, none of which has seen the test set.
        params: How models are compared.
        rules: The last rung.
        decision: What outcomes cost.
    """
    if test.rows.is_empty():
        return Assessment(problems={_TEST_WEEK: "there is no payment in the test week"})
    scores, failures = _score(test.rows, candidate, rivals, rules)
    try:
        reports, invalid = _report(test, scores, params)
    except NothingToEvaluateError as error:
        return Assessment(problems={_TEST_WEEK: str(error)})
    problems = {**failures, **invalid}
    resampled = _resample(test.rows, {name: scores[name] for name in reports}, params, decision)
    costs = {name: float(one.cost_cents[0]) for name, one in resampled.items()}
    if candidate is None or CANDIDATE not in reports:
        return Assessment(reports, costs=costs, problems=problems)
    comparisons = {
        name: compare(resampled[CANDIDATE], one, params.confidence)
        for name, one in resampled.items()
        if name != CANDIDATE
    }
    backup = max((name for name in rivals if name in reports and name != candidate.version), default=None)
    rungs = {Rung.CHAMPION: CANDIDATE, **({Rung.BACKUP: backup} if backup else {}), Rung.RULES: RULES}
    rung_scores = {rung: scores[name] for rung, name in rungs.items()}
    return Assessment(
        reports=reports,
        comparisons=comparisons,
        conclusions={name: conclude(one, params) for name, one in comparisons.items()},
        costs=costs,
        ladder=price_ladder(test.rows, history, candidate, rung_scores, decision, params.top_cards),
        backup=backup,
        held_out=candidate.version if candidate.version in rivals else None,
        unprotected_cents=_approve_all(test.rows, decision),
        segments=measure_segments(test.rows, scores[CANDIDATE], decision),
        problems=problems,
    )


def _score(
    rows: pl.DataFrame, candidate: Model | None, rivals: Mapping[str, Model], rules: RulesParams
) -> tuple[dict[str, Floats], dict[str, str]]:
    inputs = ModelInputs(rows)
    scores = {RULES: score_by_rules(rows, rules).score}
    problems: dict[str, str] = {}
    for subject, model in {**({CANDIDATE: candidate} if candidate else {}), **rivals}.items():
        try:
            scores[subject] = model.predict(inputs.fill_for(model))
        except (ModelFailedError, ModelTimeoutError) as error:
            problems[subject] = str(error)
    return {name: scores[name] for name in (CANDIDATE, RULES, *rivals) if name in scores}, problems


def _report(
    test: TestSet, scores: Mapping[str, Floats], params: EvaluationParams
) -> tuple[dict[str, Evaluation], dict[str, str]]:
    reports: dict[str, Evaluation] = {}
    problems: dict[str, str] = {}
    for subject, score in scores.items():
        try:
            reports[subject] = evaluate(test, score, params.top_cards)
        except InvalidScoresError as error:
            problems[subject] = str(error)
    return reports, problems


def _resample(
    rows: pl.DataFrame, scores: Mapping[str, Floats], params: EvaluationParams, decision: DecisionParams
) -> dict[str, Resampled]:
    resamples = draw_resamples(rows["customer_id"], params.resamples)
    labels, amounts = rows["is_fraud"].to_numpy(), rows["amount_cents"].to_numpy()
    found = {}
    for subject, score in scores.items():
        costs = measure_costs(amounts, labels, choose_decisions(score, amounts, decision), decision)
        found[subject] = resample(resamples, labels, score, costs)
    return found


def _approve_all(rows: pl.DataFrame, decision: DecisionParams) -> int:
    approved = np.full(rows.height, DECISIONS.index(Decision.APPROVE))
    return int(measure_costs(rows["amount_cents"].to_numpy(), rows["is_fraud"].to_numpy(), approved, decision).sum())
