"""The release log in storage: one object an entry, added and never changed."""

import dataclasses
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
        self.root = storage.root

    def entries(self) -> list[ReleaseEntry]:
        """All entries in their order.

        Raises:
            ReleaseLogError: The log is not as it was written.
        """
        entries: list[ReleaseEntry] = []
        for number, path in enumerate(self._storage.list(_FOLDER)):
            if path != _path(number):
                raise self._broken(f"expected {_path(number)}, found {path}: an entry was removed or is none")
            try:
                entry = read_entry(self._storage.read(path))
            except ReleaseEntryError as error:
                raise self._broken(f"{path}: {error}") from error
            expected = entries[-1].md5 if entries else ""
            if (entry.sequence, entry.previous_md5) != (number, expected):
                raise self._broken(f"{path}: expected previous_md5 {expected!r}, found {entry.previous_md5!r}")
            entries.append(entry)
        return entries

    def append(self, draft: ReleaseEntry) -> ReleaseEntry:
        """Add an entry, durable on return, and give it its place; of writers at once, each gets a place of its own.

        The decision that is already the latest of its ``as_of`` is not added again: the entry that has it is returned.

        Raises:
            ReleaseLogError: The log is not as it was written.
        """
        for _ in range(_MAX_ATTEMPTS):
            entries = self.entries()
            latest = next((entry for entry in reversed(entries) if entry.as_of == draft.as_of), None)
            if latest is not None and latest.decision == draft.decision:
                return latest
            entry = dataclasses.replace(draft, sequence=len(entries), previous_md5=entries[-1].md5 if entries else "")
            if self._storage.create(_path(entry.sequence), entry.to_bytes()):
                return entry
        raise ReleaseLogError(f"release log {self.root}: {_MAX_ATTEMPTS} other writers came first; append again")

    def _broken(self, what: str) -> ReleaseLogError:
        return ReleaseLogError(
            f"release log {self.root} was changed after it was written: {what}; restore the folder from a snapshot"
        )


def _path(sequence: int) -> str:
    return f"{_FOLDER}/{sequence:08d}.json"
