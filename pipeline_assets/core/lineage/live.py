"""Who decided at a moment, by the release log: the models and their shares of the traffic, and on which evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from pipeline_assets.contracts.vocabularies import DecidedBy, Rung
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.states import read_state


class Task(StrEnum):
    """What a model, or the rules, had to do."""

    DECIDES = "decides"  # for its share of the customers, as long as it can be loaded and answers
    IN_RESERVE = "in_reserve"  # where those above cannot
    SUSPENDED = "suspended"  # nothing, until the champion, which has failed over, is well again
    IN_SHADOW = "in_shadow"  # it scores everything and decides nothing


@dataclass(frozen=True)
class Duty:
    """What one of them had to do.

    Attributes:
        rung: Its rung of the ladder; None in shadow, where it has none.
        version: The model; None for the rules.
        share: Of the customers it decided for, 0 to 1.
        task: What it had to do.
        since: From when on it was that, without a break; None for always.
    """

    rung: Rung | None
    version: str | None
    share: float
    task: Task
    since: datetime | None


@dataclass(frozen=True)
class Live:
    """Who decided at a moment.

    Attributes:
        at: The moment.
        duties: In the order in which they were asked: canary, champion, backup, rules; then who was in shadow.
        entry: The entry in force; None before the first one.
        cause: The entry that made it so: those after it, up to the one in force, changed nothing.
        until: When the next entry came into force; None where there is none.
        replaced: Numbers of the entries for the same time that this one was put in the place of.
    """

    at: datetime
    duties: tuple[Duty, ...]
    entry: ReleaseEntry | None
    cause: ReleaseEntry | None
    until: datetime | None
    replaced: tuple[int, ...]


_Duty = tuple[Rung | None, str | None, float, Task]  # without since when
_RULES_ALONE: Final[_Duty] = (Rung.RULES, None, 1.0, Task.DECIDES)


def find_live(entries: Sequence[ReleaseEntry], at: datetime) -> Live:
    """Who decided at ``at``; before the first entry the rules did.

    It is what the log says now: an entry that was added later for an earlier time counts from that time on.
    """
    entry = find_entry_in_force(entries, at)
    until = min((one.effective_from for one in entries if one.effective_from > at), default=None)
    if entry is None:
        return Live(at, (Duty(*_RULES_ALONE, None),), None, None, until, ())
    same_time = (one for one in entries if one.effective_from == entry.effective_from)
    replaced = tuple(sorted(one.sequence for one in same_time if one.sequence < entry.sequence))
    past = _list_back(entries, entry)
    duties = tuple(Duty(*duty, _find_start(past, duty)) for duty in _list_duties(entry))
    return Live(at, duties, entry, _find_cause(past), until, replaced)


def _list_duties(entry: ReleaseEntry) -> list[_Duty]:
    """What an entry gives each to do, as the ladder of scoring asks them: the model, its share, and its task."""
    # Where the champion is away or there is none, the backup decides in its place, and without a backup the rules.
    has_champion = bool(entry.champion) and not entry.is_failed_over
    first = Rung.CHAMPION if has_champion else Rung.BACKUP if entry.backup else Rung.RULES
    canary_share = entry.canary_share if entry.canary and not entry.is_failed_over else 0.0
    shares = {Rung.CANARY: canary_share, first: 1 - canary_share}

    def give(rung: Rung, version: str | None) -> _Duty:
        share = shares.get(rung, 0.0)
        if entry.is_failed_over and rung in (Rung.CANARY, Rung.CHAMPION):
            return rung, version, share, Task.SUSPENDED
        return rung, version, share, Task.DECIDES if share else Task.IN_RESERVE

    models = ((Rung.CANARY, entry.canary), (Rung.CHAMPION, entry.champion), (Rung.BACKUP, entry.backup))
    shadow: list[_Duty] = [(None, entry.shadow, 0.0, Task.IN_SHADOW)] if entry.shadow else []
    return [*(give(rung, version) for rung, version in models if version), give(Rung.RULES, None), *shadow]


def _list_back(entries: Sequence[ReleaseEntry], entry: ReleaseEntry) -> list[ReleaseEntry]:
    """The entries that were in force, from ``entry`` backwards."""
    times = sorted({one.effective_from for one in entries if one.effective_from <= entry.effective_from}, reverse=True)
    return [one for time in times if (one := find_entry_in_force(entries, time)) is not None]


def _find_cause(past: Sequence[ReleaseEntry]) -> ReleaseEntry:
    """The first of the latest entries in force that all leave everybody what they have to do."""
    cause = past[0]
    for entry in past:
        if read_state(entry) != read_state(cause):
            break
        cause = entry
    return cause


def _find_start(past: Sequence[ReleaseEntry], duty: _Duty) -> datetime | None:
    """When one got what it has to do now; None for rules that are in reserve, or had decided on all since ever."""
    rung, _, share, _ = duty
    if rung is Rung.RULES and not share:
        return None
    start = past[0].effective_from
    for entry in past:
        if duty not in _list_duties(entry):
            return start
        start = entry.effective_from
    return None if duty == _RULES_ALONE else start


def describe_live(live: Live) -> dict[str, Any]:
    """The answer as JSON has it."""
    entry, cause = live.entry, live.cause
    return {
        "at": live.at.isoformat(),
        "since": entry.effective_from.isoformat() if entry else None,
        "until": live.until.isoformat() if live.until else None,
        "duties": [
            {
                "rung": str(duty.rung) if duty.rung else None,
                "version": duty.version,
                "share": duty.share,
                "task": str(duty.task),
                "since": duty.since.isoformat() if duty.since else None,
            }
            for duty in live.duties
        ],
        "failed_over_since": _write(entry.failed_over_since) if entry else None,
        "is_held": entry is not None and entry.is_held,
        "decided_by": str(entry.decided_by) if entry else None,
        "entry": {**entry.decision, "sequence": entry.sequence, "md5": entry.md5} if entry else None,
        "cause": {**cause.decision, "sequence": cause.sequence, "md5": cause.md5} if cause else None,
        "replaced_entries": list(live.replaced),
    }


def tell_live(live: Live) -> Iterator[str]:
    """The answer in lines for a person."""
    until = f"until {_tell(live.until)}" if live.until else "and nothing after it is in the log"
    if live.entry is None:
        yield f"At {_tell(live.at)}: before the first entry of the release log, {until}"
    else:
        yield f"At {_tell(live.at)}: in force from {_tell(live.entry.effective_from)} on, {until}"
    for duty in live.duties:
        yield f"  {duty.rung or 'shadow':9} {duty.version or '':26} {_tell_duty(duty)}".rstrip()
    if live.entry is not None:
        yield from _tell_entry(live, live.entry)


def _tell_entry(live: Live, entry: ReleaseEntry) -> Iterator[str]:
    if entry.failed_over_since:
        who = entry.backup or "the rules"
        yield f"Failed over since {entry.failed_over_since}: {who} in the place of {entry.champion}"
    if entry.is_held:
        yield "Held by a person: no trial begins, and none gets a greater share, by itself"
    yield f"Entry {entry.sequence} of the release log, md5 {entry.md5}"
    if live.replaced:
        yield f"  in the place of entry {', '.join(map(str, live.replaced))}, which was for the same time"
    yield f"Reason: {_tell_reason(entry)}"
    cause = live.cause
    if cause is not None and cause != entry:
        yield f"It is so by entry {cause.sequence}, from {_tell(cause.effective_from)} on: {_tell_reason(cause)}"
    for subject, metrics in entry.evidence.items():
        yield f"Evidence, {subject}:"
        yield from (f"  {name:28} {value:.6g}" for name, value in sorted(metrics.items()))


def _tell_reason(entry: ReleaseEntry) -> str:
    who = ", decided by a person" if entry.decided_by is DecidedBy.PERSON else ""
    return f"{entry.action}{who}: {entry.reason}"


def _tell_duty(duty: Duty) -> str:
    since = f", since {_tell(duty.since)}" if duty.since else ""
    match duty.task:
        case Task.DECIDES:
            return f"{duty.share:.4g} of the customers{since}" if duty.share < 1 else f"all customers{since}"
        case Task.IN_RESERVE:
            return f"in reserve: where those above cannot answer{since}"
        case Task.SUSPENDED:
            return f"decides nothing until the champion is well again{since}"
        case Task.IN_SHADOW:
            return f"scores in shadow and decides nothing{since}"


def _write(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _tell(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
