"""The release log: entries are added, never changed, each once, whoever writes at the same time."""

import dataclasses
import os
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


def test_of_writers_of_the_same_decision_at_once_one_adds_it_and_all_get_it(tmp_path: Path) -> None:
    start, got = threading.Barrier(4), []

    def write() -> None:
        log = ReleaseLog(LocalStorage(tmp_path))
        start.wait()
        got.append(log.append(draft(0)))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ReleaseLog(LocalStorage(tmp_path)).entries() == [got[0]]
    assert len(set(map(ReleaseEntry.to_bytes, got))) == 1


def test_two_that_write_in_turn_each_see_what_the_other_added(tmp_path: Path) -> None:
    one, other = ReleaseLog(LocalStorage(tmp_path)), ReleaseLog(LocalStorage(tmp_path))
    for week in range(0, 6, 2):
        one.append(draft(week))
        other.append(draft(week + 1))
    assert one.entries() == other.entries()
    assert [entry.previous_md5 for entry in one.entries()] == ["", *(entry.md5 for entry in other.entries()[:-1])]


def test_of_two_that_decided_from_the_same_entries_the_second_adds_nothing(tmp_path: Path) -> None:
    log, other = ReleaseLog(LocalStorage(tmp_path)), ReleaseLog(LocalStorage(tmp_path))
    log.append(draft(0))
    seen = log.entries()
    added = other.append_after(seen, draft(1, "first"))
    assert added is not None
    assert log.append_after(seen, draft(1, "second")) is None
    assert log.entries() == [*seen, added]
    assert log.append_after(log.entries(), draft(1, "second")) == log.entries()[-1]


def test_an_entry_within_a_day_does_not_hide_the_decision_for_its_beginning(tmp_path: Path) -> None:
    log = ReleaseLog(LocalStorage(tmp_path))
    daily = log.append(draft(0))
    log.append(dataclasses.replace(draft(0, "x"), effective_from=daily.effective_from + timedelta(hours=14)))
    assert log.append(draft(0)) == daily
    assert len(log.entries()) == 2


def test_no_clock_is_in_the_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        log = ReleaseLog(LocalStorage(tmp_path / name))
        log.append(draft(0))
        log.append(draft(1))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("has_read_it", [False, True], ids=["by a new reader", "by one that read it before"])
@pytest.mark.parametrize("damage", ["changed", "removed", "unreadable", "foreign", "renamed", "swapped"])
def test_a_log_that_was_changed_is_neither_read_nor_added_to(tmp_path: Path, damage: str, has_read_it: bool) -> None:
    writer, log = ReleaseLog(LocalStorage(tmp_path)), ReleaseLog(LocalStorage(tmp_path))
    for week in range(3):
        writer.append(draft(week))
    if has_read_it:
        assert len(log.entries()) == 3
    entry = tmp_path / "entries" / "00000001.json"
    match damage:
        case "changed":
            entry.write_bytes(entry.read_bytes().replace(b'"champion": "m"', b'"champion": "x"'))
        case "removed":
            entry.unlink()
        case "unreadable":
            entry.write_bytes(b"{")
        case "swapped":
            entry.write_bytes(entry.with_name("00000002.json").read_bytes())
        case "renamed":
            entry.with_name("00000002.json").rename(entry.with_name("00000007.json"))
        case _:
            entry.with_name("00000001.json.bak").write_bytes(b"")
    for use in (log.entries, lambda: log.append(draft(9))):
        with pytest.raises(ReleaseLogError, match=r"was changed after it was written: .*restore the folder"):
            use()


def test_bytes_that_changed_without_a_trace_are_found_by_who_reads_them_and_used_by_nobody_else(tmp_path: Path) -> None:
    """As a disk may do it: size, time and place are as before."""
    before, after = ReleaseLog(LocalStorage(tmp_path)), ReleaseLog(LocalStorage(tmp_path))
    for week in range(3):
        before.append(draft(week))
    known = before.entries()
    path = tmp_path / "entries" / "00000001.json"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"champion": "m"', b'"champion": "x"'))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert before.entries() == known
    with pytest.raises(ReleaseLogError, match="was changed after it was written"):
        after.entries()
