"""A folder with a mistyped day says nothing of the clock, and is named; a clock that is really wrong is still seen."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_assets.adapters.landed_days import find_newest_day, list_refused
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.freshness import FreshnessParams, find_clock_doubt
from pipeline_assets.core.lineage.records import Record

NOW = datetime(2026, 3, 11, 12, tzinfo=UTC)
LAST = date(2026, 3, 10)
TO_COME = date(2062, 1, 1)
PARAMS = FreshnessParams()
DAY = timedelta(days=1)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Three days that landed, up to yesterday."""
    stores = open_stores(str(tmp_path))
    for back in range(3):
        land(stores, LAST - back * DAY)
    return stores


def land(stores: Stores, day: date, feed: Feed = Feed.TRANSACTIONS) -> None:
    stores.landing.land(feed, day, "a.csv", b"1")


def find_doubt(stores: Stores, now: datetime) -> str | None:
    return find_clock_doubt(now, find_newest_day(stores, now, PARAMS), None, PARAMS)


def test_where_nothing_landed_there_is_no_newest_day(tmp_path: Path) -> None:
    assert find_newest_day(open_stores(str(tmp_path)), NOW, PARAMS) is None
    assert list_refused(open_stores(str(tmp_path)), NOW, PARAMS) == []


@pytest.mark.parametrize("feed", list(Feed))
def test_a_day_far_ahead_says_nothing_of_the_clock_and_is_named(stores: Stores, feed: Feed) -> None:
    land(stores, TO_COME, feed)
    assert find_newest_day(stores, NOW, PARAMS) == LAST
    assert find_doubt(stores, NOW) is None
    (said,) = list_refused(stores, NOW, PARAMS)
    assert f"{said}".startswith(f"{feed}/{TO_COME}: a day to come, beyond 2026-04-11")


def test_a_day_a_little_ahead_is_evidence(stores: Stores) -> None:
    land(stores, LAST + 20 * DAY)
    assert "behind the data" in (find_doubt(stores, NOW) or "")
    assert list_refused(stores, NOW, PARAMS) == []


@pytest.mark.parametrize(("days", "said"), [(400, "far ahead of the data"), (-400, "behind the data")])
@pytest.mark.parametrize("is_mistyped", [True, False])
def test_a_clock_that_is_wrong_is_doubted_whatever_folder_there_is(
    stores: Stores, days: int, said: str, is_mistyped: bool
) -> None:
    if is_mistyped:
        land(stores, TO_COME)
    assert said in (find_doubt(stores, NOW + days * DAY) or "")


def test_a_day_far_ahead_that_was_ingested_is_evidence(stores: Stores) -> None:
    stores.records.write(Record("transactions", LAST, {"lake/transactions/a.parquet": "0" * 32}, "1", {}))
    behind = NOW - 400 * DAY
    land(stores, behind.date())  # landed by the wrong clock
    assert find_newest_day(stores, behind, PARAMS) == LAST
    assert "behind the data" in (find_doubt(stores, behind) or "")
    assert list_refused(stores, behind, PARAMS) == []
