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
