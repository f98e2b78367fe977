"""A decision on every payment that arrived."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

import polars as pl

from pipeline_assets.adapters.serving import ServedModels
from pipeline_assets.adapters.stages.made import Made, chunk_days, compare_ids, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import (
    CUSTOMER_FEATURES_TABLE,
    SCORES,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.contracts.vocabularies import Degradation
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.lineage.recipes import MODEL, RELEASE, describe_scores
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.scoring import (
    join_features,
    list_deciding_versions,
    mark_incomplete_history,
    score_payments,
)
from pipeline_assets.core.serving import ServingParams

_FEATURE_TABLES = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)
_CHUNK_DAYS = 14  # days that are scored and written together


def score(
    stores: Stores, decision: DecisionParams, rules: RulesParams, serving: ServingParams, days: Sequence[date]
) -> Iterator[Made]:
    """Decide on the payments that arrived on ``days``, by the release in force at the moment of each.

    A feature table that lacks one of the days, or was made without a day of its window, is no error, nor is a model
    that does not load, does not answer in time or gives no probability: the ladder goes down, and the rows say so.
    Only what does not load is recorded as unavailable; a model that timed out, or gave no probability, was there.

    Raises:
        PartitionMissingError: The transactions of one of the days are not in the lake.
        PartitionHeldError: They failed a blocking check.
    """
    recipe, served = describe_scores(decision, rules), ServedModels(stores.models, serving)
    for chunk in chunk_days(days, _CHUNK_DAYS):
        view = View(stores)
        for day in chunk:
            view.require(TRANSACTIONS.name, day, wanted_by=SCORES.name)
        payments = view.read(TRANSACTIONS, chunk, with_date=True)
        features = [view.read(table, _select_present(view, table, chunk)) for table in _FEATURE_TABLES]
        payments = join_features(payments, *features)
        view.present(RELEASE), view.present(MODEL)  # the records are taken down before what they describe is read
        entries = stores.release_log.entries()
        versions = _list_versions(entries, payments["event_time"])
        models, why_not = served.load_available(versions)
        scored = score_payments(payments, entries, models, decision, rules)
        scored = mark_incomplete_history(scored, payments["date"].is_in(_list_incomplete(view, chunk)))
        parts = scored.with_columns(payments["date"]).partition_by("date", as_dict=True, include_key=False)
        frames = {day: parts.get((day,), SCORES.empty()) for day in chunk}
        for day, written in stores.lake.write_days(SCORES, frames):
            used = _list_versions(entries, payments.filter(date=day)["event_time"])
            view.record(recipe, day, {f"lake/{written.path}": written.md5}, view.name_models(used, why_not))
            facts = {**_tell(frames[day]), **_warn(why_not, served.list_timed_out())}
            yield describe("lake", SCORES, day, written, frames[day], **facts)


def _select_present(view: View, table: Table, days: Sequence[date]) -> list[date]:
    present = set(view.present(table.name))
    return [day for day in days if day in present]


def _list_incomplete(view: View, days: Sequence[date]) -> list[date]:
    """The days whose features were made without a part of their window."""
    return [day for day in days if any(view.is_degraded(table.name, day) for table in _FEATURE_TABLES)]


def _list_versions(entries: Sequence[ReleaseEntry], times: pl.Series) -> set[str]:
    """The models that may decide on payments of some times."""
    if times.is_empty():
        return set()
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    ruling = [entry for entry in entries if first < entry.effective_from <= last]
    at_first = find_entry_in_force(entries, first)
    ruling += [at_first] if at_first else []
    return {version for entry in ruling for version in list_deciding_versions(entry)}


def _tell(frame: pl.DataFrame) -> dict[str, object]:
    by_column = {
        f"rows_by_{column}": dict(sorted(frame[column].value_counts().iter_rows()))
        for column in ("decision", "rung", "model_version")
    }
    return {**by_column, "rows_by_degradation": _count_degradations(frame)}


def _count_degradations(scored: pl.DataFrame) -> dict[str, int]:
    return dict(sorted(scored["degraded_by"].explode().drop_nulls().value_counts().iter_rows()))


def _warn(why_not: Mapping[str, Exception], timed_out: Sequence[str]) -> dict[str, object]:
    unavailable = {version: str(error) for version, error in why_not.items()}
    found = {"models_unavailable": unavailable, "models_timed_out": list(timed_out)}
    return {name: models for name, models in found.items() if models}


def find_undecided_payments(stores: Stores, day: date) -> Finding:
    """Whether every payment that arrived on ``day`` has exactly one decision."""
    payments = stores.lake.read(TRANSACTIONS, [day], ["transaction_id"])
    decided = stores.lake.read(SCORES, [day], ["transaction_id"])
    return compare_ids(payments, decided, "payments without a decision", "decisions without a payment")


def find_degraded_scores(stores: Stores, day: date) -> Finding:
    """Whether the model that should have decided did, with all its inputs; before the first release none should."""
    degraded = stores.lake.read(SCORES, [day], ["degraded_by"])
    codes = _count_degradations(degraded)
    n_without_model = codes.pop(str(Degradation.NO_MODEL_RELEASED), 0)
    listed = ", ".join(f"{count} {code}" for code, count in codes.items())
    explanation = (
        f"of {degraded.height} decisions: {listed or 'none by a lower rung or without a feature table'}"
        + (f"; {n_without_model} by the rules, before the first release" if n_without_model else "")
        + ("; look at the release log, the models and the features of the day" if codes else "")
    )
    facts = {"payments": degraded.height, str(Degradation.NO_MODEL_RELEASED): n_without_model, **codes}
    return Finding(passed=not codes, level=Level.WARN, explanation=explanation, facts=facts)
