"""The landing zone: what is complete is seen, what is not is not, and nothing is overwritten by accident."""

import os
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from pipeline_assets.adapters.files import Listing
from pipeline_assets.adapters.landing import LandedDifferentlyError, LandingZone
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.drills.hostile_names import THINGS

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


@pytest.mark.parametrize("what", THINGS)
def test_what_is_no_data_is_refused_and_named_within_a_second_and_the_day_goes_on(
    landing: LandingZone, tmp_path: Path, what: str
) -> None:
    landing.land(Feed.TRANSACTIONS, DAY, "good.csv", b"1")
    before, stamps = landing.version(DAY), landing.digest(DAY)
    shown = THINGS[what](tmp_path / "transactions" / f"{DAY}")
    began = time.monotonic()
    taken = landing.take_day(DAY)
    assert [file.name for file in taken.files[Feed.TRANSACTIONS]] == ["good.csv"]
    assert [one.path for one in taken.refused] == [f"transactions/{DAY}/{shown}"]
    assert [str(one) for one in LandingZone(LocalStorage(tmp_path)).list_refused()] == [str(taken.refused[0])]
    assert (landing.version(DAY), landing.digest(DAY)) == (before, stamps)
    assert landing.list_days(Feed.TRANSACTIONS) == [DAY]
    assert time.monotonic() - began < 1


def test_a_folder_of_a_day_that_is_a_link_is_refused_and_named(landing: LandingZone, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_bytes(b"1")
    (tmp_path / "transactions").mkdir()
    (tmp_path / "transactions" / f"{DAY}").symlink_to(tmp_path / "elsewhere")
    assert landing.list_days(Feed.TRANSACTIONS) == []
    assert landing.list_files(Feed.TRANSACTIONS, DAY) == []
    assert [str(one) for one in landing.list_refused()] == [f"transactions/{DAY}: a link, expected a folder"]
    with pytest.raises(OSError, match="expected a file, found a link"):
        landing.read_file(Feed.TRANSACTIONS, DAY, "a.csv")


def test_the_folder_of_a_feed_may_be_a_link_because_it_is_the_operators(tmp_path: Path) -> None:
    (tmp_path / "disk" / f"{DAY}").mkdir(parents=True)
    (tmp_path / "disk" / f"{DAY}" / "a.csv").write_bytes(b"1")
    (tmp_path / "zone").mkdir()
    (tmp_path / "zone" / "transactions").symlink_to(tmp_path / "disk")
    landing = LandingZone(LocalStorage(tmp_path / "zone"))
    assert landing.list_days(Feed.TRANSACTIONS) == [DAY]
    assert landing.read_day(DAY)[Feed.TRANSACTIONS][0].content == b"1"
    assert landing.list_refused() == []


def test_a_folder_with_files_in_it_may_be_called_like_a_file(landing: LandingZone, tmp_path: Path) -> None:
    folder = tmp_path / "transactions" / f"{DAY}" / "x.parquet"
    folder.mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"1")  # as Spark writes it
    assert landing.list_files(Feed.TRANSACTIONS, DAY) == ["x.parquet/part-0.parquet"]
    assert landing.list_refused() == []


def test_what_lies_where_nobody_looks_is_named(landing: LandingZone, tmp_path: Path) -> None:
    (tmp_path / "transactions" / "2026-3-10").mkdir(parents=True)
    (tmp_path / "transactions" / "2026-3-10" / "a.csv").write_bytes(b"1")
    (tmp_path / "transactions" / "b.csv").write_bytes(b"1")
    (tmp_path / "transactions" / ".keep").write_bytes(b"")
    assert [one.path for one in landing.list_refused()] == ["transactions/2026-3-10/a.csv", "transactions/b.csv"]


def test_folders_in_folders_without_end_stop_nothing(landing: LandingZone, tmp_path: Path) -> None:
    landing.land(Feed.TRANSACTIONS, DAY, "good.csv", b"1")
    here = os.open(tmp_path / "transactions" / f"{DAY}", os.O_RDONLY)
    for _ in range(60):  # longer than any path may be
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert landing.list_files(Feed.TRANSACTIONS, DAY) == ["good.csv"]
    assert ["too deep" in str(one) for one in landing.list_refused()] == [True]
    subprocess.run(["rm", "-rf", str(tmp_path / "transactions")], check=True)


