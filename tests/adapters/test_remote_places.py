"""Where remotes may lie: each in a place of its own, however it is written."""

from pathlib import Path

import pytest

from pipeline_assets.adapters.remote_places import find_bad_remote


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a link to its lake."""
    root = tmp_path / "root"
    (root / "lake").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root / "lake")
    (root / "remotes").mkdir()
    (tmp_path / "other").symlink_to(root / "remotes")
    (tmp_path / "file").write_text("")
    return root


@pytest.mark.parametrize(
    "names",
    [
        ["remotes/one", "remotes/two"],
        ["remotes/one", "remotes/one-more"],
        ["/elsewhere/one", "s3://bucket/one", "s3://bucket/two", "s3://other/one"],
        ["../beside", "lakes", "my/lake"],
    ],
)
def test_places_of_their_own_are_well(root: Path, names: list[str]) -> None:
    assert find_bad_remote(str(root), names) is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([""], "found ''"),
        ([" "], "found ' '"),
        (["remotes/one "], "found 'remotes/one '"),
        (["gs://bucket/x"], "found 'gs://bucket/x'"),
        (["S3://bucket/x"], "found 'S3://bucket/x'"),
        (["file:///tmp/x"], "found 'file:///tmp/x'"),
        (["s3://"], "found 's3://'"),
        (["s3://bucket/x?versions"], "found 's3://bucket/x?versions'"),
        (["~/backup"], "write the whole path instead of ~"),
        (["."], "is the data root itself"),
        (["{root}"], "is the data root itself"),
        (["{root}/"], "is the data root itself"),
        (["remotes/.."], "is the data root itself"),
        ([".."], "holds the data root"),
        (["/"], "holds the data root"),
        (["lake"], "lies in lake of the data root"),
        (["lake/remote"], "lies in lake of the data root"),
        (["./records//remote/"], "lies in records of the data root"),
        (["remotes/../landing"], "lies in landing of the data root"),
        (["heads/release"], "lies in heads of the data root"),
        (["{parent}/link/remote"], "lies in lake of the data root"),
        (["world.json"], "lies in world.json"),
        (["{parent}/file"], "which is a file"),
        (["remotes/one", "remotes/one"], "the same as, or lies in or around, 'remotes/one'"),
        (["remotes/one", "remotes/one/"], "the same as"),
        (["remotes/one", "remotes//x/../one"], "the same as"),
        (["remotes/one", "{root}/remotes/one"], "the same as"),
        (["remotes/one", "{parent}/other/one"], "the same as"),
        (["remotes/one", "remotes/one/two"], "lies in or around"),
        (["remotes/one/two", "remotes/one"], "lies in or around"),
        (["s3://bucket/one", "s3://bucket/one/"], "the same as"),
        (["s3://bucket/one", "s3://Bucket//x/../one"], "the same as"),
        (["s3://bucket/o%6ee", "s3://bucket/one"], "the same as"),
        (["s3://bucket", "s3://bucket/one"], "lies in or around"),
    ],
)
def test_what_is_no_place_of_its_own_is_named(root: Path, names: list[str], said: str) -> None:
    written = [name.format(root=root, parent=root.parent) for name in names]
    bad = find_bad_remote(str(root), written)
    assert bad is not None
    assert bad.number == len(names) - 1
    assert said in bad.problem


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s3://bucket/root/", "data root itself"),
        ("lake", "lake of"),
        ("s3://bucket/root/./lake/x", "lake of"),
        ("s3://bucket", "holds"),
    ],
)
def test_the_same_holds_for_a_data_root_in_a_bucket(name: str, said: str) -> None:
    assert find_bad_remote("s3://bucket/root", ["remotes/one", "/mnt/two"]) is None
    bad = find_bad_remote("s3://bucket/root", ["remotes/one", name])
    assert bad is not None
    assert said in bad.problem
