"""Assembles the Dagster definitions: settings, stores, calendar, and the rooms of ``defs``. No logic."""

import warnings

import dagster as dg

from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.defs import features, ingestion, jobs, models, monitoring, release, scoring
from pipeline_assets.defs.partitions import Calendar
from pipeline_assets.settings import Settings, read_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """The whole pipeline for one set of settings."""
    with warnings.catch_warnings():
        # Single-run backfills are beta and partitioned checks preview in this pinned version; both are tested here.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return _build(settings)


def _build(settings: Settings) -> dg.Definitions:
    params = settings.params
    calendar = Calendar.between(settings.history_start, params.history_end, params.first_model_after_days)
    return dg.Definitions.merge(
        ingestion.build(calendar, params.ingestion.max_lateness_days),
        features.build(calendar),
        models.build(calendar, params.training.history_weeks, params.evaluation.compared_models),
        release.build(calendar),
        scoring.build(calendar),
        monitoring.build(calendar, params.performance.days_back),
        jobs.build(calendar),
        dg.Definitions(
            resources={"stores": open_stores(settings.data_root), "params": params},
            executor=dg.in_process_executor,  # a step in a process of its own costs seconds, here it costs milliseconds
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The entry point of ``workspace.yaml``: the settings come from the environment and from params.yaml."""
    return build_definitions(read_settings())
