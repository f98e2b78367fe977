"""The ledger of alerts in storage: what is open, what was, and which channel has been told.

Layout: ``<key>/<number>.<event>.<mark>``. The number counts the times that the condition held, from 1 on; the events
are ``opened`` and ``resolved``, each with one message. The marks are::

    json                   the incident as it was then; who creates it has opened or resolved it
    <channel>.<attempt>    somebody tries to tell the channel, since the time that is the content
    <channel>.done         the channel has been told, or has refused for good
    settled.<time>         nothing is left to do for the message

Every object is created once and never changed, so that of processes at once one wins, whatever is interrupted where.
Only pruning deletes, and only what is over.
"""

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Final

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.alerting import (
    MAX_ATTEMPTS,
    Alert,
    Incident,
    IncidentError,
    find_next_attempt,
    name_key,
    read_incident,
)

KEPT_INCIDENTS: Final = 500  # that are over; every delivery lists them all
_LOG: Final = logging.getLogger(__name__)
_OPENED: Final = "opened"
_RESOLVED: Final = "resolved"
_PATH: Final = re.compile(
    rf"(?P<incident>[^/]+/\d+)\.(?P<event>{_OPENED}|{_RESOLVED})\."
    r"((?P<record>json)|settled\.(?P<settled>\w+)|(?P<channel>[0-9a-f]+)\.((?P<attempt>\d+)|done))"
)


class Turn(Enum):
    """Whether it is our turn to tell a channel."""

    OURS = auto()  # now, and nobody else's
    LATER = auto()  # somebody else is at it, or it was tried too recently
    OVER = auto()  # it was tried often enough


@dataclass
class _Event:
    """What is known of one message from the names of its objects."""

    has_record: bool = False
    settled_at: str = ""
    attempts: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Pending:
    """A message that is not settled.

    Attributes:
        path: Where its objects are, without their marks.
        incident: What it is about, as it was then.
        attempts: How often each channel was tried.
        done: The channels that have been told, or have refused for good.
    """

    path: str
    incident: Incident
    attempts: Mapping[str, int]
    done: frozenset[str]


