"""A lock in an object store, held, renewed, lost, taken over and broken, on a real S3 endpoint on loopback."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.adapters import leases
from pipeline_assets.adapters.locks import LockHeldError, LockLostError
from pipeline_assets.adapters.object_storage import ObjectStorage
from tests.adapters.conftest import OpenProxy

LEASE = 1.5


@pytest.fixture
def storage(bucket: str, tmp_path: Path) -> ObjectStorage:
    return ObjectStorage(f"{bucket}/{tmp_path.name}")


def hold(storage: ObjectStorage, lease: float = LEASE, wait: float = 10.0) -> Any:
    return leases.hold(storage._store, "a/lock", "a/lock", "a test", wait, lease)


def test_a_held_lock_is_waited_for_and_its_holder_is_named(storage: ObjectStorage) -> None:
    with storage.lock("a/lock", purpose="keeping everything"):
        with (
            pytest.raises(LockHeldError, match=r"within 0.2 s.*process \d+ on .*, keeping everything") as held,
            storage.lock("a/lock", wait_seconds=0.2),
        ):
            raise AssertionError("given twice")
        assert isinstance(held.value, BlockingIOError)
        (found,) = storage.list_locks()
        assert (found.path, found.is_held, found.is_living) == ("a/lock", True, True)
    assert storage.list_locks() == ()
    with storage.lock("a/lock", wait_seconds=0.2) as lock:
        lock.check()


def test_of_many_at_once_one_holds_it_at_a_time(storage: ObjectStorage) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with hold(storage, lease=20, wait=60):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_lock_is_renewed_for_longer_than_its_lease_although_some_renewals_fail(
    bucket: str, open_proxy: OpenProxy, tmp_path: Path
) -> None:
    proxy = open_proxy()
    storage = ObjectStorage(f"{bucket}/{tmp_path.name}")
    storage._store = make_store_that_gives_up_at_once(storage.root)
    other = ObjectStorage(storage.root)
    with hold(storage, lease=3.0) as lease:
        proxy.is_broken = True
        time.sleep(1.5)  # the first renewal, and some attempts after it
        proxy.is_broken = False
        time.sleep(2.5)  # longer than a lease since it was taken
        lease.check()
        with pytest.raises(LockHeldError), hold(other, wait=0.1):
            raise AssertionError("given twice")


def make_store_that_gives_up_at_once(url: str) -> Any:
    from obstore.store import from_url

    return from_url(url, client_options={"allow_http": True, "timeout": "1s"}, retry_config={"max_retries": 0})


def test_who_cannot_renew_hears_of_it_when_the_lease_is_over(
    bucket: str, open_proxy: OpenProxy, tmp_path: Path
) -> None:
    proxy = open_proxy()
    storage = ObjectStorage(f"{bucket}/{tmp_path.name}")
    storage._store = make_store_that_gives_up_at_once(storage.root)
    with pytest.raises(LockLostError, match="could not be renewed"), hold(storage, lease=0.6) as lease:  # noqa: PT012
        proxy.is_broken = True
        time.sleep(0.8)
        with pytest.raises(LockLostError):
            lease.check()
    proxy.is_broken = False


def test_the_lock_of_a_holder_that_died_is_taken_over_by_the_clock_of_the_store(storage: ObjectStorage) -> None:
    abandoned = leases.Lease(storage._store, "a/lock", "a/lock", 1.0, "dies")
    storage._store.put("a/lock", abandoned.make_content(), mode="create", use_multipart=False)  # and is never renewed
    began = time.monotonic()
    with hold(storage, wait=30) as lease:
        assert time.monotonic() - began < 20
        lease.check()


def test_a_late_holder_neither_renews_nor_releases_the_lock_of_its_successor(storage: ObjectStorage) -> None:
    with pytest.raises(LockLostError, match="another one has taken it"), hold(storage, lease=30):  # noqa: PT012
        storage.break_lock("a/lock")
        successor = hold(storage, lease=30)
        successor.__enter__()
    with pytest.raises(LockHeldError), hold(storage, wait=0.1):
        raise AssertionError("given twice")
    successor.__exit__(None, None, None)


def test_the_error_of_the_work_is_not_hidden_by_a_lost_lock(storage: ObjectStorage) -> None:
    with pytest.raises(ZeroDivisionError), hold(storage):  # noqa: PT012
        storage.break_lock("a/lock")
        raise ZeroDivisionError


def test_the_lock_of_an_earlier_version_of_this_program_is_respected_and_taken_over(storage: ObjectStorage) -> None:
    storage.create("a/lock", b"0123456789abcdef")
    with pytest.raises(LockHeldError, match="did not say who it is"), hold(storage, wait=0.1):
        raise AssertionError("given twice")
