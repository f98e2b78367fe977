"""What a person is told when a command fails: what, where, and the next step, in one message without a stack.

Errors of the disk, of permissions, of the network and of databases are known by their number or by the words of the
library, so that they are told alike wherever they come from: also out of a run, of which only the text is left.
"""

import errno
import os
import re
from collections.abc import Iterator
from typing import Final

from pipeline_assets.adapters.storage import TEMPORARY_PREFIX

_AGAIN: Final = "then give the same command again: what was done stays, and nothing is lost"
_NUMBER: Final = re.compile(
    r"\[Errno (?P<errno>\d+)\] [^:\n]*(?:: (?P<quote>['\"])(?P<path>.*?)(?P=quote)(?: -> '(?P<target>.*?)')?)?"
    r"|\(os error (?P<rust>\d+)\)"
)
_FULL: Final = ("the disk is full", f"make room there (df -h), {_AGAIN}")
_READ_ONLY: Final = ("the file system is read-only", f"mount it writable, or name another folder, {_AGAIN}")
_DENIED: Final = (
    "user {user} has no permission",
    f"run as the user that owns it, or give this one the right (ls -l), {_AGAIN}",
)
_UNREACHABLE: Final = ("the network or the other side does not answer", f"see that it can be reached, {_AGAIN}")
_DISK: Final = ("the disk answers with an error", f"look at the disk (dmesg), {_AGAIN}")
_BY_NUMBER: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("the quota of the disk is used up", f"make room there (quota), {_AGAIN}"),
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EIO: _DISK,
    errno.ENOTDIR: (
        "expected folders all the way to it, found a file among them",
        "see PIPELINE_DATA, PIPELINE_PARAMS and DAGSTER_HOME, or move the file",
    ),
    errno.EEXIST: ("expected a folder, found a file", "name a folder (PIPELINE_DATA, DAGSTER_HOME), or move the file"),
    errno.EISDIR: ("expected a file, found a folder", "name a file, or move the folder"),
    errno.ENOENT: ("there is no such file or folder", "name one that there is, or make what it comes from first"),
    errno.EMFILE: ("too many open files", f"raise the limit (ulimit -n), {_AGAIN}"),
    errno.ENFILE: ("too many open files", f"close other programs, {_AGAIN}"),
    errno.ENOMEM: ("there is no memory left", f"close other programs, {_AGAIN}"),
    **dict.fromkeys(
        (
            errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENETUNREACH, errno.ENETDOWN,
            errno.EHOSTUNREACH, errno.ETIMEDOUT,
        ),
        _UNREACHABLE,
    ),
}  # fmt: skip
# By the words of libraries, in small letters: the first that are all in the text decide.
_BY_WORDS: Final = (
    (("database is locked",), "{home}: Dagster's database is locked by another process",
     f"wait for it, or end it (fuser), {_AGAIN}"),
    (("readonly database",), "{home}: Dagster's database cannot be written", f"give user {{user}} the right, {_AGAIN}"),
    (("database or disk is full",), "{home}: the disk is full", f"make room there (df -h), {_AGAIN}"),
    (("disk i/o error",), "{home}: Dagster's database cannot be used: its disk is full, or answers with an error",
     f"make room there (df -h), {_AGAIN}"),
    (("unable to open database file",), "{home}: Dagster's database cannot be opened by user {user}",
     f"give it the right to the folder, and room on its disk, {_AGAIN}"),
    (("file is not a database",), "{home}: Dagster's database is damaged",
     "move the folder away: it is made anew, and what was made stays"),
    (("database disk image is malformed",), "{home}: Dagster's database is damaged",
     "move the folder away: it is made anew, and what was made stays"),
    (("no locator available",), "user {user} can keep the compiled kernels nowhere",
     "set NUMBA_CACHE_DIR to a folder that it can write"),
    (("could not set lock on file",), "the DuckDB database is locked by another process",
     f"close it there, {_AGAIN}"),
    (("unable to acquire lock", "dvc"), "DVC is locked by another process", f"wait for it, {_AGAIN}"),
    (("error sending request",), *_UNREACHABLE),
    (("dns error",), *_UNREACHABLE),
    (("connection refused",), *_UNREACHABLE),
    (("operation timed out",), *_UNREACHABLE),
    (("unauthenticated",), "the object store does not know these credentials",
     f"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, {_AGAIN}"),
    (("permission denied", "object"), "the object store denies permission",
     f"give these credentials the right, {_AGAIN}"),
)  # fmt: skip
_ADDED: Final = re.compile(r" (\[SQL: |\(Background on this error at: |Debug source: ).*")  # by libraries: values, too
_SHOWN: Final = 300  # characters of a library's own words


def describe_error(error: BaseException) -> str:
    """One message for a person: what is wrong, where, and what to do next."""
    causes = list(_list_causes(error))
    for one in causes:
        if _is_ours(one):
            return str(one)
        if told := describe_text(str(one)):
            return told
    if any(isinstance(one, MemoryError) for one in causes):
        return f"there is no memory left; close other programs, {_AGAIN}"
    return (
        f"unexpected {type(error).__name__}: {_shorten(str(error))}; this is a fault of the program, not of yours: "
        "PIPELINE_DEBUG=1 in front of the command shows where, for a report"
    )


def describe_text(text: str) -> str | None:
    """The same of a text that names a known error; None where it does not."""
    lowered = text.lower()
    for words, what, step in _BY_WORDS:
        if all(word in lowered for word in words):
            return _tell(what, None, step, text)
    number = _NUMBER.search(text)
    known = _BY_NUMBER.get(int(number["errno"] or number["rust"])) if number else None
    return _tell(known[0], number["target"] or number["path"], known[1], text) if number and known else None


def _tell(what: str, path: str | None, step: str, text: str) -> str:
    if path and path.rpartition("/")[2].startswith(TEMPORARY_PREFIX):
        path = path.rpartition("/")[0]  # what was to be written there
    names = {"user": _name_user(), "home": os.environ.get("DAGSTER_HOME", "DAGSTER_HOME")}
    where = f"{path}: " if path else ""
    said = "" if path else f" ({_shorten(text)})"
    return f"{where}{what.format(**names)}{said}; {step.format(**names)}"


def _is_ours(error: BaseException) -> bool:
    """Whether the text of an error was written by us, for a person: by its class, or by the place that raised it."""
    if type(error).__module__.startswith("pipeline_assets."):
        return True
    if not isinstance(error, ValueError | FileNotFoundError) or getattr(error, "errno", None) is not None:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("pipeline_assets.")


def _list_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _shorten(text: str) -> str:
    line = _ADDED.sub("", " ".join(text.split()))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} …"


def _name_user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
