"""The end of the release log: whoever reads it finds that it was cut, altered, rolled back or emptied."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline_assets.adapters.integrity import find_log_damage
from pipeline_assets.adapters.release_log import ReleaseLogError
from pipeline_assets.adapters.replica import hash_bytes, open_replicas
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.contracts.vocabularies import DecidedBy
from pipeline_assets.core.lineage.append_log import Proof
from pipeline_assets.core.lineage.records import Record
from tests.adapters.logs import (
    add,
    alter_last,
    cut_one,
    cut_three,
    draft,
    empty,
    make_anew,
    path_of,
    read,
    replace_last,
    take,
)

SECRET = "k" * 32


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five entries, of which records know four, and the last one was added by a person."""
    stores = open_stores(str(tmp_path))
    for number in range(4):
        add(stores, number)
    stores.release_log.append(draft(4, by=DecidedBy.PERSON))
    return tmp_path


TAMPERINGS: list[Callable[[Path], None]] = [cut_one, cut_three, alter_last, replace_last, empty, make_anew]


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("has_read_it", [False, True], ids=["new reader", "had read it before"])
def test_a_log_that_was_changed_at_its_end_is_refused_by_every_reader(
    root: Path, tamper: Callable[[Path], None], has_read_it: bool
) -> None:
    stores = open_stores(str(root))
    take(stores)
    reader = open_stores(str(root)).release_log if has_read_it else None
    if reader:
        assert len(reader.entries()) == 5
    tamper(root)
    reader = reader or open_stores(str(root)).release_log
    with pytest.raises(ReleaseLogError, match=r"expected 5 entries, .*known by snapshot 0") as caught:
        reader.entries()
    assert "pipeline-assets restore release --as-of 0" in str(caught.value)
    before = sorted((root / "release").rglob("*.json"))
    with pytest.raises(ReleaseLogError):
        reader.append(draft(30))
    assert sorted((root / "release").rglob("*.json")) == before


@pytest.mark.parametrize("tamper", [cut_three, empty, make_anew], ids=lambda one: one.__name__)
def test_without_a_snapshot_the_records_know_the_end(root: Path, tamper: Callable[[Path], None]) -> None:
    tamper(root)
    with pytest.raises(ReleaseLogError, match=r"expected 4 entries, .*known by the record of release@2026-03-04"):
        read(root)


def test_a_record_from_before_there_were_heads_knows_the_entry_that_it_names(tmp_path: Path) -> None:
    stores = open_stores(str(tmp_path))
    entries = [add(stores, number, is_recorded=False) for number in range(3)]
    files = {"lake/release/x.parquet": "0" * 32, "release/entries/00000002.json": entries[2].md5}
    old = Record("release", entries[2].as_of, files, "1", {})
    assert b"head" not in old.to_bytes()
    stores.records.write(old)
    path_of(tmp_path, 2).unlink()
    with pytest.raises(ReleaseLogError, match="expected 3 entries"):
        read(tmp_path)


def test_a_log_that_went_on_is_as_it_should_be_recorded_or_not(root: Path) -> None:
    stores = open_stores(str(root))
    take(stores)
    for number in (5, 6):  # as a person adds one, or who was killed before the record
        add(stores, number, is_recorded=False)
    assert len(read(root)) == 7
    take(stores, 1)
    assert len(read(root)) == 7


def test_a_snapshot_of_a_log_that_was_cut_still_knows_how_far_it_reached(root: Path) -> None:
    stores = open_stores(str(root))
    take(stores)
    head = stores.release_log.find_head()
    cut_three(root)
    take(stores, 1)
    shutil.rmtree(root / "records" / "release")
    again = open_stores(str(root))
    assert again.release_log.find_head() == head
    with pytest.raises(ReleaseLogError, match=r"--as-of 0"):  # the one that has them
        again.release_log.entries()


def test_the_head_of_a_log_whose_middle_is_broken_is_the_one_that_is_known(root: Path) -> None:
    stores = open_stores(str(root))
    take(stores)
    head = stores.release_log.find_head()
    path_of(root, 1).unlink()
    assert open_stores(str(root)).release_log.find_head() == head


