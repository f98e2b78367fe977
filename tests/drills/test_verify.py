"""What counts as recovered: the same bytes, no row lost or doubled, no torn file; what is invisible is told apart."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.drills.verify import Whole, find_torn_files, hash_files

PART = "lake/scores/date=2026-01-01/part.parquet"


def write(root: Path, path: str, content: bytes | list[str]) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        pl.DataFrame({"transaction_id": content}).write_parquet(target)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small data root."""
    root = tmp_path / "whole"
    write(root, PART, ["t1", "t2", "t3"])
    write(root, "models/fraud_model/2026-01-01/current.json", b"{}")
    write(root, "reports/service_levels/date=2026-01-01/part.parquet", b"a clock")
    write(root, "dagster/history/runs.db", b"a clock")
    return root


@pytest.fixture
def recovered(root: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(root, root.with_name("recovered")))


def test_the_same_bytes_are_no_difference_whatever_clocks_and_leftovers_say(root: Path, recovered: Path) -> None:
    write(recovered, "reports/service_levels/date=2026-01-01/part.parquet", b"another clock")
    write(recovered, "dagster/history/other.db", b"")
    write(recovered, "lake/scores/date=2026-01-01/.tmp-0123", b"half")
    difference = Whole(root).compare(recovered)
    assert difference.problems == []
    assert (difference.n_equal, difference.n_compared) == (2, 2)
    assert difference.leftovers == ("lake/scores/date=2026-01-01/.tmp-0123",)


def test_rows_that_are_lost_or_there_twice_are_counted_by_their_id(root: Path, recovered: Path) -> None:
    write(recovered, PART, ["t1", "t2", "t2", "t2"])
    write(recovered, "lake/scores/date=2026-01-02/part.parquet", ["t9"])
    difference = Whole(root).compare(recovered)
    assert (difference.rows_lost, difference.rows_doubled) == (1, 3)
    assert difference.changed == (PART,)
    assert difference.surplus == ("lake/scores/date=2026-01-02/part.parquet",)


@pytest.mark.parametrize("content", [None, b"PAR1 and no more"])
def test_every_row_of_a_partition_that_is_gone_or_unreadable_is_lost(
    root: Path, recovered: Path, content: bytes | None
) -> None:
    (recovered / PART).unlink()
    if content is not None:
        write(recovered, PART, content)
    difference = Whole(root).compare(recovered)
    assert difference.rows_lost == 3
    assert "3 rows of scores are lost" in difference.problems


def test_right_after_a_fault_every_file_is_old_or_new_and_whole(root: Path, recovered: Path) -> None:
    old = hash_files(root)
    write(recovered, PART, ["t1", "t2", "t3", "t4"])
    write(recovered, "release/entries/0.json", b"new")
    new = hash_files(recovered)
    assert find_torn_files(root, old, new) == find_torn_files(recovered, old, new) == []
    write(root, PART, ["t1"])
    write(root, "models/latest", b"a checkpoint")
    assert find_torn_files(root, old, new, passing=["latest"]) == [f"{PART} is neither old nor new"]
    (root / PART).unlink()
    assert find_torn_files(root, old, new, passing=["latest"]) == [f"{PART} is lost"]
