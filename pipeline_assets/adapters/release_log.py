"""The release log in storage: one object an entry, added and never changed.

Its middle is proved by the entries themselves: each names the hash of the one before. Its end is proved by who has seen
it, and where there is a key, all of it by signatures: see ``core/lineage/append_log.py``. Nobody decides from a log
that is not as it was written.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.lineage.append_log import (
    Contradiction,
    Keyring,
    Link,
    Proof,
    Verdict,
    Witness,
    list_contradictions,
)
from pipeline_assets.core.lineage.snapshots import LogHead
from pipeline_assets.core.release import ReleaseEntry, ReleaseEntryError, read_entry

_FOLDER: Final = "entries"
_NAME: Final = "release"  # what its signatures are for
_LOG: Final = logging.getLogger(__name__)
_MAX_ATTEMPTS: Final = 100  # each failed one means that another writer's entry went in


class ReleaseLogError(BadDataError):
    """The log is not as it was written: entries are missing, unreadable, replaced, or not signed where they must be."""


class Witnesses(Protocol):
    """Who has seen how far the log reached."""

    def keep(self, head: LogHead) -> None:
        """Be one that has seen ``head``, durable on return."""

    def list_near(self) -> Iterable[Witness]:
        """Those that every reader asks."""

    def list_all(self) -> Iterable[Witness]:
        """All of them."""


@dataclass(frozen=True)
class LogState:
    """A log whose entries follow each other, and what else is known of it.

    Attributes:
        entries: In order.
        head: How far it reaches.
        verdict: What the signatures say.
        contradictions: Who has seen another log, the furthest first.
        has_key: Whether there is a key, so that only a signed log is used.
    """

    entries: list[ReleaseEntry]
    head: LogHead
    verdict: Verdict
    contradictions: list[Contradiction]
    has_key: bool

    def find_problem(self) -> str:
        """Why nothing may be decided from it, with the next step; empty where it may."""
        if self.verdict.proof is Proof.FORGED:
            return f"{self.verdict}; somebody has changed it; {_tell_restore(self.contradictions)}"
        if self.contradictions:
            again = "; where no snapshot has them any more: pipeline-assets release confirm --because …"
            return f"{self.contradictions[0]}; {_tell_restore(self.contradictions)}{again}"
        if self.has_key and self.verdict.proof is not Proof.PROVED:
            return (
                f"{self.verdict}; with a key, only a signed log is used; look at them (pipeline-assets release log), "
                "then sign them: pipeline-assets release confirm --because …, or restore the log from a snapshot"
            )
        return ""


class ReleaseLog:
    """The release log below one storage root."""

    def __init__(
        self, storage: Storage, witnesses: Witnesses | None = None, read_keys: Callable[[], Keyring] = Keyring
    ) -> None:
        """Use ``storage``, which holds nothing but the log.

        Args:
            storage: Of the log.
            witnesses: Who has seen how far it reached; nobody by default.
            read_keys: Gives the keys that sign and verify it; none by default.
        """
        self._storage = storage
        self._witnesses = witnesses
        self._read_keys = read_keys
        self._read: dict[str, tuple[str, ReleaseEntry, str]] = {}  # what was read before: stamp, entry, hash
        self.root = storage.root

    def entries(self) -> list[ReleaseEntry]:
        """All entries in their order.

        Raises:
            ReleaseLogError: The log is not as it was written.
        """
        state = self.look()
        if problem := state.find_problem():
            raise ReleaseLogError(f"release log {self.root}: {problem}")
        return state.entries

    def look(self, others: Iterable[Witness] = ()) -> LogState:
        """The log and what is known of it, be it as it was written or not; ``others`` have seen it, too.

        Raises:
            ReleaseLogError: An entry is unreadable, or does not follow the one before it.
        """
        seen = [*others, *(self._witnesses.list_near() if self._witnesses else ())]  # before the log: it only grows
        entries, md5s = self._read_chain()
        given_up = [head for entry in entries for head in entry.given_up]
        contradictions = list_contradictions(md5s, seen, given_up)
        if contradictions and self._witnesses:  # which snapshots have what is missing
            contradictions = list_contradictions(md5s, [*seen, *self._witnesses.list_all()], given_up)
        keys = self._read_keys()
        contents = (entry.unsigned if keys else b"" for entry in entries)
        links = [Link(content, entry.signature) for content, entry in zip(contents, entries, strict=True)]
        verdict = keys.judge(_NAME, links)
        return LogState(entries, LogHead(len(md5s), md5s[-1] if md5s else ""), verdict, contradictions, bool(keys))

    def list_witnesses(self) -> list[Witness]:
        """Who in the data root itself has seen how far the log reached."""
        return list(self._witnesses.list_all()) if self._witnesses else []

    def find_head(self) -> LogHead:
        """How far the log reaches; where it is not as it was written, how far it is known to have reached."""
        try:
            state = self.look()
        except ReleaseLogError:
            near = self._witnesses.list_near() if self._witnesses else ()
            return max((one.head for one in near), key=lambda one: one.n_entries, default=LogHead(0, ""))
        return state.contradictions[0].witness.head if state.contradictions else state.head

    def _read_chain(self) -> tuple[list[ReleaseEntry], list[str]]:
        """All entries in their order and the hashes of their bytes."""
        entries: list[ReleaseEntry] = []
        md5s: list[str] = []
        expected = ""
        for number, (path, stamp) in enumerate(sorted(self._storage.stamps(_FOLDER).items())):
            if path != _path(number):
                raise self._broken(f"expected {_path(number)}, found {path}: an entry was removed or is none")
            entry, md5 = self._read_entry(path, stamp)
            if (entry.sequence, entry.previous_md5) != (number, expected):
                raise self._broken(f"{path}: expected previous_md5 {expected!r}, found {entry.previous_md5!r}")
            entries.append(entry)
            md5s.append(md5)
            expected = md5
        return entries, md5s

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

        Whoever appends records it: the record is the witness that the entry was there.

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
            added = self._add(entries, draft)
            if added is not None:
                return added
        raise ReleaseLogError(f"release log {self.root}: {_MAX_ATTEMPTS} other writers came first; append again")

    def append_after(self, entries: Sequence[ReleaseEntry], draft: ReleaseEntry) -> ReleaseEntry | None:
        """Add an entry that was decided from ``entries``; None, and nothing is added, where there are others by now.

        No record names it: its head is kept where it outlives the log's folder.
        """
        entry = self._add(entries, draft)
        if entry is not None and self._witnesses is not None:
            try:
                self._witnesses.keep(LogHead(entry.sequence + 1, entry.md5))
            except OSError as error:  # it is in force all the same
                _LOG.warning(
                    "release log %s: entry %d is in force, but until the next daily decision or snapshot nobody else "
                    "knows of it: its head could not be written: %s", self.root, entry.sequence, error,
                )  # fmt: skip
        return entry

    def _add(self, entries: Sequence[ReleaseEntry], draft: ReleaseEntry) -> ReleaseEntry | None:
        entry = dataclasses.replace(
            draft, sequence=len(entries), previous_md5=entries[-1].md5 if entries else "", signature=""
        )
        if keys := self._read_keys():
            contents = (one.unsigned for one in (*entries, entry))
            entry = dataclasses.replace(entry, signature=keys.sign(_NAME, contents))
        return entry if self._storage.create(_path(entry.sequence), entry.to_bytes()) else None

    def confirm(self, draft: ReleaseEntry, others: Iterable[Witness] = ()) -> ReleaseEntry:
        """Add the entry of a person who goes on with the log as it is: what is lost is given up, all of it is signed.

        Raises:
            ReleaseLogError: An entry is forged or does not follow the one before it: that can only be restored.
        """
        others = list(others)
        for _ in range(_MAX_ATTEMPTS):
            state = self.look(others)
            if state.verdict.proof is Proof.FORGED:
                raise ReleaseLogError(f"release log {self.root}: {state.find_problem()}")
            given_up = tuple(one.witness.head for one in state.contradictions)
            added = self.append_after(state.entries, dataclasses.replace(draft, given_up=given_up))
            if added is not None:
                return added
        raise ReleaseLogError(f"release log {self.root}: {_MAX_ATTEMPTS} other writers came first; confirm again")

    def _broken(self, what: str) -> ReleaseLogError:
        return ReleaseLogError(
            f"release log {self.root} was changed after it was written: {what}; restore the folder from a snapshot: "
            "pipeline-assets restore release"
        )


def _tell_restore(contradictions: Sequence[Contradiction]) -> str:
    """How to bring back what was there: from the snapshot that has seen the most."""
    snapshots = [one.witness.snapshot for one in contradictions if one.witness.snapshot is not None]
    as_of = f" --as-of {snapshots[0]}" if snapshots else ""
    return f"restore it from a snapshot: pipeline-assets restore release{as_of}"


def _path(sequence: int) -> str:
    return f"{_FOLDER}/{sequence:08d}.json"
