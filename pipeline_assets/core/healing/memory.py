"""What healing remembers from one tick of its sensor to the next, and the cursor that carries it."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

_STRICT: Final = ConfigDict(extra="forbid")
WEEK_SECONDS: Final = 7 * 24 * 3600  # no wait is longer


class Phase(StrEnum):
    """Where the latest request for a partition stands."""

    SETTLED = "settled"  # there is none, or it failed
    REQUESTED = "requested"  # its run has not been seen yet
    RUNNING = "running"


@validated(frozen=True, config=_STRICT)
class Attempts:
    """What is remembered of a partition that is not well.

    Attributes:
        fingerprint: As it was last.
        n_requests: Requests with this fingerprint.
        phase: Where the latest request stands.
        n_ticks: Ticks that have shown no run since the latest request.
        requested_at: When that was, with whatever fingerprint.
        failed_at: When an attempt was last seen to have failed.
        needs_person: Whether it was permanent, or used up its attempts, since it was last well.
        is_alerted: Whether it has an alert of its own.
    """

    fingerprint: str
    n_requests: int = Field(default=0, ge=0)
    phase: Phase = Phase.SETTLED
    n_ticks: int = Field(default=0, ge=0)
    requested_at: AwareDatetime | None = None
    failed_at: AwareDatetime | None = None
    needs_person: bool = False
    is_alerted: bool = False


@validated(frozen=True, config=_STRICT)
class Circuit:
    """Whether anything is asked for: closed where ``opened_at`` is None, else open until a probe succeeds.

    Attributes:
        n_failures: Failed attempts in a row while closed.
        opened_at: When it opened, or a probe last failed.
        cool_down_seconds: Wait from then to the next probe.
        probe: The partition whose outcome decides, while that is awaited.
    """

    n_failures: int = Field(default=0, ge=0)
    opened_at: AwareDatetime | None = None
    cool_down_seconds: float = Field(default=0, ge=0, le=WEEK_SECONDS)
    probe: str | None = None


@validated(frozen=True, config=_STRICT)
class HealingState:
    """What one tick leaves to the next; no larger than the partitions that are not well."""

    ticked_at: AwareDatetime | None = None
    circuit: Circuit = Field(default_factory=Circuit)
    attempts: dict[str, Attempts] = Field(default_factory=dict)
    is_summarised: bool = False

    def to_cursor(self) -> str:
        """JSON that :func:`read_state` reads."""
        return _ADAPTER.dump_json(self, exclude_defaults=True).decode()


_ADAPTER: Final = TypeAdapter(HealingState)


def read_state(cursor: str | None) -> HealingState:
    """What :meth:`HealingState.to_cursor` wrote; where that cannot be read, a state that starts anew."""
    try:
        return _ADAPTER.validate_json(cursor or "{}")
    except ValidationError:
        return HealingState()


def forget_future(state: HealingState, now: datetime) -> HealingState:
    """The state as if nothing in it had happened after ``now``: a clock set back must not make a wait endless."""
    if state.ticked_at is None or state.ticked_at <= now:  # no other moment in a state is later than its tick
        return state

    def limit(moment: datetime | None) -> datetime | None:
        return None if moment is None else min(moment, now)

    attempts = {
        key: replace(one, requested_at=limit(one.requested_at), failed_at=limit(one.failed_at))
        for key, one in state.attempts.items()
    }
    circuit = replace(state.circuit, opened_at=limit(state.circuit.opened_at))
    return replace(state, ticked_at=now, circuit=circuit, attempts=attempts)
