"""What of a data root belongs into a snapshot, and what of it was looked at before.

A partition is its record and the files that the record names, verified; what nobody records (landed files, earlier
versions of models, holds, reports) stands for itself. The index only saves work: without it everything is read again.
"""

import json
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from pipeline_assets.adapters.files import is_of_one_file
from pipeline_assets.adapters.landing import is_complete
from pipeline_assets.adapters.replica import hash_bytes
from pipeline_assets.adapters.storage import Storage, within
from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.records import RecordError, read_record
from pipeline_assets.core.names import find_name_fault

_LOG: Final = logging.getLogger(__name__)
_PATH: Final = "snapshots/index.json"
_RECORDS: Final = "records"
_RECORDED: Final = ("lake",)  # folders of which only recorded files are kept
_NEVER_CHANGED: Final = ("models", "release")  # folders in which a file that has other bytes than before is damaged
_ALONE: Final = (*_NEVER_CHANGED, "holds", "reports")
_WORLD: Final = "world.json"  # which world was simulated, and from which day on
_PASSING: Final = "/checkpoints/"  # there only while a training goes on
_PARTITION: Final = "/date="  # of the reports only tables are kept: the others are made from what is kept
_REREAD_SECONDS: Final = (0.05, 0.2, 0.5)  # a partition that is being replaced has for a moment bytes of two versions
_THREADS: Final = 8


class Entry(NamedTuple):
    """One object that was looked at: its stamp then, and the hashes of the files that it stands for, by path."""

    stamp: str
    files: dict[str, str]


@dataclass(frozen=True)
class Index:
    """What was looked at, by path below the data root."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, str]:
        """Hash by path of everything that belongs into a snapshot."""
        return {path: md5 for entry in self.entries.values() for path, md5 in entry.files.items()}


def load_index(root: Storage) -> Index:
    """The index as it was saved; an empty one where there is none that can be read."""
    try:
        values = json.loads(root.read(_PATH))
        return Index({path: Entry(str(stamp), dict(files)) for path, (stamp, files) in values.items()})
    except FileNotFoundError:
        return Index()
    except (ValueError, TypeError, AttributeError) as error:
        _LOG.warning("%s/%s is not readable (%s): everything is looked at again", root.root, _PATH, error)
        return Index()


def save_index(root: Storage, index: Index) -> None:
    """Save the index for the next snapshot."""
    root.write(_PATH, json.dumps(index.entries).encode())


@dataclass(frozen=True)
class Scan:
    """What a look at the data root found.

    Attributes:
        index: Everything.
        fresh: A path by hash, of what was not in the index before.
        unsettled: What was being written, or is not as recorded: it stands in the index as it was before, if it was.
    """

    index: Index
    fresh: Mapping[str, str]
    unsettled: list[str]


def scan(root: Storage, before: Index) -> Scan:
    """Look at what has changed since ``before``."""
    records = {path: stamp for path, stamp in root.stamps(_RECORDS).items() if path.endswith(".json")}
    zone = within(root, LANDING)
    entries, fresh, unsettled = _look(root, zone, records, before)
    recorded = {path for entry in entries.values() for path in entry.files}
    alone = {_WORLD: root.stamp(_WORLD)} if root.exists(_WORLD) else {}
    alone |= _find_landed(zone, before)
    alone |= {
        path: stamp
        for folder in _ALONE
        for path, stamp in root.stamps(folder).items()
        if path not in recorded and _is_kept(path)
    }
    others, more, damaged = _look(root, zone, alone, before)
    return Scan(Index({**entries, **others}), fresh | more, [*unsettled, *damaged])


class Source:
    """The objects that the data root itself can give."""

    def __init__(self, root: Storage, index: Index, objects: Mapping[str, bytes]) -> None:
        """Those of the files of ``index``, and ``objects`` that were made of it."""
        self._root = root
        self._paths = {md5: path for path, md5 in index.files.items()}
        self._objects = objects

    def find(self, md5: str) -> bytes | None:
        """The bytes with that hash; None where they are not there any more."""
        if md5 in self._objects:
            return self._objects[md5]
        try:
            content = self._root.read(self._paths[md5])
        except (KeyError, FileNotFoundError):
            return None
        except OSError as error:
            if not is_of_one_file(error):
                raise
            return None
        return content if hash_bytes(content) == md5 else None


def belongs_to_snapshots(path: str) -> bool:
    """Tell whether a file of this path can be part of a snapshot at all."""
    folder, _, rest = path.partition("/")
    return path == _WORLD or bool(rest and folder in (LANDING, _RECORDS, *_RECORDED, *_ALONE))


def _is_kept(path: str) -> bool:
    return _PASSING not in path and (not path.startswith("reports/") or _PARTITION in path)


def _find_landed(zone: Storage, before: Index) -> dict[str, str]:
    """By path the stamps of what landed: of what others put there only what is data, never what a link names.

    What lies in a folder that cannot be read now is taken to be as it was.
    """
    found = {f"{LANDING}/{path}": stamp for path, stamp in zone.stamp_plain("").items() if _is_landed(path)}
    closed = tuple(f"{LANDING}/{path}/" for path, one in zone.list_plain("").others.items() if one.error is not None)
    return found | {path: entry.stamp for path, entry in before.entries.items() if closed and path.startswith(closed)}


def _is_landed(path: str) -> bool:
    name = "/".join(path.split("/")[2:])  # below feed and day
    return is_complete(name) and find_name_fault(name) is None


def _look(
    root: Storage, zone: Storage, stamps: Mapping[str, str], before: Index
) -> tuple[dict[str, Entry], dict[str, str], list[str]]:
    entries = {path: before.entries[path] for path in stamps if path in before.entries}
    changed = [path for path, stamp in stamps.items() if path not in entries or entries[path].stamp != stamp]
    found: dict[str, dict[str, str]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for seconds in (0.0, *_REREAD_SECONDS):
            missing = [path for path in changed if path not in found]
            if missing:
                time.sleep(seconds)
                hashed = zip(missing, pool.map(lambda one: _hash(root, zone, one), missing), strict=True)
                found |= {path: files for path, files in hashed if files is not None}
    fresh: dict[str, str] = {}
    unsettled = []
    for path in changed:
        known = entries.get(path)
        is_damaged = known and path.startswith(_NEVER_CHANGED) and known.files != found.get(path)
        if path not in found or is_damaged:
            unsettled.append(path)
            continue
        entries[path] = Entry(stamps[path], found[path])
        fresh |= {md5: file for file, md5 in found[path].items()}
    return entries, fresh, unsettled


def _hash(root: Storage, zone: Storage, path: str) -> dict[str, str] | None:
    """The hashes of what an object stands for; None where it is gone, or its files are not those that it names."""
    try:
        is_landed = path.startswith(f"{LANDING}/")
        content = zone.read_plain(path.removeprefix(f"{LANDING}/")) if is_landed else root.read(path)
        named = read_record(content).files if path.startswith(f"{_RECORDS}/") else {}
        is_as_named = all(hash_bytes(root.read(file)) == md5 for file, md5 in named.items())
    except (FileNotFoundError, RecordError):
        return None
    except OSError as error:
        if not is_of_one_file(error):
            raise
        return None
    return {path: hash_bytes(content), **named} if is_as_named else None
