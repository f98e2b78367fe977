"""What every recent model says of the day's payments, whoever decides, and how good it was once labels matured."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import polars as pl

from pipeline_assets.adapters.models import name_version
from pipeline_assets.adapters.serving import GuardedModel, ServedModels
from pipeline_assets.adapters.stages.made import Made, chunk_days, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    MODEL_HEALTH,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
)
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.lineage.recipes import MODEL, MODEL_WINDOW_DAYS, describe_model_health
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.scoring import join_features
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.shadow import judge_payments, measure_health

_FEATURE_TABLES: Final = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)
_CHUNK_DAYS: Final = 28  # days whose payments are judged together: each payment once, as it arrives and as it matures
_DELAY: Final = timedelta(days=LABEL_DELAY_DAYS)
_TOLD: Final = ("flagged_share", "mature_average_precision", "mature_cost_cents")


def measure_models(
    stores: Stores,
    decision: DecisionParams,
    rules: RulesParams,
    serving: ServingParams,
    top_cards: int,
    days: Sequence[date],
) -> Iterator[Made]:
    """Measure, on each of ``days``, every model that was trained in the half year up to it, and the rules.

    A feature table that lacks a day is no error: models see typical inputs, as when they decide. Nor is a model that
    does not load: that is all that is said of it, and it is recorded as unavailable.

    Raises:
        PartitionMissingError: The transactions of one of the days are not in the lake.
        PartitionHeldError: They failed a blocking check.
    """
    recipe = describe_model_health(decision, rules, top_cards)
    served = ServedModels(stores.models, serving)
    for chunk in chunk_days(days, _CHUNK_DAYS):
        view = View(stores)
        for day in chunk:
            view.require(TRANSACTIONS.name, day, wanted_by=MODEL_HEALTH.name)
        named = {day: _name_models(view, day) for day in chunk}
        models, why_not = served.load_available(version for versions in named.values() for version in versions)
        chargebacks = view.read_window(CHARGEBACKS, chunk[0] - _DELAY, chunk[-1])
        asked: dict[str, GuardedModel | None] = {**dict.fromkeys(why_not), **models}
        judged = judge_payments(_read_payments(view, chunk), asked, decision, rules)
        frames = {
            day: measure_health(judged, chargebacks, day, [*versions, rules.version], top_cards)
            for day, versions in named.items()
        }
        for day, written in stores.lake.write_days(MODEL_HEALTH, frames):
            lost = {version: error for version, error in why_not.items() if version in named[day]}
            view.record(recipe, day, {f"lake/{written.path}": written.md5}, view.name_models(lost, lost))
            facts = _tell(frames[day], lost, served.list_timed_out())
            yield describe("lake", MODEL_HEALTH, day, written, frames[day], **facts)


def _name_models(view: View, day: date) -> list[str]:
    """The models of the as-of days up to ``day``, by their records: a damaged one is named, too."""
    first = day - timedelta(days=MODEL_WINDOW_DAYS)
    weeks = [week for week in view.present(MODEL) if first <= week <= day]
    return [name_version(view.list_files(MODEL, week)) for week in weeks]


def _read_payments(view: View, days: Sequence[date]) -> pl.DataFrame:
    """What arrived on ``days``, and what was paid on the days whose labels mature then, with features."""
    matured = [day - _DELAY for day in days]
    payments = view.read_window(TRANSACTIONS, matured[0], days[-1]).filter(
        pl.col("arrival_date").is_in(days) | pl.col("event_time").dt.date().is_in(matured)
    )
    arrived = set(payments["arrival_date"].unique())
    features = (
        view.read(table, [day for day in view.present(table.name) if day in arrived]) for table in _FEATURE_TABLES
    )
    return join_features(payments, *features)


def _tell(frame: pl.DataFrame, lost: Mapping[str, Exception], timed_out: Collection[str]) -> dict[str, object]:
    facts: dict[str, object] = {"n_models": frame["model_version"].n_unique() - 1}  # the rules are none
    for signal in _TOLD:
        values = frame.filter(pl.col("signal") == signal, pl.col("value").is_not_null())
        facts[signal] = {version: round(value, 4) for version, _, value in values.iter_rows()}
    invalid = frame.filter(pl.col("signal") == "n_invalid", pl.col("value") > 0)
    facts["n_invalid"] = {version: int(value) for version, _, value in invalid.iter_rows()}
    facts["models_unavailable"] = {version: str(error) for version, error in lost.items()}
    facts["models_timed_out"] = sorted(timed_out)
    return {name: value for name, value in facts.items() if value not in ({}, [])}
