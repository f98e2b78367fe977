"""Trees are DVC's own, and a snapshot is found by what a person knows of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.lineage.dvc_trees import (
    SnapshotError,
    find_new_hashes,
    group_files,
    hash_tree,
    make_tree,
    read_tree,
)
from pipeline_assets.core.lineage.snapshots import (
    Snapshot,
    SnapshotParams,
    choose_kept,
    choose_snapshot,
    read_snapshot,
)

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
NAMES = st.text(st.sampled_from("abcxyz0189-_=é "), min_size=1, max_size=8)
MD5S = st.text("0123456789abcdef", min_size=32, max_size=32)
FILES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=5).map("/".join), MD5S, max_size=20)


def make_snapshot(sequence: int, taken_at: datetime, run_id: str = "", because: str = "") -> Snapshot:
    return Snapshot(sequence, taken_at, run_id or f"run-{sequence}", "abc", "d" * 32, {}, 0, because)


def days(count: int) -> list[Snapshot]:
    return [make_snapshot(number, START + timedelta(days=number)) for number in range(count)]


@given(FILES)
def test_trees_hold_every_file_and_no_other(files: dict[str, str]) -> None:
    found: dict[str, str] = {}
    for folder, listed in group_files(files).items():
        assert read_tree(folder, make_tree(folder, listed)) == listed
        found |= listed
    assert found == files


def name_trees(files: dict[str, str]) -> dict[str, str]:
    return {folder: hash_tree(make_tree(folder, listed)) for folder, listed in group_files(files).items()}


@given(FILES.filter(bool))
def test_the_name_of_a_tree_depends_on_its_files_and_not_on_their_order(files: dict[str, str]) -> None:
    trees = name_trees(files)
    assert trees == name_trees(dict(reversed(files.items())))
    path = min(files)
    changed = "f" * 31 + ("0" if files[path][-1] == "f" else "f")
    assert len(set(name_trees({**files, path: changed}).items()) ^ set(trees.items())) == 2


def test_a_tree_has_the_bytes_that_dvc_gives_to_it(tmp_path: Path) -> None:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    files = {f"lake/scores/date=2026-03-0{day}/part.parquet": f"{day}" * 32 for day in (3, 1, 2)}
    theirs = Tree()  # type: ignore[no-untyped-call]
    for path, md5 in files.items():
        theirs.add(tuple(path.split("/")[2:]), None, HashInfo("md5", md5))
    theirs.digest()
    ((folder, listed),) = group_files(files).items()
    ours = make_tree(folder, listed)
    assert ours == theirs.as_bytes()
    assert theirs.hash_info is not None
    assert hash_tree(ours) == theirs.hash_info.value


@pytest.mark.parametrize("content", [b"", b"{}x", b'{"md5": 1}', b'[{"md5": "1"}]'])
def test_what_is_no_tree_is_an_error_that_names_the_folder(content: bytes) -> None:
    with pytest.raises(SnapshotError, match="lake/scores"):
        read_tree("lake/scores", content)


def test_a_snapshot_is_read_as_it_was_written_and_garbage_is_refused() -> None:
    snapshot = make_snapshot(3, START, because="audit")
    assert read_snapshot(snapshot.to_bytes()) == snapshot
    with pytest.raises(SnapshotError, match="expected a snapshot"):
        read_snapshot(snapshot.to_bytes()[:-9])


@pytest.mark.parametrize(
    ("as_of", "sequence"),
    [("latest", 9), ("4", 4), ("run-7", 7), ("2026-03-01", 0), ("2026-03-05", 4), ("2026-03-05T05:59", 3),
     ("2026-03-05T06:00:00+00:00", 4), ("2026-03-05T06:30:00+01:00", 3), ("2030-01-01", 9)],
)  # fmt: skip
def test_a_snapshot_is_found_by_number_run_day_or_time(as_of: str, sequence: int) -> None:
    assert choose_snapshot(days(10), as_of).sequence == sequence


def test_a_number_is_never_taken_for_the_beginning_of_a_run() -> None:
    run = "7c39b2aa-0000-4000-8000-000000000000"
    snapshots = [*days(3), make_snapshot(3, START + timedelta(days=3), run_id=run)]
    with pytest.raises(SnapshotError, match="expected latest"):
        choose_snapshot(snapshots, "7")
    assert choose_snapshot(snapshots, "7c39").sequence == 3


@pytest.mark.parametrize(
    ("as_of", "what"),
    [("2026-02-28", "the first snapshot was taken"), ("yesterday", "expected latest"), ("run-", "several runs")],
)
def test_what_names_no_snapshot_is_an_error_that_says_what_would(as_of: str, what: str) -> None:
    with pytest.raises(SnapshotError, match=what):
        choose_snapshot(days(3), as_of)
    with pytest.raises(SnapshotError, match="take one"):
        choose_snapshot([], as_of)


def test_young_snapshots_stay_then_one_a_week_then_what_a_person_keeps() -> None:
    snapshots = days(60)
    snapshots[3] = make_snapshot(3, snapshots[3].taken_at, because="audit")
    kept = choose_kept(snapshots, SnapshotParams(keep_days=10, keep_weeks=5), snapshots[-1].taken_at)
    numbers = [one.sequence for one in kept]
    assert numbers[-11:] == list(range(49, 60))
    assert numbers[:-11] == [3, 28, 35, 42]  # Sundays: the first of March is one


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 9))
def test_the_latest_snapshot_always_stays(count: int, keep_days: int, keep_weeks: int) -> None:
    snapshots = days(count)
    kept = choose_kept(snapshots, SnapshotParams(keep_days=keep_days, keep_weeks=keep_weeks), START.replace(year=2040))
    assert snapshots[-1] in kept


@given(FILES, FILES)
def test_the_hashes_of_a_tree_are_found_whatever_tree_came_before(
    files: dict[str, str], others: dict[str, str]
) -> None:
    before, after = make_tree(".", others), make_tree(".", {**others, **files})
    assert find_new_hashes(after) >= set(files.values())
    assert find_new_hashes(after, before) | find_new_hashes(before) >= set({**others, **files}.values())
