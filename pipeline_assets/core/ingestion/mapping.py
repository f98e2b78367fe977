"""The parameters of ingestion: which source column is which of ours, and what is tolerated."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Final, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS, MAX_LATENESS_DAYS
from pipeline_assets.contracts.tables import CHARGEBACKS, TRANSACTIONS, Table
from pipeline_assets.contracts.vocabularies import Feed

_STRICT = ConfigDict(extra="forbid")
ISO: Final = "iso"
MICROSECONDS_BY_EPOCH: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
# An offset from UTC in a strptime pattern, with what follows up to white space; or a per cent sign, written twice.
OFFSET_WORD: Final = r"%%|(?P<offset>%(?::{0,3}|#)z)(?P<rest>\S*)"
TABLE_OF_FEED: Final[Mapping[Feed, Table]] = {Feed.TRANSACTIONS: TRANSACTIONS, Feed.CHARGEBACKS: CHARGEBACKS}
TIME_COLUMN_OF_FEED: Final[Mapping[Feed, str]] = {Feed.TRANSACTIONS: "event_time", Feed.CHARGEBACKS: "reported_at"}


class Unit(StrEnum):
    """What a source's amounts count."""

    CENTS = "cents"  # minor units: whole numbers
    MAJOR = "major"  # euros, dollars: rounded half to even to two decimals on arrival


@dataclass(frozen=True, config=_STRICT)
class TimeColumn:
    """A source column of times.

    Attributes:
        source: The column's name in the file.
        format: ``iso``, ``epoch_s``, ``epoch_ms``, ``epoch_us`` or a strptime pattern, in which white space follows
            ``%z``, if anything does but a bracket. Times that a parquet file holds as timestamps need none.
        time_zone: The IANA zone of times that name no zone themselves. Of the two readings of an hour that the end of
            summer time repeats, the first is taken.
    """

    source: str
    format: str = ISO
    time_zone: str = "UTC"

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, value: str) -> str:
        if any(found["rest"] and "%" in found["rest"] for found in re.finditer(OFFSET_WORD, value)):
            raise ValueError(f"expected white space between %z and the next directive, found {value!r}")
        if value == ISO or value in MICROSECONDS_BY_EPOCH or "%" in value:
            return value
        raise ValueError(f"expected iso, {', '.join(MICROSECONDS_BY_EPOCH)} or a strptime pattern, found {value!r}")

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"expected an IANA time zone such as Europe/Berlin, found {value!r}") from error
        return value


@dataclass(frozen=True, config=_STRICT)
class AmountColumn:
    """A source column of amounts: its name in the file and its unit."""

    source: str
    unit: Unit = Unit.CENTS


@dataclass(frozen=True, config=_STRICT)
class TransactionsMapping:
    """Where each column of ``transactions`` comes from; by default a file carries our own names and units.

    Columns that are neither mapped nor in ``ignored_columns`` are refused: a source that changes must be looked at.
    """

    transaction_id: str = "transaction_id"
    event_time: TimeColumn = TimeColumn("event_time")
    customer_id: str = "customer_id"
    terminal_id: str = "terminal_id"
    amount_cents: AmountColumn = AmountColumn("amount_cents")
    ignored_columns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> Self:
        _check_distinct(self)
        return self


@dataclass(frozen=True, config=_STRICT)
class ChargebacksMapping:
    """Where each column of ``chargebacks`` comes from; see :class:`TransactionsMapping`."""

    transaction_id: str = "transaction_id"
    reported_at: TimeColumn = TimeColumn("reported_at")
    ignored_columns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> Self:
        _check_distinct(self)
        return self


FeedMapping = TransactionsMapping | ChargebacksMapping


def list_sources(mapping: FeedMapping) -> dict[str, str]:
    """Our column's name -> the source's, in the order of the feed's table."""
    feed = Feed.TRANSACTIONS if isinstance(mapping, TransactionsMapping) else Feed.CHARGEBACKS
    specs = {name: getattr(mapping, name) for name in TABLE_OF_FEED[feed].columns}
    return {name: spec if isinstance(spec, str) else spec.source for name, spec in specs.items()}


OWN_MARK: Final = ".ours"


def choose_mapping(name: str, mapping: FeedMapping) -> FeedMapping:
    """The mapping of one landed file: ``<name>.ours.<format>`` carries our own columns, whatever the source's are.

    Such files are made by the pipeline itself: replayed rows, and chargebacks from a foreign source's labels.
    """
    return type(mapping)() if name.rpartition(".")[0].endswith(OWN_MARK) else mapping


def _check_distinct(mapping: FeedMapping) -> None:
    names = [*list_sources(mapping).values(), *mapping.ignored_columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each source column may be named once; named more often: {', '.join(twice)}")


@dataclass(frozen=True, config=_STRICT)
class LabelColumn:
    """A column of a foreign source that says which payments were fraud, as if it had been known at once.

    Attributes:
        column: The source column; it is one of the transactions' ``ignored_columns``.
        fraud_value: What it holds for a fraud.
        report_delay_days: After how many days the fraud is reported.
    """

    column: str
    fraud_value: int | str = 1
    report_delay_days: int = Field(default=LABEL_DELAY_DAYS, ge=0)


@dataclass(frozen=True, config=_STRICT)
class IngestionParams:
    """What ingestion expects and tolerates.

    Attributes:
        max_lateness_days: A row may arrive this many days after its event. A repeat that comes later is too late
            anyway, so this is also how far back repeats are looked for.
        max_quarantine_share: Above this share of malformed rows the partition is held; below it, a warning.
        transactions: The columns of the feed ``transactions``.
        chargebacks: The columns of the feed ``chargebacks``.
        labels: The fraud labels of a foreign source, which are delivered as chargebacks.
    """

    max_lateness_days: int = Field(default=MAX_LATENESS_DAYS, ge=0, le=MAX_LATENESS_DAYS)
    max_quarantine_share: float = Field(default=0.05, ge=0, lt=1)
    transactions: TransactionsMapping = field(default_factory=TransactionsMapping)
    chargebacks: ChargebacksMapping = field(default_factory=ChargebacksMapping)
    labels: LabelColumn | None = None

    @model_validator(mode="after")
    def _label_column_is_ignored(self) -> Self:
        if self.labels is not None and self.labels.column not in self.transactions.ignored_columns:
            raise ValueError(
                f"labels.column: expected one of transactions.ignored_columns "
                f"({_join(self.transactions.ignored_columns)}), found {self.labels.column!r}"
            )
        return self

    def mapping_of(self, feed: Feed) -> FeedMapping:
        """The columns of a feed."""
        return self.transactions if feed is Feed.TRANSACTIONS else self.chargebacks


def _join(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
