"""The commands of snapshots, on data roots that share their remotes."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline_assets.adapters.replica import Replica, hash_bytes
from pipeline_assets.adapters.root_identity import load_card
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.cli import commands
from tests.adapters.test_shared_remotes import House


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Two data roots with a snapshot each; the commands work on ours."""
    remotes = [str(tmp_path / "remotes" / name) for name in ("x", "y")]
    params = {"remotes": remotes, "keep_days": 1, "keep_weeks": 0, "grace_days": 0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"snapshots": params}))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "ours"))
    house = House(tmp_path)
    for name in ("ours", "theirs"):
        house.write(name, 1, b"the same")
        house.write(name, 2, name.encode())
        house.take(name)
    return house


def call(*arguments: str) -> str:
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def fail(*arguments: str) -> str:
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 1, result.output
    return result.output


def test_roots_names_every_data_root_and_where_it_is(house: House) -> None:
    said = call("snapshot", "roots").splitlines()
    assert len(said) == 2
    (ours,) = [line for line in said if line.endswith("(this one)")]
    assert f"{house.folder}/ours" in ours
    assert "1 snapshots" in ours


def test_a_dry_run_counts_what_goes_and_the_collection_removes_just_that(house: House) -> None:
    house.write("ours", 2, b"ours, corrected")
    house.take("ours")
    planned = call("snapshot", "collect-garbage", "--dry-run")
    assert "1 snapshots stay, 1 go: 0" in planned
    assert planned.count(": 4 objects, ") == 2
    assert call("snapshot", "collect-garbage") == planned.replace("would go", "removed")
    assert house.find_lacking() == []
    assert ": 0 objects, 0 bytes would go" in call("snapshot", "collect-garbage", "--dry-run")


def test_a_remote_from_which_nothing_may_go_says_why(house: House) -> None:
    theirs = house.open("theirs").list()[0]
    (house.folder / "remotes" / "x" / "roots" / theirs.root / "snapshots" / "00000000.json").write_text("{}")
    said = fail("snapshot", "collect-garbage", "--dry-run")
    assert f"{house.folder}/remotes/x: nothing goes" in said
    assert f"{house.folder}/remotes/y: 0 objects" in said


def test_a_data_root_that_lives_is_not_forgotten_and_one_that_is_no_more_is(house: House) -> None:
    theirs = house.open("theirs").list()[0].root
    ours = house.open("ours").list()[0].root
    assert "another data root than this one" in fail("snapshot", "forget-root", ours)
    assert "2 manifests removed" in call("snapshot", "forget-root", theirs)  # its latest is of the first of March
    call("snapshot", "collect-garbage")
    with pytest.raises(Exception, match="no remote has it whole"):
        house.open("ours").fetch(hash_bytes(b"theirs"))
    params = yaml.safe_load((house.folder / "params.yaml").read_text())
    params["snapshots"]["keep_days"] = 36_000
    (house.folder / "params.yaml").write_text(yaml.safe_dump(params))
    house.take("theirs")
    assert "may still be in use" in fail("snapshot", "forget-root", house.open("theirs").list()[-1].root)


def test_a_lost_data_root_names_those_it_may_be_and_comes_back_by_its_id(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, theirs = house.read("theirs"), house.open("theirs").list()[0].root
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "elsewhere"))
    said = fail("restore", "--into", str(tmp_path / "into"))
    assert f"{house.folder}/ours" in said
    assert f"{house.folder}/theirs" in said
    assert "--root" in said
    call("restore", "--root", theirs[:6], "--into", str(tmp_path / "into"))
    House(tmp_path).open("into")
    assert house.read("into") == before
    assert load_card(LocalStorage(tmp_path / "into")) is None  # a copy of the bytes, and no second one of it


def test_verify_names_a_manifest_that_was_changed(house: House) -> None:
    assert "1 snapshots are whole in every remote" in call("snapshot", "verify")
    house.take("ours")
    ours = house.open("ours").list()[0]
    manifest = house.folder / "remotes" / "x" / "roots" / ours.root / "snapshots" / "00000000.json"
    manifest.write_text(manifest.read_text().replace('"abc"', '"abd"'))
    assert "snapshot 0 is not as the data root has it" in fail("snapshot", "verify")


def test_where_only_one_data_root_was_at_this_place_it_comes_back_by_itself(house: House) -> None:
    before = house.read("ours")
    shutil.rmtree(house.folder / "ours")
    remotes = [Replica(LocalStorage(house.folder / "remotes" / one)) for one in ("x", "y")]
    listed = Snapshots(LocalStorage(house.folder / "ours"), remotes).list()
    said = call("restore")
    assert f"it goes on as {listed[0].root}" in said
    assert house.read("ours") == before


