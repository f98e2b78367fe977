"""Reading beside a run that replaces what is read: whole partitions, old or new, and never an alarm about damage."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from pipeline_assets.adapters import integrity
from pipeline_assets.adapters.integrity import find_damage
from pipeline_assets.adapters.lake import PartitionCorruptError
from pipeline_assets.adapters.stages import view
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import PERFORMANCE
from pipeline_assets.core.lineage.records import Key, Record

DAYS = [date(2026, 3, 1) + timedelta(days=number) for number in range(6)]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A table with six partitions, each with its record."""
    stores = open_stores(str(tmp_path))
    for _ in replace_all(stores, 1.0):
        pass
    return stores


def replace_all(stores: Stores, value: float) -> Iterator[None]:
    """Replace each partition, and stop after its bytes are written and before its record is."""
    for day in DAYS:
        rows = pl.DataFrame([("all", "precision", value)], PERFORMANCE.empty().schema, orient="row")
        written = stores.lake.write(PERFORMANCE, day, rows)
        yield
        record = Record(PERFORMANCE.name, day, {f"lake/{written.path}": written.md5}, "1", {})
        stores.records.write(record)


def meanwhile(patch: pytest.MonkeyPatch, module: object, go_on: Callable[[], object]) -> None:
    """Whenever a reader waits, the writer goes on."""
    patch.setattr(module, "time", SimpleNamespace(sleep=lambda _: go_on()))


def test_a_range_that_is_being_replaced_is_read_whole_and_is_no_damage(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = replace_all(stores, 2.0)
    next(writer)
    meanwhile(monkeypatch, view, lambda: next(writer, None))
    values = View(stores).read(PERFORMANCE, DAYS, ["value"])["value"].to_list()
    assert values == [2.0] * 6
    assert stores.damage.load() == {}


def test_bytes_that_stay_other_than_recorded_are_damage(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = replace_all(stores, 2.0)
    next(writer)  # and was killed there
    meanwhile(monkeypatch, view, lambda: None)
    with pytest.raises(PartitionCorruptError):
        View(stores).read(PERFORMANCE, DAYS)
    assert list(stores.damage.load()) == [Key(PERFORMANCE.name, DAYS[0])]


def test_the_watch_over_bytes_takes_a_partition_that_is_being_replaced_for_no_damage(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, writer = list(stores.records.load_all().values()), replace_all(stores, 2.0)
    next(writer)
    meanwhile(monkeypatch, integrity, lambda: next(writer))
    assert list(find_damage(stores, records)) == []


def test_each_partition_of_a_range_can_be_recorded_before_the_next_is_written(stores: Stores) -> None:
    rows = pl.DataFrame([("all", "precision", 2.0)], PERFORMANCE.empty().schema, orient="row")
    before = [stores.lake.md5(PERFORMANCE, day) for day in DAYS]
    writing = stores.lake.write_days(PERFORMANCE, dict.fromkeys(DAYS, rows))
    for number, (_, written) in enumerate(writing, 1):
        assert [stores.lake.md5(PERFORMANCE, day) for day in DAYS[number:]] == before[number:]
        assert written.md5 != before[number - 1]
