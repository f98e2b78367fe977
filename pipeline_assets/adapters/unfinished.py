"""A restore that was begun and not ended: what is there meanwhile is no state that anybody wants back."""

import json
from dataclasses import dataclass
from typing import Final

from pipeline_assets.adapters.storage import Storage

_PATH: Final = "snapshots/restoring.json"


@dataclass(frozen=True)
class Restoration:
    """What is being brought back.

    Attributes:
        root: Id of the data root whose snapshot it is.
        sequence: The snapshot.
        tables: Of these assets; empty for all.
    """

    root: str
    sequence: int
    tables: tuple[str, ...]


def begin(root: Storage, restoration: Restoration) -> None:
    """Note that it begins, in the place of one that was begun before."""
    values = {"root": restoration.root, "sequence": restoration.sequence, "tables": list(restoration.tables)}
    root.write(_PATH, json.dumps(values).encode())


def find(root: Storage) -> Restoration | None:
    """Return the one that was begun and not ended; None where there is none, or its note cannot be read."""
    try:
        values = json.loads(root.read(_PATH))
        return Restoration(str(values["root"]), int(values["sequence"]), tuple(values["tables"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def end(root: Storage) -> None:
    """Note that it is over."""
    root.delete(_PATH)