READ = """
import sys, os
from datetime import date
from pathlib import Path
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.storage import LocalStorage
landing, day = LandingZone(LocalStorage(Path(sys.argv[1]))), date(2026, 3, 10)
before = landing.version(day)
print([str(one) for one in landing.list_refused()])
print([file.name for files in landing.read_day(day).values() for file in files])
os.chmod(sys.argv[2], 0o755)
print(landing.version(day) != before, landing.list_refused())
"""


@pytest.mark.parametrize("name", ["b.csv", "sub"])
def test_what_cannot_be_read_is_refused_and_comes_in_when_it_can(
    landing: LandingZone, tmp_path: Path, name: str
) -> None:
    landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"1")
    path = tmp_path / "transactions" / f"{DAY}" / name
    if name == "sub":
        path.mkdir()
        (path / "b.csv").write_bytes(b"2")
    else:
        path.write_bytes(b"2")
    path.chmod(0)
    command = [sys.executable, "-c", READ, str(tmp_path), str(path)]
    if os.geteuid() == 0:  # may read everything, unless that right is taken away
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    refused, read, mended = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"transactions/{DAY}/{name}: " in refused
    assert "Permission denied" in refused
    assert read == "['a.csv']"
    assert mended == "True []"


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9.csv"), "a\nb.csv", "x" * 201])
def test_nothing_lands_under_a_name_that_would_be_refused(landing: LandingZone, name: str) -> None:
    with pytest.raises(ValueError, match="expected a plain, visible file name"):
        landing.land(Feed.TRANSACTIONS, DAY, name, b"1")


def test_landing_where_a_pipe_lies_is_an_error_and_no_wait(landing: LandingZone, tmp_path: Path) -> None:
    landing.land(Feed.TRANSACTIONS, DAY, "good.csv", b"1")
    THINGS["a named pipe"](tmp_path / "transactions" / f"{DAY}")
    with pytest.raises(OSError, match="found a named pipe"):
        landing.land(Feed.TRANSACTIONS, DAY, "pipe.csv", b"1")


@pytest.mark.parametrize("folder", ["9999-12-31", "0001-01-01", "1999-12-31", "2200-01-01"])
def test_a_day_that_cannot_be_is_refused_and_named(landing: LandingZone, tmp_path: Path, folder: str) -> None:
    (tmp_path / "transactions" / folder).mkdir(parents=True)
    (tmp_path / "transactions" / folder / "a.csv").write_bytes(b"1")
    assert landing.list_days(Feed.TRANSACTIONS) == []
    assert landing.list_files(Feed.TRANSACTIONS, date.fromisoformat(folder)) == []
    said = f"transactions/{folder}/a.csv: a day that cannot be: expected 2000 to 2199"
    assert [str(one) for one in landing.list_refused()] == [said]


@pytest.mark.parametrize("day", [date(1999, 12, 31), date.max])
def test_nothing_lands_on_a_day_that_cannot_be(landing: LandingZone, tmp_path: Path, day: date) -> None:
    with pytest.raises(ValueError, match="expected 2000 to 2199"):
        landing.land(Feed.TRANSACTIONS, day, "a.csv", b"1")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_called_like_a_day_is_refused_and_named(landing: LandingZone, tmp_path: Path) -> None:
    (tmp_path / "transactions").mkdir()
    (tmp_path / "transactions" / str(DAY)).write_bytes(b"1")
    assert landing.list_days(Feed.TRANSACTIONS) == []
    assert [str(one) for one in landing.list_refused()] == [f"transactions/{DAY}: a file, expected a folder"]


def test_an_object_that_stands_for_the_folder_of_a_day_is_no_file_in_its_way(tmp_path: Path) -> None:
    class Bucket(LocalStorage):
        def list_plain(self, prefix: str) -> Listing:
            """As a bucket lists them: the object of the folder has its name without the slash."""
            own = [f"transactions/{DAY}"] if prefix == "transactions" else []
            return Listing(files=[*own, *super().list_plain(prefix).files])

    landing = LandingZone(Bucket(tmp_path))
    landing.land(Feed.TRANSACTIONS, DAY, "a.csv", b"1")
    assert landing.list_files(Feed.TRANSACTIONS, DAY) == ["a.csv"]
    assert landing.list_refused() == []
