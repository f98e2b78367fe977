"""Release: who decides from which day on, and why: the daily asset, the sensor that fails over at once, and alerts."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.lake import PartitionCorruptError
from pipeline_assets.adapters.landed_days import find_newest_day
from pipeline_assets.adapters.release_log import ReleaseLogError
from pipeline_assets.adapters.releasing import Watched, find_newest_evidence, watch_champion_now
from pipeline_assets.adapters.stages.release import describe_entry, release_models
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.core.freshness import FreshnessParams, find_clock_doubt
from pipeline_assets.core.lineage.recipes import RELEASE, Recipe
from pipeline_assets.core.release import ReleaseEntry, ReleaseParams
from pipeline_assets.core.release.alerts import (
    LOG_ALERT_PREFIX,
    TAMPERED_ALERT,
    WEAK_ALERT_PREFIX,
    describe_tampering,
    describe_weakness,
    list_alerts,
)
from pipeline_assets.core.release.watch import AccuracyParams, is_recent
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import report
from pipeline_assets.defs.resources import OWNERS, AlertsResource, ParamsResource, StoresResource


def build(calendar: Calendar, recipes: Mapping[str, Recipe]) -> dg.Definitions:
    """The decision of each day on the release log."""

    @dg.asset(
        name=RELEASE,
        pool="release",  # one writer of the log at a time: days are decided in their order
        deps=list_deps(recipes[RELEASE]),
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        group_name="release",
        owners=OWNERS,
        kinds={"json"},
        code_version=recipes[RELEASE].code_version,
        description="Champion, backup and the model on trial from this day on, decided by the evidence of the days "
        "before. Entries are added, never changed.",
    )
    @names_failures(recipes)
    def release(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        yield from report(context, RELEASE, release_models(stores, params.release, days))

    return dg.Definitions(assets=[release])


def watch(
    calendar: Calendar,
    params: ReleaseParams,
    accuracy: AccuracyParams,
    freshness: FreshnessParams,
    clock: Callable[[], datetime],
) -> dg.Definitions:
    """The sensor ``accuracy_dropped``, which tells people of all that happens to the release, too."""

    @dg.sensor(
        name="accuracy_dropped",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New evidence about the models: where the champion is not well, the backup takes over at once; "
        "who takes over, comes and goes is told.",
    )
    def accuracy_dropped(
        context: dg.SensorEvaluationContext, stores: StoresResource, alerts: AlertsResource
    ) -> dg.SensorResult:
        now, seen = clock(), _read_cursor(context)
        doubt = _find_doubt(stores, seen, calendar, freshness, now)
        if doubt:
            # A clock that was set back is doubted once: the time before may have been the wrong one.
            cursor = json.dumps({**seen, "tick": min(now, seen["tick"])}, default=str) if seen else None
            return dg.SensorResult(skip_reason=doubt, cursor=cursor)
        newest = find_newest_evidence(stores)
        evidence = [str(one) for one in newest] if newest else []
        watched = None
        try:
            if newest and evidence != seen.get("evidence") and is_recent(newest[0], now):
                watched = watch_champion_now(stores, params, accuracy, newest[0], now)
                _tell_weakness(alerts, watched, accuracy, now)
            _tell_log(alerts, stores.release_log.entries(), now)
        except PartitionCorruptError as error:  # it is noted, and healed: looked at again with the next tick
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        except ReleaseLogError as error:  # nothing is decided from it until a person has restored it
            alerts.open(describe_tampering(str(error), now), now)
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        alerts.resolve(TAMPERED_ALERT, "the release log is as it was written again", now)
        entry = watched.entry if watched else None
        return dg.SensorResult(
            asset_events=[observe(entry)] if entry else [],
            skip_reason=None if entry else _explain(newest, watched, now),
            cursor=json.dumps({"tick": now.isoformat(), "evidence": evidence}),
        )

    return dg.Definitions(sensors=[accuracy_dropped])


def observe(entry: ReleaseEntry) -> dg.AssetObservation:
    """An entry that no run of the asset added, as the UI shows it."""
    since = f"{entry.effective_from:%Y-%m-%d %H:%M:%S} UTC"
    facts: dict[str, Any] = {
        **describe_entry(entry),
        "md5": entry.md5,
        "evidence": dg.MetadataValue.json(entry.evidence),
    }
    return dg.AssetObservation(
        RELEASE,
        partition=entry.as_of.isoformat(),
        description=f"{entry.action} by {entry.decided_by}, in force from {since} on",
        metadata=facts,
    )


def record_decision(instance: dg.DagsterInstance, entry: ReleaseEntry) -> None:
    """Show the decision of a person at the asset."""
    instance.report_runless_asset_event(observe(entry))


def _find_doubt(
    stores: Stores, seen: Mapping[str, Any], calendar: Calendar, freshness: FreshnessParams, now: datetime
) -> str | None:
    return find_clock_doubt(now, find_newest_day(stores, now, freshness), seen.get("tick"), freshness, calendar.end)


def _tell_weakness(alerts: Alerts, watched: Watched, params: AccuracyParams, now: datetime) -> None:
    """Told where it is low, over where it is high enough or another one decides; in between it stays as it was."""
    state, accuracy = watched.state, watched.accuracy
    own = f"{WEAK_ALERT_PREFIX}{state.champion}" if state.failed_over_since is None else ""
    _resolve_others(alerts, WEAK_ALERT_PREFIX, {own}, "another one decides in its place", now)
    if own and accuracy is not None and accuracy.drop > params.alert_drop:
        alerts.open(describe_weakness(accuracy, state.backup, now), now)
    elif own and accuracy is not None and accuracy.drop < params.alert_recovery:
        alerts.resolve(own, f"its average precision is {accuracy.found:.3f} again", now)


def _tell_log(alerts: Alerts, entries: list[ReleaseEntry], now: datetime) -> None:
    """Open what is so by the log, resolve what is so no more: the one place where people are told of transitions."""
    standing = list_alerts(entries, now)
    if standing is None:
        return
    for alert in standing:
        alerts.open(alert, now)
    keys = {alert.key for alert in standing}
    _resolve_others(alerts, LOG_ALERT_PREFIX, keys, "the release log says so no more, or it is no news any more", now)


def _resolve_others(alerts: Alerts, prefix: str, standing: Collection[str], how: str, now: datetime) -> None:
    for incident in alerts.list_open():
        key = incident.alert.key
        if key.startswith(prefix) and key not in standing:
            alerts.resolve(key, how, now)


def _explain(newest: tuple[date, str] | None, watched: Watched | None, now: datetime) -> str:
    if newest is None:
        return "nothing is known of any model yet"
    if not is_recent(newest[0], now):
        return f"the newest evidence, of {newest[0]}, says nothing of now"
    if watched is None:
        return f"nothing new since the evidence of {newest[0]}"
    return f"the evidence of {newest[0]} is no reason to fail over {watched.state.champion or 'the rules'}"


def _read_cursor(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    try:
        cursor = json.loads(context.cursor or "{}")
        if not cursor:
            return {}
        tick = datetime.fromisoformat(cursor["tick"]).astimezone(UTC)
        return {"tick": tick, "evidence": list(cursor["evidence"])}
    except (ValueError, KeyError, TypeError, AttributeError):
        context.log.warning("the cursor is not readable (%r): starting anew", (context.cursor or "")[:80])
        return {}
