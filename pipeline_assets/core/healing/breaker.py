"""The breaker: who may be tried again and when, from what it remembers and what the instance says now.

It is the memory of a sensor that nobody watches, so every loop is bounded: each partition has a number of attempts,
few runs are out at a time, and when everything fails, nothing but a rare probe is asked for.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.healing.memory import WEEK_SECONDS, Attempts, Circuit, HealingState, Phase, forget_future

_STRICT: Final = ConfigDict(extra="forbid")
_JITTER_SHARE: Final = 0.2  # a wait is up to this share shorter: what failed together is not tried again together
# Dagster makes the run right after the tick that asked for it. Until then the partition looks as it did before.
_GRACE_TICKS: Final = 2
_GRACE: Final = timedelta(seconds=90)
_MAX_KEY_ALERTS: Final = 10  # above it, one alert stands for the further partitions
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
BREAKER_ALERT: Final = "healing/breaker"
SUMMARY_ALERT: Final = "healing/many_partitions"
KEY_ALERT_PREFIX: Final = "healing/partition/"


@validated(frozen=True, config=_STRICT)
class HealingParams:
    """How often, and after what wait, a partition that is not well is tried again without a person.

    Attributes:
        max_attempts: Requests for a partition with the same inputs, code and parameters.
        first_delay_seconds: Wait after the first of them failed; it doubles with each further one.
        max_delay_seconds: The longest such wait.
        failures_to_open: Failed attempts in a row, over all partitions, after which nothing is asked for.
        cool_down_seconds: How long; then one partition is tried. It doubles each time that this one fails, too.
        max_cool_down_seconds: The longest such wait.
        max_requests_a_tick: Requests of one tick, together with those whose outcome is still awaited.
    """

    max_attempts: int = Field(default=3, ge=1, le=20)
    first_delay_seconds: float = Field(default=60, ge=0, le=WEEK_SECONDS)
    max_delay_seconds: float = Field(default=3600, ge=0, le=WEEK_SECONDS)
    failures_to_open: int = Field(default=5, ge=1)
    cool_down_seconds: float = Field(default=900, ge=0, le=WEEK_SECONDS)
    max_cool_down_seconds: float = Field(default=4 * 3600, ge=0, le=WEEK_SECONDS)
    max_requests_a_tick: int = Field(default=7, ge=1)


class Status(StrEnum):
    """What the instance says of a partition that is not well."""

    FAILING = "failing"  # its latest run failed
    MISSING = "missing"  # it was never made
    IN_PROGRESS = "in_progress"  # a run that makes it is queued or going on


@dataclass(frozen=True)
class Candidate:
    """A partition that is not well.

    Attributes:
        key: Names the partition.
        status: What the instance says of it.
        fingerprint: Digest of what decides the outcome: inputs, code, parameters.
        permanent_reason: Why it would fail again with the same fingerprint; None where it is transient or not known.
    """

    key: str
    status: Status
    fingerprint: str
    permanent_reason: str | None = None


@dataclass(frozen=True)
class Decision:
    """What a tick does.

    Attributes:
        requests: Keys of the partitions to ask for, in the order of the candidates.
        state: For the next tick.
        opened: Alerts to open; none of them stands already.
        resolved: Keys of standing alerts that are over.
    """

    requests: tuple[str, ...]
    state: HealingState
    opened: tuple[Alert, ...]
    resolved: tuple[str, ...]


def decide(state: HealingState, candidates: Sequence[Candidate], now: datetime, params: HealingParams) -> Decision:
    """Whom to ask for at this tick.

    - Never a partition that is in progress or would fail again for a known reason; with one fingerprint none more
      than ``max_attempts`` times, and not before its wait since the last failure is over.
    - An attempt succeeded when its partition is no candidate any more, and failed when it is one that is not in
      progress (right after the request: once the run had time to be made).
    - After ``failures_to_open`` failures in a row none but one probe a cool-down, the partition that was tried least
      recently. Any partition that was tried and is well now closes the breaker, also one that a person made.
    - A state that starts anew only looks: a cursor that is lost at every tick must not become a loop.

    Args:
        state: Of the tick before.
        candidates: Every partition that is not well, each once, the first to be tried first. Those not among them are
            taken to be well.
        now: With time zone. It may jump: ahead, waits end early; backwards, they begin anew.
        params: See there.
    """
    state = forget_future(state, now)
    by_key = {candidate.key: candidate for candidate in candidates}
    attempts = {key: _observe(state.attempts.get(key), one, now, params) for key, one in by_key.items()}
    # A request that is settled although its partition is still a candidate has failed.
    failed = {
        key
        for key, before in state.attempts.items()
        if before.phase != Phase.SETTLED and key in attempts and attempts[key].phase == Phase.SETTLED
    }
    healed = {key for key, before in state.attempts.items() if before.requested_at is not None} - by_key.keys()
    circuit = _update_circuit(state.circuit, failed, bool(healed), now, params)
    requests: tuple[str, ...] = ()
    if state.ticked_at is not None:
        requests = _choose_requests(by_key, attempts, circuit, now, params)
    for key in requests:
        one = attempts[key]
        attempts[key] = replace(one, n_requests=one.n_requests + 1, phase=Phase.REQUESTED, n_ticks=0, requested_at=now)
    if circuit.opened_at is not None and requests:
        circuit = replace(circuit, probe=requests[0])
    after = HealingState(now, circuit, attempts, state.is_summarised)
    return _alert(state, after, requests, by_key, now, params)


def _observe(before: Attempts | None, candidate: Candidate, now: datetime, params: HealingParams) -> Attempts:
    """What is known of a partition after this tick's look at it."""
    one = before or Attempts(candidate.fingerprint)
    if one.fingerprint != candidate.fingerprint:  # a request that is out stays out: its run may still come
        one = replace(one, fingerprint=candidate.fingerprint, n_requests=0)
    if candidate.status == Status.IN_PROGRESS:
        return replace(one, phase=Phase.RUNNING) if one.phase == Phase.REQUESTED else one
    if one.phase != Phase.SETTLED:
        one = replace(one, n_ticks=one.n_ticks + 1)
        was_run = one.phase == Phase.RUNNING or candidate.permanent_reason is not None
        if was_run or (one.n_ticks > _GRACE_TICKS and now - (one.requested_at or _NEVER) >= _GRACE):
            one = replace(one, phase=Phase.SETTLED, failed_at=now)
    if not one.needs_person and _is_stuck(one, candidate, params):
        one = replace(one, needs_person=True)
    return one


