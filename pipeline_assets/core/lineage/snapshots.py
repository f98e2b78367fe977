"""Snapshots: which bytes were where in the data root at one moment, as trees of hashes (``dvc_trees.py``).

A remote may be shared by several data roots. Each has an id, its snapshots carry it and are numbered by themselves,
and each snapshot names the hash of the one before it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.core.lineage.dvc_trees import TOP, SnapshotError, require_inside

_T = TypeVar("_T")
_STRICT: Final = ConfigDict(extra="forbid")
LATEST: Final = "latest"
_WRECK_SHARE: Final = 0.5  # of the files of another snapshot: with less, the latest was taken after something was lost
UNNAMED: Final = ""  # the root of snapshots that were taken before data roots had ids
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
TreeMd5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RootId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
_MIN_RUN_PREFIX: Final = 4  # characters of a run's id that name it, as in Git; a shorter text is a number or a mistake


@validated(frozen=True, config=_STRICT)
class SnapshotParams:
    """Where the bytes are kept beside the data root, and for how long.

    Attributes:
        remotes: DVC remotes: folders inside the data root, or folders and ``s3://`` URLs of their own. Two of them on
            two disks survive the loss of either.
        keep_days: Snapshots younger than this are all kept.
        keep_weeks: Of older ones, the last of each week is kept for so many weeks.
        grace_days: An object that was written to a remote so recently is never removed, whoever names it or not.
    """

    remotes: Annotated[tuple[str, ...], Field(min_length=1)] = ("remotes/one", "remotes/two")
    keep_days: int = Field(default=31, ge=1)
    keep_weeks: int = Field(default=104, ge=0)
    grace_days: float = Field(default=7, ge=0)


@validated(frozen=True, config=_STRICT)
class LogHead:
    """How far an append-only log reached: what proves its end, as each of its entries proves the one before.

    Attributes:
        n_entries: Number of entries.
        md5: Hash of the bytes of the last one; empty where there is none.
    """

    n_entries: Annotated[int, Field(ge=0)]
    md5: str


@validated(frozen=True, config=_STRICT)
class RootCard:
    """Which data root it is.

    Attributes:
        id: Drawn at random when the first snapshot was taken.
        location: Where the data root was then, for people.
        began_at: When.
        forked_from: The id that it had before, where another data root went on under that one.
    """

    id: RootId
    location: str
    began_at: AwareDatetime
    forked_from: RootId | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(_CARD.dump_python(self, mode="json"), sort_keys=True, indent=1).encode() + b"\n"


@validated(frozen=True, config=_STRICT)
class Link:
    """The snapshot before, and what proves that it is the one.

    Attributes:
        sequence: Its place.
        sha256: Its :attr:`Snapshot.sha256`.
    """

    sequence: Annotated[int, Field(ge=0)]
    sha256: Sha256


@validated(frozen=True, config=_STRICT)
class Snapshot:
    """One state of the data root.

    Attributes:
        sequence: Place among all snapshots of the data root, from 0 on; there may be gaps.
        taken_at: When.
        run_id: The run that took it.
        revision: The code that ran.
        parameters: Hash of the parameters file, which is kept as an object.
        trees: Hash of each tree, by its folder below the data root.
        n_files: Files in all trees.
        kept_because: Why a person keeps it for good; empty where nobody does.
        heads: How far each append-only log reached, by its folder below the data root.
        root: Id of the data root; empty in snapshots from before data roots had ids.
        previous: The snapshot before; None for the first.
    """

    sequence: Annotated[int, Field(ge=0)]
    taken_at: AwareDatetime
    run_id: str
    revision: str
    parameters: Md5
    trees: dict[str, TreeMd5]
    n_files: int
    kept_because: str = ""
    heads: dict[str, LogHead] = Field(default_factory=dict)
    root: RootId | Literal[""] = UNNAMED
    previous: Link | None = None

    @property
    def digest(self) -> str:
        """Hash of what lies where: equal for two snapshots of the same state."""
        return hashlib.md5(json.dumps(self.trees, sort_keys=True).encode(), usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        """Hash that the next snapshot names: of all but why people keep it, which they may say later."""
        return hashlib.sha256(dataclasses.replace(self, kept_because="").to_bytes()).hexdigest()

    @property
    def link(self) -> Link:
        """What the next snapshot says of this one."""
        return Link(self.sequence, self.sha256)

    def is_same_state(self, other: "Snapshot") -> bool:
        """Tell whether both were taken by the same run of the same state, whatever root they were filed under."""
        mine, theirs = (dataclasses.replace(one, root=UNNAMED, previous=None, kept_because="") for one in (self, other))
        return mine == theirs

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(_ADAPTER.dump_python(self, mode="json"), sort_keys=True, indent=1).encode() + b"\n"


_ADAPTER: Final = TypeAdapter(Snapshot)
_CARD: Final = TypeAdapter(RootCard)


def read_snapshot(content: bytes) -> Snapshot:
    """The snapshot that :meth:`Snapshot.to_bytes` wrote.

    Raises:
        SnapshotError: The bytes are no snapshot, or it names a folder outside the data root.
    """
    snapshot = _read(_ADAPTER, content, "a snapshot")
    for folder in snapshot.trees:
        if folder != TOP:
            require_inside(folder, "folders")
    return snapshot


def read_card(content: bytes) -> RootCard:
    """The card that :meth:`RootCard.to_bytes` wrote.

    Raises:
        SnapshotError: The bytes are no card.
    """
    return _read(_CARD, content, "the id of a data root")


def _read(adapter: TypeAdapter[_T], content: bytes, what: str) -> _T:
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SnapshotError(f"expected {what} as JSON, found {found}") from error


def relabel(snapshots: Iterable[Snapshot], root: str) -> list[Snapshot]:
    """Give snapshots, in order, to the data root ``root``, each linked to the one before."""
    relabelled: list[Snapshot] = []
    for one in snapshots:
        previous = relabelled[-1].link if relabelled else None
        relabelled.append(dataclasses.replace(one, root=root, previous=previous))
    return relabelled


def find_broken_links(snapshots: Sequence[Snapshot]) -> list[str]:
    """Name each snapshot that is not the one that a later one was taken after; dropped ones leave no flaw."""
    by_number = {one.sequence: one for one in snapshots}
    problems = []
    for one in snapshots:
        before = by_number.get(one.previous.sequence) if one.previous else None
        if one.previous and before and before.sha256 != one.previous.sha256:
            problems.append(
                f"snapshot {before.sequence} is not the one after which snapshot {one.sequence} was taken: "
                f"expected sha256 {one.previous.sha256}, found {before.sha256}"
            )
    return problems


def choose_snapshot(snapshots: Sequence[Snapshot], as_of: str) -> Snapshot:
    """The snapshot that somebody means.

    Args:
        snapshots: All, in order.
        as_of: ``latest``; a number; the id of a run, or its first four characters or more; a day (its end) or a time in
            ISO format, UTC unless it says otherwise: the latest one that had been taken by then.

    Raises:
        SnapshotError: There is none, or the run's beginning means several.
    """
    if not snapshots:
        raise SnapshotError("there is no snapshot yet; take one: pipeline-assets snapshot take")
    if as_of == LATEST:
        return snapshots[-1]
    by_number = [one for one in snapshots if str(one.sequence) == as_of]
    by_run = [one for one in snapshots if one.run_id.startswith(as_of)] if len(as_of) >= _MIN_RUN_PREFIX else []
    if by_number or by_run:
        if not by_number and len({one.run_id for one in by_run}) > 1:
            runs = ", ".join(sorted({one.run_id for one in by_run})[:5])
            raise SnapshotError(f"as of {as_of}: several runs begin like this: {runs}; give more of the id")
        return (by_number or by_run)[-1]
    moment = _parse_moment(as_of)
    taken = [one for one in snapshots if one.taken_at <= moment]
    if not taken:
        raise SnapshotError(f"as of {as_of}: the first snapshot was taken at {snapshots[0].taken_at:%Y-%m-%d %H:%M:%S}")
    return max(taken, key=lambda one: (one.taken_at, one.sequence))


def choose_to_restore(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the latest snapshot, unless it holds a wreck.

    Raises:
        SnapshotError: There is none; or the latest one has much less than one before it, and a person must choose.
    """
    latest = choose_snapshot(snapshots, LATEST)
    fullest = max(snapshots, key=lambda one: (one.n_files, one.sequence))
    if latest.n_files < fullest.n_files * _WRECK_SHARE:
        raise SnapshotError(
            f"the latest snapshot, {latest.sequence}, has {latest.n_files} files, and snapshot {fullest.sequence} of "
            f"{fullest.taken_at:%Y-%m-%d %H:%M:%S} has {fullest.n_files}: name the one to bring back by its number, "
            f"such as --as-of {fullest.sequence}; see: pipeline-assets snapshot list"
        )
    return latest


def _parse_moment(text: str) -> datetime:
    try:
        if len(text) == len("2026-01-01"):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SnapshotError(
            f"as of {text!r}: expected latest, the number of a snapshot, the id of a run, or an ISO time such as "
            "2026-03-05 or 2026-03-05T06:00; see: pipeline-assets snapshot list"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def choose_kept(snapshots: Iterable[Snapshot], params: SnapshotParams, now: datetime) -> list[Snapshot]:
    """The snapshots that stay: the latest, the young ones, the last of each week for a while, and what people keep."""
    ordered = sorted(snapshots, key=lambda one: one.sequence)
    young = now - timedelta(days=params.keep_days)
    last_of_week = {one.taken_at.isocalendar()[:2]: one.sequence for one in ordered}
    oldest = now - timedelta(weeks=params.keep_weeks)
    return [
        one
        for one in ordered
        if one is ordered[-1]
        or one.kept_because
        or one.taken_at >= young
        or (one.taken_at >= oldest and last_of_week[one.taken_at.isocalendar()[:2]] == one.sequence)
    ]
