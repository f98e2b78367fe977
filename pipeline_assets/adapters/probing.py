"""Whether an object store does what we build on: of several writers of a new object one wins, and of a known version.

Some S3-compatible servers ignore ``If-None-Match`` or ``If-Match``: every writer wins, and what the others wrote is
gone. Such a store is refused by name before the first write of a process; nothing is left behind in it.
"""

import contextlib
import logging
import secrets
import threading
from typing import TYPE_CHECKING, Final

from pipeline_assets.adapters.files import TEMPORARY_PREFIX
from pipeline_assets.core.failures import BadDataError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LOG: Final = logging.getLogger(__name__)
_NEEDED: Final = "an object store that honours If-None-Match: * and If-Match of a put, as S3, R2 and MinIO do"
_NOT_IMPLEMENTED: Final = "501 Not Implemented"
_ATTEMPTS: Final = 3
_LOCK: Final = threading.Lock()
_SUITABLE: Final[set[str]] = set()  # buckets, with their endpoints, that were probed by this process


class UnsuitableStoreError(BadDataError):
    """A store, or a file system, cannot keep what the pipeline promises; nothing was written to it."""


def require_exclusive_puts(store: "ObjectStore", bucket: str, root: str) -> None:
    """Make sure that conditional puts are exclusive there; asked once in a process, five small requests.

    Args:
        store: The store.
        bucket: Names it: all that share it are probed together.
        root: For messages.

    Raises:
        UnsuitableStoreError: They are not.
        Exception: What the store itself raises where it cannot be reached; then it is asked again with the next write.
    """
    with _LOCK:
        if bucket in _SUITABLE:
            return
        problem = _find_problem(store)
        if problem:
            raise UnsuitableStoreError(f"{root}: expected {_NEEDED}; found that {problem}; use another store")
        _SUITABLE.add(bucket)


def _find_problem(store: "ObjectStore") -> str | None:
    problem = None
    for _ in range(_ATTEMPTS):  # an answer that was lost on the way makes a right put look like the second one
        problem, is_sure = _probe(store, f"{TEMPORARY_PREFIX}probe-{secrets.token_hex(8)}")
        if is_sure:
            break
    return problem


def _probe(store: "ObjectStore", path: str) -> tuple[str | None, bool]:
    """What is wrong with the store, and whether that is sure."""
    from obstore.exceptions import AlreadyExistsError, GenericError, NotSupportedError, PreconditionError

    try:
        first = store.put(path, b"1", mode="create", use_multipart=False)
        with contextlib.suppress(AlreadyExistsError):
            store.put(path, b"2", mode="create", use_multipart=False)
            return "a second writer of one new object wins as well", True
        second = store.put(path, b"3", mode={"e_tag": first["e_tag"]}, use_multipart=False)
        with contextlib.suppress(PreconditionError):
            store.put(path, b"4", mode={"e_tag": first["e_tag"]}, use_multipart=False)
            return "a writer of a version that is gone wins as well", True
        return None, second["e_tag"] != first["e_tag"]
    except (AlreadyExistsError, PreconditionError) as error:
        return f"it refuses what is right ({_shorten(error)})", False
    except (NotImplementedError, NotSupportedError) as error:
        return f"it does not know them ({_shorten(error)})", True
    except GenericError as error:
        if _NOT_IMPLEMENTED not in str(error):
            raise
        return f"it does not know them ({_shorten(error)})", True
    finally:
        try:
            store.delete(path)
        except Exception as error:  # it was never there, or the store is gone: what counts was raised before
            _LOG.debug("%s could not be removed: %s", path, error)


def _shorten(error: Exception) -> str:
    return f"{str(error).splitlines()[0]:.200}"
