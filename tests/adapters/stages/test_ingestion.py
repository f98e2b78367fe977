"""Ingestion beside what is no data: the rest is made, nothing that was made before is lost, and people are told."""

import os
from datetime import date
from pathlib import Path

import pytest

from pipeline_assets.adapters.snapshot_index import Index, scan
from pipeline_assets.adapters.stages.ingestion import LandedLostError, find_lost_rows, find_refused_files, ingest
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.ingestion import IngestionParams
from pipeline_assets.drills.hostile_names import THINGS

DAY = date(2026, 3, 10)
HEADER = "transaction_id,event_time,customer_id,terminal_id,amount_cents\n"


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    stores = open_stores(str(tmp_path))
    land(stores, "a.csv", "t1")
    return stores


def land(stores: Stores, name: str, transaction: str) -> None:
    row = f"{transaction},2026-03-10T08:00:00Z,c1,m1,100\n"
    stores.landing.land(Feed.TRANSACTIONS, DAY, name, (HEADER + row).encode())


def make(stores: Stores) -> None:
    for _ in ingest(stores, IngestionParams(), [DAY]):
        pass


def find_folder(stores: Stores) -> Path:
    return Path(stores.root.root, "landing", "transactions", f"{DAY}")


def test_a_day_is_made_from_the_rest_and_says_what_was_refused(stores: Stores) -> None:
    shown = {make_one(find_folder(stores)) for make_one in THINGS.values()}
    make(stores)
    assert stores.lake.read(TRANSACTIONS, [DAY])["transaction_id"].to_list() == ["t1"]
    assert find_lost_rows(stores, DAY).passed
    found = find_refused_files(stores, DAY)
    assert not found.passed
    assert found.facts == {"things_refused": len(shown)}
    assert found.explanation.isprintable()


def test_a_day_with_nothing_but_files_says_so(stores: Stores) -> None:
    assert find_refused_files(stores, DAY).passed


def test_what_is_renamed_is_in_the_day_that_is_made_again(stores: Stores) -> None:
    latin = find_folder(stores) / os.fsdecode(b"n\xe4chtrag.csv")
    land(stores, "b.csv", "t2")
    (find_folder(stores) / "b.csv").rename(latin)
    make(stores)
    before = stores.landing.version(DAY)
    latin.rename(find_folder(stores) / "b.csv")
    assert stores.landing.version(DAY) != before
    make(stores)
    assert stores.lake.read(TRANSACTIONS, [DAY])["transaction_id"].to_list() == ["t1", "t2"]


def test_rows_that_were_made_before_are_not_given_up_for_what_lies_in_the_place_of_their_file(stores: Stores) -> None:
    make(stores)
    (find_folder(stores) / "a.csv").unlink()
    os.mkfifo(find_folder(stores) / "a.csv")
    with pytest.raises(LandedLostError, match=r"expected transactions/2026-03-10/a\.csv, .*found .*a named pipe"):
        make(stores)
    assert stores.lake.read(TRANSACTIONS, [DAY])["transaction_id"].to_list() == ["t1"]


def test_a_snapshot_keeps_the_files_and_nothing_that_a_link_names(stores: Stores) -> None:
    for make_one in THINGS.values():
        make_one(find_folder(stores))
    found = scan(stores.root, Index())
    assert list(found.index.files) == [f"landing/transactions/{DAY}/a.csv"]
    assert found.unsettled == []
