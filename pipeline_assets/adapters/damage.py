"""What was found damaged and is not mended yet: a partition whose bytes are not those of its record.

Layout: ``<asset>/<YYYY-MM-DD>.json``. Whoever reads bytes that are not the recorded ones notes it here; whoever makes
or restores the partition strikes it off.
"""

import json
from dataclasses import dataclass
from datetime import date

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.lineage.records import Key


@dataclass(frozen=True)
class Damage:
    """One file that is not what its partition's record says.

    Attributes:
        key: The partition.
        path: The file, relative to the data root.
        expected: ``md5 …`` of the recorded bytes.
        found: ``md5 …`` of the bytes that are there, or ``nothing``.
    """

    key: Key
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        """For a person, beside the name of the partition."""
        return f"{self.path}: expected {self.expected}, found {self.found}"


class DamageList:
    """The damage below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing else."""
        self._storage = storage

    def note(self, damage: Damage) -> None:
        """Remember a damaged partition; the file that was found first stands for it."""
        content = {"path": damage.path, "expected": damage.expected, "found": damage.found}
        self._storage.create(_path(damage.key), json.dumps(content, indent=1).encode() + b"\n")

    def strike(self, key: Key) -> None:
        """Forget the damage of a partition that was made or restored."""
        if self._storage.exists(_path(key)):
            self._storage.delete(_path(key))

    def load(self) -> dict[Key, Damage]:
        """All damage that is not mended yet, in order."""
        found = {}
        for path in self._storage.list(""):
            asset, _, name = path.rpartition("/")
            key = Key(asset, date.fromisoformat(name.removesuffix(".json")))
            try:
                values = json.loads(self._storage.read(path))
                found[key] = Damage(key, values["path"], values["expected"], values["found"])
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):  # the note itself was damaged: it still names its partition
                found[key] = Damage(key, "?", "?", "?")
        return found


def _path(key: Key) -> str:
    return f"{key.asset}/{key.day.isoformat()}.json"
