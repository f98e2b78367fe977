"""What the days that landed say of the clock: the name of a folder may be mistyped, so alone it says little of it."""

from datetime import date, datetime, timedelta

from pipeline_assets.adapters.landing import Refused
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.freshness import FreshnessParams


def find_newest_day(stores: Stores, now: datetime, params: FreshnessParams) -> date | None:
    """Return the newest day on which payments landed, as far as it is evidence on the clock; None where there is none.

    A day further ahead of the clock than the clock may be beyond the data counts only if it was ingested, or if all
    landed days are so far ahead: then it is the clock that is behind, and no folder that has a wrong name.

    Args:
        stores: Where it landed.
        now: What the clock says.
        params: How far the two may be apart.
    """
    landed = stores.landing.list_days(Feed.TRANSACTIONS)
    last = _find_last_expected(now, params)
    if not landed or landed[-1] <= last:
        return landed[-1] if landed else None
    ingested = stores.records.load(TRANSACTIONS.name)
    return max([day for day in landed if day <= last or day in ingested] or landed)


def list_refused(stores: Stores, now: datetime, params: FreshnessParams, *, is_read: bool = True) -> list[Refused]:
    """Return all that is refused in the landing zone, the days to come with it, which no day is made from until then.

    See :func:`find_newest_day`, and for ``is_read`` the landing zone; in order of their paths.
    """
    last = max(_find_last_expected(now, params), find_newest_day(stores, now, params) or date.min)
    why = f"a day to come, beyond {last}: not taken in before that day; expected the day on which it landed"
    to_come = [Refused(feed, day, "", why) for feed in Feed for day in stores.landing.list_days(feed) if day > last]
    return sorted([*stores.landing.list_refused(is_read=is_read), *to_come], key=lambda one: (one.path, one.why))


def _find_last_expected(now: datetime, params: FreshnessParams) -> date:
    return now.date() + timedelta(days=params.max_clock_gap_days)
