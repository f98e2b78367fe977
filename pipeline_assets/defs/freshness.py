"""Freshness: whether each asset has the partitions that its business days owe, shown as a check, and told as alerts.

Dagster's own freshness policies look at when an asset was last written, so that making old days again looks fresh.
These checks look at the days. What is late is asked for by the sensor ``partition_failed``.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import dagster as dg

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.landed_days import find_newest_day
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.vocabularies import Cadence, Feed
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.freshness import Freshness, find_clock_doubt, judge_freshness
from pipeline_assets.core.lineage.recipes import LANDING, Recipe
from pipeline_assets.defs.instance import look_at_instance
from pipeline_assets.defs.reporting import make_check_result
from pipeline_assets.defs.resources import AlertsResource, StoresResource
from pipeline_assets.defs.survey import Surveyor

ON_TIME_CHECK: Final = "is_on_time"
_CLOCK_ALERT: Final = "freshness/clock"
_INPUT_ALERT: Final = "freshness/input_missing"
_LATE_ALERT: Final = "freshness/late"


def build(surveyor: Surveyor, clock: Callable[[], datetime]) -> dg.Definitions:
    """The checks ``is_on_time`` and the sensor ``partition_late``."""

    @dg.multi_asset_check(
        name="judge_freshness",
        specs=[
            dg.AssetCheckSpec(ON_TIME_CHECK, asset=asset, description=_describe(surveyor, recipe))
            for asset, recipe in surveyor.recipes.items()
        ],
        can_subset=True,
    )
    def is_on_time(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> Iterator[dg.AssetCheckResult]:
        keys = {key.asset_key.to_user_string(): key for key in sorted(context.selected_asset_check_keys)}
        judged = judge_assets(surveyor, context.instance, stores, clock(), keys)
        for asset, key in keys.items():
            yield make_check_result(judged[asset].to_finding(), asset_key=key.asset_key, check_name=key.name)

    @dg.sensor(
        name="partition_late",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A partition's deadline passed without it: say so at its asset, and alert where input is missing.",
    )
    def partition_late(
        context: dg.SensorEvaluationContext, stores: StoresResource, alerts: AlertsResource
    ) -> dg.SensorResult:
        now, seen = clock(), _read_cursor(context)
        doubt = _find_doubt(surveyor, stores, seen, now)
        _tell(alerts, _CLOCK_ALERT, doubt, "the clock of this machine", "nothing is late until the clock is right", now)
        if doubt:
            # A clock that was set back is doubted once: the time before may have been the wrong one.
            cursor = json.dumps({**seen, "tick": min(now, seen["tick"])}, default=str) if seen else None
            return dg.SensorResult(skip_reason=doubt, cursor=cursor)
        judged = judge_assets(surveyor, context.instance, stores, now, surveyor.recipes)
        _tell_lateness(alerts, judged.values(), _find_missing_input(surveyor, stores, now), now)
        verdicts = {asset: _summarise(one) for asset, one in judged.items()}
        known = seen.get("verdicts", {})
        events = [_evaluate(asset, judged[asset]) for asset, verdict in verdicts.items() if known.get(asset) != verdict]
        cursor = json.dumps({"tick": now.isoformat(), "verdicts": verdicts})
        skip = f"{sum(not one.is_fresh for one in judged.values())} of {len(judged)} assets are late"
        return dg.SensorResult(asset_events=events, skip_reason=skip, cursor=cursor)

    return dg.Definitions(asset_checks=[is_on_time], sensors=[partition_late])


def judge_assets(
    surveyor: Surveyor, instance: dg.DagsterInstance, stores: Stores, now: datetime, assets: Iterable[str]
) -> dict[str, Freshness]:
    """How fresh each of ``assets`` is, by the records of its partitions."""
    recipes = {asset: surveyor.recipes[asset] for asset in assets}
    in_progress = look_at_instance(instance, surveyor.calendar, recipes).in_progress
    landed = set(stores.landing.list_days(Feed.TRANSACTIONS))
    first = min(landed, default=date.max)  # nothing is owed before the first file
    owed = {one: [day for day in surveyor.list_owed(stores, one) if day >= first] for one in Cadence}
    judged = {}
    for asset, recipe in recipes.items():
        is_daily = recipe.cadence is Cadence.DAILY
        judged[asset] = judge_freshness(
            asset,
            recipe.cadence,
            owed[recipe.cadence],
            stores.records.load(asset).keys(),
            {key.day for key in in_progress if key.asset == asset},
            # A week is made from whatever days there are.
            landed.__contains__ if is_daily else lambda _: True,
            now,
            surveyor.freshness,
        )
    return judged


def _describe(surveyor: Surveyor, recipe: Recipe) -> str:
    params = surveyor.freshness
    if recipe.cadence is Cadence.DAILY:
        return f"Each day is there {params.daily_deadline_hours:g} hours after its end, whenever it is looked at."
    n_weeks = surveyor.retraining.every_weeks
    weeks = "Each week" if n_weeks == 1 else f"One week in {n_weeks}, and each that was made on demand,"
    return f"{weeks} is there {params.weekly_deadline_hours:g} hours after it began, whenever it is looked at."


def _find_doubt(surveyor: Surveyor, stores: Stores, seen: Mapping[str, Any], now: datetime) -> str | None:
    newest = find_newest_day(stores, now, surveyor.freshness)
    return find_clock_doubt(now, newest, seen.get("tick"), surveyor.freshness, surveyor.calendar.end)


def _find_missing_input(surveyor: Surveyor, stores: Stores, now: datetime) -> list[date]:
    """The days that are due and on which no payments landed, whether or not they were closed without any."""
    landed = stores.landing.list_days(Feed.TRANSACTIONS)
    days = surveyor.calendar.days(list(surveyor.calendar.daily.get_partition_keys()))
    owed = [day for day in days if landed and day >= landed[0]]
    judged = judge_freshness(LANDING, Cadence.DAILY, owed, landed, (), lambda _: False, now, surveyor.freshness)
    return list(judged.input_missing)


def _tell_lateness(alerts: Alerts, judged: Iterable[Freshness], missing: Sequence[date], now: datetime) -> None:
    """Two alerts for all assets together: whatever is late is late in most of them."""
    problem = f"no file of payments landed for {len(missing)} days, the first {missing[0]}" if missing else None
    _tell(alerts, _INPUT_ALERT, problem, "landing/transactions", "ask the source for these days", now)
    late = [f"{one.asset} ({len(one.late)}, since {one.late[0]})" for one in judged if one.late]
    problem = f"partitions are late although their input is there: {', '.join(late)}" if late else None
    step = "they are asked for again by themselves; where an alert says that one needs a person, begin there"
    _tell(alerts, _LATE_ALERT, problem, f"{len(late)} assets", step, now)


def _tell(alerts: Alerts, key: str, problem: str | None, where: str, next_step: str, now: datetime) -> None:
    if problem:
        alerts.open(Alert(key, problem, where, now, next_step, Level.WARN), now)
    else:
        alerts.resolve(key, "it is so no more", now)


def _summarise(one: Freshness) -> str:
    return " ".join(map(str, (*one.late, "/", *one.input_missing)))


def _evaluate(asset: str, one: Freshness) -> dg.AssetCheckEvaluation:
    result = make_check_result(one.to_finding())
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=ON_TIME_CHECK,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


def _read_cursor(context: dg.SensorEvaluationContext) -> Mapping[str, Any]:
    try:
        cursor = json.loads(context.cursor or "{}")
        if not cursor:
            return {}
        return {"tick": datetime.fromisoformat(cursor["tick"]).astimezone(UTC), "verdicts": dict(cursor["verdicts"])}
    except (ValueError, KeyError, TypeError):
        context.log.warning("the cursor is not readable (%r): starting anew", (context.cursor or "")[:80])
        return {}
