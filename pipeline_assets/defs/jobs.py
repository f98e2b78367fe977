"""Jobs, schedules and the sensor: the daily and the weekly chain, and what sets them going."""

import json
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipeline_assets.adapters.landed_days import find_newest_day
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import SCORES, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Cadence, Feed
from pipeline_assets.core.freshness import FreshnessParams, find_clock_doubt
from pipeline_assets.core.lineage.recipes import LANDING, WEEKLY_ASSETS, Recipe
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.retraining import RetrainingParams, is_due
from pipeline_assets.defs.freshness import ON_TIME_CHECK
from pipeline_assets.defs.partitions import Calendar
from pipeline_assets.defs.resources import StoresResource

DAILY_GROUPS: Final = ("ingestion", "features", "release", "scoring", "monitoring", "lineage")
WEEKLY_GROUPS: Final = ("models", "lineage")
_DAYS_WATCHED: Final = 31  # how far back the sensor looks for files; older ones are landed with a backfill
_MAX_REQUESTS_A_TICK: Final = 7  # the rest comes with the next ticks


def define_chains(recipes: Mapping[str, Recipe]) -> dict[Cadence, UnresolvedAssetJobDefinition]:
    """The two chains as jobs, by the cadence of their partitions."""
    # Lateness is judged by its sensor, not in every run.
    lateness = dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(asset), ON_TIME_CHECK) for asset in recipes))
    return {
        Cadence.DAILY: dg.define_asset_job(
            "daily",
            selection=dg.AssetSelection.groups(*DAILY_GROUPS) - lateness,
            description="One day: ingest what landed, build features, choose models, decide on payments, measure.",
        ),
        Cadence.WEEKLY: dg.define_asset_job(
            "weekly",
            selection=dg.AssetSelection.groups(*WEEKLY_GROUPS) - lateness,
            description="One week: train on mature history, evaluate against the champion, keep everything.",
        ),
    }


def build(
    calendar: Calendar,
    chains: Mapping[Cadence, UnresolvedAssetJobDefinition],
    freshness: FreshnessParams,
    retraining: RetrainingParams,
) -> dg.Definitions:
    """The chains, their schedules, and the sensor on the landing zone."""
    return dg.Definitions(
        jobs=list(chains.values()),
        schedules=[_daily_schedule(calendar, freshness), _weekly_schedule(calendar, freshness, retraining)],
        sensors=[_transactions_landed(calendar)],
    )


def _daily_schedule(calendar: Calendar, freshness: FreshnessParams) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="daily_at_five",
        job_name="daily",
        cron_schedule="0 5 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Yesterday, if no landed file has set it going before: the day closes even when nothing came.",
    )
    def daily_at_five(context: dg.ScheduleEvaluationContext, stores: StoresResource) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        yesterday = (now.date() - timedelta(days=1)).isoformat()
        doubt = _find_doubt(stores, now, calendar, freshness)
        if doubt:  # a day that lies in no time would be closed empty
            return dg.SkipReason(doubt)
        if not calendar.daily.has_partition_key(yesterday):
            return dg.SkipReason(f"{yesterday} lies outside the history that is configured")
        if stores.records.find(Key(SCORES.name, now.date() - timedelta(days=1))):
            return dg.SkipReason(f"{yesterday} has its scores already")
        if now.date() - timedelta(days=1) in stores.holds.held_days(TRANSACTIONS.name):
            return dg.SkipReason(f"{yesterday} is held: it waits for other data, not for another run")
        return dg.RunRequest(run_key=f"daily-{yesterday}", partition_key=yesterday)

    return daily_at_five


