"""Who decided at a moment, by the release log: the models and their shares of the traffic, and on which evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline_assets.contracts.vocabularies import Rung
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force


@dataclass(frozen=True)
class Duty:
    """What one rung of the ladder had to do.

    Attributes:
        rung: Which one.
        version: The model; None for the rules.
        share: Of the customers it decided for, 0 to 1, as long as it could be loaded; 0 for those in reserve.
        since: From when on it was that, without a break; None for always.
    """

    rung: Rung
    version: str | None
    share: float
    since: datetime | None


@dataclass(frozen=True)
class Live:
    """Who decided at a moment.

    Attributes:
        at: The moment.
        duties: In the order in which they were asked: canary, champion, backup, rules.
        entry: The entry in force; None before the first one.
        until: When the next entry came into force; None where there is none.
        replaced: Numbers of the entries for the same time that this one was put in the place of.
    """

    at: datetime
    duties: tuple[Duty, ...]
    entry: ReleaseEntry | None
    until: datetime | None
    replaced: tuple[int, ...]


def find_live(entries: Sequence[ReleaseEntry], at: datetime) -> Live:
    """Who decided at ``at``; before the first entry the rules did.

    It is what the log says now: an entry that was added later for an earlier time counts from that time on.
    """
    entry = find_entry_in_force(entries, at)
    until = min((one.effective_from for one in entries if one.effective_from > at), default=None)
    if entry is None:
        return Live(at, (Duty(Rung.RULES, None, 1.0, None),), None, until, ())
    same_time = (one for one in entries if one.effective_from == entry.effective_from)
    replaced = tuple(sorted(one.sequence for one in same_time if one.sequence < entry.sequence))
    past = _list_back(entries, entry)
    duties = tuple(Duty(*task, _find_start(past, task)) for task in _list_tasks(entry))
    return Live(at, duties, entry, until, replaced)


def _list_tasks(entry: ReleaseEntry) -> list[tuple[Rung, str | None, float]]:
    """What an entry gives each rung to do, as the ladder of scoring asks them: its model, and its share."""
    canary_share = entry.canary_share if entry.canary else 0.0
    # Where there is no champion, the backup decides in its place, and where there is none either, the rules.
    first = Rung.CHAMPION if entry.champion else Rung.BACKUP if entry.backup else Rung.RULES
    shares = {Rung.CANARY: canary_share, first: 1 - canary_share}
    models = ((Rung.CANARY, entry.canary), (Rung.CHAMPION, entry.champion), (Rung.BACKUP, entry.backup))
    return [
        *((rung, version, shares.get(rung, 0.0)) for rung, version in models if version),
        (Rung.RULES, None, shares.get(Rung.RULES, 0.0)),
    ]


def _list_back(entries: Sequence[ReleaseEntry], entry: ReleaseEntry) -> list[ReleaseEntry]:
    """The entries that were in force, from ``entry`` backwards."""
    times = sorted({one.effective_from for one in entries if one.effective_from <= entry.effective_from}, reverse=True)
    return [one for time in times if (one := find_entry_in_force(entries, time)) is not None]


def _find_start(past: Sequence[ReleaseEntry], task: tuple[Rung, str | None, float]) -> datetime | None:
    """When a rung got what it has to do now; None for rules that are in reserve, or had decided on all since ever."""
    rung, _, share = task
    if rung is Rung.RULES and not share:
        return None
    start = past[0].effective_from
    for entry in past:
        if task not in _list_tasks(entry):
            return start
        start = entry.effective_from
    return None if rung is Rung.RULES and share == 1 else start


def describe_live(live: Live) -> dict[str, Any]:
    """The answer as JSON has it."""
    entry = live.entry
    return {
        "at": live.at.isoformat(),
        "since": entry.effective_from.isoformat() if entry else None,
        "until": live.until.isoformat() if live.until else None,
        "duties": [
            {
                "rung": str(duty.rung),
                "version": duty.version,
                "share": duty.share,
                "since": duty.since.isoformat() if duty.since else None,
            }
            for duty in live.duties
        ],
        "entry": {**entry.decision, "sequence": entry.sequence, "md5": entry.md5} if entry else None,
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
        yield f"  {duty.rung:9} {duty.version or '':26} {_tell_duty(duty)}".rstrip()
    if live.entry is None:
        return
    yield f"Entry {live.entry.sequence} of the release log, md5 {live.entry.md5}"
    if live.replaced:
        yield f"  in the place of entry {', '.join(map(str, live.replaced))}, which was for the same time"
    yield f"Reason: {live.entry.action}: {live.entry.reason}"
    for subject, metrics in live.entry.evidence.items():
        yield f"Evidence, {subject}:"
        yield from (f"  {name:28} {value:.6g}" for name, value in sorted(metrics.items()))


def _tell_duty(duty: Duty) -> str:
    since = f", since {_tell(duty.since)}" if duty.since else ""
    if duty.share:
        return f"{duty.share:.4g} of the customers{since}" if duty.share < 1 else f"all customers{since}"
    return f"in reserve: where those above cannot be loaded{since}"


def _tell(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