def test_the_watch_over_all_bytes_asks_every_snapshot(root: Path) -> None:
    stores = open_stores(str(root))
    replicas = open_replicas(stores.root, ("remotes/one",))
    take(stores)
    assert find_log_damage(stores, replicas) is None
    empty(root)
    shutil.rmtree(root / "records")
    shutil.rmtree(root / "snapshots")  # the remote has them
    damage = find_log_damage(open_stores(str(root)), replicas)
    assert damage is not None
    assert (damage.expected[:9], damage.found) == ("5 entries", "no entry")


def test_a_person_gives_up_what_is_lost_for_good_on_the_record(root: Path) -> None:
    take(open_stores(str(root)))
    cut_three(root)
    log = open_stores(str(root)).release_log
    entry = log.confirm(draft(40, by=DecidedBy.PERSON))
    assert {head.n_entries for head in entry.given_up} == {3, 4, 5}
    assert read(root)[-1] == entry
    path_of(root, 2).unlink()  # the confirmation itself is seen by the next record
    with pytest.raises(ReleaseLogError):
        read(root)


class TestWithKey:
    """Somebody can write every file, and has not the key."""

    @pytest.fixture
    def signed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("PIPELINE_LOG_KEY", f"first:{SECRET}")
        stores = open_stores(str(tmp_path))
        for number in range(3):
            add(stores, number)
        return tmp_path

    def test_what_was_added_with_the_key_is_proved(self, signed: Path) -> None:
        state = open_stores(str(signed)).release_log.look()
        assert (state.verdict.proof, state.find_problem()) == (Proof.PROVED, "")
        assert all(entry.signature.startswith("first:") for entry in state.entries)
        assert SECRET not in "".join(path.read_text() for path in signed.rglob("*") if path.is_file())

    def test_the_same_decision_is_added_once(self, signed: Path) -> None:
        log = open_stores(str(signed)).release_log
        assert log.append(draft(2)).sequence == 2
        assert len(log.entries()) == 3

    def test_who_makes_the_log_and_all_that_has_seen_it_anew_is_found(
        self, signed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.rmtree(signed / "release")
        shutil.rmtree(signed / "records")
        with monkeypatch.context() as without:
            without.delenv("PIPELINE_LOG_KEY")
            for number in range(5):
                add(open_stores(str(signed)), number)
            assert len(read(signed)) == 5
        with pytest.raises(ReleaseLogError, match="not signed: entries 0 to 4 were added without a key"):
            read(signed)

    def test_who_alters_an_entry_and_all_that_follows_is_found(self, signed: Path) -> None:
        entries = read(signed)
        shutil.rmtree(signed / "release")
        shutil.rmtree(signed / "records")
        storage, previous = within(open_stores(str(signed)).root, "release"), ""
        for entry in entries:
            values = entry.to_bytes().replace(b'"champion": "m"', b'"champion": "x"')
            values = values.replace(entry.previous_md5.encode(), previous.encode()) if previous else values
            storage.write(f"entries/{entry.sequence:08d}.json", values)
            previous = hash_bytes(values)
        with pytest.raises(ReleaseLogError, match="FORGED: entry 0 is not as it was signed with key first"):
            read(signed)
        with pytest.raises(ReleaseLogError, match="FORGED"):
            open_stores(str(signed)).release_log.confirm(draft(40))

    def test_who_has_no_key_reads_a_signed_log_and_cannot_add_to_it_unseen(
        self, signed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as without:
            without.delenv("PIPELINE_LOG_KEY")
            log = open_stores(str(signed)).release_log
            assert log.look().verdict.proof is Proof.NOT_CHECKED
            add(open_stores(str(signed)), 3)
        with pytest.raises(ReleaseLogError, match=r"entries 3 to 3 were added without a key; .*release confirm"):
            read(signed)
        entry = open_stores(str(signed)).release_log.confirm(draft(40))
        assert entry.given_up == ()
        assert read(signed)[-1] == entry

    def test_a_log_from_before_the_key_is_used_once_it_is_confirmed(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIPELINE_LOG_KEY", f"first:{SECRET}")
        with pytest.raises(ReleaseLogError, match="not signed: entries 0 to 4"):
            read(root)
        open_stores(str(root)).release_log.confirm(draft(40))
        assert open_stores(str(root)).release_log.look().verdict.proof is Proof.PROVED
        assert len(read(root)) == 6
