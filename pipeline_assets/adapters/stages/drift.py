"""The training reference of each model, and how far each day lies from the newest one."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

import polars as pl

from pipeline_assets.adapters.lake import PartitionCorruptError
from pipeline_assets.adapters.models import name_version
from pipeline_assets.adapters.serving import ServedModels
from pipeline_assets.adapters.stages.made import Made, chunk_days, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import (
    CUSTOMER_FEATURES_TABLE,
    DRIFT,
    DRIFT_REFERENCE,
    TERMINAL_FEATURES_TABLE,
    TRAINING_SET,
    TRANSACTIONS,
)
from pipeline_assets.core.checks import Finding
from pipeline_assets.core.drift import (
    Comparison,
    Counts,
    DriftParams,
    Reference,
    Verdicts,
    build_reference,
    compare_window,
    count_payments,
    judge_drift,
    list_bins,
    plot_bins,
    plot_distances,
    read_reference,
    read_verdicts,
    tabulate,
    write_reference,
)
from pipeline_assets.core.lineage.recipes import MODEL, Recipe, describe_drift, describe_drift_reference
from pipeline_assets.core.scoring import join_features
from pipeline_assets.core.serving import ServingParams

_CHUNK_DAYS: Final = 28  # days whose payments are read together
_SHOWN_SUBJECTS: Final = 4  # the worst ones, whose bins are drawn
_FEATURE_TABLES: Final = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)
_DAY: Final = timedelta(days=1)
_SERVING: Final = ServingParams()


@dataclass(frozen=True)
class _Measured:
    """What was found of one day: each subject, its rows in the window by bin, and what they were compared with."""

    comparisons: list[Comparison]
    rows: Mapping[str, Counts]
    reference: Reference
    facts: Mapping[str, object]
    models: Mapping[str, str]

    @property
    def drifted(self) -> set[str]:
        return {one.subject for one in self.comparisons if one.is_drifted}


def build_drift_references(
    stores: Stores, params: DriftParams, weeks: Sequence[date], serving: ServingParams = _SERVING
) -> Iterator[Made]:
    """Make the references of the models as of ``weeks``.

    Raises:
        PartitionMissingError: There is no model of a week, or no training set.
        PartitionHeldError: One of them failed a blocking check.
        ModelMissingError: The model is recorded and not there.
        ModelCorruptError: It is not the one that was trained.
    """
    recipe = describe_drift_reference(params)
    served = ServedModels(stores.models, serving)
    for week in weeks:
        view = View(stores)
        for asset in (TRAINING_SET.name, MODEL):
            view.require(asset, week, wanted_by=DRIFT_REFERENCE.name)
        version = name_version(view.list_files(MODEL, week))
        models, why_not = served.load_available([version])
        if why_not:
            view.name_models(why_not, why_not)  # so that the damage is noted
            raise why_not[version]
        unseen = _read_payments(view, week - LABEL_DELAY_DAYS * _DAY, week - _DAY)
        training_set = view.read(TRAINING_SET, [week])
        frame = write_reference(build_reference(training_set, unseen, models[version].predict, week, params))
        written = stores.lake.write(DRIFT_REFERENCE, week, frame)
        view.record(recipe, week, {f"lake/{written.path}": written.md5})
        facts = {"model": version, "payments_after_training": unseen.height, "subjects": frame["subject"].n_unique()}
        yield describe("lake", DRIFT_REFERENCE, week, written, frame, **facts)


def measure_drift(
    stores: Stores, params: DriftParams, days: Sequence[date], serving: ServingParams = _SERVING
) -> Iterator[Made]:
    """Compare, for each of ``days``, the window that ends with it with the newest reference there is by then.

    Where there is no reference, or no rows of a subject, there is no evidence and no drift. A model that does not load
    or does not answer leaves the score without evidence.
    """
    recipe = describe_drift(params)
    served = ServedModels(stores.models, serving)
    known: set[str] = set()
    for chunk in chunk_days(days, _CHUNK_DAYS):
        view = View(stores)
        measured = dict(_measure_days(view, served, recipe, params, chunk))
        frames = {day: tabulate(one.comparisons) for day, one in measured.items()}
        for day, written in stores.lake.write_days(DRIFT, frames):
            one = measured[day]
            view.record(recipe, day, {f"lake/{written.path}": written.md5}, one.models)
            made = describe("lake", DRIFT, day, written, frames[day])
            # To draw takes longer than to measure: of a range, the last day and those on which a drift begins.
            plots = _list_plots(one) if day == days[-1] or one.drifted - known else {}
            known = one.drifted
            yield Made(made.name, day, made.rows, made.md5, made.path, one.facts, _show_worst(one), plots)


def find_drift(stores: Stores, day: date) -> Finding:
    """Whether nothing is drifted on a day; a day without evidence passes, and says so."""
    return judge_drift(stores.lake.read(DRIFT, [day]))


def read_latest_verdicts(stores: Stores, n_days: int) -> dict[date, Verdicts]:
    """What the last ``n_days`` tables say of each subject, by day; a damaged one says nothing until it is healed."""
    view, verdicts = View(stores), {}
    for day in view.present(DRIFT.name)[-n_days:]:
        with contextlib.suppress(PartitionCorruptError):  # the view has noted it
            verdicts[day] = read_verdicts(view.read(DRIFT, [day]))
    return verdicts


def _measure_days(
    view: View, served: ServedModels, recipe: Recipe, params: DriftParams, days: Sequence[date]
) -> Iterator[tuple[date, _Measured]]:
    back = (params.window_days - 1) * _DAY
    payments = _read_payments(view, days[0] - back, days[-1])
    for week, group in _group_by_reference(view, recipe, days).items():
        reference = read_reference(view.read(DRIFT_REFERENCE, [week])) if week else {}
        versions = [name_version(files)] if week and (files := view.list_files(MODEL, week)) else []
        models, why_not = served.load_available(versions)
        first = group[0] - back
        n_days = (group[-1] - first).days + 1
        own = payments.filter(pl.col("arrival_date").is_between(first, group[-1]))
        predict = next((model.predict for model in models.values()), None)
        counts = count_payments(own, first, n_days, reference, predict)
        facts: dict[str, object] = {"reference": f"{week or 'none'}"}
        if why_not or served.list_timed_out():
            facts["models_unavailable"] = sorted({*why_not, *served.list_timed_out()})
        for day in group:
            end = (day - first).days + 1
            rows = {subject: one[end - params.window_days : end].sum(axis=0) for subject, one in counts.items()}
            compared = compare_window(reference, rows, params)
            named = view.name_models(versions, why_not)
            yield day, _Measured(compared, rows, reference, {**facts, **_tell(compared)}, named)


def _group_by_reference(view: View, recipe: Recipe, days: Sequence[date]) -> dict[date | None, list[date]]:
    """The days by the newest reference there is by each of them; None where there is none."""
    reads = recipe.find_reads(DRIFT_REFERENCE.name)
    assert reads is not None
    weeks = view.present(DRIFT_REFERENCE.name)
    groups: dict[date | None, list[date]] = {}
    for day in days:
        in_reach = [week for week in weeks if day + reads.first * _DAY <= week <= day + reads.last * _DAY]
        groups.setdefault(max(in_reach, default=None), []).append(day)
    return groups


def _read_payments(view: View, first: date, last: date) -> pl.DataFrame:
    """What arrived on the days, with the features there are."""
    payments = view.read_window(TRANSACTIONS, first, last)
    features = (view.read_window(table, first, last).drop("arrival_date") for table in _FEATURE_TABLES)
    return join_features(payments, *features)


def _tell(compared: Sequence[Comparison]) -> dict[str, object]:
    drifted = [one.subject for one in compared if one.is_drifted]
    distances = [one.distance for one in compared if one.distance is not None]
    return {
        "drifted_subjects": len(drifted),
        "drifted": ", ".join(drifted) or "none",
        "worst_distance": round(max(distances), 4) if distances else "no evidence",
        "payments": max(one.n_rows for one in compared),
        "subjects_without_evidence": sum(one.is_drifted is None for one in compared),
    }


def _show_worst(one: _Measured) -> pl.DataFrame:
    """The subjects as a person reads them, the one that is nearest to its threshold, or farthest beyond it, first."""
    rows: list[dict[str, Any]] = [
        {"subject": c.subject, "distance": c.distance, "threshold": c.threshold, "psi": c.psi, "n_rows": c.n_rows}
        for c in sorted(one.comparisons, key=lambda c: -c.strain)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _list_plots(one: _Measured) -> dict[str, Callable[[], bytes]]:
    """What draws the distances of all subjects, and the bins of the worst."""
    compared = sorted((c for c in one.comparisons if c.distance is not None), key=lambda c: -c.strain)
    if not compared:
        return {}
    bins = {c.subject: list_bins(one.reference[c.subject], one.rows[c.subject]) for c in compared[:_SHOWN_SUBJECTS]}
    return {"distances": partial(plot_distances, compared), "distributions": partial(plot_bins, bins)}
