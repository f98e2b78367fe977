"""The lake: tables of daily (or weekly) parquet partitions, each written whole and only if it satisfies its contract.

Layout: ``<table>/date=<YYYY-MM-DD>/part.parquet``, which DuckDB, Polars, Spark and Athena read as it is.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import pandera.errors
import polars as pl

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.contracts.tables import Table
from pipeline_assets.core.failures import AbsentInputError, BadDataError

PARTITION_COLUMN: Final = "date"  # the hive key; never a column of the files themselves
ABSENT: Final = "nothing"  # what is found where a file is gone
_SHOWN_FAILURES: Final = 5  # kinds of failing cells told in an error: enough to see the pattern


class ContractError(BadDataError):
    """A frame does not satisfy its table's contract; nothing was written."""


class PartitionMissingError(AbsentInputError):
    """A partition that was asked for is not in the lake."""


class PartitionCorruptError(BadDataError):
    """The bytes of a partition are not those that were written."""

    def __init__(self, root: str, table: Table, day: date, expected: str, found: str) -> None:
        """Of ``table`` for ``day`` in the lake ``root``, hashes ``expected`` and ``found`` (or what came instead)."""
        self.day, self.path, self.expected, self.found = day, _path(table, day), expected, found
        super().__init__(
            f"{table.name} of {day} in the lake {root} is damaged: {self.path}: expected {expected}, found {found}; "
            "restore or rebuild it: pipeline-assets heal --apply"
        )


@dataclass(frozen=True)
class Written:
    """What a partition holds after a write.

    Attributes:
        rows: Number of rows.
        md5: Hash of the file's bytes, which is DVC's hash of it.
        size_bytes: Length of the file.
        path: Where it is, relative to the lake's root.
    """

    rows: int
    md5: str
    size_bytes: int
    path: str


class Lake:
    """The tables below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, whose top-level folders are the tables."""
        self._storage = storage
        self.root = storage.root

    def write(self, table: Table, day: date, frame: pl.DataFrame) -> Written:
        """Write one partition; the same rows, in whatever order, always give the same bytes.

        Raises:
            ContractError: The frame breaks the table's contract.
        """
        return dict(self.write_days(table, {day: frame}))[day]

    def write_days(self, table: Table, frames: Mapping[date, pl.DataFrame]) -> Iterator[tuple[date, Written]]:
        """Check several partitions together, then write each when it is taken; see :meth:`write`.

        So each can be recorded at once: until then its new bytes look damaged to whoever reads it meanwhile.
        """
        if frames:
            _check_contract(table, frames)
        return ((day, self._put(table, day, frame)) for day, frame in frames.items())

    def read(
        self,
        table: Table,
        days: Iterable[date],
        columns: Iterable[str] | None = None,
        *,
        with_date: bool = False,
        md5s: Mapping[date, str] | None = None,
    ) -> pl.DataFrame:
        """The rows of ``days``, in the order of the days and of the table.

        Args:
            table: The table.
            days: The partitions to read; each must exist.
            columns: Which columns, in which order; all by default.
            with_date: Whether to add the partition's day as a last column ``date``.
            md5s: Hashes that the bytes must have, by day; without, they are read as they are.

        Raises:
            PartitionMissingError: One of the days is not there.
            PartitionCorruptError: Its bytes are no parquet, or not the expected ones.
        """
        names = list(columns) if columns is not None else list(table.columns)
        parts = [table.empty().select(names).with_columns(pl.lit(None, pl.Date).alias(PARTITION_COLUMN)).clear()]
        for day in days:
            part = self._get(table, day, names, md5s[day] if md5s is not None else None)
            parts.append(part.with_columns(pl.lit(day, pl.Date).alias(PARTITION_COLUMN)))
        frame = pl.concat(parts, how="vertical", rechunk=False)
        return frame if with_date else frame.drop(PARTITION_COLUMN)

    def has(self, table: Table, day: date) -> bool:
        """Whether the partition is there."""
        return self._storage.exists(_path(table, day))

    def days(self, table: Table) -> list[date]:
        """The partitions that are there, in order."""
        prefix = f"{table.name}/{PARTITION_COLUMN}="
        return [
            date.fromisoformat(path.removeprefix(prefix).split("/")[0])
            for path in self._storage.list(table.name)
            if path.startswith(prefix)
        ]

    def md5(self, table: Table, day: date) -> str:
        """The hash of the partition's bytes as they are now."""
        return hashlib.md5(self._read(table, day), usedforsecurity=False).hexdigest()

    def _read(self, table: Table, day: date) -> bytes:
        try:
            return self._storage.read(_path(table, day))
        except FileNotFoundError as error:
            raise _missing(self.root, table, day) from error

    def _get(self, table: Table, day: date, columns: list[str], expected: str | None) -> pl.DataFrame:
        content: bytes | None = None
        if expected is not None:
            try:
                content = self._read(table, day)
            except PartitionMissingError as error:
                raise PartitionCorruptError(self.root, table, day, f"md5 {expected}", ABSENT) from error
            found = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if found != expected:
                raise PartitionCorruptError(self.root, table, day, f"md5 {expected}", f"md5 {found}")
        try:
            with io.BytesIO(content) if content is not None else self._storage.open(_path(table, day)) as file:
                return pl.read_parquet(file, columns=columns, hive_partitioning=False).select(columns)
        except FileNotFoundError as error:
            raise _missing(self.root, table, day) from error
        except pl.exceptions.PolarsError as error:
            raise PartitionCorruptError(self.root, table, day, "a parquet file of its columns", str(error)) from error

    def _put(self, table: Table, day: date, frame: pl.DataFrame) -> Written:
        buffer = io.BytesIO()
        frame.sort(table.order, maintain_order=True).rechunk().write_parquet(
            buffer, compression="zstd", statistics=True
        )
        content = buffer.getvalue()
        path = _path(table, day)
        self._storage.write(path, content)
        return Written(frame.height, hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content), path)


