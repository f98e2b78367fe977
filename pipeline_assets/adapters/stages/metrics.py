"""Metrics and plots in files, for whoever compares states of the whole pipeline: DVC does, between commits."""

import json
from datetime import date

import polars as pl

from pipeline_assets.adapters.stages.models import trace_candidate
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import MODEL_EVALUATION, PERFORMANCE, Table
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.stages import METRICS, PLOTS
from pipeline_assets.core.metrics import (
    Metrics,
    list_by_day,
    list_by_week,
    list_curve,
    summarise_evaluations,
    summarise_performance,
)
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.training import TrainingParams


def refresh_metrics(stores: Stores, training: TrainingParams, params: EvaluationParams, rules: RulesParams) -> None:
    """Write all metrics and plots; those of the models only where the evaluation is another than theirs."""
    write_evaluation_metrics(stores, training, params, rules, only_if_changed=True)
    write_performance_metrics(stores)


def write_evaluation_metrics(
    stores: Stores,
    training: TrainingParams,
    params: EvaluationParams,
    rules: RulesParams,
    *,
    only_if_changed: bool = False,
) -> None:
    """Write the metrics and plots of the models; the same tables and parameters always give the same bytes."""
    view = View(stores)
    tables = _read_all(view, MODEL_EVALUATION)
    by_week = list_by_week(tables)
    latest = max(by_week["week"].to_list(), default=None)
    metrics = summarise_evaluations(tables, n_models=len(view.present(MODEL)))
    if only_if_changed and _read_metrics(stores, "evaluate") == _to_bytes(metrics):
        return  # nor has the curve changed, which takes a moment to trace
    candidate = trace_candidate(stores, training, params, rules, latest) if latest else None
    _write(stores, "evaluate", metrics, list_curve(candidate), by_week)


def write_performance_metrics(stores: Stores) -> None:
    """Write the metrics and plots of the decisions that were taken; the same tables always give the same bytes."""
    tables = _read_all(View(stores), PERFORMANCE)
    in_force = {entry.effective_from: entry for entry in stores.release_log.entries()}  # the latest of each moment
    n_promotions = [entry.action for entry in in_force.values()].count(ReleaseAction.PROMOTE)
    _write(stores, "score", summarise_performance(tables.values(), n_promotions), list_by_day(tables))


def _read_all(view: View, table: Table) -> dict[date, pl.DataFrame]:
    return {day: view.read(table, [day]) for day in view.present(table.name)}


def _write(stores: Stores, stage: str, metrics: Metrics, *plots: pl.DataFrame) -> None:
    for path, plot in zip(PLOTS[stage], plots, strict=True):
        stores.root.write(path, plot.write_csv().encode())
    stores.root.write(METRICS[stage], _to_bytes(metrics))  # last: where it is, its plots are


def _read_metrics(stores: Stores, stage: str) -> bytes | None:
    path = METRICS[stage]
    return stores.root.read(path) if stores.root.exists(path) else None


def _to_bytes(metrics: Metrics) -> bytes:
    return json.dumps(metrics, indent=1).encode() + b"\n"
