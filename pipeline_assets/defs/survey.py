"""The survey: what is there, by the records and by the instance, and what must be made again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from pipeline_assets.adapters.damage import Damage
from pipeline_assets.adapters.healing import look_at_lake
from pipeline_assets.adapters.landed_days import find_newest_day
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.vocabularies import Cadence, Feed
from pipeline_assets.core.freshness import FreshnessParams, find_deadline
from pipeline_assets.core.healing.plan import Lake, Plan, plan_healing
from pipeline_assets.core.lineage.recipes import MODEL, Recipe
from pipeline_assets.core.retraining import RetrainingParams, list_due_weeks
from pipeline_assets.defs.instance import find_awaiting_retry, find_partitions, look_at_instance
from pipeline_assets.defs.partitions import Calendar
from pipeline_assets.settings import Settings


@dataclass(frozen=True)
class Surveyor:
    """What a survey needs to know of the pipeline.

    Attributes:
        calendar: Which partitions there are.
        recipes: How each asset is made, by name.
        freshness: When a partition is due.
        retraining: Which weeks are.
    """

    calendar: Calendar
    recipes: Mapping[str, Recipe]
    freshness: FreshnessParams
    retraining: RetrainingParams

    def survey(
        self, instance: dg.DagsterInstance, stores: Stores, now: datetime, damage: Iterable[Damage] = ()
    ) -> tuple[Lake, Plan]:
        """What is there now, and the healing plan for it; the bytes of the lake are not read.

        ``damage`` is what was found besides the damage that is noted already.
        """
        seen = look_at_instance(instance, self.calendar, self.recipes)
        due = self.list_due(stores, now)
        awaited = set(find_awaiting_retry(instance, self.calendar, self.recipes, now))
        lake = look_at_lake(stores, self.recipes, due, seen.failed - awaited, seen.in_progress | awaited, damage)
        return lake, plan_healing(lake)

    def list_due(self, stores: Stores, now: datetime) -> dict[str, list[date]]:
        """By asset, the partitions that there should be by ``now``.

        Only from the first to the last day on which payments landed, by :func:`find_newest_day`: a day without files
        is closed by the schedule.
        """
        landed = stores.landing.list_days(Feed.TRANSACTIONS)
        newest = find_newest_day(stores, now, self.freshness)
        if not landed or newest is None:
            return {}
        due = {}
        for cadence in Cadence:
            # A week begins with what is known by the end of the day before.
            last = newest + timedelta(days=0 if cadence is Cadence.DAILY else 1)
            due[cadence] = [
                day
                for day in self.list_owed(stores, cadence)
                if landed[0] <= day <= last and find_deadline(day, cadence, self.freshness) <= now
            ]
        return {asset: due[recipe.cadence] for asset, recipe in self.recipes.items()}

    def list_owed(self, stores: Stores, cadence: Cadence) -> list[date]:
        """The partitions that there should be sooner or later, in order: every day, and of the weeks not every one.

        A week is owed when a model is due in it, or when it has one that was made on demand: all that belongs to a
        model is made again when it is lost.
        """
        days = self.calendar.days(list(find_partitions(self.calendar, cadence).get_partition_keys()))
        if cadence is Cadence.DAILY:
            return days
        return sorted({*list_due_weeks(days, self.retraining), *(stores.records.load(MODEL).keys() & set(days))})


def build_surveyor(settings: Settings) -> Surveyor:
    """What finds out what must be made again, for one set of settings."""
    params = settings.params
    calendar = Calendar.between(settings.history_start, params.history_end, params.first_model_after_days)
    return Surveyor(calendar, params.describe_assets(), params.freshness, params.retraining)
