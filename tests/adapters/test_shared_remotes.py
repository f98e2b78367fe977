"""A remote belongs to many: whatever data roots do in it, what any kept snapshot of any of them names is whole."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pipeline_assets.adapters.catalog import Catalog
from pipeline_assets.adapters.garbage import Collection, collect_garbage, forget_root
from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.remotes import find_forgeries
from pipeline_assets.adapters.replica import Replica, hash_bytes
from pipeline_assets.adapters.replication import Taken
from pipeline_assets.adapters.restoring import restore
from pipeline_assets.adapters.retention import Garbage
from pipeline_assets.adapters.root_identity import load_card
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.snapshots import read_snapshot
from tests.adapters.test_snapshots import write_partition

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2036, 1, 1, tzinfo=UTC)  # everything is older than the grace then
GRACE = timedelta(days=7)


class House:
    """Two or more data roots with the same two remotes, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_taken = 0

    def open(self, name: str) -> Snapshots:
        remotes = [Replica(LocalStorage(self.folder / "remotes" / one)) for one in ("x", "y")]
        return Snapshots(LocalStorage(self.folder / name), remotes)

    def write(self, name: str, day: int, content: bytes) -> None:
        write_partition(self.folder / name, day, content)

    def take(self, name: str) -> Taken:
        self.n_taken += 1
        now = NOW + timedelta(hours=self.n_taken)
        return self.open(name).take(f"run-{self.n_taken}", "abc", b"training: {}\n", now)

    def collect(self, name: str, n_kept: int, now: datetime = LATER, *, is_dry_run: bool = False) -> list[Collection]:
        """Drop all snapshots of a data root but the latest ones, as retention by time does."""
        snapshots = self.open(name)
        listed = snapshots.list_everywhere()
        garbage = Garbage(listed[:-n_kept], listed[-n_kept:], frozenset())
        return collect_garbage(snapshots, garbage, now, GRACE, is_dry_run=is_dry_run)

    def read(self, name: str) -> dict[str, str]:
        """Hash by path of the recorded files of a data root."""
        root = self.folder / name
        paths = (path for folder in ("lake", "records") for path in (root / folder).rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): hash_bytes(path.read_bytes()) for path in paths}

    def find_lacking(self) -> list[str]:
        """What some manifest of some remote names and that remote does not hold whole."""
        problems = []
        for one in ("x", "y"):
            remote = Replica(LocalStorage(self.folder / "remotes" / one))
            alone = Snapshots(LocalStorage(self.folder / "nobody"), [remote])
            for snapshot in Catalog(remote).read_all():
                try:
                    wanted = {snapshot.parameters, *alone.list_files(snapshot).values()}
                    problems += [f"{one} lacks {md5} of {snapshot.root}/{snapshot.sequence}"
                                 for md5 in wanted if remote.find(md5) is None]  # fmt: skip
                except ObjectLostError as error:
                    problems.append(f"{one}, {snapshot.root}/{snapshot.sequence}: {error}")
        return problems


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two data roots that have one partition in common, with a snapshot each."""
    house = House(tmp_path)
    for name in ("ours", "theirs"):
        house.write(name, 1, b"the same")
        house.write(name, 2, name.encode())
        house.take(name)
    return house


def test_two_data_roots_number_their_snapshots_by_themselves(house: House) -> None:
    ours, theirs = house.open("ours").list(), house.open("theirs").list()
    assert [one.sequence for one in (*ours, *theirs)] == [0, 0]
    assert ours[0].root != theirs[0].root
    assert set(house.open("ours").roots.list()) == {ours[0].root, theirs[0].root}
    assert house.find_lacking() == []


def test_garbage_of_one_data_root_is_nothing_of_the_other(house: House) -> None:
    house.write("ours", 2, b"ours, corrected")
    house.take("ours")
    before = house.read("theirs")
    planned = house.collect("ours", 1, is_dry_run=True)
    done = house.collect("ours", 1)
    assert [one.objects for one in planned] == [one.objects for one in done]
    # The bytes, the record and the two trees that only the first snapshot of ours named.
    assert [(one.dropped, len(one.objects), one.refused) for one in done] == [((0,), 4, "")] * 2
    assert house.find_lacking() == []
    shutil.rmtree(house.folder / "theirs" / "lake")
    snapshots = house.open("theirs")
    restore(snapshots.root, snapshots, snapshots.list()[0], snapshots.list()[0].trees)
    assert house.read("theirs") == before


def test_what_both_named_stays_until_neither_does(house: House) -> None:
    house.write("ours", 1, b"ours, corrected")
    house.take("ours")
    house.collect("ours", 1)
    assert house.find_lacking() == []
    assert house.open("theirs").fetch(hash_bytes(b"the same")) == b"the same"
    house.write("theirs", 1, b"theirs, corrected")
    house.take("theirs")
    house.collect("theirs", 1)
    assert house.find_lacking() == []
    with pytest.raises(ObjectLostError):
        house.open("theirs").fetch(hash_bytes(b"the same"))


def test_objects_that_no_snapshot_named_are_somebody_elses(house: House) -> None:
    pushed = Replica(LocalStorage(house.folder / "remotes" / "x")).put(b"by a colleague, with dvc push")
    house.write("ours", 2, b"ours, corrected")
    house.take("ours")
    house.collect("ours", 1)
    assert house.open("ours").fetch(pushed)


def test_what_was_written_within_the_grace_stays_until_it_is_old_enough(house: House) -> None:
    house.write("ours", 2, b"ours, corrected")
    house.take("ours")
    young = house.collect("ours", 1, now=datetime.now(UTC))
    assert [(len(one.objects), one.n_young, one.dropped) for one in young] == [(0, 4, (0,))] * 2
    old = house.collect("ours", 1)
    assert [(len(one.objects), one.n_young) for one in old] == [(4, 0)] * 2
    assert [len(one.objects) for one in house.collect("ours", 1)] == [0, 0]


def test_what_a_killed_snapshot_had_put_goes_with_the_next_collection(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write("ours", 2, b"never named")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "add", die)
        with pytest.raises(KeyboardInterrupt):
            house.take("ours")
    house.write("ours", 2, b"named")
    house.take("ours")
    assert house.open("ours").fetch(hash_bytes(b"never named"))
    house.collect("ours", 1)
    with pytest.raises(ObjectLostError):
        house.open("ours").fetch(hash_bytes(b"never named"))
    assert house.find_lacking() == []


def test_what_another_data_root_states_to_need_stays(house: House) -> None:
    theirs = load_card(LocalStorage(house.folder / "theirs"))
    assert theirs is not None
    for catalog in house.open("theirs").catalogs:
        catalog.need(theirs.id, [hash_bytes(b"ours")])
    house.write("ours", 2, b"ours, corrected")
    house.take("ours")
    house.collect("ours", 1)
    assert house.open("ours").fetch(hash_bytes(b"ours")) == b"ours"


@pytest.mark.parametrize("junk", [b"{}", b"not json", b'{"version": 2}'])
def test_where_a_manifest_of_anybody_cannot_be_read_nothing_goes_from_that_remote(house: House, junk: bytes) -> None:
    theirs = house.open("theirs").list()[0]
    manifest = house.folder / "remotes" / "x" / "roots" / theirs.root / "snapshots" / "00000000.json"
    manifest.write_bytes(junk)
    house.write("ours", 2, b"ours, corrected")
    house.take("ours")
    from_x, from_y = house.collect("ours", 1)
    assert "00000000.json" in from_x.refused
    assert (from_y.refused, len(from_y.objects)) == ("", 4)


def test_a_lost_disk_brings_back_the_snapshots_of_the_data_root_that_was_there(house: House) -> None:
    before = house.read("theirs")
    own = house.open("theirs").list()
    shutil.rmtree(house.folder / "theirs")
    snapshots = house.open("theirs")
    assert snapshots.list() == own
    assert snapshots.adopt(own[0].root, NOW)
    restore(snapshots.root, snapshots, own[0], own[0].trees)
    assert house.read("theirs") == before
    assert house.take("theirs").snapshot.root == own[0].root
    assert house.open("ours").list()[0].root != own[0].root


def test_a_new_data_root_takes_nobodys_snapshots_for_its_own(house: House) -> None:
    snapshots = house.open("new")
    assert snapshots.list() == []
    with pytest.raises(SnapshotError, match=r"(ours.*theirs|theirs.*ours).*name one with --root"):
        snapshots.roots.choose(None)
    house.write("new", 1, b"new")
    taken = house.take("new").snapshot
    assert taken.sequence == 0
    assert taken.root not in {house.open(name).list()[0].root for name in ("ours", "theirs")}


def test_an_older_image_of_a_disk_goes_on_under_another_id_and_no_number_is_used_twice(house: House) -> None:
    shutil.copytree(house.folder / "ours", house.folder / "image")
    former = house.open("ours").list()[0].root
    for number in range(3):
        house.write("ours", 2, b"%d" % number)
        house.take("ours")
    shutil.rmtree(house.folder / "ours")
    shutil.copytree(house.folder / "image", house.folder / "ours")
    taken = house.take("ours")
    assert (taken.snapshot.sequence, taken.forked_from) == (4, former)
    assert taken.snapshot.root != former
    assert [one.sequence for one in house.open("ours").list()] == [0, 4]
    assert [one.sequence for one in house.open("ours").list_of(former)] == [0, 1, 2, 3]
    assert house.find_lacking() == []
    assert list(find_forgeries(house.open("ours"))) == []


def test_a_copy_that_goes_on_beside_the_original_never_mixes_with_it(house: House) -> None:
    shutil.copytree(house.folder / "ours", house.folder / "copy")
    house.write("ours", 2, b"original")
    original = house.take("ours").snapshot
    house.write("copy", 2, b"copied")
    copied = house.take("copy").snapshot
    assert original.root != copied.root
    assert house.take("ours").snapshot.root == original.root
    assert [one.sequence for one in house.open("ours").list()] == [0, 1, 2]
    assert house.open("copy").list()[-1] == copied


def test_a_copy_whose_numbers_clash_in_a_remote_that_was_away_is_found_out(house: House) -> None:
    shutil.copytree(house.folder / "ours", house.folder / "copy")
    away, here = house.folder / "remotes" / "y", house.folder / "away"
    away.rename(here)
    away.write_text("no folder")
    house.write("ours", 2, b"original")
    house.take("ours")  # into x alone
    away.unlink()
    here.rename(away)
    (house.folder / "remotes" / "x").rename(here)
    (house.folder / "remotes" / "x").write_text("no folder")
    house.write("copy", 2, b"copied")
    house.take("copy")  # the same number, into y alone
    (house.folder / "remotes" / "x").unlink()
    here.rename(house.folder / "remotes" / "x")
    roots = {house.take(name).snapshot.root for name in ("ours", "copy", "ours", "copy")}
    assert len(roots) <= 3
    assert house.open("ours").list()[-1].root != house.open("copy").list()[-1].root
    assert house.find_lacking() == []


def test_an_older_image_drops_nothing_of_who_goes_on(house: House) -> None:
    house.write("ours", 2, b"second")
    house.take("ours")
    shutil.copytree(house.folder / "ours", house.folder / "image")
    house.write("ours", 2, b"third")
    house.take("ours")
    for one in house.collect("image", 1):
        assert "take a snapshot first" in one.refused
    assert len(house.open("ours").list_of(house.open("ours").list()[0].root)) == 3


def test_a_data_root_that_is_no_more_can_be_forgotten(house: House) -> None:
    theirs = house.open("theirs").list()[0].root
    own = house.open("ours").list()[0].root
    shutil.rmtree(house.folder / "theirs")
    assert forget_root(house.open("ours"), theirs, own) == 2
    collected = house.collect("ours", 1)
    assert all(len(one.objects) == 4 for one in collected)
    assert set(house.open("ours").roots.list()) == {own}
    assert house.find_lacking() == []


def unname(house: House, name: str) -> None:
    """Put a data root and its remotes into the state of before data roots had ids."""
    card = load_card(LocalStorage(house.folder / name))
    assert card is not None
    (house.folder / name / "snapshots" / "root.json").unlink()
    entries = sorted((house.folder / name / "snapshots" / "entries").iterdir())
    for remote in ("x", "y"):
        (house.folder / "remotes" / remote / "snapshots").mkdir(exist_ok=True)
    for entry in entries:
        values = json.loads(entry.read_bytes())
        for later in ("root", "previous", "heads"):
            values.pop(later)
        content = json.dumps(values).encode()
        entry.write_bytes(content)
        for remote in ("x", "y"):
            unnamed = house.folder / "remotes" / remote / "snapshots" / entry.name
            if not unnamed.exists():  # as it was: the later root's is taken for one's own
                unnamed.write_bytes(content)
    for remote in ("x", "y"):
        shutil.rmtree(house.folder / "remotes" / remote / "roots" / card.id)


def test_remotes_from_before_ids_are_read_as_they_are_and_migrated(tmp_path: Path) -> None:
    house = House(tmp_path)
    for number in range(2):
        house.write("ours", 1, b"%d" % number)
        house.take("ours")
    unname(house, "ours")
    before = house.open("ours").list()
    assert [(one.sequence, one.root) for one in before] == [(0, ""), (1, "")]
    shutil.copytree(house.folder / "ours", house.folder / "kept")
    shutil.rmtree(house.folder / "ours")
    assert house.open("ours").list() == before  # nobody else is there
    shutil.copytree(house.folder / "kept", house.folder / "ours")
    taken = house.take("ours").snapshot
    assert taken.sequence == 2
    assert {one.root for one in house.open("ours").list()} == {taken.root}
    assert set(house.open("ours").roots.list()) == {taken.root}
    assert house.find_lacking() == []
    assert list(find_forgeries(house.open("ours"))) == []


def test_a_clash_from_before_ids_loses_nothing_that_a_manifest_names(house: House) -> None:
    unname(house, "ours")
    unname(house, "theirs")  # the same number: the remotes have the manifest of ours alone
    theirs = house.take("theirs").snapshot
    assert set(house.open("theirs").roots.list()) == {"", theirs.root}  # that of ours is left alone
    house.collect("theirs", 1)
    house.take("ours")
    assert "" not in house.open("ours").roots.list()
    house.collect("ours", 1)
    assert house.find_lacking() == []


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/outside", "a//b", ".", "x/./y", ""])
def test_a_tree_that_leads_out_of_the_data_root_is_refused_before_anything_is_written(house: House, path: str) -> None:
    snapshots = house.open("ours")
    latest = snapshots.list()[0]
    outside = hash_bytes(b"outside")
    tree = json.dumps([{"md5": outside, "relpath": path}]).encode()
    name = hash_bytes(tree) + ".dir"
    for remote in snapshots.objects.remotes:
        remote.put(b"outside")
        remote.put(tree, name)
    values = json.loads(latest.to_bytes())
    values["trees"]["lake/scores"] = name
    before = house.read("ours")
    forged = read_snapshot(json.dumps(values).encode())
    with pytest.raises(SnapshotError, match="inside the data root"):
        restore(snapshots.root, snapshots, forged, forged.trees)
    assert house.read("ours") == before
    values["trees"][path] = values["trees"].pop("lake/scores")
    if path != ".":
        with pytest.raises(SnapshotError, match="inside the data root"):
            read_snapshot(json.dumps(values).encode())


def test_a_manifest_that_names_settings_is_no_snapshot_of_data(house: House) -> None:
    snapshots = house.open("ours")
    tree = json.dumps([{"md5": hash_bytes(b"x"), "relpath": "dagster.yaml"}]).encode()
    name = hash_bytes(tree) + ".dir"
    for remote in snapshots.objects.remotes:
        remote.put(b"x")
        remote.put(tree, name)
    values = json.loads(snapshots.list()[0].to_bytes())
    values["trees"] = {"dagster": name}
    forged = read_snapshot(json.dumps(values).encode())
    with pytest.raises(SnapshotError, match="no data of a pipeline"):
        restore(snapshots.root, snapshots, forged, forged.trees)
    assert not (house.folder / "ours" / "dagster").exists()


def test_a_changed_manifest_is_named_by_the_one_after_it(house: House) -> None:
    house.take("ours")
    assert list(find_forgeries(house.open("ours"))) == []
    entry = house.folder / "ours" / "snapshots" / "entries" / "00000000.json"
    values = json.loads(entry.read_bytes())
    values["revision"] = "another"
    entry.write_bytes(json.dumps(values).encode())
    problems = list(find_forgeries(house.open("ours")))
    assert any("snapshot 0 is not the one after which snapshot 1 was taken" in one for one in problems)
    assert sum("is not as the data root has it" in one for one in problems) == 2


def test_two_folders_that_are_alike_come_back_both(house: House) -> None:
    for feed in ("transactions", "chargebacks"):
        LocalStorage(house.folder / "ours").write(f"landing/{feed}/2026-03-01/a.csv", b"the same")
    taken = house.take("ours").snapshot
    shutil.rmtree(house.folder / "ours" / "landing")
    snapshots = house.open("ours")
    restore(snapshots.root, snapshots, taken, taken.trees)
    assert sorted(path.parts[-3] for path in (house.folder / "ours" / "landing").rglob("a.csv")) == [
        "chargebacks",
        "transactions",
    ]


def test_a_cut_object_that_was_left_in_a_remote_is_not_believed(house: House) -> None:
    md5 = hash_bytes(b"new bytes")
    cut = house.folder / "remotes" / "x" / "files" / "md5" / md5[:2] / md5[2:]
    cut.parent.mkdir(parents=True, exist_ok=True)
    cut.write_bytes(b"new b")
    house.write("ours", 2, b"new bytes")
    house.take("ours")
    assert house.find_lacking() == []


class SharedRemotes(RuleBasedStateMachine):
    """Any interleaving of two data roots' writing, snapshots, collections, lost disks, older images and copies."""

    NAMES = st.sampled_from(["a", "b"])

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shared-remotes-"))
        self.house = House(self.folder)
        self.is_older = False
        self.states: dict[str, Mapping[str, str]] = {}  # what each run found, by its id
        self.fsync = os.fsync
        os.fsync = lambda fd: None  # the law is about names; that bytes are durable is shown elsewhere
        for name in ("a", "b"):
            self.live(name, 1, 0)

    @rule(name=NAMES, day=st.integers(1, 2), content=st.integers(0, 3))
    def live(self, name: str, day: int, content: int) -> None:
        """A day passes: what was made before is made again, with bytes that both may have."""
        self.house.write(name, day, b"%d" % content)
        self.take(name)

    @rule(names=st.lists(NAMES, min_size=3, max_size=6), contents=st.lists(st.integers(0, 3), min_size=6, max_size=6))
    def live_on(self, names: list[str], contents: list[int]) -> None:
        for name, content in zip(names, contents, strict=False):
            self.live(name, 1, content)

    @rule(name=NAMES, n_kept=st.integers(1, 2))
    def live_and_collect(self, name: str, n_kept: int) -> None:
        self.live(name, 1, 3)
        self.collect(name, n_kept)

    def take(self, name: str) -> None:
        taken = self.house.take(name)
        assert not taken.behind
        assert not taken.lost or self.is_older  # an older image may know what was dropped since
        self.states[taken.snapshot.run_id] = self.house.read(name)

    @rule(name=NAMES, n_kept=st.integers(1, 3))
    def collect(self, name: str, n_kept: int) -> None:
        planned = self.house.collect(name, n_kept, is_dry_run=True)
        assert planned == self.house.collect(name, n_kept)

    @rule(name=NAMES)
    def lose_the_disk_and_restore(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        snapshots = self.house.open(name)
        listed = snapshots.list()
        if listed:
            latest = listed[-1]
            snapshots.adopt(latest.root, NOW)
            restore(snapshots.root, snapshots, latest, latest.trees)
            assert self.house.read(name) == self.states[latest.run_id]

    @rule(name=NAMES)
    def lose_a_remote(self, name: str) -> None:
        if all(self.house.open(one).list_entries() for one in ("a", "b")):  # else nobody fills it again
            shutil.rmtree(self.folder / "remotes" / "x", ignore_errors=True)
            for one in ("a", "b"):
                self.take(one)

    @rule(name=NAMES)
    def keep_an_image(self, name: str) -> None:
        shutil.rmtree(self.folder / f"{name}-image", ignore_errors=True)
        if (self.folder / name).exists():
            shutil.copytree(self.folder / name, self.folder / f"{name}-image")

    @rule(name=NAMES, onto=NAMES)
    def bring_an_image_back(self, name: str, onto: str) -> None:
        if (self.folder / f"{name}-image").exists():
            shutil.rmtree(self.folder / onto, ignore_errors=True)
            shutil.copytree(self.folder / f"{name}-image", self.folder / onto)
            self.is_older = True

    @rule(name=NAMES)
    def lose_the_index(self, name: str) -> None:
        (self.folder / name / "snapshots" / "index.json").unlink(missing_ok=True)

    @invariant()
    def what_any_manifest_names_is_whole(self) -> None:
        if hasattr(self, "house"):
            assert self.house.find_lacking() == []

    @invariant()
    def every_snapshot_of_every_root_comes_back_as_it_was_taken(self) -> None:
        if not hasattr(self, "house"):
            return
        snapshots = self.house.open("a")
        for root in snapshots.roots.list():
            for one in snapshots.list_of(root):
                files = {path: md5 for path, md5 in snapshots.list_files(one).items() if path != "world.json"}
                assert files == self.states[one.run_id], f"{root}/{one.sequence}"

    def teardown(self) -> None:
        if hasattr(self, "house"):
            os.fsync = self.fsync
            shutil.rmtree(self.folder)


def test_whatever_two_data_roots_do_what_they_name_is_whole() -> None:
    run_state_machine_as_test(SharedRemotes, settings=settings(max_examples=6, stateful_step_count=15, deadline=None))


@pytest.mark.drill
@pytest.mark.timeout(1800)  # each step looks at all that was ever kept
def test_whatever_two_data_roots_do_at_length_what_they_name_is_whole() -> None:
    run_state_machine_as_test(SharedRemotes, settings=settings(max_examples=15, stateful_step_count=20, deadline=None))
