"""The landing zone: files as received, by feed and day of arrival. Nothing here is ever changed by the pipeline."""

import hashlib
from datetime import date
from typing import Final

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.ingestion import LandedFile, digest_files

# Writers that do not rename at the end of an upload use these names; Spark and Hadoop hide what begins so.
_HIDDEN_PREFIXES = (".", "_")
UNREADABLE: Final = "unreadable"  # the version of a day of which a file cannot be read now
_UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".filepart", ".crdownload")


class LandedDifferentlyError(BadDataError):
    """A file of this name, with other content, has landed already; nothing was written."""


class LandingZone:
    """The files at ``<feed>/<YYYY-MM-DD>/<name>`` below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, whose top-level folders are the feeds."""
        self._storage = storage
        self._versions: dict[date, tuple[str, str]] = {}  # by day: stamps, and the version that they had

    def list_files(self, feed: Feed, day: date) -> list[str]:
        """The names of the files that landed on ``day``, sorted; hidden and unfinished ones are left out."""
        prefix = f"{feed.value}/{day.isoformat()}/"
        names = (path.removeprefix(prefix) for path in self._storage.list(prefix.rstrip("/")))
        return sorted(name for name in names if is_complete(name))

    def list_days(self, feed: Feed) -> list[date]:
        """The days on which files of ``feed`` landed, in order; folders that are no ISO day are left out."""
        days = set()
        for path in self._storage.list(feed.value):
            folder, _, name = path.removeprefix(f"{feed.value}/").partition("/")
            day = _parse_day(folder)
            if day is not None and name and is_complete(name):
                days.add(day)
        return sorted(days)

    def read_file(self, feed: Feed, day: date, name: str) -> LandedFile:
        """One file.

        Raises:
            FileNotFoundError: It has not landed.
        """
        return LandedFile(name, self._storage.read(_path(feed, day, name)))

    def read_day(self, day: date) -> dict[Feed, list[LandedFile]]:
        """All files of a day, by feed; a feed without any has an empty list."""
        return {feed: [self.read_file(feed, day, name) for name in self.list_files(feed, day)] for feed in Feed}

    def digest(self, day: date) -> str:
        """Another one than before means that a file landed on ``day``, or was replaced; nothing is read for it."""
        digest = hashlib.md5(usedforsecurity=False)
        for feed in Feed:
            for name in self.list_files(feed, day):
                digest.update(f"{feed}/{name} {self._storage.stamp(_path(feed, day, name))}\n".encode())
        return digest.hexdigest()

    def version(self, day: date) -> str:
        """The version of what landed on ``day``, by content, as ingestion records it; read again only if it changed.

        Where a file cannot be read it is ``unreadable``: who looks at all days goes on, who ingests the day says why.
        """
        try:
            stamps = self.digest(day)
            if self._versions.get(day, ("", ""))[0] != stamps:
                self._versions[day] = (stamps, digest_files(self.read_day(day)))
        except OSError:
            return UNREADABLE
        return self._versions[day][1]

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
            ValueError: The name is hidden, unfinished, or no plain file name.
        """
        if "/" in name or not is_complete(name):
            raise ValueError(f"landing {feed.value} of {day}: expected a plain, visible file name, found {name!r}")
        path = _path(feed, day, name)
        if self._storage.create(path, content):
            return True
        if self._storage.read(path) == content:
            return False
        if not replace:
            raise LandedDifferentlyError(
                f"{path} has landed with other content; nothing was written: use another name, or replace it on purpose"
            )
        self._storage.write(path, content)
        return True


def _path(feed: Feed, day: date, name: str) -> str:
    return f"{feed.value}/{day.isoformat()}/{name}"


def is_complete(name: str) -> bool:
    """Whether a file of this name (or path below its day) has landed: it is neither hidden nor unfinished."""
    is_visible = not any(part.startswith(_HIDDEN_PREFIXES) for part in name.split("/"))
    return bool(name) and is_visible and not name.lower().endswith(_UNFINISHED_SUFFIXES)


def _parse_day(folder: str) -> date | None:
    try:
        day = date.fromisoformat(folder)
    except ValueError:
        return None
    return day if day.isoformat() == folder else None
