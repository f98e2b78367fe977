"""What a partition of each asset is made from: which partitions of which others, by which code and parameters.

Declared once, as data. The stages record by it what they read, the healing plan compares by it, and the Dagster
dependencies are the same windows.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from pipeline_assets.contracts.features import HISTORY_DAYS, LABEL_DELAY_DAYS, MAX_LATENESS_DAYS
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    DRIFT,
    DRIFT_REFERENCE,
    LEDGER,
    MODEL_EVALUATION,
    MODEL_HEALTH,
    PERFORMANCE,
    QUARANTINE,
    SCORES,
    TERMINAL_FEATURES_TABLE,
    TRAINING_SET,
    TRANSACTIONS,
)
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.drift import DriftParams
from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.ingestion.mapping import IngestionParams
from pipeline_assets.core.labels import find_test_week
from pipeline_assets.core.performance import PerformanceParams
from pipeline_assets.core.release.params import ReleaseParams
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.training import TrainingParams

LANDING: Final = "landing"  # the landed files of a day: where lineage begins
MODEL: Final = "fraud_model"
RELEASE: Final = "release"
INGEST: Final = "ingest"  # the step that makes the four tables of ingestion
BUILD_FEATURES: Final = "build_features"  # the step that makes both feature tables
FEATURE_WINDOW_DAYS: Final = HISTORY_DAYS + MAX_LATENESS_DAYS  # days before a day whose rows its features can see
MODEL_WINDOW_DAYS: Final = 182  # how long a model is watched, compared and may be released after its as-of day
TRIAL_DAYS: Final = 56  # days of evidence that a decision on the release reads
WEEKLY_ASSETS: Final = frozenset({TRAINING_SET.name, MODEL, MODEL_EVALUATION.name, DRIFT_REFERENCE.name})
CODE_VERSIONS: Final = {  # raised when the same inputs and parameters give other bytes; dvc.yaml names each of them
    "transactions": "2",
    "chargebacks": "2",
    "quarantine": "2",
    "ledger": "2",
    "customer_features": "1",
    "terminal_features": "1",
    "training_set": "1",
    "fraud_model": "1",
    "model_evaluation": "2",
    "drift_reference": "1",
    "model_health": "1",
    "release": "2",
    "scores": "2",
    "performance": "1",
    "drift": "1",
}
_DAYS_A_WEEK: Final = 7
_REFERENCE_REACH_DAYS: Final = 90  # an older model has no reference to compare a day with
_SOURCES: Final = (TRANSACTIONS.name, CHARGEBACKS.name)
_FEATURES: Final = (CUSTOMER_FEATURES_TABLE.name, TERMINAL_FEATURES_TABLE.name)
_BLOCKING_CHECKS: Final = {
    TRANSACTIONS.name: ("rows_are_conserved", "quarantine_share_is_low"),
    **dict.fromkeys(_FEATURES, ("every_payment_has_features",)),
    TRAINING_SET.name: ("labels_are_mature",),
    MODEL: ("model_loads",),
    SCORES.name: ("every_payment_is_decided",),
}


@dataclass(frozen=True)
class Reads:
    """The partitions of one other asset that a partition is made from.

    Attributes:
        upstream: The asset that is read.
        first: Days from the partition's day to the first one read; negative looks back.
        last: Days to the last one read.
        is_required: Whether the partition cannot be made while the one of its own day is absent or held.
        reads_held: Whether a partition that is held is read all the same.
    """

    upstream: str
    first: int
    last: int
    is_required: bool = False
    reads_held: bool = False

    @property
    def is_own_day(self) -> bool:
        """Whether it is the partition of the same day and no other."""
        return self.first == self.last == 0


@dataclass(frozen=True)
class Recipe:
    """How the partitions of one asset are made.

    Attributes:
        asset: Its name.
        step: The step that makes it, alone or with others.
        cadence: How it is partitioned.
        code: What besides the inputs decides on the bytes: version of the code, and digest of the parameters.
        reads: What it is made from; what is absent within a window is not read and not missed.
        checks: The blocking checks that a partition has to pass before anything is made from it.
    """

    asset: str
    step: str
    cadence: Cadence
    code: str
    reads: tuple[Reads, ...]
    checks: tuple[str, ...] = ()

    @property
    def code_version(self) -> str:
        """The version of the code alone."""
        return self.code.split(" ", maxsplit=1)[0]

    def find_reads(self, upstream: str) -> Reads | None:
        """What it reads of ``upstream``; None where it reads nothing of it."""
        return next((reads for reads in self.reads if reads.upstream == upstream), None)


def _recipe(
    asset: str, cadence: Cadence, reads: Sequence[Reads], *params: Any, step: str = "", variant: str = ""
) -> Recipe:
    code = f"{CODE_VERSIONS[asset]}{variant}"
    checks = _BLOCKING_CHECKS.get(asset, ())
    if params:
        described = json.dumps([asdict(one) for one in params], sort_keys=True, default=str)
        code += f" {hashlib.md5(described.encode(), usedforsecurity=False).hexdigest()}"
    return Recipe(asset, step or asset, cadence, code, tuple(reads), checks)


def describe_ingestion(params: IngestionParams) -> dict[str, Recipe]:
    """The four tables of ingestion: the files of the day, and what of earlier days a row may repeat."""
    past = [Reads(source, -params.max_lateness_days, -1, reads_held=True) for source in _SOURCES]
    files = Reads(LANDING, 0, 0)
    own = {TRANSACTIONS.name: past[:1], CHARGEBACKS.name: past[1:]}
    return {
        name: _recipe(name, Cadence.DAILY, [files, *own.get(name, past)], params, step=INGEST)
        for name in (TRANSACTIONS.name, CHARGEBACKS.name, QUARANTINE.name, LEDGER.name)
    }


def describe_features() -> dict[str, Recipe]:
    """The two feature tables: the trailing window of payments and of reports."""
    reads = [
        Reads(TRANSACTIONS.name, -FEATURE_WINDOW_DAYS, 0, is_required=True),
        Reads(CHARGEBACKS.name, -FEATURE_WINDOW_DAYS, 0),
    ]
    return {name: _recipe(name, Cadence.DAILY, reads, step=BUILD_FEATURES) for name in _FEATURES}


def describe_training_set(params: TrainingParams) -> Recipe:
    """All mature history before the as-of day."""
    reads = [Reads(name, -params.history_days, -1) for name in (*_SOURCES, *_FEATURES)]
    # Of the parameters only the reach of history decides on its rows.
    return _recipe(TRAINING_SET.name, Cadence.WEEKLY, reads, variant=f"-{params.history_weeks}w")


def describe_model(params: TrainingParams) -> Recipe:
    """The training set and how it is fitted."""
    return _recipe(MODEL, Cadence.WEEKLY, [Reads(TRAINING_SET.name, 0, 0, is_required=True)], params)


def describe_evaluation(
    training: TrainingParams, params: EvaluationParams, rules: RulesParams, decision: DecisionParams
) -> Recipe:
    """The training set, its model and earlier ones, and what the held-out candidate is trained on, as of earlier."""
    as_of = date(2026, 1, 4)  # any: the distance is what counts
    back = (as_of - find_test_week(as_of)).days
    held_out = [Reads(name, -back - training.history_days, -back - 1) for name in (*_SOURCES, *_FEATURES)]
    reads = [
        Reads(TRAINING_SET.name, 0, 0, is_required=True),
        Reads(MODEL, -MODEL_WINDOW_DAYS, 0),
        *held_out,
    ]
    return _recipe(MODEL_EVALUATION.name, Cadence.WEEKLY, reads, training, params, rules, decision)


def describe_model_health(decision: DecisionParams, rules: RulesParams, top_cards: int) -> Recipe:
    """The payments of the day and of the day whose labels mature, with their features, and every recent model.

    How long a model may take is no part of it: what a healthy model says does not depend on that.
    """
    reads = [
        Reads(TRANSACTIONS.name, -LABEL_DELAY_DAYS, 0, is_required=True),
        *(Reads(name, -LABEL_DELAY_DAYS, 0) for name in (CHARGEBACKS.name, *_FEATURES)),
        Reads(MODEL, -MODEL_WINDOW_DAYS, 0),
    ]
    return _recipe(MODEL_HEALTH.name, Cadence.DAILY, reads, decision, rules, variant=f"-top{top_cards}")


def describe_release(params: ReleaseParams) -> Recipe:
    """What was known of the models before the day, the newest of them, and the decision of the day before."""
    reads = [
        Reads(MODEL_HEALTH.name, -TRIAL_DAYS, -1),
        Reads(MODEL_EVALUATION.name, -MODEL_WINDOW_DAYS, 0),
        Reads(MODEL, -MODEL_WINDOW_DAYS, 0),
        Reads(RELEASE, -1, -1),
    ]
    return _recipe(RELEASE, Cadence.DAILY, reads, params)


def describe_scores(decision: DecisionParams, rules: RulesParams) -> Recipe:
    """The payments of the day, their features, and the releases in force at their event times: late ones lie back."""
    reads = [
        Reads(TRANSACTIONS.name, 0, 0, is_required=True),
        *(Reads(name, 0, 0) for name in _FEATURES),
        Reads(RELEASE, -MAX_LATENESS_DAYS, 0),
    ]
    return _recipe(SCORES.name, Cadence.DAILY, reads, decision, rules)


def describe_performance(params: PerformanceParams, top_cards: int) -> Recipe:
    """Decisions and labels back to where the latest mature period begins."""
    reads = [Reads(name, -params.days_back, 0) for name in (SCORES.name, *_SOURCES)]
    return _recipe(PERFORMANCE.name, Cadence.DAILY, reads, params, variant=f"-top{top_cards}")


def describe_drift_reference(params: DriftParams) -> Recipe:
    """What the model was trained on, the model, and the payments of the week before it, which it has not seen."""
    reads = [
        Reads(TRAINING_SET.name, 0, 0, is_required=True),
        Reads(MODEL, 0, 0, is_required=True),
        *(Reads(name, -_DAYS_A_WEEK, -1) for name in (TRANSACTIONS.name, *_FEATURES)),
    ]
    return _recipe(DRIFT_REFERENCE.name, Cadence.WEEKLY, reads, variant=params.reference_variant)


def describe_drift(params: DriftParams) -> Recipe:
    """The payments of the latest days, their features, and the newest reference; late ones count when they arrive."""
    reads = [
        *(Reads(name, 1 - params.window_days, 0) for name in (TRANSACTIONS.name, *_FEATURES)),
        Reads(DRIFT_REFERENCE.name, -_REFERENCE_REACH_DAYS, 0),
    ]
    return _recipe(DRIFT.name, Cadence.DAILY, reads, variant=params.measure_variant)
