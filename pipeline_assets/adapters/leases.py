"""Locks in an object store: an object that names its holder and is renewed, as long as the holder goes on.

The object is never deleted: released, it says so. Each put of it is conditional on the version that it replaces.
"""

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline_assets.adapters.files import TEMPORARY_PREFIX
from pipeline_assets.adapters.locks import (
    WAIT_SECONDS,
    FoundLock,
    Holder,
    LockHeldError,
    make_holder,
    read_holder,
    refuse_to_wait,
    tell_loss,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LOG: Final = logging.getLogger(__name__)
LEASE_SECONDS: Final = 60.0  # a lock that is not renewed for so long has no holder any more
_RENEWALS: Final = 3  # in a lease
_CLOCK_MARGIN: Final = 2.0  # seconds: what a store says of a time has whole seconds
_POLL_SECONDS: Final = 0.5
_FREE: Final = b'{"released": true}'


@dataclass(frozen=True)
class _Seen:
    """A lock's object as it was: its version, when it was written by the clock of the store, and what it says."""

    e_tag: str
    written: datetime
    holder: Holder | None
    lease_seconds: float
    is_free: bool


class Lease:
    """A lock in an object store that this process holds; see :func:`hold`."""

    def __init__(self, store: "ObjectStore", name: str, path: str, lease_seconds: float, purpose: str) -> None:
        """Be about to hold the object ``path``; ``name`` is what a person calls it."""
        self._store, self._name, self._path, self._seconds = store, name, path, lease_seconds
        self._values = make_holder(purpose).to_values() | {"lease_seconds": lease_seconds}
        self._n_puts, self._e_tag = 0, ""
        self._sure_until = 0.0
        self._lost: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name=f"lease of {path}")

    def make_content(self) -> bytes:
        """Return what to put: never the same twice, or else a version could not be told from the one before it."""
        self._n_puts += 1
        return json.dumps(self._values | {"put": self._n_puts}).encode()

    def begin(self, e_tag: str, began: float) -> None:
        """Hold the version ``e_tag``, whose put began at ``began`` of the monotonic clock, and renew it from now on."""
        self._e_tag, self._sure_until = e_tag, began + self._seconds
        self._thread.start()

    def check(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            LockLostError: Another one has it, or may have it, because it could not be renewed.
        """
        if self._lost is None and time.monotonic() >= self._sure_until:
            self._lost = f"it could not be renewed for {self._seconds:g} s"
        if self._lost is not None:
            raise tell_loss(self._name, self._lost)

    def end(self) -> str | None:
        """Renew it no more, and let the next one have it if it is still ours; else return how it was lost."""
        self._ended.set()
        self._thread.join()
        while self._lost is None and time.monotonic() < self._sure_until:
            if self._put(_FREE):
                return None
            time.sleep(min(_POLL_SECONDS, self._seconds / _RENEWALS))
        return self._lost

    def _renew(self) -> None:
        pause = self._seconds / _RENEWALS
        while not self._ended.wait(pause) and self._lost is None and time.monotonic() < self._sure_until:
            began = time.monotonic()
            if self._put(self.make_content()):
                self._sure_until, pause = began + self._seconds, self._seconds / _RENEWALS
            else:
                pause = self._seconds / _RENEWALS / 5  # there is time for some more attempts

    def _put(self, content: bytes) -> bool:
        """Whether ``content`` took the place of our version; where that is gone the lock is lost."""
        from obstore.exceptions import NotFoundError, PreconditionError

        try:
            result = self._store.put(self._path, content, mode={"e_tag": self._e_tag}, use_multipart=False)
        except (PreconditionError, NotFoundError):
            return self._find_again(content)
        except Exception as error:  # whatever it is, there is time until the lease is over
            _LOG.warning("lock %s could not be renewed: %s: %.200s", self._name, type(error).__name__, error)
            return False
        self._e_tag = str(result["e_tag"])
        return True

    def _find_again(self, content: bytes) -> bool:
        """The answer to an earlier put may have been lost: then what is there names us, and is renewed from there."""
        try:
            seen = _look(self._store, self._path)
        except Exception as error:
            _LOG.warning("lock %s could not be looked at: %s: %.200s", self._name, type(error).__name__, error)
            return False
        if seen is not None and seen.holder is not None and seen.holder.token == self._values["token"]:
            self._e_tag = seen.e_tag
            return False  # it is put again at once
        if seen is not None and seen.is_free and content == _FREE:
            return True
        self._lost = "another one has taken it, or a person has broken it"
        return False


@contextlib.contextmanager
def hold(
    store: "ObjectStore",
    path: str,
    name: str,
    purpose: str = "",
    wait_seconds: float = WAIT_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
) -> Iterator[Lease]:
    """Hold the lock that the object ``path`` stands for while the context lasts.

    Args:
        store: Where.
        path: The object.
        name: The lock, for a person.
        purpose: What for, in a few words.
        wait_seconds: How long to wait for another holder.
        lease_seconds: After which time without being renewed it is free.

    Raises:
        LockHeldError: It was not free in all that time; the message names its holder.
        LockLostError: On the way out: it was lost meanwhile.
    """
    deadline = time.monotonic() + wait_seconds
    lease, clock = Lease(store, name, path, lease_seconds, purpose), _StoreClock(store, path)
    while True:
        began = time.monotonic()
        e_tag, holder = _try_to_take(store, path, lease.make_content(), clock)
        if e_tag is not None:
            break
        if time.monotonic() >= deadline:
            raise refuse_to_wait(name, holder, wait_seconds)
        time.sleep(_POLL_SECONDS)
    lease.begin(e_tag, began)
    try:
        yield lease
        lease.check()
    except BaseException:
        lease.end()
        raise
    lost = lease.end()
    if lost is not None:
        raise tell_loss(name, lost)


def _try_to_take(
    store: "ObjectStore", path: str, content: bytes, clock: "_StoreClock"
) -> tuple[str | None, Holder | None]:
    """The version of the lock that is ours now; else None, and who holds it."""
    from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

    try:
        return str(store.put(path, content, mode="create", use_multipart=False)["e_tag"]), None
    except AlreadyExistsError:
        seen = _look(store, path)
    if seen is None:
        return None, None
    if not seen.is_free and not clock.is_over(seen):
        return None, seen.holder
    try:
        return str(store.put(path, content, mode={"e_tag": seen.e_tag}, use_multipart=False)["e_tag"]), None
    except (PreconditionError, NotFoundError):  # another one was faster
        return None, None


class _StoreClock:
    """The clock of an object store, read by writing an object; between two readings our own goes on."""

    def __init__(self, store: "ObjectStore", path: str) -> None:
        """Read it beside the object ``path``."""
        self._store, self._folder = store, path.rpartition("/")[0]
        self._offset: tuple[datetime, float] | None = None

    def is_over(self, seen: _Seen) -> bool:
        """Return whether the lease of a lock is over."""
        if self._offset is None:
            self._offset = self._read(), time.monotonic()
        now = self._offset[0] + timedelta(seconds=time.monotonic() - self._offset[1])
        return now > seen.written + timedelta(seconds=seen.lease_seconds + _CLOCK_MARGIN)

    def _read(self) -> datetime:
        path = f"{self._folder}/{TEMPORARY_PREFIX}clock-{secrets.token_hex(8)}".lstrip("/")
        try:
            self._store.put(path, b"", use_multipart=False)
            return self._store.head(path)["last_modified"]
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._store.delete(path)


def _look(store: "ObjectStore", path: str) -> _Seen | None:
    try:
        found = store.get(path)
        content, meta = bytes(found.bytes()), found.meta
    except FileNotFoundError:
        return None
    try:
        values = json.loads(content)
        lease = float(values.get("lease_seconds", LEASE_SECONDS))
    except (ValueError, TypeError, AttributeError):  # of another version of this program
        values, lease = {}, LEASE_SECONDS
    is_free = content == _FREE
    return _Seen(str(meta["e_tag"]), meta["last_modified"], read_holder(content), lease, is_free)


def look_at(store: "ObjectStore", path: str) -> FoundLock | None:
    """Return the state of a lock; None where nobody holds it and nobody died holding it."""
    seen = _look(store, path)
    if seen is None or seen.is_free:
        return None
    is_held = not _StoreClock(store, path).is_over(seen)
    is_here = seen.holder is not None and seen.holder.is_here()
    is_living = is_held and (not is_here or seen.holder is None or seen.holder.is_alive())
    return FoundLock(path, seen.holder, is_held, is_living)


def break_lease(store: "ObjectStore", path: str) -> None:
    """Let the next one who asks get a lock; its holder hears of it at the latest on the way out.

    Raises:
        LockHeldError: It changed hands, or was renewed, in the same moment; look again.
    """
    from obstore.exceptions import PreconditionError

    seen = _look(store, path)
    if seen is None or seen.is_free:
        return
    try:
        store.put(path, _FREE, mode={"e_tag": seen.e_tag}, use_multipart=False)
    except PreconditionError as error:
        raise LockHeldError(f"lock {path}: it changed in the same moment; look again") from error
