"""Going back leaves what was decided: the release log is not undone, unless it was changed."""

from pathlib import Path

import pytest

from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.restoring import Restored, choose_folders, restore
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.core.release import ReleaseEntry
from tests.adapters.logs import add, alter_last, cut_three, empty, path_of, read, take


@pytest.fixture
def kept(tmp_path: Path) -> list[ReleaseEntry]:
    """Five entries, in a snapshot."""
    stores = open_stores(str(tmp_path))
    for number in range(5):
        add(stores, number)
    take(stores)
    return stores.release_log.entries()


def go_back(root: Path, number: int = 0) -> Restored:
    storage = open_stores(str(root)).root
    snapshots = Snapshots(storage, open_replicas(storage, ("remotes/one",)))
    snapshot = snapshots.list()[number]
    return restore(storage, snapshots, snapshot, choose_folders(snapshot, ["release"]))


def test_entries_that_were_added_since_stay_and_their_tables_go(tmp_path: Path, kept: list[ReleaseEntry]) -> None:
    since = [add(open_stores(str(tmp_path)), number) for number in (5, 6)]
    restored = go_back(tmp_path)
    assert read(tmp_path) == [*kept, *since]
    assert restored.kept == ("release/entries/00000005.json", "release/entries/00000006.json")
    assert not [path for path in restored.removed if path.startswith("release/")]
    assert f"records/release/{since[0].as_of}.json" in restored.removed


@pytest.mark.parametrize("tamper", [cut_three, alter_last, empty], ids=lambda one: one.__name__)
def test_what_was_changed_comes_back(tmp_path: Path, kept: list[ReleaseEntry], tamper: object) -> None:
    assert callable(tamper)
    tamper(tmp_path)
    assert go_back(tmp_path).kept == ()
    assert read(tmp_path) == kept


def test_entries_that_do_not_follow_the_snapshots_own_go(tmp_path: Path, kept: list[ReleaseEntry]) -> None:
    add(open_stores(str(tmp_path)), 5, is_recorded=False)
    path = path_of(tmp_path, 5)
    path.write_bytes(path.read_bytes().replace(kept[-1].md5.encode(), b"0" * 32))
    assert go_back(tmp_path).removed == ("release/entries/00000005.json",)
    assert read(tmp_path) == kept


def test_of_what_was_added_since_what_is_unreadable_goes_with_all_after_it(
    tmp_path: Path, kept: list[ReleaseEntry]
) -> None:
    since = [add(open_stores(str(tmp_path)), number, is_recorded=False) for number in (5, 6, 7)]
    path_of(tmp_path, 6).write_bytes(b"{")
    assert len(go_back(tmp_path).removed) == 2
    assert read(tmp_path) == [*kept, since[0]]
