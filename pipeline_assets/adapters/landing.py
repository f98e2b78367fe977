"""The landing zone: files as received, by feed and day of arrival. Nothing here is ever changed by the pipeline.

Whoever delivers may put anything here, so what lands is only ever data: a regular file that can be read, with a name
that can be written. What is anything else (a link, wherever it points to, a pipe, a folder that is called like a file)
is refused and named, and the day goes on without it. Nothing keeps a list of what was refused: it is what lies there,
so that renaming or replacing it brings the data in.
"""

import contextlib
import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from pipeline_assets.adapters.files import Listing, is_of_one_file
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.ingestion import LandedFile, digest_files
from pipeline_assets.core.ingestion.reading import FORMATS, find_format
from pipeline_assets.core.names import find_name_fault, show_name

# Writers that do not rename at the end of an upload use these names; Spark and Hadoop hide what begins so.
_HIDDEN_PREFIXES = (".", "_")
_NO_DAY: Final = "not in a folder that is called after its day (YYYY-MM-DD)"
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2199
_IMPOSSIBLE_DAY: Final = f"a day that cannot be: expected {_FIRST_YEAR} to {_LAST_YEAR}"
UNREADABLE: Final = "unreadable"  # the version of a day of which nothing can be read now
_UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".filepart", ".crdownload")


class LandedDifferentlyError(BadDataError):
    """A file of this name, with other content, has landed already; nothing was written."""


@dataclass(frozen=True)
class Refused:
    """Something in the landing zone that is no data.

    Attributes:
        feed: What the folder delivers.
        day: The day on which it landed; None where its folder is no day.
        name: Below the folder of the day, or of the feed, as the file system has it; empty for the folder itself.
        why: For a person.
        error: What the operating system answered, where it was asked.
    """

    feed: Feed
    day: date | None
    name: str
    why: str
    error: OSError | None = None

    @property
    def path(self) -> str:
        """Where it is below the landing zone, in a form that can be printed."""
        folder = f"{self.feed.value}/{self.day}" if self.day else self.feed.value
        return f"{folder}/{show_name(self.name)}" if self.name else folder

    def __str__(self) -> str:
        """For a person."""
        return f"{self.path}: {self.why}"

    def covers(self, name: str) -> bool:
        """Return whether it is, or stands in the way of, a file of that name on its day."""
        return not self.name or name == self.name or name.startswith(f"{self.name}/")


