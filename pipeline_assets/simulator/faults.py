"""What can go wrong on the way from the world to the landing zone, as data: it can stand in params.yaml."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from pipeline_assets.contracts.features import MAX_LATENESS_DAYS
from pipeline_assets.contracts.vocabularies import Feed, Reason
from pipeline_assets.simulator.params import FROZEN

ROW_DEFECTS: Final = (
    Reason.MISSING_VALUE, Reason.WRONG_TYPE, Reason.WRONG_ENCODING, Reason.NOT_FINITE, Reason.NEGATIVE,
    Reason.OUT_OF_RANGE, Reason.TOO_LONG, Reason.TOO_LATE, Reason.IN_FUTURE, Reason.ID_REUSED, Reason.MALFORMED,
)  # fmt: skip


class Corruption(StrEnum):
    """What can be wrong with a whole file."""

    EMPTY = "empty"  # no byte
    TRUNCATED = "truncated"  # it ends in the middle
    WRONG_FORMAT = "wrong_format"  # another format under this name
    WRONG_ENCODING = "wrong_encoding"  # UTF-16; a parquet file has no encoding
    WRONG_TYPE = "wrong_type"  # a column of words where numbers or times belong
    MISSING_COLUMN = "missing_column"
    EXTRA_COLUMN = "extra_column"


@dataclass(frozen=True, config=FROZEN)
class MalformedRows:
    """``n_rows`` payments of ``day`` arrive broken, each in the same way, in a file of their own."""

    day: date
    defect: Reason
    kind: Literal["malformed_rows"] = "malformed_rows"
    n_rows: int = Field(default=20, ge=1)

    @field_validator("defect")
    @classmethod
    def _defect_is_of_a_row(cls, value: Reason) -> Reason:
        if value not in ROW_DEFECTS:
            raise ValueError(f"expected a defect of a row ({', '.join(ROW_DEFECTS)}), found {value}")
        return value


@dataclass(frozen=True, config=FROZEN)
class RepeatedRows:
    """The day's file ends with ``n_rows`` rows that it already has (some more than once, where it has fewer)."""

    day: date
    kind: Literal["repeated_rows"] = "repeated_rows"
    n_rows: int = Field(default=1_000, ge=1)


@dataclass(frozen=True, config=FROZEN)
class LateRows:
    """``n_rows`` payments of ``day`` (all of them if None) arrive ``days_late`` days later, in a file of their own."""

    day: date
    kind: Literal["late_rows"] = "late_rows"
    days_late: int = Field(default=3, ge=1, le=MAX_LATENESS_DAYS)
    n_rows: int | None = Field(default=200, ge=1)


@dataclass(frozen=True, config=FROZEN)
class RepeatedFile:
    """The feed's file of ``day`` comes again, ``days_later``, byte for byte, under another name."""

    day: date
    kind: Literal["repeated_file"] = "repeated_file"
    feed: Feed = Feed.TRANSACTIONS
    days_later: int = Field(default=0, ge=0, le=MAX_LATENESS_DAYS)


@dataclass(frozen=True, config=FROZEN)
class MissingDay:
    """No file of the feed (of any, if None) arrives on ``day``, nor later, unless a ``repeated_file`` brings it."""

    day: date
    kind: Literal["missing_day"] = "missing_day"
    feed: Feed | None = None


@dataclass(frozen=True, config=FROZEN)
class CorruptFile:
    """The feed's file of ``day`` arrives corrupt."""

    day: date
    corruption: Corruption
    kind: Literal["corrupt_file"] = "corrupt_file"
    feed: Feed = Feed.TRANSACTIONS


Fault = MalformedRows | RepeatedRows | LateRows | RepeatedFile | MissingDay | CorruptFile
FaultOfKind = Annotated[Fault, Field(discriminator="kind")]  # as a field of other parameters


def read_faults(described: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """The faults that are described by mappings with a ``kind``, a ``day`` and what else that kind takes.

    Raises:
        ValueError: A description is not understood; the message says which, what and why.
    """
    try:
        return tuple(TypeAdapter(tuple[FaultOfKind, ...]).validate_python(described))
    except ValidationError as error:
        problems = (f"faults[{'.'.join(map(str, e['loc']))}]: {e['msg']}, found {e['input']!r}" for e in error.errors())
        raise ValueError("; ".join(problems)) from error


def find_arrival(fault: LateRows | RepeatedFile) -> date:
    """The day on which what the fault delays arrives."""
    return fault.day + timedelta(days=fault.days_late if isinstance(fault, LateRows) else fault.days_later)
