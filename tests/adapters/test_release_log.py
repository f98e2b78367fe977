"""The release log: entries are added, never changed, each once, whoever writes at the same time."""

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_assets.adapters.release_log import ReleaseLog, ReleaseLogError
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release import ReleaseEntry


def draft(week: int, champion: str = "m", reason: str = "") -> ReleaseEntry:
    as_of = date(2026, 3, 1) + timedelta(weeks=week)
    start = datetime.combine(as_of, datetime.min.time(), UTC)
    return ReleaseEntry(as_of, start, ReleaseAction.PROMOTE, reason, champion, None)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*.json")}


def test_entries_are_read_in_the_order_in_which_they_were_added(tmp_path: Path) -> None:
    log = ReleaseLog(LocalStorage(tmp_path))
    assert log.entries() == []
    added = [log.append(draft(week, f"m{week}")) for week in (0, 2, 1)]
    assert [entry.sequence for entry in added] == [0, 1, 2]
    assert [entry.previous_md5 for entry in added] == ["", added[0].md5, added[1].md5]
    assert ReleaseLog(LocalStorage(tmp_path)).entries() == added


def test_the_same_decision_is_added_once_and_another_one_beside_it(tmp_path: Path) -> None:
    log = ReleaseLog(LocalStorage(tmp_path))
    first, second = log.append(draft(0)), log.append(draft(1))
    before = contents(tmp_path)
    assert log.append(draft(0)) == first
    assert log.append(draft(1)) == second
    assert contents(tmp_path) == before
    corrected = log.append(draft(0, reason="corrected"))
    assert corrected.sequence == 2
    assert log.append(draft(0, reason="corrected")) == corrected
    assert log.append(draft(0)).sequence == 3  # back to the first decision is a decision, too
    assert {name: content for name, content in contents(tmp_path).items() if name in before} == before


def test_writers_at_once_each_get_a_place_and_none_is_lost(tmp_path: Path) -> None:
    start = threading.Barrier(6)

    def write(week: int) -> None:
        log = ReleaseLog(LocalStorage(tmp_path))
        start.wait()
        log.append(draft(week, f"m{week}"))

    threads = [threading.Thread(target=write, args=(week,)) for week in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = ReleaseLog(LocalStorage(tmp_path)).entries()
    assert [entry.sequence for entry in entries] == list(range(6))
    assert {entry.champion for entry in entries} == {f"m{week}" for week in range(6)}


def test_no_clock_is_in_the_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        log = ReleaseLog(LocalStorage(tmp_path / name))
        log.append(draft(0))
        log.append(draft(1))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("damage", ["changed", "removed", "unreadable", "foreign", "renamed"])
def test_a_log_that_was_changed_is_neither_read_nor_added_to(tmp_path: Path, damage: str) -> None:
    log = ReleaseLog(LocalStorage(tmp_path))
    for week in range(3):
        log.append(draft(week))
    entry = tmp_path / "entries" / "00000001.json"
    match damage:
        case "changed":
            entry.write_bytes(entry.read_bytes().replace(b'"champion": "m"', b'"champion": "x"'))
        case "removed":
            entry.unlink()
        case "unreadable":
            entry.write_bytes(b"{")
        case "renamed":
            entry.with_name("00000002.json").rename(entry.with_name("00000007.json"))
        case _:
            entry.with_name("00000001.json.bak").write_bytes(b"")
    for use in (log.entries, lambda: log.append(draft(9))):
        with pytest.raises(ReleaseLogError, match=r"was changed after it was written: .*restore the folder"):
            use()
