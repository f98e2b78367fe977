"""The laws of storage, for a folder and for a real S3 endpoint on loopback."""

import os
import threading
from pathlib import Path

import pytest

from pipeline_assets.adapters.storage import TEMPORARY_PREFIX, LocalStorage, Storage, open_storage, within


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "root"))
    return open_storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def test_what_is_written_is_read_back(storage: Storage) -> None:
    storage.write("a/b/c.bin", b"\x00\xff")
    assert storage.read("a/b/c.bin") == b"\x00\xff"
    with storage.open("a/b/c.bin") as file:
        assert file.read() == b"\x00\xff"
    assert storage.exists("a/b/c.bin")


def test_a_second_write_replaces_the_first(storage: Storage) -> None:
    storage.write("a", b"old and longer")
    storage.write("a", b"new")
    assert storage.read("a") == b"new"


def test_absent_objects_are_absent(storage: Storage) -> None:
    assert not storage.exists("nothing")
    assert storage.list("nowhere") == []
    storage.delete("nothing")
    with pytest.raises(FileNotFoundError):
        storage.read("nothing")
    with pytest.raises(FileNotFoundError):
        storage.open("nothing")


def test_listing_is_sorted_and_stays_inside_the_folder(storage: Storage) -> None:
    for path in ("t/date=2/p", "t/date=1/p", "t2/date=1/p"):
        storage.write(path, b"")
    assert storage.list("t") == ["t/date=1/p", "t/date=2/p"]


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("t/p", b"x")
    (tmp_path / "t" / "loop").symlink_to(tmp_path / "t" / "loop")  # ELOOP, which the superuser gets as well
    with pytest.raises(OSError, match="symbolic links"):
        storage.list("t/loop")


def test_stamps_name_what_is_listed_and_change_with_every_write(storage: Storage) -> None:
    storage.write("t/a", b"1")
    storage.write("t/b", b"1")
    before = storage.stamps("t")
    assert list(before) == storage.list("t")
    assert before["t/a"] == storage.stamp("t/a")
    storage.write("t/a", b"2")
    after = storage.stamps("t")
    assert after["t/a"] != before["t/a"]
    assert after["t/b"] == before["t/b"]


def test_a_deleted_object_is_gone(storage: Storage) -> None:
    storage.write("t/p", b"")
    storage.delete("t/p")
    assert not storage.exists("t/p")
    assert storage.list("t") == []


def test_create_never_overwrites(storage: Storage) -> None:
    assert storage.create("log/1", b"first")
    assert not storage.create("log/1", b"second")
    assert storage.read("log/1") == b"first"


def test_of_many_creators_at_once_exactly_one_wins(storage: Storage) -> None:
    won: list[bytes] = []
    start = threading.Barrier(8)

    def create(content: bytes) -> None:
        start.wait()
        if storage.create("log/2", content):
            won.append(content)

    threads = [threading.Thread(target=create, args=(f"writer {n}".encode(),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [storage.read("log/2")] == won


def test_a_part_of_a_storage_is_a_storage(storage: Storage) -> None:
    within(storage, "lake").write("t/p", b"x")
    assert storage.read("lake/t/p") == b"x"


def test_a_failed_write_leaves_the_old_bytes_and_nothing_else(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("t/p", b"old")
    (tmp_path / "t").chmod(0o500)
    try:
        if os.access(tmp_path / "t", os.W_OK):
            # The superuser may write anywhere: a folder in the place of the object stops the rename instead.
            (tmp_path / "t" / "q" / "full").mkdir(parents=True)
            with pytest.raises(OSError, match="directory"):
                storage.write("t/q", b"new")
        else:
            with pytest.raises(PermissionError):
                storage.write("t/p", b"new")
    finally:
        (tmp_path / "t").chmod(0o700)
    assert storage.read("t/p") == b"old"
    assert not list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*"))


def test_what_a_killed_write_left_is_never_listed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("t/p", b"x")
    (tmp_path / "t" / f"{TEMPORARY_PREFIX}dead").write_bytes(b"half")
    assert storage.list("t") == ["t/p"]


def test_another_kind_of_url_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"s3://.*found 'gs://x'"):
        open_storage("gs://x")
