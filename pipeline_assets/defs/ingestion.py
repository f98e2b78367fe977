"""Ingestion: landed files become validated rows, all of them accounted for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Final

import dagster as dg

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.landed_days import list_refused
from pipeline_assets.adapters.landing import Refused
from pipeline_assets.adapters.stages import ingestion as stages
from pipeline_assets.contracts.tables import CHARGEBACKS, TRANSACTIONS
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.freshness import FreshnessParams
from pipeline_assets.core.lineage.recipes import INGEST, Recipe
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.partitions import Calendar, list_deps
from pipeline_assets.defs.reporting import describe_columns, report_check, report_tables, select_tables
from pipeline_assets.defs.resources import OWNERS, AlertsResource, ParamsResource, StoresResource

_GROUP = "ingestion"
_ALERT_PREFIX: Final = "refused/landing/"
_ALERTS: Final = 20  # at once
_OTHERS: Final = "others"
_NEXT: Final = (
    "rename it, or land the file itself in its place: it comes in by itself; or remove it; all: pipeline-assets heal"
)


def build(
    calendar: Calendar, recipes: Mapping[str, Recipe], freshness: FreshnessParams, clock: Callable[[], datetime]
) -> dg.Definitions:
    """The ingestion assets, their checks, and the sensor on what is no data."""
    # A row that repeats one of an earlier day is recognised there. Only the two feeds declare it: a dependency of the
    # other two tables on them would make Dagster backfill each in a run of its own.
    past = {table.name: list_deps(recipes[table.name]) for table in (TRANSACTIONS, CHARGEBACKS)}

    @dg.multi_asset(
        name=INGEST,
        specs=[
            dg.AssetSpec(
                table.name,
                deps=past.get(table.name, []),
                group_name=_GROUP,
                owners=OWNERS,
                description=table.description,
                kinds={"polars", "parquet"},
                code_version=recipes[table.name].code_version,
                metadata=describe_columns(table),
            )
            for table in stages.INGESTED
        ],
        partitions_def=calendar.daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRY,
        can_subset=True,
    )
    @names_failures(recipes)
    def ingest(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        days = calendar.days(list(context.partition_keys))
        tables = select_tables(context, stages.INGESTED)
        yield from report_tables(context, tables, stages.ingest(stores, params.ingestion, days, tables))

    # Both blocking checks are claims on transactions, because what is to be held is what is made from them.
    @dg.asset_check(
        asset=TRANSACTIONS.name,
        blocking=True,
        partitions_def=calendar.daily,
        description="Recounted from the files: each row is in its table, in quarantine, or a counted duplicate.",
    )
    @names_failures(recipes)
    def rows_are_conserved(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        findings = {day: stages.find_lost_rows(stores, day) for day in _days(calendar, context)}
        return report_check(context, stores, findings, is_blocking=True)

    @dg.asset_check(
        asset=TRANSACTIONS.name,
        blocking=True,
        partitions_def=calendar.daily,
        description="Few rows are malformed: a warning below the stated share, above it the partition is held.",
    )
    @names_failures(recipes)
    def quarantine_share_is_low(
        context: dg.AssetCheckExecutionContext, stores: StoresResource, params: ParamsResource
    ) -> dg.AssetCheckResult:
        findings = {
            day: stages.find_quarantine_share(stores, params.ingestion, day) for day in _days(calendar, context)
        }
        return report_check(context, stores, findings, is_blocking=True)

    @dg.asset_check(
        asset=TRANSACTIONS.name,
        partitions_def=calendar.daily,
        description="Files arrived on this day. A day without any is no error: the pipeline goes on with what it has.",
    )
    @names_failures(recipes)
    def files_arrived(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        findings = {day: stages.find_absent_input(stores, day) for day in _days(calendar, context)}
        return report_check(context, stores, findings)

    @dg.asset_check(
        asset=TRANSACTIONS.name,
        partitions_def=calendar.daily,
        description="Everything that landed on this day is a file with a name that can be written. What is not is "
        "refused and named; the day goes on without it.",
    )
    @names_failures(recipes)
    def landed_things_are_files(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
        findings = {day: stages.find_refused_files(stores, day) for day in _days(calendar, context)}
        return report_check(context, stores, findings)

    checks = [rows_are_conserved, quarantine_share_is_low, files_arrived, landed_things_are_files]
    return dg.Definitions(assets=[ingest], asset_checks=checks, sensors=[_landed_refused(freshness, clock)])


def _landed_refused(freshness: FreshnessParams, clock: Callable[[], datetime]) -> dg.SensorDefinition:
    @dg.sensor(
        name="landed_refused",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Something in the landing zone is no file, or has a name that cannot be written, or lies in a day "
        "to come: tell, until it is mended. The days go on without it.",
    )
    def landed_refused(
        context: dg.SensorEvaluationContext, stores: StoresResource, alerts: AlertsResource
    ) -> dg.SensorResult:
        now = clock()
        refused = list_refused(stores, now, freshness)
        _tell(alerts, refused, now)
        return dg.SensorResult(skip_reason=f"{len(refused)} things in the landing zone are refused")

    return landed_refused


def _tell(alerts: Alerts, refused: Sequence[Refused], now: datetime) -> None:
    """One alert a thing, and of many one for the rest, so that each is named and nobody is flooded."""
    standing = {f"{_ALERT_PREFIX}{one.path}": str(one) for one in refused[:_ALERTS]}
    if len(refused) > _ALERTS:
        standing[f"{_ALERT_PREFIX}{_OTHERS}"] = (
            f"{len(refused)} things in the landing zone are refused, {_ALERTS} are told"
        )
    for key, what in standing.items():
        alerts.open(Alert(key, f"refused, no data: {what}", key.removeprefix("refused/"), now, _NEXT, Level.WARN), now)
    for incident in alerts.list_open():
        key = incident.alert.key
        if key.startswith(_ALERT_PREFIX) and key not in standing:
            alerts.resolve(key, "it was mended or removed", now)


def _days(calendar: Calendar, context: dg.AssetCheckExecutionContext) -> list[date]:
    return calendar.days(list(context.op_execution_context.partition_keys))