def _check_contract(table: Table, frames: Mapping[date, pl.DataFrame]) -> None:
    # One validation of all partitions together, because its cost is by the call; the key is unique within each.
    for day, frame in frames.items():
        if tuple(frame.columns) != table.columns:
            raise ContractError(
                f"{table.name} of {day} breaks its contract: expected the columns {', '.join(table.columns)}; "
                f"found {', '.join(frame.columns)}; nothing was written"
            )
        if table.key and frame.select(table.key).is_duplicated().any():
            n_twice = int(frame.select(table.key).is_duplicated().sum())
            raise ContractError(
                f"{table.name} of {day} breaks its contract: expected each {', '.join(table.key)} once; "
                f"found {n_twice} rows that share theirs with another; nothing was written"
            )
    try:
        table.schema_of_rows.validate(pl.concat(_with_same_types(table, frames), rechunk=False), lazy=True)
    except pandera.errors.SchemaErrors as error:
        # Not from the error: it quotes the values, which are a person's, and would be logged with the stack.
        raise ContractError(_explain(table, frames, error.failure_cases)) from None


def _with_same_types(table: Table, frames: Mapping[date, pl.DataFrame]) -> list[pl.DataFrame]:
    types = table.empty().schema
    for day, frame in frames.items():
        wrong = [
            f"{name}: expected {types[name]}, found {dtype}"
            for name, dtype in frame.schema.items()
            if dtype != types[name]
        ]
        if wrong:
            raise ContractError(f"{table.name} of {day} breaks its contract: {'; '.join(wrong)}; nothing was written")
    return list(frames.values())


def _explain(table: Table, frames: Mapping[date, pl.DataFrame], failures: pl.DataFrame) -> str:
    days = f"{min(frames)} to {max(frames)}" if len(frames) > 1 else f"{min(frames)}"
    counts = failures.group_by("column", "check", maintain_order=True).len()
    shown = "; ".join(
        f"{column}: expected {check}, found other values in {n_cells} cells"
        for column, check, n_cells in counts.head(_SHOWN_FAILURES).iter_rows()
    )
    return f"{table.name} of {days} breaks its contract in {failures.height} cells: {shown}; nothing was written"


def _path(table: Table, day: date) -> str:
    return f"{table.name}/{PARTITION_COLUMN}={day.isoformat()}/part.parquet"


def _missing(root: str, table: Table, day: date) -> PartitionMissingError:
    return PartitionMissingError(
        f"{table.name} of {day} is not in the lake {root}: expected {_path(table, day)}, found nothing; "
        f"materialize {table.name} for {day} first"
    )
