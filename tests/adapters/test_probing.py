"""A store that lets every writer win is refused by name before anything is written to it."""

import urllib.request
from pathlib import Path

import pytest

from pipeline_assets.adapters.probing import UnsuitableStoreError
from pipeline_assets.adapters.storage import open_storage
from pipeline_assets.core.failures import FailureKind, classify_failure
from tests.adapters.conftest import OpenProxy


@pytest.mark.parametrize(
    ("header", "found"),
    [("if-none-match", "a second writer of one new object wins"), ("if-match", "a version that is gone wins")],
)
def test_a_store_that_ignores_conditions_is_refused_by_name_and_nothing_is_left_in_it(
    bucket: str, open_proxy: OpenProxy, tmp_path: Path, header: str, found: str
) -> None:
    open_proxy(header)
    root = f"{bucket}/{tmp_path.name}"
    storage = open_storage(root)
    for write in (lambda: storage.write("a", b"1"), lambda: storage.create("a", b"1"), lambda: enter(storage)):
        with pytest.raises(UnsuitableStoreError, match=found) as refused:
            write()
        assert root in str(refused.value)
        assert "If-None-Match" in str(refused.value)
    assert storage.list("") == []
    assert not storage.exists("a")
    assert "probe" not in urllib.request.urlopen(f"{endpoint()}/lake?list-type=2", timeout=10).read().decode()


def enter(storage: object) -> None:
    with storage.lock("a/lock"):  # type: ignore[attr-defined]
        raise AssertionError("the lock was given")


def endpoint() -> str:
    import os

    return os.environ["AWS_ENDPOINT_URL"]


def test_a_store_that_honours_them_is_asked_once_in_a_process(
    bucket: str, open_proxy: OpenProxy, tmp_path: Path
) -> None:
    proxy = open_proxy()
    open_storage(f"{bucket}/{tmp_path.name}/one").write("a", b"1")
    asked = proxy.n_requests
    assert asked > 1
    open_storage(f"{bucket}/{tmp_path.name}/two").write("a", b"1")
    assert proxy.n_requests == asked + 1


def test_opening_and_reading_ask_nothing_and_an_unreachable_store_fails_as_the_write_does(
    bucket: str, open_proxy: OpenProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = open_proxy()
    storage = open_storage(f"{bucket}/{tmp_path.name}")
    assert proxy.n_requests == 0
    proxy.close()
    monkeypatch.setattr(proxy, "close", lambda: None)
    with pytest.raises(Exception, match="onnect") as failed:
        open_storage(f"{bucket}/{tmp_path.name}").write("a", b"1")
    assert classify_failure(failed.value) is FailureKind.TRANSIENT
    del storage
