"""Training sets, models, their evaluation and their release, by weekly as-of day."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from pipeline_assets.adapters.models import ModelCorruptError, ModelMissingError
from pipeline_assets.adapters.stages.made import Made, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    MODEL_EVALUATION,
    TERMINAL_FEATURES_TABLE,
    TRAINING_SET,
    TRANSACTIONS,
)
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.evaluation import (
    Evaluation,
    EvaluationParams,
    NothingToEvaluateError,
    TestSet,
    evaluate,
    select_test_rows,
)
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.labels import check_labels_are_mature, find_test_week, label_mature_rows
from pipeline_assets.core.lineage.recipes import (
    MODEL,
    RELEASE,
    describe_evaluation,
    describe_model,
    describe_release,
    describe_training_set,
)
from pipeline_assets.core.plots import plot_precision_recall
from pipeline_assets.core.release import ReleaseParams, decide_release
from pipeline_assets.core.rules import RulesParams, score_by_rules
from pipeline_assets.core.scoring import FraudModel, ModelMismatchError, join_features
from pipeline_assets.core.training import TrainingDataError, TrainingParams, compute_training_digest, train

CANDIDATE: Final = "candidate"
_LOG: Final = logging.getLogger(__name__)
_TEST_DAYS: Final = 7
_FEATURE_TABLES: Final = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)
_PROBED_ROWS: Final = 1000  # of the training set, that a model must be able to score


def build_training_sets(stores: Stores, params: TrainingParams, weeks: Sequence[date]) -> Iterator[Made]:
    """Make the training sets as of ``weeks``: every mature payment with its features as they were at its moment.

    Raises:
        PartitionMissingError: A day has transactions but no features.
    """
    recipe = describe_training_set(params)
    for week in weeks:
        view = View(stores)
        frame = _make_training_set(view, params, week)
        written = stores.lake.write(TRAINING_SET, week, frame)
        view.record(recipe, week, {f"lake/{written.path}": written.md5})
        facts = {"frauds": int(frame["is_fraud"].sum()), **_tell_span(frame)}
        yield describe("lake", TRAINING_SET, week, written, frame, **facts)


def _make_training_set(view: View, params: TrainingParams, as_of: date) -> pl.DataFrame:
    first, last = as_of - timedelta(days=params.history_days), as_of - timedelta(days=1)
    held = {day for table in _FEATURE_TABLES for day in view.held(table.name)}
    transactions = view.read_window(TRANSACTIONS, first, last).filter(~pl.col("arrival_date").is_in(sorted(held)))
    chargebacks = view.read_window(CHARGEBACKS, first, last)
    labelled = label_mature_rows(transactions, chargebacks, as_of, params.history_days)
    days = transactions["arrival_date"].unique().sort().to_list()
    for day in days:
        for table in _FEATURE_TABLES:
            view.require(table.name, day, wanted_by=TRAINING_SET.name)
    features = (view.read(table, days) for table in _FEATURE_TABLES)
    return join_features(labelled, *features).select(TRAINING_SET.columns)


def _tell_span(frame: pl.DataFrame) -> dict[str, object]:
    if frame.is_empty():
        return {}
    times = frame["event_time"].dt.to_string("iso:strict")
    return {"first_event_time": times.min(), "last_event_time": times.max()}


def train_models(stores: Stores, params: TrainingParams, weeks: Sequence[date]) -> Iterator[Made]:
    """Train the models as of ``weeks``, each from its latest checkpoint if it was killed before.

    Raises:
        TrainingDataError: A training set cannot train a model.
    """
    recipe = describe_model(params)
    for week in weeks:
        view = View(stores)
        view.require(TRAINING_SET.name, week, wanted_by=MODEL)
        model = train(view.read(TRAINING_SET, [week]), params, stores.models.checkpoints(week))
        written = stores.models.write(week, model)
        view.record(recipe, week, {f"models/{path}": md5 for path, md5 in written.files.items()})
        facts = {"version": written.version, "frauds": model.card["n_frauds"], "resumed_from_round": model.resumed_from}
        if model.ignored_checkpoint:
            facts["ignored_checkpoint"] = model.ignored_checkpoint
        _LOG.info("%s: %d rows, %d frauds", written.version, model.card["n_rows"], model.card["n_frauds"])
        yield Made(MODEL, week, int(model.card["n_rows"]), written.md5, f"models/{written.path}", facts)


def evaluate_models(
    stores: Stores, training: TrainingParams, params: EvaluationParams, rules: RulesParams, weeks: Sequence[date]
) -> Iterator[Made]:
    """Evaluate, for each as-of week, on the latest test week whose labels are mature.

    The recipe (features, parameters, code) stands for the candidate: trained on what was known when the test week
    began, because the candidate itself has seen that week. Beside it stand the rules and earlier models: those that
    were trained on payments from before the test week only.
    """
    recipe = describe_evaluation(training, params, rules)
    for week in weeks:
        view = View(stores)
        view.require(TRAINING_SET.name, week, wanted_by=MODEL_EVALUATION.name)
        first, test = _select_test(view, params, week)
        rivals, why_not = _load_rivals(stores, view, params, week)
        scored = _score_all(stores, view, training, rules, week, test, rivals)
        reports, problem = _evaluate_all(scored, test, params)
        rows = [
            (subject, metric, value)
            for subject, report in reports.items()
            for metric, value in report.as_metrics().items()
        ]
        frame = pl.DataFrame(rows, MODEL_EVALUATION.empty().schema, orient="row")
        facts: dict[str, object] = {
            "test_week": f"{first} to {first + timedelta(days=_TEST_DAYS - 1)}",
            "average_precision": {subject: round(report.average_precision, 4) for subject, report in reports.items()},
            **{f"candidate_{name}": value for name, value in _pick(reports).items()},
        }
        if problem:
            facts["no_evaluation"] = problem
        written = stores.lake.write(MODEL_EVALUATION, week, frame)
        view.record(recipe, week, {f"lake/{written.path}": written.md5}, view.name_models(why_not, why_not))
        made = describe("lake", MODEL_EVALUATION, week, written, frame)
        plots = {"precision_recall": partial(plot_precision_recall, reports)} if reports else {}
        yield Made(made.name, week, made.rows, made.md5, made.path, facts, frame.head(40), plots)


def trace_candidate(
    stores: Stores, training: TrainingParams, params: EvaluationParams, rules: RulesParams, week: date
) -> Evaluation | None:
    """Evaluate the candidate of ``week`` once more, for its curve, which no table holds; None where there is none."""
    view = View(stores)
    if week not in view.present(TRAINING_SET.name):
        return None
    _, test = _select_test(view, params, week)
    return _evaluate_all(_score_all(stores, view, training, rules, week, test, {}), test, params)[0].get(CANDIDATE)


def _select_test(view: View, params: EvaluationParams, week: date) -> tuple[date, TestSet]:
    """The first day of the week that the models of ``week`` are tested on, and its payments."""
    first = find_test_week(week, _TEST_DAYS)
    known_since = first - timedelta(days=params.known_card_days)
    return first, select_test_rows(view.read(TRAINING_SET, [week]), first, _TEST_DAYS, known_since)


def _pick(reports: Mapping[str, Evaluation]) -> Mapping[str, float]:
    return reports[CANDIDATE].as_metrics() if CANDIDATE in reports else {}


def _score_all(
    stores: Stores,
    view: View,
    training: TrainingParams,
    rules: RulesParams,
    week: date,
    test: TestSet,
    rivals: Mapping[str, FraudModel],
) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.float64]]]]:
    if test.rows.is_empty():
        return
    inputs = make_model_inputs(test.rows)
    candidate = _hold_out(stores, view, training, find_test_week(week, _TEST_DAYS))
    if candidate is not None:
        yield CANDIDATE, candidate.predict(inputs)
    yield "rules", score_by_rules(test.rows, rules).score
    for version, model in rivals.items():
        yield version, model.predict(inputs)


def _load_rivals(
    stores: Stores, view: View, params: EvaluationParams, week: date
) -> tuple[dict[str, FraudModel], dict[str, Exception]]:
    """The models of earlier weeks, and of those that cannot be loaded why not."""
    earliest = week - timedelta(weeks=params.compared_models)
    earlier = [day for day in view.present(MODEL) if earliest <= day < week]
    return stores.models.load_available(stores.models.find(day).version for day in earlier)


def _hold_out(stores: Stores, view: View, params: TrainingParams, as_of: date) -> FraudModel | None:
    """The recipe trained as of a day; None where there was too little to train on."""
    rows = _make_training_set(view, params, as_of)
    if as_of in view.present(MODEL):
        # Only to save time: where it is of the same rows it is the model that would be trained here.
        with contextlib.suppress(ModelMissingError, ModelCorruptError, ModelMismatchError):
            stored = stores.models.find(as_of)
            if stored.card["training_digest"] == compute_training_digest(rows, params):
                return stores.models.load(stored.version)
    try:
        model = train(rows, params)
    except TrainingDataError:
        return None
    return FraudModel(CANDIDATE, model.text.decode(), model.card["typical_inputs"])


def _evaluate_all(
    scores: Iterator[tuple[str, np.ndarray[Any, np.dtype[np.float64]]]], test: TestSet, params: EvaluationParams
) -> tuple[dict[str, Evaluation], str | None]:
    try:
        return {subject: evaluate(test, score, params.top_cards) for subject, score in scores}, None
    except NothingToEvaluateError as error:
        return {}, str(error)


def release_models(stores: Stores, params: ReleaseParams, weeks: Sequence[date]) -> Iterator[Made]:
    """Decide on the models of ``weeks``, which are in order, and add the decisions to the release log."""
    recipe = describe_release(params)
    for week in weeks:
        view = View(stores)
        view.require(MODEL_EVALUATION.name, week, wanted_by=RELEASE)
        view.require(MODEL, week, wanted_by=RELEASE)
        view.present(RELEASE)  # the records are taken down before the log is read
        table = view.read(MODEL_EVALUATION, [week]).drop_nulls()
        evidence: dict[str, dict[str, float]] = {}
        for subject, metric, value in table.iter_rows():
            evidence.setdefault(subject, {})[metric] = value
        candidate = stores.models.find(week).version
        entry = stores.release_log.append(
            decide_release(stores.release_log.entries(), week, candidate, evidence, params)
        )
        facts = {
            "action": str(entry.action), "reason": entry.reason, "candidate": candidate,
            "champion": entry.champion or "rules", "backup": entry.backup or "rules", "sequence": entry.sequence,
        }  # fmt: skip
        path = f"release/entries/{entry.sequence:08d}.json"
        view.record(recipe, week, {path: entry.md5})
        yield Made(RELEASE, week, 1, entry.md5, path, facts)


def find_label_leaks(stores: Stores, params: TrainingParams, week: date) -> Finding:
    """Whether the training set as of ``week`` knows nothing that was not known by then."""
    chargebacks = View(stores).read_window(CHARGEBACKS, week - timedelta(days=params.history_days), date.max)
    training_set = stores.lake.read(TRAINING_SET, [week], ["transaction_id", "event_time", "is_fraud"])
    return check_labels_are_mature(training_set, chargebacks, week)


def find_broken_model(stores: Stores, week: date) -> Finding:
    """Whether the model as of ``week`` is the one that was trained, loads, and scores payments between 0 and 1."""
    try:
        model = stores.models.load(stores.models.find(week).version)
    except (ModelMissingError, ModelCorruptError, ModelMismatchError) as error:
        return Finding(passed=False, level=Level.ERROR, explanation=str(error))
    rows = stores.lake.read(TRAINING_SET, [week]).head(_PROBED_ROWS)
    scores = model.predict(make_model_inputs(rows))
    n_wrong = int((~((scores >= 0) & (scores <= 1))).sum())
    return Finding(
        passed=n_wrong == 0,
        level=Level.ERROR,
        explanation=f"{model.version}: of {rows.height} scores {n_wrong} are no probabilities; train it again if any",
        facts={"scored_rows": rows.height, "wrong_scores": n_wrong, "version": model.version},
    )
