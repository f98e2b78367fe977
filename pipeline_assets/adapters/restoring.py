"""Going back: a data root, or some of its tables, as they were when a snapshot was taken."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pipeline_assets.adapters.replica import hash_bytes
from pipeline_assets.adapters.snapshot_index import belongs_to_snapshots
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.lineage.dvc_trees import TOP, SnapshotError
from pipeline_assets.core.lineage.snapshots import Snapshot
from pipeline_assets.core.release import ReleaseEntryError, read_entry

_LOG: Final = logging.getLogger(__name__)
_LANDING: Final = "landing/"
_DECIDED: Final = "release/entries/"
_RECORDS: Final = "records/"
_PASSING: Final = "/checkpoints/"
_THREADS: Final = 8


@dataclass(frozen=True)
class Restored:
    """What was done to a data root.

    Attributes:
        written: Files that got other bytes than they had, with their hash.
        removed: Files that the snapshot does not have.
        n_same: Files that had the right bytes.
        kept: Entries of the release log that were added since the snapshot, and stay.
    """

    written: Mapping[str, str]
    removed: tuple[str, ...]
    n_same: int
    kept: tuple[str, ...] = ()


def choose_folders(snapshot: Snapshot, tables: Iterable[str]) -> list[str]:
    """The folders that belong to some assets (``landing``, too); all of them without a name.

    Raises:
        SnapshotError: The snapshot has nothing of an asset.
    """
    names = list(tables)
    chosen = [folder for folder in snapshot.trees if not names or _belongs(folder, names)]
    known = sorted({name for folder in snapshot.trees for name in _name(folder)})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SnapshotError(
            f"snapshot {snapshot.sequence} has nothing of {', '.join(unknown)}; expected some of {', '.join(known)}"
        )
    return chosen


def restore(root: Storage, snapshots: Snapshots, snapshot: Snapshot, folders: Iterable[str]) -> Restored:
    """Give the folders of ``root`` exactly the bytes of a snapshot; what is right already is left alone.

    Files that landed since, or landed again with corrections, stay: they are input, and no state of the pipeline. So do
    the entries that the release log got since: who decided when is a fact, and is not undone by going back; to give the
    traffic back to a model, promote it. They go only where they do not follow the snapshot's own: then the log was
    changed, and the snapshot's is the one that was written.
    Before the first file is changed all bytes are known to be there, and each is verified before it is written.

    Raises:
        ObjectLostError: No remote has some of the bytes; nothing was changed.
        SnapshotError: The snapshot names files that are none of a data root's; nothing was changed.
    """
    folders = list(folders)
    wanted = snapshots.list_files(snapshot, folders)
    _require_kept(snapshot, wanted)
    there = [path for folder in folders if folder != TOP for path in root.list(folder) if _PASSING not in path]
    there += [path for path in wanted if "/" not in path and root.exists(path)]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = dict(zip(there, pool.map(lambda path: hash_bytes(root.read(path)), there), strict=True))
        lacking = {
            path: md5
            for path, md5 in wanted.items()
            if found.get(path) != md5 and not (path.startswith(_LANDING) and path in found)
        }
        snapshots.objects.require(lacking.values())
        kept = _list_decided_since(root, wanted, found)
        surplus = sorted(path for path in found if path not in wanted and not path.startswith(_LANDING))
        surplus = [path for path in surplus if path not in kept]
        partitions: dict[str, list[str]] = {}
        for path in [*lacking, *surplus]:
            partitions.setdefault(_find_partition(path), []).append(path)

        def change(paths: list[str]) -> None:
            """A record that goes, goes first; one that comes, comes last: it never names what is not there."""
            for path in sorted(paths, key=lambda one: one.startswith(_RECORDS) == (one in lacking)):
                if path in lacking:
                    root.write(path, snapshots.fetch(lacking[path]))
                else:
                    root.delete(path)

        list(pool.map(change, partitions.values()))
    n_same = len([path for path, md5 in wanted.items() if found.get(path) == md5])
    if kept:
        _LOG.info("release log: %d entries since this snapshot stay: who decided is a fact", len(kept))
    gone = [path for path in surplus if path.startswith(_DECIDED)]
    if gone:
        _LOG.warning("release log: %d entries do not follow the snapshot's and are removed: %s", len(gone), gone)
    return Restored(lacking, tuple(surplus), n_same, tuple(kept))


def _list_decided_since(root: Storage, wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """The entries of the release log beyond the snapshot's, as far as each names the one before it."""
    last = max((path for path in wanted if path.startswith(_DECIDED)), default=None)
    kept: list[str] = []
    for path in sorted(path for path in found if path.startswith(_DECIDED) and last is not None and path > last):
        try:
            follows = read_entry(root.read(path)).previous_md5 == (found[kept[-1]] if kept else wanted[str(last)])
        except (ReleaseEntryError, FileNotFoundError):
            break
        if not follows:
            break
        kept.append(path)
    return kept


def _require_kept(snapshot: Snapshot, paths: Iterable[str]) -> None:
    """Refuse what no snapshot of a pipeline holds: a manifest that somebody else wrote replaces no settings."""
    foreign = sorted(path for path in paths if not belongs_to_snapshots(path))
    if foreign:
        raise SnapshotError(
            f"snapshot {snapshot.sequence} names {len(foreign)} files that are no data of a pipeline, the first is "
            f"{foreign[0]!r}; nothing was brought back; see: pipeline-assets snapshot verify"
        )


def _find_partition(path: str) -> str:
    """What a file and its record have in common: asset and day."""
    parts = path.removesuffix(".json").replace("date=", "").split("/")
    return "/".join(parts[1:3]) or path


def _name(folder: str) -> tuple[str, ...]:
    first, _, second = folder.partition("/")
    return (first,) if first in ("landing", "release") else (second or "world.json",)


def _belongs(folder: str, names: Iterable[str]) -> bool:
    return any(name in names for name in _name(folder))
