"""Integrity: which partitions have their bytes read on which day."""

import hashlib
from collections.abc import Iterable
from datetime import date

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.core.lineage.records import Key, Record


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class IntegrityParams:
    """How the bytes of the lake are watched.

    Attributes:
        full_every_days: Each day a share of all partitions is read, so that each is read once in so many days; besides
            those of the day itself.
    """

    full_every_days: int = Field(default=7, ge=1, le=366)


def choose_records(records: Iterable[Record], day: date, params: IntegrityParams) -> list[Record]:
    """The records whose bytes are to be read on ``day``: its own, and a share of all others by turns."""
    turn = day.toordinal() % params.full_every_days
    return [record for record in records if record.day == day or _draw(record.key) % params.full_every_days == turn]


def _draw(key: Key) -> int:
    return int.from_bytes(hashlib.md5(str(key).encode(), usedforsecurity=False).digest()[:4])
