"""The record of a partition: which bytes it has, and from which bytes and by which code they were made.

A verifying trace in the sense of Mokhov, Mitchell and Peyton Jones, Build systems a la carte (2018): a partition is up
to date when its record names the versions that its inputs have now. No clock and no run is in it: the same work always
gives the same record.
"""

import json
from datetime import date
from typing import Annotated, Final, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.core.lineage.snapshots import LogHead

UNAVAILABLE: Final = "unavailable"  # the version of an input that should have been read and could not be


class RecordError(ValueError):
    """The bytes of a record are no record."""


class Key(NamedTuple):
    """One partition of one asset."""

    asset: str
    day: date

    def __str__(self) -> str:
        """As people and Dagster's selection write it."""
        return f"{self.asset}@{self.day}"


def parse_key(text: str) -> Key:
    """The key that :meth:`Key.__str__` wrote.

    Raises:
        ValueError: It is none.
    """
    asset, _, day = text.rpartition("@")
    try:
        key = Key(asset, date.fromisoformat(day))
    except ValueError:
        key = None
    if not asset or key is None:
        raise ValueError(f"expected asset@YYYY-MM-DD, found {text!r}")
    return key


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class Record:
    """What one partition is and what it was made from.

    Attributes:
        asset: Its asset.
        day: Its partition.
        files: Hash (md5) of each of its files, by path relative to the data root; the first one names the version.
        code: The recipe's code when it was made.
        inputs: Version of each partition that was read, by ``asset@day``.
        lacking: Partitions it went on without, because they were held or absent.
        head: How far the append-only log that it stands for reached then: of ``release``; None for what is no log.
    """

    asset: str
    day: date
    files: Annotated[dict[str, str], Field(min_length=1)]
    code: str
    inputs: dict[str, str]
    lacking: tuple[str, ...] = ()
    head: LogHead | None = None

    @property
    def key(self) -> Key:
        """Which partition it describes."""
        return Key(self.asset, self.day)

    @property
    def md5(self) -> str:
        """Hash of its first file, which is its Dagster data version."""
        return next(iter(self.files.values()))

    @property
    def version(self) -> str:
        """What readers compare: the hash, and whether the partition was made without something."""
        return f"{self.md5} degraded" if self.lacking else self.md5

    def to_bytes(self) -> bytes:
        """JSON: the same record always gives the same bytes."""
        values = _ADAPTER.dump_python(self, mode="json")
        values["inputs"] = dict(sorted(values["inputs"].items()))
        if self.head is None:  # not written: the record of what is no log keeps its bytes
            del values["head"]
        return json.dumps(values, indent=0).encode() + b"\n"


_ADAPTER: Final = TypeAdapter(Record)


def read_record(content: bytes) -> Record:
    """The record that :meth:`Record.to_bytes` wrote.

    Raises:
        RecordError: The bytes are no record.
    """
    try:
        return _ADAPTER.validate_json(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RecordError(f"expected the record of a partition as JSON, found {problems}") from error
