"""Records in storage, what was found damaged, and the order of writes and reads that keeps lineage honest."""

import logging
from datetime import date
from pathlib import Path

import pytest

from pipeline_assets.adapters.damage import Damage, DamageList
from pipeline_assets.adapters.records import Records
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.lineage.records import Key, Record

DAY = date(2026, 3, 1)
RECORD = Record("scores", DAY, {"lake/scores": "m"}, "1", {"transactions@2026-03-01": "v"})


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(LocalStorage(tmp_path))


def test_a_record_is_found_by_asset_and_day(records: Records) -> None:
    records.write(RECORD)
    assert records.find(RECORD.key) == RECORD
    assert records.load("scores") == {DAY: RECORD}
    assert records.load_all() == {RECORD.key: RECORD}
    assert records.find(Key("scores", date(2026, 3, 2))) is None


def test_a_record_that_another_process_wrote_is_seen_at_the_next_look(records: Records, tmp_path: Path) -> None:
    records.write(RECORD)
    assert records.find(RECORD.key) == RECORD
    other = Record("scores", DAY, {"lake/scores": "n"}, "1", {})
    Records(LocalStorage(tmp_path)).write(other)
    assert records.find(RECORD.key) == other
    Records(LocalStorage(tmp_path)).delete(RECORD.key)
    assert records.find(RECORD.key) is None


@pytest.mark.parametrize("content", [b"{", RECORD.to_bytes().replace(b'"scores",', b'"performance",')])
def test_a_record_that_is_damaged_or_of_another_partition_counts_as_missing_and_is_named(
    records: Records, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    records.write(RECORD)
    (tmp_path / "scores" / f"{DAY}.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert records.load("scores") == {}
    assert f"scores/{DAY}.json" in caplog.text


def test_damage_is_noted_once_and_struck_when_it_is_mended(tmp_path: Path) -> None:
    damages = DamageList(LocalStorage(tmp_path))
    first = Damage(RECORD.key, "lake/scores", "md5 m", "nothing")
    damages.note(first)
    damages.note(Damage(RECORD.key, "lake/other", "md5 m", "md5 n"))
    assert damages.load() == {RECORD.key: first}
    damages.strike(RECORD.key)
    damages.strike(RECORD.key)
    assert damages.load() == {}


def test_a_damaged_note_of_damage_still_names_its_partition(tmp_path: Path) -> None:
    damages = DamageList(LocalStorage(tmp_path))
    damages.note(Damage(RECORD.key, "lake/scores", "md5 m", "nothing"))
    next(tmp_path.rglob("*.json")).write_bytes(b"")
    assert set(damages.load()) == {RECORD.key}
