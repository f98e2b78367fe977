"""Recovery: the sensor that asks again for what failed, is missing, was damaged or is out of date."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.healing import fingerprint_step
from pipeline_assets.adapters.holds import Hold
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import INTEGRITY, PERFORMANCE, SERVICE_LEVELS
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.healing.breaker import (
    BREAKER_ALERT,
    KEY_ALERT_PREFIX,
    SUMMARY_ALERT,
    Candidate,
    Decision,
    HealingParams,
    Status,
    decide,
)
from pipeline_assets.core.healing.memory import HealingState, Phase, read_state
from pipeline_assets.core.healing.plan import Lake, Plan
from pipeline_assets.core.healing.requests import Request, list_requests
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.defs.failures import PERMANENT_TAG
from pipeline_assets.defs.instance import RANGE_END_TAG, RANGE_START_TAG
from pipeline_assets.defs.resources import AlertsResource, StoresResource
from pipeline_assets.defs.survey import Surveyor

HEALING_TAG: Final = "pipeline/healing"  # on a run: the request of the sensor that it answers
_RUNS_READ: Final = 500  # failed runs that are remembered; older reasons are found out anew, by one run each
_HELD_PREFIX: Final = "held/"
_HEALING_PREFIX: Final = "healing/"


@dataclass(frozen=True)
class _Failures:
    """What the failed runs of the instance tell: steps that failed for good by fingerprint, and ranges that failed."""

    run_by_fingerprint: Mapping[str, dg.RunRecord]
    ranges: Collection[str]


def build(
    surveyor: Surveyor,
    params: HealingParams,
    jobs: Mapping[Cadence, UnresolvedAssetJobDefinition],
    clock: Callable[[], datetime],
) -> dg.Definitions:
    """The sensor ``partition_failed``; ``jobs`` are the chains that it asks for parts of."""

    @dg.sensor(
        name="partition_failed",
        jobs=list(jobs.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Partitions failed, are due and missing, were damaged, or are out of date: ask for them again, "
        "bounded, and never for one that would fail for the same reason.",
    )
    def partition_failed(
        context: dg.SensorEvaluationContext, stores: StoresResource, alerts: AlertsResource
    ) -> dg.SensorResult:
        now = clock()
        lake, plan = surveyor.survey(context.instance, stores, now)
        state = read_state(context.cursor)
        requests = _list_requests(context.instance, stores, lake, plan, state, params)
        decision = decide(state, [candidate for candidate, _ in requests], now, params)
        _tell(alerts, decision, stores.holds.list_held(), now)
        by_key = {candidate.key: request for candidate, request in requests}
        runs = [_make_run(by_key[key], jobs, now) for key in decision.requests]
        skip = None if runs else f"{len(requests)} partitions or ranges are not well; none is to be asked for now"
        return dg.SensorResult(run_requests=runs, skip_reason=skip, cursor=decision.state.to_cursor())

    return dg.Definitions(sensors=[partition_failed])


def _list_requests(
    instance: dg.DagsterInstance, stores: Stores, lake: Lake, plan: Plan, state: HealingState, params: HealingParams
) -> list[tuple[Candidate, Request]]:
    failures = _read_failures(instance)
    view = View(stores)
    prints = {
        (step, repair.key.day): fingerprint_step(stores, lake.recipes, step, repair.key.day, view)
        for repair in plan.repairs
        if (step := lake.recipes[repair.key.asset].step)
    }
    permanent = _list_permanent(instance, plan, lake, prints, failures)
    settled = [
        key
        for key, one in state.attempts.items()
        if one.phase is Phase.SETTLED and one.n_requests >= params.max_attempts
    ]
    return [
        (_make_candidate(request, lake, prints), request)
        for request in list_requests(plan, lake, permanent, settled, failures.ranges)
    ]


def _list_permanent(
    instance: dg.DagsterInstance, plan: Plan, lake: Lake, prints: Mapping[tuple[str, date], str], failures: _Failures
) -> dict[Key, str]:
    """What would fail again, and why: it failed with just these inputs, or it cannot be made without what did."""
    permanent: dict[Key, str] = {}
    for repair in plan.repairs:  # in an order in which they can be made
        recipe, day = lake.recipes[repair.key.asset], repair.key.day
        needed = (Key(reads.upstream, day) for reads in recipe.reads if reads.is_required)
        absent = next((key for key in needed if key in permanent and key not in lake.records), None)
        failed = failures.run_by_fingerprint.get(prints[recipe.step, day])
        if failed is not None and not _was_made_since(instance, repair.key, failed):
            permanent[repair.key] = f"{recipe.step} failed for good in run {failed.dagster_run.run_id}"
        elif absent:
            permanent[repair.key] = permanent[absent]
    return permanent


def _was_made_since(instance: dg.DagsterInstance, key: Key, failed: dg.RunRecord) -> bool:
    """Whether a partition was made after a run failed on it: by a person, with other code of the same version."""
    made = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(key.asset), asset_partitions=[f"{key.day}"], after_timestamp=failed.end_time
    )
    return bool(instance.fetch_materializations(made, limit=1).records)


def _make_candidate(request: Request, lake: Lake, prints: Mapping[tuple[str, date], str]) -> Candidate:
    steps = {lake.recipes[asset].step for asset in request.assets}
    found = [
        one for (step, day), one in sorted(prints.items()) if step in steps and request.first <= day <= request.last
    ]
    fingerprint = hashlib.md5("".join(found).encode(), usedforsecurity=False).hexdigest()
    status = Status.IN_PROGRESS if request.is_waiting else Status.FAILING
    return Candidate(request.key, status, fingerprint, request.permanent_reason)


def _read_failures(instance: dg.DagsterInstance) -> _Failures:
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    records = instance.get_run_records(filters=filters, limit=_RUNS_READ)
    prints = {
        value: record
        for record in reversed(records)  # of several with one fingerprint the latest
        for tag, value in record.dagster_run.tags.items()
        if tag.startswith(f"{PERMANENT_TAG}/")
    }
    tags = (record.dagster_run.tags for record in records)
    return _Failures(prints, {one[HEALING_TAG] for one in tags if HEALING_TAG in one})


def _make_run(
    request: Request, jobs: Mapping[Cadence, UnresolvedAssetJobDefinition], previous_tick: datetime | None
) -> dg.RunRequest:
    # The same tick, evaluated again after a crash of the daemon, makes no second run; any later one may.
    run_key = f"heal {request.key} after {previous_tick}"
    tags = {HEALING_TAG: request.key, "dagster/max_retries": "0"}  # the sensor itself counts the attempts
    single = request.first == request.last
    # The reports have no recipe, because nothing is made from them: they come with the last asset of their day.
    reports = (SERVICE_LEVELS.name, INTEGRITY.name) if PERFORMANCE.name in request.assets and single else ()
    if not single:
        tags |= {RANGE_START_TAG: f"{request.first}", RANGE_END_TAG: f"{request.last}"}
    return dg.RunRequest(
        run_key=run_key,
        job_name=jobs[request.cadence].name,
        partition_key=f"{request.first}" if single else None,
        asset_selection=[dg.AssetKey(asset) for asset in (*request.assets, *reports)],
        tags=tags,
    )


def _tell(alerts: Alerts, decision: Decision, held: Sequence[Hold], now: datetime) -> None:
    """Open what is new, resolve what stands no more: also where a lost cursor has forgotten that it stood."""
    for alert in (*decision.opened, *map(_describe_hold, held)):
        alerts.open(alert, now)
    state = decision.state
    standing = {KEY_ALERT_PREFIX + key for key, one in state.attempts.items() if one.is_alerted}
    standing |= {BREAKER_ALERT} if state.circuit.opened_at else set()
    standing |= {SUMMARY_ALERT} if state.is_summarised else set()
    standing |= {_name_hold(hold) for hold in held}
    for incident in alerts.list_open():
        key = incident.alert.key
        if key.startswith((_HEALING_PREFIX, _HELD_PREFIX)) and key not in standing:
            alerts.resolve(key, "it is well again, or a person has released it", now)
    alerts.deliver_pending(now)


def _name_hold(hold: Hold) -> str:
    return f"{_HELD_PREFIX}{hold.key}"


def _describe_hold(hold: Hold) -> Alert:
    return Alert(
        key=_name_hold(hold),
        what=f"{hold.key} is held: {'; '.join(f'{check}: {found}' for check, found in hold.checks.items())}",
        where=str(hold.key),
        since=hold.since,
        next_step="correct the source and land the file again, or replay corrected rows; or accept it as it is: "
        f"pipeline-assets holds release {hold.key} --because …",
        level=Level.ERROR,
    )
