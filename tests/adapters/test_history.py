"""What snapshots remember is found by its version, after the data root has something else."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipeline_assets.adapters.history import History
from pipeline_assets.adapters.replica import hash_bytes, open_replicas
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.lineage.records import Key, Record

DAY = date(2026, 3, 1)
KEY = Key("scores", DAY)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return open_stores(str(tmp_path))


def take(stores: Stores, run_id: str) -> Snapshots:
    snapshots = Snapshots(stores.root, open_replicas(stores.root, ("remotes/one",)))
    snapshots.take(run_id, "abc", b"{}", datetime(2026, 3, 2, tzinfo=UTC))
    return snapshots


def make(stores: Stores, content: bytes) -> Record:
    path = f"lake/scores/date={DAY}/part.parquet"
    stores.root.write(path, content)
    record = Record(KEY.asset, DAY, {path: hash_bytes(content)}, "1", {})
    stores.records.write(record)
    return record


def test_what_had_landed_is_found_by_its_version_after_it_was_replaced(stores: Stores) -> None:
    stores.landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"then")
    stores.landing.land(Feed.CHARGEBACKS, DAY, "c.csv", b"report")
    stores.landing.land(Feed.TRANSACTIONS, date(2026, 3, 2), "a.csv", b"another day")
    then = stores.landing.version(DAY)
    take(stores, "one")
    stores.landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"now", replace=True)
    stores.landing.land(Feed.TRANSACTIONS, DAY, "b.csv", b"more")
    now = stores.landing.version(DAY)
    history = History(take(stores, "two"))
    assert history.find_landed(DAY, then) == {
        f"landing/transactions/{DAY}/a.csv": hash_bytes(b"then"),
        f"landing/chargebacks/{DAY}/c.csv": hash_bytes(b"report"),
    }
    assert len(history.find_landed(DAY, now) or {}) == 3
    assert history.find_landed(DAY, "unknown") is None


def test_a_day_on_which_nothing_landed_is_known_by_its_version_too(stores: Stores) -> None:
    stores.landing.land(Feed.TRANSACTIONS, date(2026, 3, 2), "a.csv", b"another day")
    assert History(take(stores, "one")).find_landed(DAY, stores.landing.version(DAY)) == {}


def test_the_first_snapshot_that_has_a_version_is_found_and_its_record(stores: Stores) -> None:
    old = make(stores, b"old")
    take(stores, "one")
    new = make(stores, b"new")
    take(stores, "two")
    history = History(take(stores, "three"))
    assert [history.find_record(KEY, one.version) for one in (old, new)] == [old, new]
    firsts = [history.find_first(KEY, one.version) for one in (old, new)]
    assert [first.run_id for first in firsts if first] == ["one", "two"]
    assert history.find_first(KEY, "unknown") is None
    assert history.find_record(KEY, "unknown") is None