class Ledger:
    """The ledger below one storage root. Its methods raise what the storage raises."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing but the ledger."""
        self._storage = storage
        self.root = storage.root

    def open(self, alert: Alert, now: datetime) -> Incident | None:
        """Record that a condition began; None where it was open before, or somebody else was quicker."""
        name = name_key(alert.key)
        last, is_open = self._find_last(name)
        if is_open:
            return None
        number = int(last.rpartition("/")[2] or 0) + 1
        incident = Incident(alert, now)
        created = self._storage.create(f"{name}/{number:06d}.{_OPENED}.json", incident.to_bytes())
        return incident if created else None

    def resolve(self, key: str, how: str, now: datetime) -> Incident | None:
        """Record that a condition is over; None where it was not open, or somebody else was quicker.

        Raises:
            IncidentError: The record of its opening was damaged.
        """
        last, is_open = self._find_last(name_key(key))
        if not is_open:
            return None
        path = f"{last}.{_OPENED}.json"
        try:
            opened = read_incident(self._storage.read(path))
        except IncidentError as error:
            raise IncidentError(f"{path}: {error}; delete it, which resolves the alert") from error
        incident = dataclasses.replace(opened, resolved_at=now, how=how)
        created = self._storage.create(f"{last}.{_RESOLVED}.json", incident.to_bytes())
        return incident if created else None

    def list_incidents(self) -> list[Incident]:
        """All that are open and the last that are over, in the order of their opening; a damaged one is left out."""
        paths = (
            f"{incident}.{_OPENED if _is_open(events) else _RESOLVED}.json"
            for incident, events in self._list("").items()
            if events[_OPENED].has_record
        )
        found = (self._read(path) for path in paths)
        return sorted(
            (one for one in found if one is not None), key=lambda incident: (incident.opened_at, incident.alert.key)
        )

    def find_pending(self, now: datetime, key: str | None = None) -> list[Pending]:
        """The messages that are not settled, of one key or of all; those of one key in the order of what they tell."""
        found = []
        for name, events in self._list(name_key(key) if key is not None else "").items():
            for kind, event in sorted(events.items()):
                if not event.has_record or event.settled_at:
                    continue
                path = f"{name}.{kind}"
                incident = self._read(f"{path}.json")
                if incident is None:
                    self.settle(path, now)
                else:
                    found.append(Pending(path, incident, event.attempts, frozenset(event.done)))
        return sorted(found, key=lambda pending: (pending.incident.opened_at, pending.path))

    def claim(self, pending: Pending, channel: str, now: datetime) -> Turn:
        """Ask whether it is our turn to tell a channel; where it is, nobody else's turn comes for a minute or more."""
        n_attempts = pending.attempts.get(channel, 0)
        if n_attempts:
            last = self._storage.read(_attempt(pending, channel, n_attempts)).decode()
            if now < find_next_attempt(datetime.fromisoformat(last), n_attempts):
                return Turn.LATER
        if n_attempts >= MAX_ATTEMPTS:
            return Turn.OVER
        created = self._storage.create(_attempt(pending, channel, n_attempts + 1), now.isoformat().encode())
        return Turn.OURS if created else Turn.LATER

    def finish(self, pending: Pending, channel: str) -> None:
        """Record that nothing is left to do for a channel."""
        self._storage.create(f"{pending.path}.{channel}.done", b"")

    def settle(self, path: str, now: datetime) -> None:
        """Record that nothing is left to do for the message at ``path``."""
        self._storage.create(f"{path}.settled.{now:%Y%m%dT%H%M%S}", b"")

    def prune(self) -> None:
        """Delete the oldest incidents that are over and settled, but for :data:`KEPT_INCIDENTS`."""
        known = self._list("")
        over = {
            incident: events[_RESOLVED].settled_at
            for incident, events in known.items()
            if not events[_OPENED].has_record  # its deletion was interrupted
            or (events[_OPENED].settled_at and events[_RESOLVED].settled_at)
        }
        oldest = sorted(over, key=lambda incident: (over[incident], incident))[: max(len(over) - KEPT_INCIDENTS, 0)]
        for incident in oldest:
            # In the order of the names the record of the opening goes first: nothing that was over is open again.
            for path in self._storage.list(incident.partition("/")[0]):
                if path.startswith(f"{incident}."):
                    self._storage.delete(path)

    def _find_last(self, name: str) -> tuple[str, bool]:
        """The last incident of a key, empty where there is none, and whether it is open."""
        known = self._list(name)
        last = max(known, default="")
        return last, bool(last) and _is_open(known[last])

    def _list(self, name: str) -> dict[str, dict[str, _Event]]:
        return _group(self._storage.list(name))

    def _read(self, path: str) -> Incident | None:
        try:
            return read_incident(self._storage.read(path))
        except FileNotFoundError:  # pruned since it was listed
            return None
        except IncidentError as error:
            _LOG.error("alert store %s: %s: %s; delete it", self.root, path, error)
            return None


def _group(paths: Iterable[str]) -> dict[str, dict[str, _Event]]:
    """What the names of the objects say, by incident and event."""
    known: dict[str, dict[str, _Event]] = {}
    for path in paths:
        found = _PATH.fullmatch(path)
        if found is None:
            continue
        events = known.setdefault(found["incident"], {_OPENED: _Event(), _RESOLVED: _Event()})
        event = events[found["event"]]
        if found["record"]:
            event.has_record = True
        elif found["settled"]:
            event.settled_at = found["settled"]
        elif found["attempt"]:
            event.attempts[found["channel"]] = max(event.attempts.get(found["channel"], 0), int(found["attempt"]))
        else:
            event.done.add(found["channel"])
    return known


def _is_open(events: Mapping[str, _Event]) -> bool:
    return events[_OPENED].has_record and not events[_RESOLVED].has_record


def _attempt(pending: Pending, channel: str, number: int) -> str:
    return f"{pending.path}.{channel}.{number:02d}"