def _is_stuck(one: Attempts, candidate: Candidate, params: HealingParams) -> bool:
    """Whether only a person, or another fingerprint, can move it."""
    if candidate.status == Status.IN_PROGRESS or one.phase != Phase.SETTLED:
        return False
    return candidate.permanent_reason is not None or one.n_requests >= params.max_attempts


def _update_circuit(
    circuit: Circuit, failed: set[str], has_healed: bool, now: datetime, params: HealingParams
) -> Circuit:
    if has_healed:  # whatever else failed at this tick: it is not everything that fails
        return Circuit()
    if circuit.opened_at is None:
        n_failures = circuit.n_failures + len(failed)
        if n_failures < params.failures_to_open:
            return Circuit(n_failures)
        return Circuit(n_failures, now, min(params.cool_down_seconds, params.max_cool_down_seconds))
    if circuit.probe in failed:
        cool_down = min(2 * circuit.cool_down_seconds, params.max_cool_down_seconds)
        return Circuit(circuit.n_failures, now, cool_down)
    return circuit


def _choose_requests(
    candidates: Mapping[str, Candidate],
    attempts: Mapping[str, Attempts],
    circuit: Circuit,
    now: datetime,
    params: HealingParams,
) -> tuple[str, ...]:
    allowed = [key for key, one in candidates.items() if _may_request(one, attempts[key], now, params)]
    if circuit.opened_at is not None:
        if circuit.probe is not None or now - circuit.opened_at < timedelta(seconds=circuit.cool_down_seconds):
            return ()
        return tuple(sorted(allowed, key=lambda key: attempts[key].requested_at or _NEVER)[:1])
    n_out = sum(one.phase != Phase.SETTLED for one in attempts.values())
    return tuple(allowed[: max(0, params.max_requests_a_tick - n_out)])


