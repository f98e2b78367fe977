"""Assembles the Dagster definitions: settings, stores, calendar, and the rooms of ``defs``. No logic."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.permissions import apply_umask
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.defs import (
    drift,
    features,
    freshness,
    health,
    history,
    ingestion,
    integrity,
    jobs,
    models,
    monitoring,
    recovery,
    release,
    scoring,
    snapshot,
)
from pipeline_assets.defs.origins import find_origins
from pipeline_assets.defs.release import record_decision
from pipeline_assets.defs.snapshot import record_restoration
from pipeline_assets.defs.survey import Surveyor, build_surveyor
from pipeline_assets.settings import Settings, read_settings

__all__ = [
    "Surveyor",
    "build_definitions",
    "build_surveyor",
    "defs",
    "find_origins",
    "record_decision",
    "record_restoration",
]


def _read_clock() -> datetime:
    return datetime.now(UTC)


def build_definitions(settings: Settings, clock: Callable[[], datetime] = _read_clock) -> dg.Definitions:
    """The whole pipeline for one set of settings; its sensors and checks ask ``clock`` what time it is."""
    with warnings.catch_warnings():
        # Single-run backfills are beta and partitioned checks preview in this pinned version; both are tested here.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return _build(settings, clock)


def _build(settings: Settings, clock: Callable[[], datetime]) -> dg.Definitions:
    params, stores, surveyor = settings.params, open_stores(settings.data_root), build_surveyor(settings)
    remotes = open_replicas(stores.root, params.snapshots.remotes)
    calendar, recipes, chains = surveyor.calendar, surveyor.recipes, jobs.define_chains(surveyor.recipes)
    return dg.Definitions.merge(
        ingestion.build(calendar, recipes, params.freshness, clock),
        features.build(calendar, recipes),
        models.build(calendar, recipes),
        health.build(calendar, recipes),
        release.build(calendar, recipes),
        release.watch(calendar, params.release, params.accuracy, params.freshness, clock),
        scoring.build(calendar, recipes),
        monitoring.build(calendar, recipes),
        drift.build(calendar, recipes, params.drift, clock, params.retraining),
        integrity.build(calendar, params.integrity, remotes),
        snapshot.build(Snapshots(stores.root, remotes), params.to_bytes(), clock),
        freshness.build(surveyor, clock),
        jobs.build(calendar, chains, params.freshness, params.retraining),
        recovery.build(surveyor, params.healing, chains, clock),
        history.build(surveyor),
        dg.Definitions(
            resources={
                "stores": stores,
                "params": params,
                "alerts": Alerts(within(stores.root, "alerts"), settings.alert_channels),
            },
            executor=dg.in_process_executor,  # a step in a process of its own costs seconds, here it costs milliseconds
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The entry point of ``workspace.yaml``: the settings come from the environment and from params.yaml."""
    apply_umask()  # of the process that loads them, which Dagster has started
    return build_definitions(read_settings())
