"""The release log in storage: one object an entry, added and never changed."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Final

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.release import ReleaseEntry, ReleaseEntryError, read_entry

_FOLDER: Final = "entries"
_MAX_ATTEMPTS: Final = 100  # each failed one means that another writer's entry went in


class ReleaseLogError(BadDataError):
    """The log was changed after it was written: an entry is missing, unreadable or not the one that the next names."""


class ReleaseLog:
    """The release log below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing but the log."""
        self._storage = storage
        self._read: dict[str, tuple[str, ReleaseEntry, str]] = {}  # what was read before: stamp, entry, hash
        self.root = storage.root

    def entries(self) -> list[ReleaseEntry]:
        """All entries in their order.

        Raises:
            ReleaseLogError: The log is not as it was written.
        """
        entries: list[ReleaseEntry] = []
        expected = ""
        for number, (path, stamp) in enumerate(sorted(self._storage.stamps(_FOLDER).items())):
            if path != _path(number):
                raise self._broken(f"expected {_path(number)}, found {path}: an entry was removed or is none")
            entry, md5 = self._read_entry(path, stamp)
            if (entry.sequence, entry.previous_md5) != (number, expected):
                raise self._broken(f"{path}: expected previous_md5 {expected!r}, found {entry.previous_md5!r}")
            entries.append(entry)
            expected = md5
        return entries

    def _read_entry(self, path: str, stamp: str) -> tuple[ReleaseEntry, str]:
        """An entry and the hash of its bytes; a file that has not changed is not read again."""
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            content = self._storage.read(path)
            try:
                known = stamp, read_entry(content), hashlib.md5(content, usedforsecurity=False).hexdigest()
            except ReleaseEntryError as error:
                raise self._broken(f"{path}: {error}") from error
            self._read[path] = known
        return known[1], known[2]

    def append(self, draft: ReleaseEntry) -> ReleaseEntry:
        """Add an entry, durable on return, and give it its place; of writers at once, each gets a place of its own.

        The decision that is already the latest of its ``as_of`` is not added again: the entry that has it is returned.

        Raises:
            ReleaseLogError: The log is not as it was written.
        """
        for _ in range(_MAX_ATTEMPTS):
            entries = self.entries()
            same = (entry for entry in reversed(entries) if entry.effective_from == draft.effective_from)
            latest = next(same, None)
            if latest is not None and latest.decision == draft.decision:
                return latest
            added = self.append_after(entries, draft)
            if added is not None:
                return added
        raise ReleaseLogError(f"release log {self.root}: {_MAX_ATTEMPTS} other writers came first; append again")

    def append_after(self, entries: Sequence[ReleaseEntry], draft: ReleaseEntry) -> ReleaseEntry | None:
        """Add an entry that was decided from ``entries``; None, and nothing is added, where there are others by now."""
        entry = dataclasses.replace(draft, sequence=len(entries), previous_md5=entries[-1].md5 if entries else "")
        return entry if self._storage.create(_path(entry.sequence), entry.to_bytes()) else None

    def _broken(self, what: str) -> ReleaseLogError:
        return ReleaseLogError(
            f"release log {self.root} was changed after it was written: {what}; restore the folder from a snapshot"
        )


def _path(sequence: int) -> str:
    return f"{_FOLDER}/{sequence:08d}.json"
