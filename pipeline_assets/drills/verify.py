"""What "recovered" means: the same bytes as a world that was never broken, no row lost, none twice.

Compared is every file below the data root but those that hold clocks and differ between any two runs. What a killed
write left behind is invisible to readers and is reported apart.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.storage import TEMPORARY_PREFIX

# Folders of a data root whose files state times, or hashes of such, or are copies.
CLOCKS: Final = frozenset({"reports", "dagster", "heads", "holds", "alerts", "snapshots", "remotes"})
_PLACE: Final = ("sequence", "previous_md5", "signature")
_SHOWN: Final = 5  # files named in a problem
_ID: Final = "transaction_id"


@dataclass(frozen=True)
class Difference:
    """How a recovered data root differs from one that was never broken.

    Attributes:
        missing: Files it lacks.
        surplus: Files it has too many.
        changed: Files with other bytes.
        n_equal: Files with the same bytes.
        lost_by_table: Rows it lacks.
        doubled_by_table: Rows it has too many.
        leftovers: Temporary files that killed writes left behind.
    """

    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    changed: tuple[str, ...]
    n_equal: int
    lost_by_table: Mapping[str, int]
    doubled_by_table: Mapping[str, int]
    leftovers: tuple[str, ...]

    @property
    def n_compared(self) -> int:
        """Files that were compared."""
        return len(self.missing) + len(self.surplus) + len(self.changed) + self.n_equal

    @property
    def rows_lost(self) -> int:
        """Rows it lacks, of all tables."""
        return sum(self.lost_by_table.values())

    @property
    def rows_doubled(self) -> int:
        """Rows it has too many, of all tables."""
        return sum(self.doubled_by_table.values())

    @property
    def problems(self) -> list[str]:
        """What is wrong, for a person; empty where nothing is."""
        files = {"is missing": self.missing, "should not be there": self.surplus, "has other bytes": self.changed}
        problems = [f"{_name(paths)} {what}" for what, paths in files.items() if paths]
        problems += [f"{number} rows of {table} are lost" for table, number in self.lost_by_table.items()]
        problems += [f"{number} rows of {table} are there twice" for table, number in self.doubled_by_table.items()]
        return problems


class Whole:
    """A data root that was never broken, to be compared with recovered ones; it is read once."""

    def __init__(self, root: Path) -> None:
        """Take down what ``root`` holds."""
        self.root = root
        self.hashes = hash_files(root)

    def compare(self, recovered: Path) -> Difference:
        """How a recovered data root differs."""
        found = hash_files(recovered)
        missing = sorted(self.hashes.keys() - found.keys())
        surplus = sorted(found.keys() - self.hashes.keys())
        changed = sorted(path for path in self.hashes.keys() & found.keys() if self.hashes[path] != found[path])
        lost, doubled = _count_rows(self.root, recovered, [*missing, *surplus, *changed])
        n_equal = len(self.hashes.keys() & found.keys()) - len(changed)
        return Difference(
            tuple(missing), tuple(surplus), tuple(changed), n_equal, lost, doubled, tuple(list_leftovers(recovered))
        )


def find_torn_files(
    root: Path, old: Mapping[str, str], new: Mapping[str, str], passing: Collection[str] = ()
) -> list[str]:
    """What readers see right after something broke that they must never see, as problems.

    Each file that was there before still is, with the old or the new bytes, whole; each other one has the new bytes.

    Args:
        root: The data root as it is now.
        old: Hashes of its files before.
        new: Hashes of its files as they become.
        passing: Names of files that are only there in between, with bytes that are neither.
    """
    found = hash_files(root)
    lost = [path for path in old if path not in found and path in new]
    torn = [
        path
        for path, md5 in found.items()
        if md5 not in (old.get(path), new.get(path)) and Path(path).name not in passing
    ]
    return [f"{_name(paths)} {what}" for paths, what in ((lost, "is lost"), (torn, "is neither old nor new")) if paths]


def audit_landed_rows(root: Path) -> list[str]:
    """Landed rows that are lost or counted twice, by the pipeline's own recount of the files, and ids that repeat."""
    from pipeline_assets.adapters.stages.ingestion import find_lost_rows
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.contracts.tables import TRANSACTIONS
    from pipeline_assets.contracts.vocabularies import Feed

    stores = open_stores(str(root))
    findings = (find_lost_rows(stores, day) for day in stores.landing.list_days(Feed.TRANSACTIONS))
    problems = [finding.explanation for finding in findings if not finding.passed]
    ids = stores.lake.read(TRANSACTIONS, stores.lake.days(TRANSACTIONS), [_ID])
    n_doubled = ids.height - ids.n_unique()
    return problems + ([f"{n_doubled} transactions are in more than one partition"] if n_doubled else [])


def hash_files(root: Path, without: Collection[str] = CLOCKS) -> dict[str, str]:
    """The md5 of every file that readers see below a data root, by path, but for the top-level folders ``without``."""
    hashes = {}
    for folder, folders, names in os.walk(root):
        if folder == str(root):
            folders[:] = [name for name in folders if name not in without]
        for name in sorted(names):  # the entries of the release log in their order
            if not name.startswith(TEMPORARY_PREFIX) and Path(folder, name).is_file():
                path = Path(folder, name).relative_to(root).as_posix()
                try:
                    path, content = leave_out_place(path, Path(folder, name).read_bytes())
                except PermissionError:  # a drill has taken it away
                    continue
                hashes[path] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return hashes


def leave_out_place(path: str, content: bytes) -> tuple[str, bytes]:
    """A file as it is compared: of the release log what was decided for which time, not its place in the log.

    What was decided before all was known, and decided again when it was, stands in the log twice: of that the latter.
    """
    try:
        if path.startswith("release/entries/"):
            values = {name: value for name, value in json.loads(content).items() if name not in _PLACE}
            return f"release/{values['effective_from']}", json.dumps(values, sort_keys=True).encode()
        if path.startswith("records/release/"):
            values = json.loads(content)
            values.pop("head", None)
            values["files"] = {name: md5 for name, md5 in values["files"].items() if not name.startswith("release/")}
            return path, json.dumps(values, sort_keys=True).encode()
    except (ValueError, KeyError, TypeError, AttributeError):  # it is damaged: as it is
        pass
    return path, content


def list_leftovers(root: Path) -> list[str]:
    """The temporary files that killed writes left below a data root."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob(f"{TEMPORARY_PREFIX}*"))


def _count_rows(whole: Path, recovered: Path, paths: Collection[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Rows that the partitions at ``paths`` lack and have too many, by table, told apart by their id."""
    lost: Counter[str] = Counter()
    doubled: Counter[str] = Counter()
    for path in paths:
        if path.startswith("lake/") and path.endswith(".parquet"):
            expected, found = _count_ids(whole / path), _count_ids(recovered / path)
            table = path.split("/")[1]
            lost[table] += (expected - found).total()
            doubled[table] += (found - expected).total()
    return dict(+lost), dict(+doubled)


def _count_ids(path: Path) -> Counter[str]:
    import polars as pl

    if not path.exists():
        return Counter()
    try:
        ids = pl.read_parquet(path, hive_partitioning=False)
    except pl.exceptions.PolarsError:  # damaged: every row of it is lost
        return Counter()
    return Counter(ids[_ID].to_list() if _ID in ids.columns else [])


def _name(paths: Collection[str]) -> str:
    more = f" (and {len(paths) - _SHOWN} more)" if len(paths) > _SHOWN else ""
    return f"{', '.join(sorted(paths)[:_SHOWN])}{more}"
