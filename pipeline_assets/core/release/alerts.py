"""What people have to know of the release: that the champion is away or weak, and who came and who went."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.release.entries import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.states import State, read_state
from pipeline_assets.core.release.watch import Accuracy

LOG_ALERT_PREFIX: Final = "release/log/"  # the alerts that follow from the log alone
WEAK_ALERT_PREFIX: Final = "release/weak/"
TAMPERED_ALERT: Final = "release/tampered"
_NEWS: Final = timedelta(days=3)  # how long a change is told; and a log that ends before it says nothing of now


def list_alerts(entries: Sequence[ReleaseEntry], now: datetime) -> list[Alert] | None:
    """The alerts that stand at ``now`` by the log; None where it ends so long ago that it says nothing of now.

    A champion that has failed over stands until another decision ends that; a promotion and a rollback for three days.
    """
    in_force = _list_in_force(entries, now)
    if not in_force or now - in_force[-1].effective_from > _NEWS:
        return None
    return [*_tell_absence(in_force), *_tell_changes(in_force, now)]


def describe_weakness(accuracy: Accuracy, backup: str | None, now: datetime) -> Alert:
    """The alert that the champion is weak and that nothing can take its place."""
    behind = f"its backup {backup} is not clearly better" if backup else "it has no backup"
    return Alert(
        key=f"{WEAK_ALERT_PREFIX}{accuracy.champion}",
        what=f"average precision of {accuracy.champion} is {accuracy.found:.3f} on {accuracy.n_frauds:.0f} frauds of "
        f"{accuracy.n_days} days, {accuracy.drop:.3f} below that of its evaluation; {behind}",
        where=f"model {accuracy.champion}",
        since=now,
        next_step="look at drift and performance for what has changed, then train on it: pipeline-assets train",
        level=Level.WARN,
    )


def describe_tampering(problem: str, now: datetime) -> Alert:
    """The alert that the release log is not as it was written, so that nothing is decided from it."""
    return Alert(
        key=TAMPERED_ALERT,
        what=problem,
        where="the release log",
        since=now,
        next_step="see pipeline-assets release log; no day is released or scored until the log is restored",
        level=Level.ERROR,
    )


def _list_in_force(entries: Sequence[ReleaseEntry], now: datetime) -> list[ReleaseEntry]:
    """The entries that were in force up to ``now``, in order."""
    times = sorted({entry.effective_from for entry in entries if entry.effective_from <= now})
    return [entry for time in times if (entry := find_entry_in_force(entries, time)) is not None]


def _tell_absence(in_force: Sequence[ReleaseEntry]) -> Iterator[Alert]:
    last = in_force[-1]
    if not last.is_failed_over or last.champion is None:
        return
    first = last
    for entry in reversed(in_force):
        if (entry.champion, entry.failed_over_since) != (last.champion, last.failed_over_since):
            break
        first = entry
    yield Alert(
        key=f"{LOG_ALERT_PREFIX}failed_over/{last.champion}",
        what=f"{last.backup or 'the rules'} in the place of {last.champion}: {_tell_reason(first)}",
        where=_locate(first),
        since=first.effective_from,
        next_step="look at model_health and drift; it takes over again by itself when it was well for long enough; to "
        f"let it decide at once: pipeline-assets release promote {last.champion} --because …",
        level=Level.WARN if last.backup else Level.ERROR,
    )


def _tell_changes(in_force: Sequence[ReleaseEntry], now: datetime) -> Iterator[Alert]:
    for before, entry in pairwise([None, *in_force]):
        if entry is None or now - entry.effective_from > _NEWS:
            continue
        was, state = read_state(before), read_state(entry)
        if entry.action is ReleaseAction.ROLL_BACK:
            for model in sorted(_list_models(was) - _list_models(state)):
                step = f"look at its card and at model_health; in force is {state.champion or 'none: the rules decide'}"
                yield _tell_change("rolled_back", f"{model} was rolled back", model, entry, step)
        elif entry.action is ReleaseAction.PROMOTE and state.champion != was.champion:
            step = f"nothing; to take it back: pipeline-assets release rollback {state.champion} --because …"
            yield _tell_change("promoted", f"{state.champion} is champion", f"{state.champion}", entry, step)


def _tell_change(kind: str, what: str, model: str, entry: ReleaseEntry, next_step: str) -> Alert:
    what = f"{what}: {_tell_reason(entry)}"
    key = f"{LOG_ALERT_PREFIX}{kind}/{model}"
    return Alert(key, what, _locate(entry), entry.effective_from, next_step, Level.WARN)


def _tell_reason(entry: ReleaseEntry) -> str:
    return f"{entry.reason}{' (by a person)' if entry.decided_by is DecidedBy.PERSON else ''}"


def _locate(entry: ReleaseEntry) -> str:
    return f"entry {entry.sequence} of the release log"


def _list_models(state: State) -> set[str]:
    return {model for model in (state.champion, state.backup, state.shadow, state.canary) if model}
