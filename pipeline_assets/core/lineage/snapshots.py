"""Snapshots: which bytes were where in the data root at one moment, as trees of hashes in DVC's own format.

A tree is the directory object of one folder: the JSON list of its files that DVC writes, named by its md5 and ``.dir``.
So a remote of snapshots is a DVC remote, and ``dvc pull`` finds in it what ``dvc.lock`` names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

_STRICT: Final = ConfigDict(extra="forbid")
_TREE_DEPTH: Final = 2  # folders: lake/transactions is a tree, and so is records/transactions
_SUFFIX: Final = ".dir"
TOP: Final = "."  # the tree of files that lie in no folder
LATEST: Final = "latest"
_MIN_RUN_PREFIX: Final = 4  # characters of a run's id that name it, as in Git; a shorter text is a number or a mistake


class SnapshotError(ValueError):
    """The bytes of a snapshot or a tree are none, or no snapshot is the one that was asked for."""


@validated(frozen=True, config=_STRICT)
class SnapshotParams:
    """Where the bytes are kept beside the data root, and for how long.

    Attributes:
        remotes: DVC remotes: folders inside the data root, or folders and ``s3://`` URLs of their own. Two of them on
            two disks survive the loss of either.
        keep_days: Snapshots younger than this are all kept.
        keep_weeks: Of older ones, the last of each week is kept for so many weeks.
    """

    remotes: Annotated[tuple[str, ...], Field(min_length=1)] = ("remotes/one", "remotes/two")
    keep_days: int = Field(default=31, ge=1)
    keep_weeks: int = Field(default=104, ge=0)


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
class Snapshot:
    """One state of the data root.

    Attributes:
        sequence: Place among all snapshots, from 0 on.
        taken_at: When.
        run_id: The run that took it.
        revision: The code that ran.
        parameters: Hash of the parameters file, which is kept as an object.
        trees: Hash of each tree, by its folder below the data root.
        n_files: Files in all trees.
        kept_because: Why a person keeps it for good; empty where nobody does.
        heads: How far each append-only log reached, by its folder below the data root.
    """

    sequence: Annotated[int, Field(ge=0)]
    taken_at: AwareDatetime
    run_id: str
    revision: str
    parameters: str
    trees: dict[str, str]
    n_files: int
    kept_because: str = ""
    heads: dict[str, LogHead] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hash of what lies where: equal for two snapshots of the same state."""
        return hashlib.md5(json.dumps(self.trees, sort_keys=True).encode(), usedforsecurity=False).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(_ADAPTER.dump_python(self, mode="json"), sort_keys=True, indent=1).encode() + b"\n"


_ADAPTER: Final = TypeAdapter(Snapshot)


def read_snapshot(content: bytes) -> Snapshot:
    """The snapshot that :meth:`Snapshot.to_bytes` wrote.

    Raises:
        SnapshotError: The bytes are no snapshot.
    """
    try:
        return _ADAPTER.validate_json(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SnapshotError(f"expected a snapshot as JSON, found {found}") from error


def group_files(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Files (hash by path below the data root) by the folder whose tree they belong to; of ``.`` in no folder."""
    trees: dict[str, dict[str, str]] = {}
    for path in sorted(files):
        folder = "/".join(path.split("/", _TREE_DEPTH)[:-1]) or TOP
        trees.setdefault(folder, {})[path] = files[path]
    return trees


def make_tree(folder: str, files: Mapping[str, str]) -> bytes:
    """The tree of a folder's files, which are in order, in DVC's format."""
    start = 0 if folder == TOP else len(folder) + 1
    return json.dumps([{"md5": md5, "relpath": path[start:]} for path, md5 in files.items()]).encode()


def hash_tree(content: bytes) -> str:
    """DVC's name of a tree."""
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}{_SUFFIX}"


def read_tree(folder: str, content: bytes) -> dict[str, str]:
    """Hash by path below the data root of the files of a tree.

    Raises:
        SnapshotError: The bytes are no tree.
    """
    try:
        listed: list[dict[str, Any]] = json.loads(content)
        start = "" if folder == TOP else f"{folder}/"
        return {f"{start}{entry['relpath']}": str(entry["md5"]) for entry in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"the tree of {folder}: expected DVC's list of files, found {content[:60]!r}") from error


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
