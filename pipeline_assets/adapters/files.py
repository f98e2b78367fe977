"""Plain files of a POSIX file system: finding and opening them without ever waiting for what only looks like one.

Opening a named pipe waits for its other end for ever, and opening a device may set it going: so what is no regular
file is never opened.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from pipeline_assets.core.names import show_name

TEMPORARY_PREFIX: Final = ".tmp-"  # never listed: what a killed write leaves behind is invisible
_DEEPEST: Final = 1_000  # bytes of a path below where a listing begins: far below what a system call takes
_LEASED_SECONDS: Final = (0.05, 0.15, 0.3)  # a file server that has a lease on a file gives it up when it is asked to
_KINDS: Final = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
# Errors that are about one file or folder. Others are about the process, the disk or the network as a whole.
_OF_ONE_FILE: Final = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ELOOP, errno.ENOTDIR, errno.EISDIR,
        errno.ENAMETOOLONG, errno.EOVERFLOW, errno.EBADMSG, errno.EUCLEAN, errno.EINVAL,
    }
)  # fmt: skip


class NotPlainError(OSError):
    """What was to be read is no regular file; it was not opened."""

    def __init__(self, path: Path, kind: str) -> None:
        """At ``path`` there is ``kind``."""
        super().__init__(errno.EINVAL, f"expected a file, found {kind}", str(path))


@dataclass(frozen=True)
class NotData:
    """Something that lies where files are expected and is none that can be read.

    Attributes:
        why: For a person.
        error: What the operating system answered, where it was asked.
    """

    why: str
    error: OSError | None = None


@dataclass
class Listing:
    """What lies in a folder and below, by path from the root of the storage.

    Attributes:
        files: Regular files, in order.
        folders: Folders that were looked into, in order.
        others: What is neither, or cannot be looked into.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: dict[str, NotData] = field(default_factory=dict)


def is_of_one_file(error: OSError) -> bool:
    """Return whether an error speaks of one file alone, so that others may well be read."""
    return error.errno in _OF_ONE_FILE


def open_plain(path: Path | str, *, follow_links: bool = True) -> IO[bytes]:
    """Open a regular file for reading; never waits, whatever is there.

    Args:
        path: The file.
        follow_links: Whether a link to a regular file is one.

    Raises:
        FileNotFoundError: There is nothing, or a link to nothing.
        NotPlainError: There is something else.
        BlockingIOError: A file server has a lease on it and does not give it up within half a second.
    """
    _require_plain(path, os.stat(path, follow_symlinks=follow_links))  # noqa: PTH116 - tens of thousands of texts
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    descriptor = _open(path, flags)
    try:
        _require_plain(path, os.fstat(descriptor))  # it may have been replaced in between
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _open(path: Path | str, flags: int) -> int:
    for seconds in _LEASED_SECONDS:
        try:
            return os.open(path, flags)
        except BlockingIOError:
            time.sleep(seconds)
    return os.open(path, flags)


def _require_plain(path: Path | str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotPlainError(Path(path), describe_kind(status.st_mode))


def describe_kind(mode: int) -> str:
    """Return what a thing of that ``st_mode`` is, for a person."""
    return next((name for matches, name in _KINDS if matches(mode)), "no regular file")


def list_files(root: str, prefix: str) -> list[str]:
    """Return the paths below ``root`` of all files in the folder ``prefix`` and below, sorted; links to files count.

    What is no regular file, and what has a name that no text can hold, is none of ours and is left out.

    Raises:
        OSError: A folder cannot be read; one that is not there is empty.
    """
    found: list[str] = []
    waiting = [f"{root}/{prefix}" if prefix else root]
    while waiting:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not entry.name.startswith(TEMPORARY_PREFIX) and _is_file(entry) and _is_text(entry.path):
                    found.append(entry.path)
    return sorted(path[len(root) :].lstrip("/") for path in found)


def look_into(root: str, prefix: str, *, is_strict: bool = False) -> Listing:
    """List what lies in the folder ``prefix`` below ``root`` and below, whoever put it there: no link is followed.

    Only ``root`` itself and its own folders may be links: they are the operator's, what is below them is the sender's.

    Args:
        root: The folder that the paths begin in.
        prefix: The folder to look into; empty for all.
        is_strict: Whether the folders of ``root`` are the sender's, too.

    Raises:
        OSError: A folder that is the operator's cannot be read; one that is not there is empty.
    """
    listing = Listing()
    own, _, below = prefix.partition("/")
    linked = _find_link(root, own, below)
    if linked is not None:
        listing.others[linked] = NotData("a link, expected a folder")
        return listing
    waiting = [prefix]
    while waiting:
        folder = waiting.pop()
        try:
            _look_into_one(root, folder, listing, waiting, follow_links=not folder and not is_strict)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            is_own = "/" not in folder and not (is_strict and folder)
            if is_own or not is_of_one_file(error):
                raise
            listing.others[folder] = NotData(f"a folder that cannot be read ({error.strerror})", error)
        else:
            listing.folders.append(folder)
    listing.files.sort()
    listing.folders.sort()
    return listing


def _look_into_one(root: str, folder: str, listing: Listing, waiting: list[str], *, follow_links: bool) -> None:
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(TEMPORARY_PREFIX):
                continue
            if entry.is_file(follow_symlinks=False):
                listing.files.append(path)
            elif not _is_folder(entry, follow_links=follow_links):
                with contextlib.suppress(FileNotFoundError):  # it is gone again
                    kind = describe_kind(entry.stat(follow_symlinks=False).st_mode)
                    listing.others[path] = NotData(f"{kind}, expected a file")
            elif len(path) > _DEEPEST:
                listing.others[path] = NotData("a folder that lies too deep")
            else:
                waiting.append(path)


def _find_link(root: str, own: str, below: str) -> str | None:
    """The first folder on the way from ``own`` to ``below`` that is a link."""
    path = own
    for part in below.split("/") if below else ():
        path = f"{path}/{part}"
        if os.path.islink(f"{root}/{path}"):  # noqa: PTH114 - texts, as in the listing
            return path
    return None


def read_landed(root: str, path: str) -> bytes:
    """Read a regular file that somebody else put at ``path`` below ``root``; see :func:`look_into` on links.

    Raises:
        NotPlainError: It is none, or it lies in a folder that is a link.
        OSError: It cannot be read.
    """
    own, _, below = path.partition("/")
    linked = _find_link(root, own, below)
    if linked is not None:
        raise NotPlainError(Path(root, linked), "a link")
    with naming(Path(root, path)), open_plain(Path(root, path), follow_links=False) as file:
        return file.read()


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let errors of reading, writing and flushing say of which file, as those of opening do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        flush_folder(new.parent)


def flush_folder(folder: Path) -> None:
    """Let the names in a folder be on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def show_error(error: OSError) -> str:
    """Return what the operating system said of a file, without its path."""
    return error.strerror or show_name(str(error))


def _is_folder(entry: "os.DirEntry[str]", *, follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a regular file or a link to one; a link that leads in a circle is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_text(path: str) -> bool:
    """Whether a path can be written into JSON, a log or a key: each of its bytes is UTF-8."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
