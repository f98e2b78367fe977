"""Training sets, models, and their evaluation, by weekly as-of day."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Final

import polars as pl

from pipeline_assets.adapters.models import ModelCorruptError, ModelMissingError, name_version
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
from pipeline_assets.core.assessment import CANDIDATE, Assessment, assess
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.evaluation import (
    Evaluation,
    EvaluationParams,
    InvalidScoresError,
    NothingToEvaluateError,
    TestSet,
    evaluate,
    select_test_rows,
)
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.fraud_model import FraudModel, ModelFailedError, ModelMismatchError
from pipeline_assets.core.labels import check_labels_are_mature, find_test_week, label_mature_rows
from pipeline_assets.core.lineage.recipes import (
    MODEL,
    MODEL_WINDOW_DAYS,
    describe_evaluation,
    describe_model,
    describe_training_set,
)
from pipeline_assets.core.model_card import ModelFacts, list_verdicts, render_card
from pipeline_assets.core.plots import plot_precision_recall
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.scoring import join_features
from pipeline_assets.core.training import TrainingDataError, TrainingParams, compute_training_digest, train

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
    stores: Stores,
    training: TrainingParams,
    params: EvaluationParams,
    rules: RulesParams,
    decision: DecisionParams,
    weeks: Sequence[date],
) -> Iterator[Made]:
    """Evaluate, for each as-of week, on the latest test week whose labels are mature, and write the model's card.

    The recipe (features, parameters, code) stands for the candidate: trained on what was known when the test week
    began, because the model of the week itself has seen that week. Beside it stand the rules and earlier models: those
    that were trained on payments from before the test week only.
    """
    recipe = describe_evaluation(training, params, rules, decision)
    for week in weeks:
        view = View(stores)
        view.require(TRAINING_SET.name, week, wanted_by=MODEL_EVALUATION.name)
        history = view.read(TRAINING_SET, [week])
        first, test = _select_test(history, params, week)
        last = first + timedelta(days=_TEST_DAYS - 1)
        rivals, why_not = _load_rivals(stores, view, params, week)
        candidate = None if test.rows.is_empty() else _hold_out(stores, view, training, first)
        found = assess(test, history, candidate, rivals, params, rules, decision)
        card = render_card(week, _find_model(stores, view, week), (first, last), found, params, decision)
        frame = pl.DataFrame(list(found.list_rows()), MODEL_EVALUATION.empty().schema, orient="row")
        written = stores.lake.write(MODEL_EVALUATION, week, frame)
        stores.root.write(locate_card(week), card.encode())
        view.record(recipe, week, {f"lake/{written.path}": written.md5}, view.name_models(why_not, why_not))
        facts = {"test_week": f"{first} to {last}", "card": locate_card(week), **_tell(found)}
        made = describe("lake", MODEL_EVALUATION, week, written, frame, **facts)
        yield replace(
            made,
            sample=frame.head(40),
            notes={"verdicts": list_verdicts(found), "model_card": card},
            plots={"precision_recall": partial(plot_precision_recall, found.reports)} if found.reports else {},
        )


def locate_card(week: date) -> str:
    """Where the card of the model of a week is, in the data root."""
    return f"reports/model_cards/{week}.md"


def trace_candidate(
    stores: Stores, training: TrainingParams, params: EvaluationParams, rules: RulesParams, week: date
) -> Evaluation | None:
    """Evaluate the candidate of ``week`` once more, for its curve, which no table holds; None where there is none."""
    view = View(stores)
    if week not in view.present(TRAINING_SET.name):
        return None
    first, test = _select_test(view.read(TRAINING_SET, [week]), params, week)
    candidate = None if test.rows.is_empty() else _hold_out(stores, view, training, first)
    if candidate is None:
        return None
    try:
        return evaluate(test, candidate.predict(make_model_inputs(test.rows)), params.top_cards)
    except (NothingToEvaluateError, InvalidScoresError, ModelFailedError):
        return None


def _select_test(history: pl.DataFrame, params: EvaluationParams, week: date) -> tuple[date, TestSet]:
    """The first day of the week that the models of ``week`` are tested on, and its payments."""
    first = find_test_week(week, _TEST_DAYS)
    return first, select_test_rows(history, first, _TEST_DAYS, first - timedelta(days=params.known_card_days))


def _tell(found: Assessment) -> dict[str, object]:
    facts: dict[str, object] = {
        "average_precision": {subject: round(report.average_precision, 4) for subject, report in found.reports.items()},
        "verdicts": {rival: f"{one.verdict}: {one.reason}" for rival, one in found.conclusions.items()},
    }
    if CANDIDATE in found.reports:
        facts |= {f"candidate_{name}": value for name, value in found.reports[CANDIDATE].as_metrics().items()}
    return facts | ({"no_evaluation": dict(found.problems)} if found.problems else {})


def _load_rivals(
    stores: Stores, view: View, params: EvaluationParams, week: date
) -> tuple[dict[str, FraudModel], dict[str, Exception]]:
    """The newest models of earlier weeks, and of those that cannot be loaded why not.

    Models are counted, not weeks: where one is trained every few weeks only, the champion may be months old.
    """
    earliest = week - timedelta(days=MODEL_WINDOW_DAYS)
    earlier = [day for day in view.present(MODEL) if earliest <= day < week][-params.compared_models :]
    return stores.models.load_available(name_version(view.list_files(MODEL, day)) for day in earlier)


def _find_model(stores: Stores, view: View, week: date) -> ModelFacts | None:
    """The model of a week, for its card; None where there is none, or its description cannot be read."""
    if week not in view.present(MODEL):
        return None
    try:
        model = stores.models.find(week)
    except (ModelMissingError, ModelCorruptError):
        return None
    return ModelFacts(model.version, model.card)


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
