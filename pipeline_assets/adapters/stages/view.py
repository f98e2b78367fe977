"""What one step sees of the stores: taken down before it is read, verified while it is read, recorded afterwards."""

import time
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from typing import Final

import polars as pl

from pipeline_assets.adapters.damage import Damage
from pipeline_assets.adapters.holds import PartitionHeldError
from pipeline_assets.adapters.lake import PartitionCorruptError, PartitionMissingError
from pipeline_assets.adapters.models import ModelCorruptError, ModelMissingError
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import Table
from pipeline_assets.core.lineage.inputs import ExpectedInputs, Present, expect_inputs
from pipeline_assets.core.lineage.recipes import MODEL, Recipe
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, Record
from pipeline_assets.core.lineage.snapshots import LogHead

# A partition that another run is replacing has for a moment new bytes and the old record: after these waits not.
_REREAD_SECONDS: Final = (0.05, 0.2, 0.5)


class View:
    """The partitions that one step can read, as they were when it looked first."""

    def __init__(self, stores: Stores) -> None:
        """See the stores as they are from now on, asset by asset when it is first asked for."""
        self._stores = stores
        self._versions: dict[str, dict[date, str]] = {}
        self._md5s: dict[str, dict[date, str]] = {}
        self._held: dict[str, frozenset[date]] = {}
        self._degraded: dict[str, set[date]] = {}
        self._files: dict[str, dict[date, tuple[str, ...]]] = {}

    def present(self, asset: str) -> list[date]:
        """The partitions of an asset that can be read, in order: recorded, and not held."""
        self._look(asset)
        return sorted(day for day in self._versions[asset] if day not in self._held[asset])

    def held(self, asset: str) -> frozenset[date]:
        """The partitions of an asset that are held."""
        self._look(asset)
        return self._held[asset]

    def is_recorded(self, asset: str, day: date) -> bool:
        """Whether a partition is there, held or not."""
        self._look(asset)
        return day in self._versions[asset]

    def is_degraded(self, asset: str, day: date) -> bool:
        """Whether a partition was made without something that was held or absent."""
        self._look(asset)
        return day in self._degraded[asset]

    def find_version(self, key: Key) -> str:
        """The version of a partition, ``unavailable`` where there is none to be read."""
        self._look(key.asset)
        return Present(self._versions, self._held).find_version(key)

    def find_md5(self, asset: str, day: date) -> str | None:
        """Hash of the bytes of a partition; None where there is none."""
        self._look(asset)
        return self._md5s[asset].get(day)

    def list_files(self, asset: str, day: date) -> tuple[str, ...]:
        """The files of a partition, in the data root; none where there is none."""
        self._look(asset)
        return self._files[asset].get(day, ())

    def require(self, asset: str, day: date, wanted_by: str) -> None:
        """Make sure that a partition can be read.

        Raises:
            PartitionMissingError: It is not there.
            PartitionHeldError: It failed a blocking check.
        """
        self._look(asset)
        if day in self._held[asset]:
            hold = self._stores.holds.find(Key(asset, day))
            reasons = "; ".join(f"{check}: {found}" for check, found in (hold.checks if hold else {}).items())
            raise PartitionHeldError(
                f"{wanted_by} of {day} needs {asset} of {day}, which is held: {reasons}; correct its input and "
                f"materialize it again, or: pipeline-assets holds release {asset}@{day} --because …"
            )
        if day not in self._versions[asset]:
            raise PartitionMissingError(
                f"{wanted_by} of {day}: expected {asset} of {day}, found none that was finished; "
                f"materialize {asset} for {day} first"
            )

    def read(
        self, table: Table, days: Iterable[date], columns: Iterable[str] | None = None, *, with_date: bool = False
    ) -> pl.DataFrame:
        """The rows of ``days``, of exactly the recorded bytes; held partitions too, if they are asked for.

        Raises:
            PartitionCorruptError: The bytes are not those that were recorded; the damage is noted.
        """
        self._look(table.name)
        days, names, waits = list(days), list(columns) if columns is not None else None, iter(_REREAD_SECONDS)
        while True:
            try:
                return self._stores.lake.read(table, days, names, with_date=with_date, md5s=self._md5s[table.name])
            except PartitionCorruptError as error:
                seconds = next(waits, None)
                if seconds is None:
                    self._stores.damage.note(
                        Damage(Key(table.name, error.day), f"lake/{error.path}", error.expected, error.found)
                    )
                    raise
                time.sleep(seconds)
                if self._look_again(table.name, error.day):  # it was being replaced; the next one of the range may be
                    waits = iter(_REREAD_SECONDS)

    def read_window(self, table: Table, first: date, last: date) -> pl.DataFrame:
        """The partitions from ``first`` to ``last``, both inclusive, with each row's ``arrival_date``; none held."""
        days = [day for day in self.present(table.name) if first <= day <= last]
        return self.read(table, days, with_date=True).rename({"date": "arrival_date"})

    def expect(self, recipe: Recipe, day: date, also: Mapping[str, str] | None = None) -> ExpectedInputs:
        """The inputs of a partition; ``also`` are versions that the recipe's windows do not tell."""
        for reads in recipe.reads:
            self._look(reads.upstream)
        expected = expect_inputs(recipe, day, Present(self._versions, self._held))
        return ExpectedInputs({**expected.versions, **(also or {})}, expected.lacking)

    def see_version(self, asset: str, day: date, version: str) -> None:
        """See the version of something that has no record: what landed on a day."""
        self._versions.setdefault(asset, {})[day] = version
        self._held.setdefault(asset, frozenset())

    def see(self, record: Record) -> None:
        """See a partition that this step itself has just made."""
        self._look(record.asset)
        self._versions[record.asset][record.day] = record.version
        self._md5s[record.asset][record.day] = record.md5
        self._files[record.asset][record.day] = tuple(record.files)
        (set.add if record.lacking else set.discard)(self._degraded[record.asset], record.day)

    def record(
        self,
        recipe: Recipe,
        day: date,
        files: Mapping[str, str],
        also: Mapping[str, str] | None = None,
        head: LogHead | None = None,
    ) -> Record:
        """Record what was made of a partition: its files (hash by path in the data root) and what it was made from."""
        expected = self.expect(recipe, day, also)
        record = Record(recipe.asset, day, dict(files), recipe.code, dict(expected.versions), expected.lacking, head)
        self._stores.records.write(record)
        if record.key in self.damaged:
            self._stores.damage.strike(record.key)
        return record

    def name_models(self, versions: Iterable[str], why_not: Mapping[str, Exception]) -> dict[str, str]:
        """Models as inputs of a record: the version of each, or that it could not be had; damage is noted."""
        named = {}
        for version in versions:
            key = Key(MODEL, date.fromisoformat(version.rpartition("-")[0]))
            named[str(key)] = UNAVAILABLE if version in why_not else self.find_version(key)
            record = self._stores.records.find(key) if version in why_not else None
            if record is not None and isinstance(why_not[version], ModelCorruptError | ModelMissingError):
                path, md5 = next(iter(record.files.items()))
                self._stores.damage.note(Damage(key, path, f"md5 {md5}", str(why_not[version])))
        return named

    @cached_property
    def damaged(self) -> set[Key]:
        """Partitions whose bytes were found not to be the recorded ones."""
        return set(self._stores.damage.load())

    def _look(self, asset: str) -> None:
        if asset in self._versions:
            return
        records = self._stores.records.load(asset)
        self._versions[asset] = {day: record.version for day, record in records.items()}
        self._md5s[asset] = {day: record.md5 for day, record in records.items()}
        self._files[asset] = {day: tuple(record.files) for day, record in records.items()}
        self._degraded[asset] = {day for day, record in records.items() if record.lacking}
        self._held[asset] = frozenset(self._stores.holds.held_days(asset))

    def _look_again(self, asset: str, day: date) -> bool:
        """Take down what a partition is now; whether it has other bytes than before."""
        record, before = self._stores.records.find(Key(asset, day)), self._md5s[asset][day]
        if record is not None:
            self._versions[asset][day], self._md5s[asset][day] = record.version, record.md5
        return self._md5s[asset][day] != before