def _may_request(candidate: Candidate, one: Attempts, now: datetime, params: HealingParams) -> bool:
    if candidate.status == Status.IN_PROGRESS or one.phase != Phase.SETTLED or _is_stuck(one, candidate, params):
        return False
    return one.failed_at is None or now - one.failed_at >= _find_delay(candidate.key, one.n_requests, params)


def _find_delay(key: str, n_requests: int, params: HealingParams) -> timedelta:
    # With a new fingerprint the count is 0, but not the wait: a fingerprint that never stays the same is no loop.
    delay = min(params.first_delay_seconds * 2 ** max(0, n_requests - 1), params.max_delay_seconds)
    draw = int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest()[:4]) / 2**32
    return timedelta(seconds=delay * (1 - _JITTER_SHARE * draw))


def _alert(
    before: HealingState,
    after: HealingState,
    requests: Iterable[str],
    candidates: Mapping[str, Candidate],
    now: datetime,
    params: HealingParams,
) -> Decision:
    """The decision with its alerts.

    Up to ten partitions that need a person have an alert each. While there are more, one summary stands for those that
    have none yet; an alert that stands stays until its partition is well, so that alerts change with partitions only.
    """
    opened: list[Alert] = []
    resolved = [
        KEY_ALERT_PREFIX + key for key, one in before.attempts.items() if one.is_alerted and key not in candidates
    ]
    if after.circuit.opened_at is not None and before.circuit.opened_at is None:
        opened.append(_describe_breaker(after.circuit, now))
    if after.circuit.opened_at is None and before.circuit.opened_at is not None:
        resolved.append(BREAKER_ALERT)
    attempts = dict(after.attempts)
    n_needing = sum(one.needs_person for one in attempts.values())
    is_summarised = n_needing > _MAX_KEY_ALERTS
    if is_summarised and not before.is_summarised:
        opened.append(_describe_summary(n_needing, now))
    if before.is_summarised and not is_summarised:
        resolved.append(SUMMARY_ALERT)
    for key, one in attempts.items():
        if not is_summarised and not one.is_alerted and _is_stuck(one, candidates[key], params):
            opened.append(_describe_partition(candidates[key], one, now))
            attempts[key] = replace(one, is_alerted=True)
    kept = {key: one for key, one in attempts.items() if one.requested_at is not None or one.needs_person}
    state = replace(after, attempts=kept, is_summarised=is_summarised)
    return Decision(tuple(requests), state, tuple(opened), tuple(resolved))


def _describe_partition(candidate: Candidate, one: Attempts, now: datetime) -> Alert:
    if candidate.permanent_reason is not None:
        what = f"partition {candidate.key} would fail again: {candidate.permanent_reason}"
    else:
        what = (
            f"partition {candidate.key} was tried {one.n_requests} times with the same inputs, code and parameters "
            "and is still not made"
        )
    next_step = (
        "it is not tried again until one of those changes: read the error of its latest run, correct the data or the "
        "code, and materialize it"
    )
    return Alert(KEY_ALERT_PREFIX + candidate.key, what, candidate.key, now, next_step, Level.ERROR)


def _describe_summary(n_needing: int, now: datetime) -> Alert:
    what = f"{n_needing} partitions are not tried again by themselves; those above {_MAX_KEY_ALERTS} get no own alert"
    next_step = "list the failed and missing partitions in the Dagster UI and look for what their errors have in common"
    return Alert(SUMMARY_ALERT, what, "all partitions", now, next_step, Level.ERROR)


def _describe_breaker(circuit: Circuit, now: datetime) -> Alert:
    what = (
        f"{circuit.n_failures} attempts in a row failed: no partition is asked for but one after "
        f"{circuit.cool_down_seconds:.0f} s, and then ever more rarely, until one succeeds"
    )
    next_step = (
        "look for what the latest failed runs have in common (database, disk, network) and repair it; to go on at "
        "once, materialize one of those partitions"
    )
    return Alert(BREAKER_ALERT, what, "all partitions", now, next_step, Level.ERROR)
