"""Release: which model decides from when on, as an append-only log of entries, and the decision on the next entry.

Missing evidence never promotes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.contracts.vocabularies import ReleaseAction

_STRICT: Final = ConfigDict(extra="forbid")
_COMPARED: Final = "average_precision"
_SAME_TEST_SET: Final = ("n_rows", "n_removed", "n_frauds")  # evidence on other payments compares nothing
Metrics = Mapping[str, float]


class ReleaseEntryError(ValueError):
    """The bytes of an entry of the release log are no entry."""


@validated(frozen=True, config=_STRICT)
class ReleaseParams:
    """When a candidate replaces the champion.

    Attributes:
        tolerated_loss: How much average precision a candidate may have less than the champion; a newer model of the
            same quality is preferred, because it knows the newer frauds.
        min_frauds: Frauds in the test week below which the evidence is no evidence.
    """

    tolerated_loss: float = Field(default=0.02, ge=0, lt=1)
    min_frauds: int = Field(default=50, ge=1)


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
        canary: Version of a model that decides for a share of the customers.
        canary_share: That share, 0 to 1.
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

    @property
    def decision(self) -> Mapping[str, Any]:
        """What was decided and why, without the place in the log."""
        values = _ADAPTER.dump_python(self, mode="json")
        return {name: value for name, value in values.items() if name not in {"sequence", "previous_md5"}}

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same entry always gives the same bytes."""
        return json.dumps(_ADAPTER.dump_python(self, mode="json"), sort_keys=True, indent=1).encode() + b"\n"

    @property
    def md5(self) -> str:
        """Hash of the entry's bytes."""
        return hashlib.md5(self.to_bytes(), usedforsecurity=False).hexdigest()


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


def decide_release(
    earlier: Iterable[ReleaseEntry],
    as_of: date,
    candidate: str,
    evidence: Mapping[str, Metrics],
    params: ReleaseParams,
) -> ReleaseEntry:
    """The entry for the week from ``as_of`` on: the candidate becomes champion, or the champion stays.

    It depends on earlier weeks only, never on an entry of ``as_of`` itself, so that deciding again decides the same.

    Args:
        earlier: The entries of the log so far.
        as_of: First day of the week.
        candidate: Version of the candidate.
        evidence: Metrics, as :meth:`Evaluation.as_metrics` gives them, by subject: ``candidate``, ``rules``, and the
            champion's version; all on the same test set.
        params: See there.
    """
    start = datetime.combine(as_of, datetime.min.time(), UTC)
    previous = find_entry_in_force(earlier, start - timedelta(microseconds=1))
    champion = previous.champion if previous else None
    backup = previous.backup if previous else None
    rival = champion or "rules"
    doubt = _find_doubt(evidence.get("candidate"), evidence.get(rival), rival, params)
    seen = {name: dict(evidence[name]) for name in ("candidate", rival) if name in evidence}
    if doubt:
        return ReleaseEntry(as_of, start, ReleaseAction.HOLD, doubt, champion, backup, evidence=seen)
    new, old = evidence["candidate"], evidence[rival]
    reason = (
        f"average precision {new[_COMPARED]:.4f} against {old[_COMPARED]:.4f} of {rival}, "
        f"at most {params.tolerated_loss} less, on {new['n_frauds']:.0f} frauds"
    )
    return ReleaseEntry(as_of, start, ReleaseAction.PROMOTE, reason, candidate, champion or backup, evidence=seen)


def _find_doubt(candidate: Metrics | None, rival: Metrics | None, name: str, params: ReleaseParams) -> str | None:
    """Why the evidence does not allow a promotion; None where it does."""
    needed = {_COMPARED, *_SAME_TEST_SET}
    for who, metrics in (("the candidate", candidate), (name, rival)):
        if metrics is None:
            return f"there is no evaluation of {who}"
        if missing := sorted(needed - set(metrics)):
            return f"the evaluation of {who} has no {', '.join(missing)}"
    assert candidate is not None
    assert rival is not None
    if any(candidate[metric] != rival[metric] for metric in _SAME_TEST_SET):
        return f"the candidate and {name} were not evaluated on the same payments"
    if candidate["n_frauds"] < params.min_frauds:
        return f"the test week has {candidate['n_frauds']:.0f} frauds, evidence needs {params.min_frauds}"
    # Written so that a metric that is not a number does not promote.
    if not candidate[_COMPARED] >= rival[_COMPARED] - params.tolerated_loss:
        return (
            f"average precision {candidate[_COMPARED]:.4f} against {rival[_COMPARED]:.4f} of {name}: "
            f"more than {params.tolerated_loss} less"
        )
    return None
