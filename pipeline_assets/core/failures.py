"""The taxonomy of failures: every one is transient, bad data, absent input, or our own bug. Here it is decided.

Only what is transient is tried again. An error of ours that is none of our bugs says so by its class; of others'
errors, those named here are transient, and whatever is not named is a bug: retried never, and loud.
"""

import errno
from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class FailureKind(StrEnum):
    """What has to happen before it can succeed."""

    TRANSIENT = "transient"  # time has to pass: network, lock, throttling, a disk that is full or answers with errors
    BAD_DATA = "bad_data"  # the data has to be corrected; until then the last good version stays in force
    ABSENT_INPUT = "absent_input"  # an input has to come first
    BUG = "bug"  # the code has to be changed


class BadDataError(ValueError):
    """Data is not what its contract says."""


class AbsentInputError(FileNotFoundError):
    """Something that is needed is not there yet."""


_TRANSIENT_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EDQUOT", "EHOSTUNREACH", "EINTR", "EIO",
        "EMFILE", "ENETDOWN", "ENETUNREACH", "ENFILE", "ENOLCK", "ENOMEM", "ENOSPC", "EPIPE", "EROFS", "ESTALE",
        "ETIMEDOUT", "ETXTBSY",
    )
    if hasattr(errno, name)
)  # fmt: skip
_TRANSIENT_TYPES: Final = (ConnectionError, TimeoutError, InterruptedError, BlockingIOError, MemoryError)
# Libraries' own classes, by module and name, so that none of them has to be loaded to be recognised; the words must be
# in the message, where the class also stands for other things.
_TRANSIENT_NAMES: Final = {
    ("obstore", "GenericError"): (),  # an answer of the store's server that retrying within obstore did not mend
    ("sqlite3", "OperationalError"): ("locked", "busy", "disk i/o", "disk is full", "unable to open"),
    ("sqlalchemy", "OperationalError"): ("locked", "busy", "connection", "timeout", "disk is full", "disk i/o"),
    ("duckdb", "IOException"): ("lock",),
    ("_duckdb", "IOException"): ("lock",),
    ("dvc", "LockError"): (),
}


def classify_failure(error: BaseException) -> FailureKind:
    """Which kind a failure is: that of the error itself, or else of what it was raised from."""
    for one in _list_causes(error):
        if isinstance(one, BadDataError):
            return FailureKind.BAD_DATA
        if isinstance(one, AbsentInputError):
            return FailureKind.ABSENT_INPUT
        if _is_transient(one):
            return FailureKind.TRANSIENT
    return FailureKind.BUG


def _list_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, _TRANSIENT_TYPES):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS:
        return True
    for kind in type(error).__mro__:
        words = _TRANSIENT_NAMES.get((kind.__module__.split(".")[0], kind.__name__))
        if words is not None and (not words or any(word in str(error).lower() for word in words)):
            return True
    return False
