"""The landing zone: what is complete is seen, what is not is not, and nothing is overwritten by accident."""

from datetime import date
from pathlib import Path

import pytest

from pipeline_assets.adapters.landing import LandedDifferentlyError, LandingZone
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.vocabularies import Feed

DAY = date(2026, 3, 10)


@pytest.fixture
def landing(tmp_path: Path) -> LandingZone:
    return LandingZone(LocalStorage(tmp_path))


def test_what_was_landed_is_listed_in_order_and_read_back(landing: LandingZone) -> None:
    assert landing.land(Feed.TRANSACTIONS, DAY, "b.csv", b"2")
    assert landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"1")
    assert landing.land(Feed.CHARGEBACKS, date(2026, 3, 9), "c.csv", b"3")
    assert landing.list_files(Feed.TRANSACTIONS, DAY) == ["a.csv", "b.csv"]
    assert [file.content for file in landing.read_day(DAY)[Feed.TRANSACTIONS]] == [b"1", b"2"]
    assert landing.read_day(DAY)[Feed.CHARGEBACKS] == []
    assert landing.list_days(Feed.CHARGEBACKS) == [date(2026, 3, 9)]


def test_a_landing_zone_without_anything_is_empty(landing: LandingZone) -> None:
    assert landing.list_days(Feed.TRANSACTIONS) == []
    assert landing.read_day(DAY) == {feed: [] for feed in Feed}


def test_landing_the_same_again_changes_nothing_and_other_content_needs_a_word(
    landing: LandingZone, tmp_path: Path
) -> None:
    landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"1")
    assert not landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"1")
    with pytest.raises(LandedDifferentlyError, match=r"transactions/2026-03-10/a\.csv has landed with other content"):
        landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"2")
    assert (tmp_path / "transactions/2026-03-10/a.csv").read_bytes() == b"1"
    assert landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"2", replace=True)
    assert landing.read_file(Feed.TRANSACTIONS, DAY, "a.csv").content == b"2"


@pytest.mark.parametrize("name", [".a.csv", "_SUCCESS", "a.csv.part", "a.csv.tmp", "_temporary/a.csv", ".tmp-12"])
def test_hidden_and_unfinished_files_are_never_seen(landing: LandingZone, tmp_path: Path, name: str) -> None:
    file = tmp_path / "transactions" / "2026-03-10" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a file")
    assert landing.list_files(Feed.TRANSACTIONS, DAY) == []
    assert landing.list_days(Feed.TRANSACTIONS) == []


@pytest.mark.parametrize("name", [".a.csv", "a.part", "sub/a.csv", "../a.csv", ""])
def test_a_name_that_would_never_be_read_is_refused(landing: LandingZone, name: str) -> None:
    with pytest.raises(ValueError, match="expected a plain, visible file name"):
        landing.land(Feed.TRANSACTIONS, DAY, name, b"1")


@pytest.mark.parametrize("folder", ["2026-3-10", "20260310", "notes", "2026-02-30"])
def test_folders_that_are_no_day_are_left_out(landing: LandingZone, tmp_path: Path, folder: str) -> None:
    (tmp_path / "transactions" / folder).mkdir(parents=True)
    (tmp_path / "transactions" / folder / "a.csv").write_bytes(b"1")
    assert landing.list_days(Feed.TRANSACTIONS) == []