def test_what_a_person_keeps_in_one_copy_is_kept_whoever_collects(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(house.folder / "ours", house.folder / "image")
    call("snapshot", "keep", "0", "--because", "audit")
    monkeypatch.setenv("PIPELINE_DATA", str(house.folder / "image"))
    house.write("image", 2, b"corrected")
    house.take("image")
    assert "2 snapshots stay, 0 go" in call("snapshot", "collect-garbage")
    ours = house.open("ours").list()[0]
    for catalog in house.open("ours").catalogs:
        assert catalog.read(ours.root, 0).kept_because == "audit"
    assert house.find_lacking() == []


def test_a_reason_to_keep_is_needed(house: House) -> None:
    call("snapshot", "keep", "0", "--because", "audit")
    assert CliRunner().invoke(commands, ["snapshot", "keep", "0", "--because", " "]).exit_code == 2
    assert "kept: audit" in call("snapshot", "list")


def test_a_remote_that_was_away_when_a_snapshot_was_kept_is_named_and_hears_of_it_later(house: House) -> None:
    (house.folder / "remotes" / "y").rename(house.folder / "away")
    assert "does not have snapshot 0" in fail("snapshot", "keep", "0", "--because", "audit")
    shutil.rmtree(house.folder / "remotes" / "y", ignore_errors=True)
    (house.folder / "away").rename(house.folder / "remotes" / "y")
    house.take("ours")
    ours = house.open("ours").list()[0]
    manifest = house.folder / "remotes" / "y" / "roots" / ours.root / "snapshots" / "00000000.json"
    assert '"audit"' in manifest.read_text()


def test_keeping_never_overwrites_the_snapshot_of_a_data_root_that_goes_on(house: House) -> None:
    shutil.copytree(house.folder / "ours", house.folder / "copy")
    house.write("copy", 2, b"copied")
    other = house.take("copy").snapshot
    house.write("ours", 2, b"original")
    entries = house.folder / "ours" / "snapshots" / "entries"
    shutil.copyfile(entries / "00000000.json", entries / "00000001.json")
    changed = (entries / "00000001.json").read_text().replace('"sequence": 0', '"sequence": 1')
    (entries / "00000001.json").write_text(changed)
    assert "another data root goes on" in fail("snapshot", "keep", "1", "--because", "mine")
    assert house.open("copy").list_of(other.root)[-1].run_id == other.run_id


def test_one_manifest_that_cannot_be_read_hides_no_other(house: House, tmp_path: Path) -> None:
    house.take("ours")
    ours, before = house.open("ours").list()[0].root, house.read("ours")
    for remote in ("x", "y"):
        (house.folder / "remotes" / remote / "roots" / ours / "snapshots" / "00000000.json").write_text("{}")
    call("restore", "--root", ours, "--into", str(tmp_path / "into"))
    assert house.read("into") == before


def test_a_remote_that_lost_its_manifests_names_them_again(house: House) -> None:
    ours = house.open("ours").list()[0].root
    shutil.rmtree(house.folder / "remotes" / "y" / "roots" / ours / "snapshots")
    said = call("snapshot", "verify")
    assert "it had forgotten snapshot 0" in said
    assert "forgotten" not in call("snapshot", "verify")


def test_a_remote_that_is_not_there_is_refused_by_dry_run_and_collection_alike(house: House) -> None:
    (house.folder / "remotes" / "y").rename(house.folder / "away")
    for arguments in (("--dry-run",), ()):
        said = fail("snapshot", "collect-garbage", *arguments)
        assert f"{house.folder}/remotes/y: nothing goes: SnapshotError: it does not know this data root" in said


def test_an_interrupted_restore_is_done_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.read("ours")
    shutil.rmtree(house.folder / "ours" / "lake")
    shutil.rmtree(house.folder / "ours" / "records")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipeline_assets.adapters.restoring.restore", die)
        assert CliRunner().invoke(commands, ["restore"]).exit_code != 0
    said = call("restore")
    assert "a restore of snapshot 0 was interrupted" in said
    assert house.read("ours") == before
    assert "interrupted" not in call("restore")


def test_a_wreck_is_not_taken_for_the_latest_state(house: House) -> None:
    shutil.rmtree(house.folder / "ours" / "lake")
    shutil.rmtree(house.folder / "ours" / "records")
    house.take("ours")
    assert "--as-of 0" in fail("restore")
    call("restore", "--as-of", "0")
    assert len(house.read("ours")) == 4
