"""Alerts: conditions that a person has to know of, what is said when one begins and ends, and when to say it again."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.core.checks import Level

MAX_ATTEMPTS: Final = 30  # with the delays below: about a day, after which a message is dropped
_FIRST_DELAY: Final = timedelta(minutes=1)  # longer than any attempt that somebody still waits for
_LONGEST_DELAY: Final = timedelta(hours=1)
_TITLE_LENGTH: Final = 120  # characters; a longer one is cut by telephones
_TEXT_LENGTH: Final = 400  # characters; all texts together fit into the 2,000 that the smallest services take
_STRICT: Final = ConfigDict(extra="forbid")

UtcDatetime = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class IncidentError(ValueError):
    """The bytes of an incident's record are no such record."""


class Tone(StrEnum):
    """The tone of a message: services show it as a colour or a sign."""

    WARNING = "warning"
    FAILURE = "failure"
    SUCCESS = "success"


@validated(frozen=True, config=_STRICT)
class Alert:
    """A condition that a person has to know of; no values of cards or persons in its texts.

    Attributes:
        key: Names the condition, the same as long as it holds: ``failed/daily/2026-05-03``.
        what: What is wrong.
        where: The table, partition, model or file.
        since: From when on it was so, UTC.
        next_step: What the person should do.
        level: How bad it is.
    """

    key: Annotated[str, Field(min_length=1)]
    what: str
    where: str
    since: UtcDatetime
    next_step: str
    level: Level


@validated(frozen=True, config=_STRICT)
class Incident:
    """One time that an alert's condition held.

    Attributes:
        alert: What was known when it was opened.
        opened_at: When it was opened, UTC; the condition itself may be older.
        resolved_at: When it was over, UTC; None while it is not.
        how: How it came to be over.
    """

    alert: Alert
    opened_at: UtcDatetime
    resolved_at: UtcDatetime | None = None
    how: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the condition still holds."""
        return self.resolved_at is None

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same incident always gives the same bytes."""
        return json.dumps(_ADAPTER.dump_python(self, mode="json"), sort_keys=True, indent=1).encode() + b"\n"


_ADAPTER: Final = TypeAdapter(Incident)


@validated(frozen=True, config=_STRICT)
class Message:
    """What a channel is given to say."""

    title: str
    body: str
    tone: Tone


def read_incident(content: bytes) -> Incident:
    """The incident that :meth:`Incident.to_bytes` wrote.

    Raises:
        IncidentError: The bytes are no incident.
    """
    try:
        return _ADAPTER.validate_json(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise IncidentError(f"expected the record of an incident as JSON, found {found}") from error


def name_key(key: str) -> str:
    """A key as the name of a folder: readable, at most 89 characters, another one for each key."""
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9-]+', '_', key)[:80]}-{digest[:8]}"


def describe(incident: Incident) -> Message:
    """What is said of an incident: of an open one what, where, since when and what next; of a resolved one how."""
    alert = incident.alert
    if incident.resolved_at is None:
        title, tone = alert.level.name, Tone.FAILURE if alert.level is Level.ERROR else Tone.WARNING
        lines = {"What": alert.what, "Where": alert.where, "Since": _write(alert.since), "Next step": alert.next_step}
    else:
        title, tone = "RESOLVED", Tone.SUCCESS
        lasted = f"{_measure(incident.resolved_at - alert.since)}, from {_write(alert.since)}"
        lines = {
            "What it was": alert.what,
            "Where": alert.where,
            "How it was resolved": incident.how,
            "It lasted": f"{lasted} to {_write(incident.resolved_at)}",
        }
    lines["Alert"] = alert.key
    first_line = (alert.what.splitlines() or [""])[0]
    return Message(
        title=_shorten(f"{title}: {first_line}", _TITLE_LENGTH),
        body="\n".join(f"{name}: {_shorten(text, _TEXT_LENGTH)}" for name, text in lines.items()),
        tone=tone,
    )


def find_next_attempt(last: datetime, n_attempts: int) -> datetime:
    """When a message that a channel refused may be tried again: after 1, 2, 4 … minutes, at most an hour.

    Args:
        last: When it was tried last.
        n_attempts: How often it was tried so far, from 1 on.
    """
    delay: timedelta = _FIRST_DELAY * 2 ** min(n_attempts - 1, MAX_ATTEMPTS)
    return last + min(delay, _LONGEST_DELAY)


def _write(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _measure(duration: timedelta) -> str:
    seconds = max(int(duration.total_seconds()), 0)  # a clock that was set back gives less than nothing
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
