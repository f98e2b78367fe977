"""Whether the bytes of partitions and models are the recorded ones, and bringing back those that are not."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pipeline_assets.adapters.damage import Damage
from pipeline_assets.adapters.lake import ABSENT
from pipeline_assets.adapters.log_heads import list_snapshots
from pipeline_assets.adapters.release_log import ReleaseLogError
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.core.lineage.records import Record

_SETTLED_SECONDS: Final = 0.75  # many times what lies between the writes of a partition's bytes and of its record
_PART_BYTES: Final = 16_000_000  # most files in one part: small ones cost 5 % more, and let threads wait for each other
_THREADS: Final = max(2, os.cpu_count() or 1)  # hashing leaves the interpreter's lock, so each core reads and hashes


@dataclass(frozen=True)
class Mended:
    """A damaged file, and whether it could be restored.

    Attributes:
        damage: What was found.
        replica: Root of the replica that had the bytes; None where none had, so that the partition must be rebuilt.
    """

    damage: Damage
    replica: str | None


def find_damage(stores: Stores, records: Sequence[Record]) -> Iterator[Damage]:
    """The files of ``records`` that are absent or have other bytes than were recorded; all of them are read.

    A partition that is written again meanwhile is none: what looks damaged is looked at once more, a moment later.
    """
    files = [(record, path, md5) for record in records for path, md5 in record.files.items()]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda one: _hash_file(stores, one[1]), files)
        suspects = [one for one, actual in zip(files, found, strict=True) if actual != one[2]]
    if suspects:
        time.sleep(_SETTLED_SECONDS)
    for record, path, md5 in suspects:
        actual = _hash_file(stores, path)
        if actual != md5 and stores.records.find(record.key) == record:
            yield Damage(record.key, path, f"md5 {md5}", f"md5 {actual}" if actual else ABSENT)


@dataclass(frozen=True)
class LogDamage:
    """What is wrong with the release log: what was expected and found, and all of it with the next step."""

    expected: str
    found: str
    text: str


def find_log_damage(stores: Stores, replicas: Sequence[Replica]) -> LogDamage | None:
    """What is wrong with the release log by its own chain, its signatures, the records and all snapshots; or None."""
    try:
        state = stores.release_log.look(list_snapshots(Snapshots(stores.root, replicas).list_everywhere()))
    except ReleaseLogError as error:
        return LogDamage("entries that name each the one before", "others", str(error))
    problem = state.find_problem()
    if not problem:
        return None
    text = f"release log {stores.release_log.root}: {problem}"
    if state.contradictions:
        return LogDamage(state.contradictions[0].expected_text, state.contradictions[0].found_text, text)
    return LogDamage("a signed log", str(state.verdict), text)


def mend(stores: Stores, damage: Iterable[Damage], replicas: Sequence[Replica]) -> list[Mended]:
    """Restore what a replica has, and note the rest, so that it is made again."""
    mended = [Mended(one, _restore(stores, one, replicas)) for one in damage]
    lost = {one.damage.key for one in mended if one.replica is None}
    for one in mended:
        if one.replica is None:
            stores.damage.note(one.damage)
        elif one.damage.key not in lost:
            stores.damage.strike(one.damage.key)
    return mended


def replicate(stores: Stores, records: Iterable[Record], replicas: Sequence[Replica]) -> int:
    """Give each replica the sound files of ``records`` that it lacks; the number of copies made."""
    n_copies = 0
    for record in records:
        for path, md5 in record.files.items():
            lacking = [replica for replica in replicas if not replica.has(md5)]
            content = _read(stores, path) if lacking else b""
            if lacking and hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
                n_copies += len([replica.put(content) for replica in lacking])
    return n_copies


def _restore(stores: Stores, damage: Damage, replicas: Sequence[Replica]) -> str | None:
    md5 = damage.expected.removeprefix("md5 ")
    copies = [(replica, replica.find(md5)) for replica in replicas]
    replica, content = next(((replica, found) for replica, found in copies if found is not None), (None, None))
    if replica is None or content is None:
        return None
    stores.root.write(damage.path, content)
    for other, found in copies:
        if found is None:  # damaged itself, or lost
            other.put(content)
    return replica.root


def _hash_file(stores: Stores, path: str) -> str | None:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with stores.root.open(path) as file:
            while part := file.read(_PART_BYTES):
                digest.update(part)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _read(stores: Stores, path: str) -> bytes:
    try:
        return stores.root.read(path)
    except FileNotFoundError:
        return b""
