"""The latch: a partition that failed a blocking check stays held, for later runs as well, until it is good again.

Layout: ``<asset>/<YYYY-MM-DD>.json``, the present state with all that led to it. A partition is let go when the check
passes (it was repaired), or by a person who says why; that release is for the bytes that were held and for no others.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.lineage.records import Key


class PartitionHeldError(BadDataError):
    """A partition that is needed failed a blocking check and is held."""


class HoldError(ValueError):
    """What was asked of a hold cannot be done."""


@dataclass(frozen=True)
class HoldEvent:
    """One thing that happened to a hold: held, released (by a person) or repaired (the check passed)."""

    what: str
    at: datetime
    check: str
    version: str
    because: str


@dataclass(frozen=True)
class Hold:
    """A partition that is or was held.

    Attributes:
        key: Which.
        checks: The blocking checks that its present bytes failed, with what they found; empty when it is let go.
        events: All that happened to it, oldest first.
    """

    key: Key
    checks: Mapping[str, str]
    events: tuple[HoldEvent, ...]

    @property
    def is_held(self) -> bool:
        """Whether readers have to go without it."""
        return bool(self.checks)

    @property
    def since(self) -> datetime:
        """When it was held last."""
        return max(event.at for event in self.events if event.what == _HELD)


_SUFFIX: Final = ".json"
_HELD: Final = "held"
_RELEASED: Final = "released"
_REPAIRED: Final = "repaired"
_UNREADABLE: Final = "unreadable"  # stands for the checks of a hold whose state was damaged
_UNKNOWN_TIME: Final = datetime.fromtimestamp(0, UTC)
_EVENTS: Final = TypeAdapter(tuple[HoldEvent, ...])


class Holds:
    """The holds below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing but holds."""
        self._storage = storage

    def find(self, key: Key) -> Hold | None:
        """What is known of a partition; None where it was never held.

        Where that was damaged nobody can say whether the partition may be used: it is held until a person says so.
        """
        try:
            content = self._storage.read(_path(key))
        except FileNotFoundError:
            return None
        try:
            values = json.loads(content)
            return Hold(key, dict(values["checks"]), _EVENTS.validate_python(values["events"]))
        except (ValueError, KeyError, TypeError, ValidationError):
            found = f"the state of its hold is damaged: expected JSON, found {content[:40]!r}"
            return Hold(key, {_UNREADABLE: found}, (HoldEvent(_HELD, _UNKNOWN_TIME, _UNREADABLE, "", found),))

    def list_held(self, asset: str = "") -> list[Hold]:
        """All that is held, of one asset or of all, in order."""
        holds = (self.find(_key(path)) for path in self._storage.list(asset) if path.endswith(_SUFFIX))
        return [hold for hold in holds if hold is not None and hold.is_held]

    def held_days(self, asset: str) -> set[date]:
        """The partitions of an asset that are held."""
        return {hold.key.day for hold in self.list_held(asset)}

    def hold(self, key: Key, check: str, explanation: str, version: str, now: datetime) -> bool:
        """Hold a partition whose bytes have ``version``; False where a person released just these bytes.

        Args:
            key: Which.
            check: The blocking check that failed.
            explanation: What it found.
            version: Hash of the bytes that it looked at.
            now: The time, UTC.
        """
        hold = self.find(key) or Hold(key, {}, ())
        last = [event for event in hold.events if event.check == check][-1:]
        if last and last[0].what == _RELEASED and last[0].version == version:
            return False
        if hold.checks.get(check) != explanation or last[0].version != version:
            self._put(hold, {**hold.checks, check: explanation}, HoldEvent(_HELD, now, check, version, explanation))
        return True

    def repair(self, key: Key, check: str, version: str, now: datetime) -> bool:
        """Let a partition go as far as ``check`` is concerned, which passed; False where it did not hold it."""
        hold = self.find(key)
        if hold is None or check not in hold.checks:
            return False
        checks = {name: found for name, found in hold.checks.items() if name != check}
        self._put(hold, checks, HoldEvent(_REPAIRED, now, check, version, "the check passed"))
        return True

    def release(self, key: Key, because: str, now: datetime) -> Hold:
        """Let a held partition go as it is, on a person's word.

        Raises:
            HoldError: It is not held, or no reason is given.
        """
        hold = self.find(key)
        if hold is None or not hold.is_held:
            raise HoldError(f"{key}: expected a partition that is held, found none; see: pipeline-assets holds list")
        if not because.strip():
            raise HoldError(f"{key}: expected a reason for the release, found none")
        versions = {event.check: event.version for event in hold.events}
        events = [HoldEvent(_RELEASED, now, check, versions[check], because) for check in sorted(hold.checks)]
        return self._put(hold, {}, *events)

    def _put(self, hold: Hold, checks: Mapping[str, str], *events: HoldEvent) -> Hold:
        new = Hold(hold.key, checks, (*hold.events, *events))
        values: dict[str, Any] = {"checks": dict(checks), "events": [asdict(event) for event in new.events]}
        self._storage.write(_path(hold.key), json.dumps(values, default=str, indent=1).encode() + b"\n")
        return new


def _path(key: Key) -> str:
    return f"{key.asset}/{key.day.isoformat()}{_SUFFIX}"


def _key(path: str) -> Key:
    asset, _, name = path.rpartition("/")
    return Key(asset, date.fromisoformat(name.removesuffix(_SUFFIX)))