def _weekly_schedule(
    calendar: Calendar, freshness: FreshnessParams, retraining: RetrainingParams
) -> dg.ScheduleDefinition:
    first = calendar.weekly.start.date()
    every = "every week" if retraining.every_weeks == 1 else f"one week in {retraining.every_weeks}"

    @dg.schedule(
        name="weekly_at_six",
        job_name="weekly",
        cron_schedule=f"0 6 * * {first.isoweekday() % 7}",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The model of the week that begins today, {every}, an hour after the day before it was closed.",
    )
    def weekly_at_six(context: dg.ScheduleEvaluationContext, stores: StoresResource) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        today = now.date().isoformat()
        doubt = _find_doubt(stores, now, calendar, freshness)
        if doubt:  # there would be nothing to train on
            return dg.SkipReason(doubt)
        if not calendar.weekly.has_partition_key(today):
            return dg.SkipReason(f"{today} begins no week of the history that is configured")
        if not is_due(now.date(), first, retraining):
            return dg.SkipReason(f"a model is trained {every}, and {today} is none of them; now: pipeline-assets train")
        if all(stores.records.find(Key(asset, now.date())) for asset in WEEKLY_ASSETS):
            return dg.SkipReason(f"{today} has its model already; what is out of date is asked for by partition_failed")
        return dg.RunRequest(run_key=f"weekly-{today}", partition_key=today)

    return weekly_at_six


def _find_doubt(stores: Stores, now: datetime, calendar: Calendar, freshness: FreshnessParams) -> str | None:
    """Why the clock is not to be trusted; None where nothing speaks against it."""
    return find_clock_doubt(now, find_newest_day(stores, now, freshness), None, freshness, calendar.end)


def _transactions_landed(calendar: Calendar) -> dg.SensorDefinition:
    @dg.sensor(
        name="transactions_landed",
        job_name="daily",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Files landed, or changed, on a day: run that day's chain.",
    )
    def transactions_landed(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
        seen = _read_cursor(context)
        # The latest by what landed, not by the clock: one that is wrong for a while must not make old days news.
        first, last = calendar.daily.start.date(), calendar.end or date.max
        landed = stores.landing.list_days(Feed.TRANSACTIONS)
        watched = [day for day in landed if first <= day <= last][-_DAYS_WATCHED:]
        found = {day: stores.landing.digest(day) for day in watched}
        touched = [day for day in watched if seen.get(f"{day}") != found[day]]
        # By the records, not by what the instance remembers: neither a lost one nor a copied file makes history news.
        made = stores.records.load(TRANSACTIONS.name)
        settled = {day for day in touched if _is_ingested(made.get(day), stores.landing.version(day))}
        changed = [day for day in touched if day not in settled and calendar.daily.has_partition_key(f"{day}")]
        news = order_news(changed, made)[:_MAX_REQUESTS_A_TICK]
        cursor = {f"{day}": seen[f"{day}"] for day in watched if f"{day}" in seen}
        cursor |= {f"{day}": found[day] for day in (*settled, *news)}
        if not news:
            return dg.SensorResult(skip_reason=f"nothing new in {len(found)} days", cursor=json.dumps(cursor))
        requests = [dg.RunRequest(run_key=f"landed-{day}-{found[day]}", partition_key=f"{day}") for day in news]
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(cursor))

    return transactions_landed


def order_news(changed: Iterable[date], made: Container[date]) -> list[date]:
    """The days of ``changed`` in the order in which they are asked for.

    First those that were made before, the newest first: a late file waits for no history. Then those that were never
    made, the oldest first: each is made from the days before it.
    """
    return sorted(changed, key=lambda day: (day not in made, -day.toordinal() if day in made else day.toordinal()))


def _is_ingested(record: Record | None, version: str) -> bool:
    """Whether the payments of a day were made from just the files that are there."""
    return record is not None and record.inputs.get(f"{Key(LANDING, record.day)}") == version


def _read_cursor(context: dg.SensorEvaluationContext) -> dict[str, str]:
    """The state of each day's files when they were no news any more."""
    try:
        cursor = json.loads(context.cursor or "{}")
    except ValueError:
        cursor = None
    if not isinstance(cursor, dict):
        context.log.warning("the cursor is not readable (%r): starting anew", (context.cursor or "")[:80])
        return {}
    return {str(day): str(digest) for day, digest in cursor.items()}