@dataclass(frozen=True)
class LandedDay:
    """What landed on a day: the files by feed, and what was refused."""

    files: dict[Feed, list[LandedFile]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


class LandingZone:
    """The files at ``<feed>/<YYYY-MM-DD>/<name>`` below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, whose top-level folders are the feeds."""
        self._storage = storage
        self._versions: dict[date, tuple[str, str]] = {}  # by day: stamps, and the version that they had
        self._unreadable: dict[date, list[Refused]] = {}  # by day: the files that could not be read when it was taken

    def list_files(self, feed: Feed, day: date) -> list[str]:
        """Return the names of the files that landed on ``day``, sorted; hidden and unfinished ones are left out."""
        return self._list(feed, day)[0]

    def list_days(self, feed: Feed, *, is_of_known_format: bool = False) -> list[date]:
        """Return the days on which files of ``feed`` landed, in order; folders that are no ISO day are left out.

        Args:
            feed: Whose files.
            is_of_known_format: Whether only files count whose names are those of a known format.
        """
        days = set()
        for path in self._storage.list_plain(feed.value).files:
            day, name = _split(feed, path)
            if day is None or day in days or (is_of_known_format and find_format(name) not in FORMATS):
                continue
            if is_complete(name) and find_name_fault(name) is None:
                days.add(day)
        return sorted(days)

    def read_file(self, feed: Feed, day: date, name: str) -> LandedFile:
        """Return one file.

        Raises:
            FileNotFoundError: It has not landed.
            OSError: It is none, or cannot be read.
        """
        return LandedFile(name, self._storage.read_plain(_path(feed, day, name)))

    def take_day(self, day: date) -> LandedDay:
        """Return all that landed on a day: the files, read, and what is refused, a file that cannot be read with it.

        Raises:
            OSError: What was asked answers with an error that is not about one file.
        """
        taken = LandedDay()
        unreadable: list[Refused] = []
        for feed in Feed:
            names, refused = self._list(feed, day)
            taken.refused.extend(refused)
            files = taken.files.setdefault(feed, [])
            for name in names:
                try:
                    files.append(self.read_file(feed, day, name))
                except FileNotFoundError:  # it was taken away in this moment
                    continue
                except OSError as error:
                    if not is_of_one_file(error):
                        raise
                    unreadable.append(Refused(feed, day, name, f"cannot be read ({error.strerror})", error))
        taken.refused.extend(unreadable)
        self._unreadable.pop(day, None)
        if unreadable:
            self._unreadable[day] = unreadable
        return taken

    def read_day(self, day: date) -> dict[Feed, list[LandedFile]]:
        """Return all files of a day, by feed; a feed without any has an empty list. See :meth:`take_day`."""
        return self.take_day(day).files

    def list_refused(self, *, is_read: bool = True) -> list[Refused]:
        """Return what is refused on any day and beside the days, in order of their paths.

        Args:
            is_read: Whether files that cannot be read are among it: those of a day are read for it once by this object,
                later only while some of them cannot be.
        """
        found: list[Refused] = []
        days: set[date] = set()
        for feed in Feed:
            names, refused = _judge(feed, self._storage.list_plain(feed.value))
            found += refused
            days |= names.keys()
        for day in sorted(days) if is_read else ():
            if day not in self._versions:
                self.version(day)
            found += self._unreadable.get(day, [])
        return sorted(found, key=lambda one: (one.path, one.why))

    def digest(self, day: date) -> str:
        """Return another one than before if a file landed on ``day``, or was replaced; nothing is read for it."""
        digest = hashlib.md5(usedforsecurity=False)
        for feed in Feed:
            for name in self.list_files(feed, day):
                with contextlib.suppress(FileNotFoundError):  # it was taken away in this moment
                    digest.update(f"{feed}/{name} {self._storage.stamp(_path(feed, day, name))}\n".encode())
        return digest.hexdigest()

    def version(self, day: date) -> str:
        """Return the version of what landed on ``day``, by content, as ingestion records it; read only if it changed.

        Where nothing can be read it is ``unreadable``: who looks at all days goes on, who ingests the day says why.
        """
        try:
            return self._read_version(day)
        except OSError:
            return UNREADABLE

    def _read_version(self, day: date) -> str:
        stamps = self.digest(day)
        if self._versions.get(day, ("", ""))[0] != stamps:
            taken = self.take_day(day)
            if day in self._unreadable:  # nothing tells when it can be read: so it is tried again each time
                self._versions.pop(day, None)
                return digest_files(taken.files)
            self._versions[day] = stamps, digest_files(taken.files)
        return self._versions[day][1]

    def _list(self, feed: Feed, day: date) -> tuple[list[str], list[Refused]]:
        """The names of the files of a day, in order, and what is none."""
        names, refused = _judge(feed, self._storage.list_plain(f"{feed.value}/{day.isoformat()}"))
        return sorted(names.get(day, [])), refused

    def land(self, feed: Feed, day: date, name: str, content: bytes, *, replace: bool = False) -> bool:
        """Put a file into the landing zone, wholly or not at all; False where it was there with the same content.

        Args:
            feed: What it delivers.
            day: The day of arrival.
            name: Its name; what is hidden or unfinished by its name would never be read.
            content: Its bytes.
            replace: Whether a file of this name with other content may be replaced.

        Raises:
            LandedDifferentlyError: There is a file of this name with other content, and ``replace`` is not set.
            ValueError: The name is hidden, unfinished, or no plain file name, or the day cannot be.
            OSError: Something that is no file has this name.
        """
        if not _can_be(day):
            raise ValueError(f"landing {feed.value} of {day}: {_IMPOSSIBLE_DAY}")
        if "/" in name or not is_complete(name) or find_name_fault(name) is not None:
            fault = find_name_fault(name) or "hidden and unfinished ones are never read"
            found = f"found {show_name(name)!r}; {fault}"
            raise ValueError(f"landing {feed.value} of {day}: expected a plain, visible file name, {found}")
        path = _path(feed, day, name)
        if self._storage.create(path, content):
            return True
        if self._storage.read_plain(path) == content:
            return False
        if not replace:
            raise LandedDifferentlyError(
                f"{path} has landed with other content; nothing was written: use another name, or replace it on purpose"
            )
        self._storage.write(path, content)
        return True


def _path(feed: Feed, day: date, name: str) -> str:
    return f"{feed.value}/{day.isoformat()}/{name}"


def _judge(feed: Feed, listing: Listing) -> tuple[dict[date, list[str]], list[Refused]]:
    """The names of files by day, and what is refused, of what lies in the folder of a feed or of one of its days."""
    names: dict[date, list[str]] = {}
    refused: list[Refused] = []
    parents: set[str] = set()
    flat: list[date] = []  # files that are called after a day
    for path in listing.files:
        day, name = _split(feed, path)
        if day is not None and not name:
            flat.append(day)
            continue
        if not is_complete(name):
            continue
        if day is None:
            refused.append(Refused(feed, day, name, find_name_fault(name) or _explain_no_day(name)))
            continue
        fault = find_name_fault(name)
        if fault is not None:
            refused.append(Refused(feed, day, name, fault))
            continue
        names.setdefault(day, []).append(name)
        if "/" in name:
            parents |= {path[: -len(name) + end] for end in range(len(name)) if name[end] == "/"}
    for path, other in listing.others.items():
        day, name = _split(feed, path)
        if not name or is_complete(name):
            why = other.why if name else other.why.replace("expected a file", "expected a folder")
            refused.append(Refused(feed, day, name, why, other.error))
    for path in listing.folders:
        day, name = _split(feed, path)
        if find_format(name) in FORMATS and path not in parents and is_complete(name):
            refused.append(Refused(feed, day, name, "a folder without files, expected a file"))
    # In a bucket, an empty object may stand for the folder itself, beside the files in it.
    refused += [Refused(feed, day, "", "a file, expected a folder") for day in flat if day not in names]
    return names, refused


def _split(feed: Feed, path: str) -> tuple[date | None, str]:
    """The day of what lies below the folder of a feed, and its name below that; where there is no day, below the feed.

    The name of the folder of a day itself is empty.
    """
    below = path[len(feed.value) + 1 :]
    folder, _, name = below.partition("/")
    day = _parse_day(folder)
    if day is None or not _can_be(day):
        return None, below
    return day, name


def _can_be(day: date) -> bool:
    """Whether payments can land on it: what is far beyond is a mistake, and cannot even be reckoned with."""
    return _FIRST_YEAR <= day.year <= _LAST_YEAR


def _explain_no_day(below: str) -> str:
    return _NO_DAY if _parse_day(below.partition("/")[0]) is None else _IMPOSSIBLE_DAY


def is_complete(name: str) -> bool:
    """Return whether a file of this name (or path below its day) has landed: it is neither hidden nor unfinished."""
    is_visible = not any(part.startswith(_HIDDEN_PREFIXES) for part in name.split("/"))
    return bool(name) and is_visible and not name.lower().endswith(_UNFINISHED_SUFFIXES)


def _parse_day(folder: str) -> date | None:
    try:
        day = date.fromisoformat(folder)
    except ValueError:
        return None
    return day if day.isoformat() == folder else None
