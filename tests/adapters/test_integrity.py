"""Bytes against records: what is damaged is found, restored where a replica has it, and named where none has."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.damage import Damage
from pipeline_assets.adapters.integrity import find_damage, mend, replicate
from pipeline_assets.adapters.lake import PartitionCorruptError
from pipeline_assets.adapters.replica import Replica, open_replicas
from pipeline_assets.adapters.stages.integrity import find_lost_bytes, watch_bytes
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import INTEGRITY, PERFORMANCE
from pipeline_assets.core.checks import Level
from pipeline_assets.core.integrity import IntegrityParams, choose_records
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.performance import PerformanceParams
from pipeline_assets.settings import Params
from tests.adapters import logs

DAYS = [date(2026, 3, 1) + timedelta(days=number) for number in range(4)]
RECIPE = Params().describe_assets()[PERFORMANCE.name]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A data root with one small table, recorded."""
    stores = open_stores(str(tmp_path / "data"))
    for number, day in enumerate(DAYS):
        frame = pl.DataFrame([("all", "n_payments", float(number))], PERFORMANCE.empty().schema, orient="row")
        written = stores.lake.write(PERFORMANCE, day, frame)
        View(stores).record(RECIPE, day, {f"lake/{written.path}": written.md5})
    return stores


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica(LocalStorage(tmp_path / "replica"))


def path_of(stores: Stores, day: date) -> Path:
    (path,) = stores.records.load_all()[Key(PERFORMANCE.name, day)].files
    return Path(stores.root.root, path)


def damage_all(stores: Stores) -> list[Damage]:
    return list(find_damage(stores, list(stores.records.load_all().values())))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_sound_bytes_are_no_damage(stores: Stores) -> None:
    assert damage_all(stores) == []


def test_every_kind_of_damage_is_found_and_nothing_else(stores: Stores) -> None:
    flip_a_bit(path_of(stores, DAYS[0]))
    path_of(stores, DAYS[1]).unlink()
    path_of(stores, DAYS[2]).write_bytes(b"")
    found = damage_all(stores)
    assert [one.key.day for one in found] == DAYS[:3]
    assert found[1].found == "nothing"


def test_what_a_replica_has_is_restored_byte_by_byte(stores: Stores, replica: Replica) -> None:
    records = list(stores.records.load_all().values())
    before = [path_of(stores, day).read_bytes() for day in DAYS]
    assert replicate(stores, records, [replica]) == len(DAYS)
    assert replicate(stores, records, [replica]) == 0
    flip_a_bit(path_of(stores, DAYS[0]))
    path_of(stores, DAYS[1]).unlink()
    assert [one.replica for one in mend(stores, damage_all(stores), [replica])] == [replica.root] * 2
    assert [path_of(stores, day).read_bytes() for day in DAYS] == before
    assert stores.damage.load() == {}


def test_what_no_replica_has_is_noted_to_be_made_again(stores: Stores, replica: Replica) -> None:
    flip_a_bit(path_of(stores, DAYS[0]))
    assert [one.replica for one in mend(stores, damage_all(stores), [replica])] == [None]
    assert set(stores.damage.load()) == {Key(PERFORMANCE.name, DAYS[0])}


def test_damaged_bytes_are_never_copied_and_a_damaged_copy_never_restored(stores: Stores, replica: Replica) -> None:
    records = list(stores.records.load_all().values())
    flip_a_bit(path_of(stores, DAYS[0]))
    assert replicate(stores, records, [replica]) == len(DAYS) - 1
    (copy,) = (Path(replica.root) / "files/md5").rglob(records[1].md5[2:])
    flip_a_bit(copy)
    path_of(stores, DAYS[1]).unlink()
    assert [one.replica for one in mend(stores, damage_all(stores), [replica])] == [None, None]


def test_a_replica_lies_where_its_name_says(stores: Stores, tmp_path: Path) -> None:
    inside, outside = open_replicas(stores.root, ("replica", str(tmp_path / "elsewhere")))
    assert inside.root == f"{stores.root.root}/replica"
    assert outside.root == str(tmp_path / "elsewhere")


def test_a_reader_never_takes_other_bytes_than_were_recorded_and_says_where_they_are(stores: Stores) -> None:
    other = path_of(stores, DAYS[1]).read_bytes()  # a sound file, but of another day
    path_of(stores, DAYS[0]).write_bytes(other)
    with pytest.raises(PartitionCorruptError, match="heal --apply"):
        View(stores).read(PERFORMANCE, DAYS)
    assert set(stores.damage.load()) == {Key(PERFORMANCE.name, DAYS[0])}


def test_making_a_damaged_partition_again_strikes_the_damage_off(stores: Stores) -> None:
    path = path_of(stores, DAYS[0])
    content = path.read_bytes()
    path.unlink()
    mend(stores, damage_all(stores), [])
    path.write_bytes(content)
    record = stores.records.load_all()[Key(PERFORMANCE.name, DAYS[0])]
    View(stores).record(RECIPE, DAYS[0], record.files)
    assert stores.damage.load() == {}


def test_every_partition_has_its_turn_within_the_stated_days() -> None:
    records = [Record("scores", date(2025, 1, 1) + timedelta(days=n), {"p": "m"}, "1", {}) for n in range(200)]
    params = IntegrityParams(full_every_days=5)
    turns = [choose_records(records, DAYS[0] + timedelta(days=n), params) for n in range(5)]
    assert sorted(record.day for turn in turns for record in turn) == [record.day for record in records]
    assert max(map(len, turns)) < 80  # about 40 each


def test_a_days_own_partitions_are_read_on_that_day() -> None:
    record = Record("scores", DAYS[0], {"p": "m"}, "1", {})
    assert choose_records([record], DAYS[0], IntegrityParams(full_every_days=366)) == [record]


def test_performance_params_are_part_of_its_recipe() -> None:
    other = Params(performance=PerformanceParams(window_days=3)).describe_assets()[PERFORMANCE.name]
    assert other.code != RECIPE.code


def test_a_release_log_whose_end_is_gone_is_for_a_person_and_fails_the_check(stores: Stores, replica: Replica) -> None:
    for number in range(3):
        logs.add(stores, number)
    params = IntegrityParams(full_every_days=1)
    list(watch_bytes(stores, params, [replica], DAYS[-1:], is_full=True))
    assert find_lost_bytes(stores, DAYS[-1]).passed
    logs.path_of(Path(stores.root.root), 2).unlink()
    list(watch_bytes(stores, params, [replica], DAYS[-1:], is_full=True))
    finding = find_lost_bytes(stores, DAYS[-1])
    assert (finding.passed, finding.level) == (False, Level.ERROR)
    assert "expected 3 entries" in finding.explanation
    assert "found 2 entries" in finding.explanation
    assert finding.facts["log_is_intact"] is False
    row = stores.reports.read(INTEGRITY, DAYS[-1:]).filter(outcome="for_a_person").row(0, named=True)
    assert (row["asset"], row["path"]) == ("release", "release/entries")
