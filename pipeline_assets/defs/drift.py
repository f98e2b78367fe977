"""Drift: the training references, how far each day lies from them, and the sensor that asks for another model."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final

import dagster as dg

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.stages import drift as stages
from pipeline_assets.contracts.tables import DRIFT, DRIFT_REFERENCE
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.drift import DriftParams, Response, decide_response
from pipeline_assets.core.lineage.recipes import MODEL, Recipe
from pipeline_assets.core.retraining import RetrainingParams
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report, report_check
from pipeline_assets.defs.resources import OWNERS, AlertsResource, ParamsResource, StoresResource

ALERT: Final = "drift/inputs"
RETRAINING_TAG: Final = "pipeline/retraining"  # on a run: why a model is trained out of turn
_DAYS_READ: Final = 60  # tables that the sensor reads: drift is answered, or over, long before
_RETRAINING: Final = RetrainingParams()


def build(
    calendar: Calendar,
    recipes: Mapping[str, Recipe],
    params: DriftParams,
    clock: Callable[[], datetime],
    retraining: RetrainingParams = _RETRAINING,
) -> dg.Definitions:
    """The two assets, the check and the sensor ``drift_detected``."""
    common: dict[str, Any] = {
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "retry_policy": RETRY,
        "owners": OWNERS,
    }

    @dg.asset(
        name=DRIFT_REFERENCE.name,
        deps=list_deps(recipes[DRIFT_REFERENCE.name]),
        partitions_def=calendar.weekly,
        group_name="models",
        kinds={"lightgbm", "parquet"},
        code_version=recipes[DRIFT_REFERENCE.name].code_version,
        description=DRIFT_REFERENCE.description,
        metadata=describe_columns(DRIFT_REFERENCE),
        **common,
    )
    @names_failures(recipes)
    def drift_reference(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        weeks = calendar.days(list(context.partition_keys))
        made = stages.build_drift_references(stores, params.drift, weeks, params.serving)
        yield from report(context, DRIFT_REFERENCE.name, made)

    @dg.asset(
        name=DRIFT.name,
        deps=list_deps(recipes[DRIFT.name]),
        partitions_def=calendar.daily,
        group_name="monitoring",
        kinds={"lightgbm", "parquet"},
        code_version=recipes[DRIFT.name].code_version,
        description=DRIFT.description,
        metadata=describe_columns(DRIFT),
        **common,
    )
    @names_failures(recipes)
    def drift(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        yield from report(context, DRIFT.name, stages.measure_drift(stores, params.drift, days, params.serving))

    @dg.asset_check(
        asset=DRIFT.name,
        partitions_def=calendar.daily,
        description="No input and no score is farther from the training reference than weeks are from each other.",
    )
    @names_failures(recipes)
    def inputs_have_not_drifted(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        days = calendar.days(list(context.op_execution_context.partition_keys))
        return report_check(context, stores, {day: stages.find_drift(stores, day) for day in days})

    sensor = _build_sensor(calendar, params, clock, retraining)
    return dg.Definitions(assets=[drift_reference, drift], asset_checks=[inputs_have_not_drifted], sensors=[sensor])


def _build_sensor(
    calendar: Calendar, params: DriftParams, clock: Callable[[], datetime], retraining: RetrainingParams
) -> dg.SensorDefinition:
    @dg.sensor(
        name="drift_detected",
        job_name="weekly",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Inputs or scores are drifted for days: train on them as soon as enough of their labels are "
        "mature, and not twice in a row.",
    )
    def drift_detected(
        context: dg.SensorEvaluationContext, stores: StoresResource, alerts: AlertsResource
    ) -> dg.SensorResult:
        now, requested = clock(), _read_cursor(context)
        response = decide_response(
            stages.read_latest_verdicts(stores, _DAYS_READ),
            calendar.days(list(calendar.weekly.get_partition_keys(current_time=now))),
            stores.records.load(MODEL).keys(),
            requested,
            retraining.every_weeks,
            params,
        )
        _tell(alerts, response, now)
        if response.week is None:
            cursor = json.dumps({"requested": f"{requested}"}) if requested else None
            return dg.SensorResult(skip_reason=response.reason, cursor=cursor)
        request = dg.RunRequest(
            run_key=f"drift-{response.week}",
            job_name="weekly",
            partition_key=f"{response.week}",
            tags={RETRAINING_TAG: f"drift since {response.since}"},
        )
        return dg.SensorResult(run_requests=[request], cursor=json.dumps({"requested": f"{response.week}"}))

    return drift_detected


def _tell(alerts: Alerts, response: Response, now: datetime) -> None:
    """Open the alert where drift is new; resolve it where there is evidence that nothing is drifted any more."""
    if response.since is not None:
        alert = Alert(
            key=ALERT,
            what=f"drifted for days: {', '.join(response.subjects)}",
            where=f"drift since {response.since}",
            since=datetime.combine(response.since, time(), UTC),
            next_step=f"look at the plots of the asset drift, and at the source; {response.reason}",
            level=Level.WARN,
        )
        alerts.open(alert, now)
    elif response.is_over:
        alerts.resolve(ALERT, "nothing is drifted any more", now)


def _read_cursor(context: dg.SensorEvaluationContext) -> date | None:
    """The as-of day that was asked for last, if any."""
    if not context.cursor:
        return None
    try:
        return date.fromisoformat(json.loads(context.cursor)["requested"])
    except (ValueError, KeyError, TypeError):
        context.log.warning("the cursor is not readable (%r): starting anew", context.cursor[:80])
        return None
