"""The entries of the release log: who decides from when on, and why. Added one after the other, and never changed."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.lineage.snapshots import LogHead

_STRICT: Final = ConfigDict(extra="forbid")
# Of what entries did not have from the beginning, the default is not written: so an old entry keeps its bytes.
_LATER_DEFAULTS: Final[Mapping[str, Any]] = {
    "shadow": None,
    "trial_since": None,
    "stage_since": None,
    "is_held": False,
    "failed_over_since": None,
    "decided_by": str(DecidedBy.PIPELINE),
    "given_up": [],
    "signature": "",
}
_PLACE: Final = frozenset({"sequence", "previous_md5", "signature"})


class ReleaseEntryError(ValueError):
    """The bytes of an entry of the release log are no entry."""


@validated(frozen=True, config=_STRICT)
class ReleaseEntry:
    """Who decides from ``effective_from`` on.

    Attributes:
        as_of: The day for which the decision was taken.
        effective_from: The first moment at which the entry is in force, UTC.
        action: What the entry did.
        reason: Why, for a person.
        champion: Version of the model that decides; None for the rules.
        backup: Version of the model that decides where the champion cannot.
        canary: Version of a model on trial that decides for a share of the customers.
        canary_share: That share, 0 to 1.
        shadow: Version of a model on trial that decides nothing yet.
        trial_since: First day of the trial of the canary or the shadow.
        stage_since: First day of its present share.
        is_held: Whether a person holds the trial: it goes no further until a person lets it.
        failed_over_since: First day on which the backup decides in the place of the champion; None where it does not.
        decided_by: The pipeline or a person.
        given_up: How far the log had reached, where entries are lost for good and a person goes on without them.
        signature: Of this entry and all before it, where there is a key; see :mod:`..lineage.append_log`.
        evidence: The metrics that the decision was taken on, by subject and name.
        sequence: Place in the log, from 0 on.
        previous_md5: Hash of the bytes of the entry before; empty for the first. A change of the past breaks the chain.
    """

    as_of: date
    effective_from: AwareDatetime
    action: ReleaseAction
    reason: str
    champion: str | None
    backup: str | None
    canary: str | None = None
    canary_share: float = Field(default=0.0, ge=0, le=1)
    evidence: dict[str, dict[str, float]] = Field(default_factory=dict)
    sequence: int = Field(default=0, ge=0)
    previous_md5: str = ""
    shadow: str | None = None
    trial_since: date | None = None
    stage_since: date | None = None
    is_held: bool = False
    failed_over_since: date | None = None
    decided_by: DecidedBy = DecidedBy.PIPELINE
    given_up: tuple[LogHead, ...] = ()
    signature: str = ""

    @property
    def is_failed_over(self) -> bool:
        """Whether the backup decides in the place of the champion."""
        return self.failed_over_since is not None

    @property
    def decision(self) -> Mapping[str, Any]:
        """What was decided and why, without the place in the log."""
        return {name: value for name, value in self._dump().items() if name not in _PLACE}

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same entry always gives the same bytes."""
        return json.dumps(self._dump(), sort_keys=True, indent=1).encode() + b"\n"

    @property
    def unsigned(self) -> bytes:
        """The bytes without the signature: what it signs."""
        return dataclasses.replace(self, signature="").to_bytes()

    @property
    def md5(self) -> str:
        """Hash of the entry's bytes."""
        return hashlib.md5(self.to_bytes(), usedforsecurity=False).hexdigest()

    def _dump(self) -> dict[str, Any]:
        values: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return {name: value for name, value in values.items() if value != _LATER_DEFAULTS.get(name, ...)}


_ADAPTER: Final = TypeAdapter(ReleaseEntry)


def read_entry(content: bytes) -> ReleaseEntry:
    """The entry that :meth:`ReleaseEntry.to_bytes` wrote.

    Raises:
        ReleaseEntryError: The bytes are no entry.
    """
    try:
        return _ADAPTER.validate_json(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ReleaseEntryError(f"expected an entry of the release log as JSON, found {found}") from error


def find_entry_in_force(entries: Iterable[ReleaseEntry], moment: datetime) -> ReleaseEntry | None:
    """Of the entries effective at ``moment`` the one with the greatest (``effective_from``, ``sequence``), if any."""
    effective = (entry for entry in entries if entry.effective_from <= moment)
    return max(effective, key=lambda entry: (entry.effective_from, entry.sequence), default=None)
