"""Snapshots: complete in every remote, whatever is in the way, and no byte that nobody recorded."""

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_assets.adapters.garbage import Collection, collect_garbage
from pipeline_assets.adapters.objects import ObjectLostError
from pipeline_assets.adapters.replica import hash_bytes, open_replicas
from pipeline_assets.adapters.replication import RemotesUnreachableError, Taken
from pipeline_assets.adapters.restoring import choose_folders, restore
from pipeline_assets.adapters.retention import Garbage
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.records import Record
from pipeline_assets.core.lineage.snapshots import Snapshot

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REMOTES = ("remotes/one", "remotes/two")
PARAMETERS = b"training: {}\n"


def write_partition(root: Path, day: int, content: bytes, asset: str = "scores") -> Path:
    path = f"lake/{asset}/date=2026-03-{day:02}/part.parquet"
    storage = LocalStorage(root)
    storage.write(path, content)
    record = Record(asset, date(2026, 3, day), {path: hash_bytes(content)}, "1", {})
    storage.write(f"records/{asset}/2026-03-{day:02}.json", record.to_bytes())
    return root / path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with three partitions, a landed file, a model, and files that are none of a snapshot's business."""
    for day in (1, 2, 3):
        write_partition(tmp_path, day, b"day %d" % day)
    for path in ("landing/transactions/2026-03-01/a.csv", "models/fraud_model/2026-03-01/abc/model.txt", "world.json"):
        LocalStorage(tmp_path).write(path, path.encode())
    for path in (
        "landing/transactions/2026-03-01/b.csv.part",
        "models/fraud_model/2026-03-01/checkpoints/latest",
        "lake/scores/date=2026-03-09/part.parquet",  # no record of it yet: it is being made
        "reports/metrics.json",
        "dagster/dagster.yaml",
    ):
        LocalStorage(tmp_path).write(path, path.encode())
    return tmp_path


def open_snapshots(root: Path) -> Snapshots:
    storage = LocalStorage(root)
    return Snapshots(storage, open_replicas(storage, REMOTES))


def take(root: Path, run_id: str = "run", hours: float = 0) -> Taken:
    return open_snapshots(root).take(run_id, "abc", PARAMETERS, NOW + timedelta(hours=hours))


def find_manifest(root: Path, remote: str, snapshot: Snapshot) -> Path:
    return root / remote / "roots" / snapshot.root / "snapshots" / f"{snapshot.sequence:08d}.json"


def find_lacking(root: Path, remote: str) -> list[str]:
    """What a remote would need to bring back every snapshot of the data root: objects it lacks or has damaged."""
    storage = LocalStorage(root)
    (replica,) = open_replicas(storage, (remote,))
    alone, lacking = Snapshots(storage, [replica]), []
    for snapshot in open_snapshots(root).list():
        try:
            for md5 in (snapshot.parameters, *alone.list_files(snapshot).values()):
                alone.fetch(md5)
        except ObjectLostError as error:
            lacking.append(str(error))
        if not find_manifest(root, remote, snapshot).exists():
            lacking.append(f"snapshot {snapshot.sequence}")
    return lacking


def test_a_snapshot_holds_what_is_recorded_and_landed_and_nothing_that_passes(root: Path) -> None:
    snapshot = take(root).snapshot
    assert sorted(open_snapshots(root).list_files(snapshot)) == [
        "lake/scores/date=2026-03-01/part.parquet",
        "lake/scores/date=2026-03-02/part.parquet",
        "lake/scores/date=2026-03-03/part.parquet",
        "landing/transactions/2026-03-01/a.csv",
        "models/fraud_model/2026-03-01/abc/model.txt",
        "records/scores/2026-03-01.json",
        "records/scores/2026-03-02.json",
        "records/scores/2026-03-03.json",
        "world.json",
    ]
    assert [find_lacking(root, remote) for remote in REMOTES] == [[], []]


def test_the_next_snapshot_brings_only_what_is_new(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root)
    write_partition(root, 4, b"day 4")
    read: list[str] = []
    read_before = LocalStorage.read

    def note(self: LocalStorage, path: str) -> bytes:
        read.append(path)
        return read_before(self, path)

    monkeypatch.setattr(LocalStorage, "read", note)
    taken = take(root)
    assert taken.n_new == 4  # its bytes, its record, and the two trees
    assert {path for path in read if path.startswith(("lake", "records", "landing"))} == {
        "lake/scores/date=2026-03-04/part.parquet",
        "records/scores/2026-03-04.json",
    }
    assert [find_lacking(root, remote) for remote in REMOTES] == [[], []]


def test_nothing_new_is_a_snapshot_under_its_own_run_all_the_same(root: Path) -> None:
    first, second = take(root, "one").snapshot, take(root, "two").snapshot
    assert (second.sequence, second.run_id, second.digest) == (1, "two", first.digest)


def test_without_its_index_a_snapshot_is_the_same(root: Path) -> None:
    first = take(root).snapshot
    (root / "snapshots" / "index.json").write_text("{ not json")
    assert take(root).snapshot.trees == first.trees


def test_a_partition_that_is_not_as_recorded_stays_as_it_was_and_is_named(root: Path) -> None:
    first = take(root).snapshot
    (root / "lake/scores/date=2026-03-02/part.parquet").write_bytes(b"rotten")
    LocalStorage(root).write("records/scores/2026-03-02.json", (root / "records/scores/2026-03-02.json").read_bytes())
    taken = take(root)
    assert taken.unsettled == ["records/scores/2026-03-02.json"]
    assert taken.snapshot.trees == first.trees


def test_a_model_that_has_other_bytes_than_before_stays_as_it_was(root: Path) -> None:
    first = take(root).snapshot
    (root / "models/fraud_model/2026-03-01/abc/model.txt").write_bytes(b"rotten")
    taken = take(root)
    assert taken.unsettled == ["models/fraud_model/2026-03-01/abc/model.txt"]
    assert taken.snapshot.trees == first.trees


def test_a_remote_that_cannot_be_written_to_is_named_and_catches_up(root: Path) -> None:
    blocked = root / "remotes" / "two"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("no folder")
    taken = take(root)
    assert list(taken.behind) == [str(blocked)]
    write_partition(root, 1, b"corrected")  # the bytes of before are in the other remote alone
    blocked.unlink()
    assert take(root).behind == {}
    assert [find_lacking(root, remote) for remote in REMOTES] == [[], []]


def test_where_no_remote_can_be_written_to_nothing_is_taken_and_taking_it_again_is_right(root: Path) -> None:
    (root / "remotes").write_text("no folder")
    with pytest.raises(RemotesUnreachableError, match="nothing was taken"):
        take(root)
    assert open_snapshots(root).list() == []
    (root / "remotes").unlink()
    assert take(root).snapshot.sequence == 0


@pytest.mark.parametrize("remote", REMOTES)
def test_a_remote_that_is_gone_is_filled_from_the_other(root: Path, remote: str) -> None:
    take(root)
    write_partition(root, 1, b"corrected")
    take(root)
    shutil.rmtree(root / remote)
    assert take(root).lost == []
    assert find_lacking(root, remote) == []


def test_what_both_remotes_have_lost_comes_from_the_data_root_and_what_that_lost_too_is_named(root: Path) -> None:
    take(root)
    write_partition(root, 1, b"corrected")
    take(root)
    shutil.rmtree(root / "remotes")
    taken = take(root)
    assert taken.lost == [0]
    assert len(open_snapshots(root).list_files(taken.snapshot)) == 9


def test_a_remote_has_a_snapshot_only_with_all_its_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root)
    write_partition(root, 4, b"day 4")
    write = LocalStorage.write

    def fail(self: LocalStorage, path: str, content: bytes) -> None:
        if self.root.endswith("two") and path.endswith(".dir"):
            raise OSError(28, "No space left on device", path)
        write(self, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write", fail)
        taken = take(root)
    assert list(taken.behind) == [str(root / "remotes" / "two")]
    assert not find_manifest(root, "remotes/two", taken.snapshot).exists()
    assert take(root).behind == {}
    assert find_lacking(root, "remotes/two") == []


def _take_in_process(root: Path, number: int) -> None:
    write_partition(root, number + 4, b"by %d" % number)
    take(root, f"run-{number}")


@pytest.mark.drill
def test_sixteen_at_once_all_succeed_and_none_is_lost(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_take_in_process, args=(root, number)) for number in range(16)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 16
    snapshots = open_snapshots(root).list()
    assert [one.sequence for one in snapshots] == list(range(16))
    assert {one.run_id for one in snapshots} == {f"run-{number}" for number in range(16)}
    assert len([path for path in open_snapshots(root).list_files(snapshots[-1]) if path.startswith("lake")]) == 19
    assert [find_lacking(root, remote) for remote in REMOTES] == [[], []]


def test_the_remotes_are_known_when_the_data_root_has_lost_everything(root: Path) -> None:
    taken = take(root).snapshot
    shutil.rmtree(root / "snapshots")
    assert open_snapshots(root).list() == [taken]


def test_a_kept_snapshot_says_why_everywhere(root: Path) -> None:
    kept = open_snapshots(root).keep(take(root).snapshot, "audit of 2026")
    assert open_snapshots(root).list() == [kept]
    for remote in REMOTES:
        content = json.loads(find_manifest(root, remote, kept).read_bytes())
        assert content["kept_because"] == "audit of 2026"


FAR_FUTURE = datetime(2036, 1, 1, tzinfo=UTC)


def collect(
    root: Path, dropped: list[Snapshot], needed: Iterable[str] = (), now: datetime = FAR_FUTURE
) -> list[Collection]:
    snapshots = open_snapshots(root)
    kept = [one for one in snapshots.list() if one not in dropped]
    return collect_garbage(snapshots, Garbage(dropped, kept, frozenset(needed)), now, timedelta(days=7))


def test_garbage_goes_and_what_others_or_models_need_stays(root: Path) -> None:
    needed = hash_bytes(b"day 1")
    first = take(root).snapshot
    for day in (1, 2):
        write_partition(root, day, b"corrected")
    second = take(root).snapshot
    collected = collect(root, [first], [needed])
    # Of each remote: the bytes of day 2, the records of both days, both trees.
    assert [len(one.objects) for one in collected] == [5, 5]
    assert open_snapshots(root).list() == [second]
    assert [find_lacking(root, remote) for remote in REMOTES] == [[], []]
    assert open_snapshots(root).fetch(needed) == b"day 1"
    with pytest.raises(ObjectLostError, match="no remote has it whole"):
        open_snapshots(root).fetch(hash_bytes(b"day 2"))


def hash_root(root: Path) -> dict[str, str]:
    kept = ("lake", "records", "models", "landing")
    files = [path for folder in kept for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): hash_bytes(path.read_bytes()) for path in files}


def lose_everything(root: Path) -> None:
    for folder in ("lake", "models", "records"):
        shutil.rmtree(root / folder)


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: shutil.rmtree(root / "lake"),
        lose_everything,
        lambda root: write_partition(root, 1, b"newer"),
        lambda root: write_partition(root, 7, b"newer"),
        lambda root: (root / "lake/scores/date=2026-03-02/part.parquet").write_bytes(b"rotten"),
        lambda root: (root / "landing/transactions/2026-03-01/a.csv").unlink(),
    ],
    ids=["lake gone", "all gone", "replaced", "added", "rotten", "landed file gone"],
)
def test_a_snapshot_comes_back_byte_for_byte(root: Path, change: Change) -> None:
    (root / "lake/scores/date=2026-03-09/part.parquet").unlink()
    before = hash_root(root)
    snapshots = open_snapshots(root)
    taken = take(root).snapshot
    change(root)
    restored = restore(LocalStorage(root), snapshots, taken, taken.trees)
    passing = {"landing/transactions/2026-03-01/b.csv.part", "models/fraud_model/2026-03-01/checkpoints/latest"}
    assert {path: md5 for path, md5 in hash_root(root).items() if path not in passing} == {
        path: md5 for path, md5 in before.items() if path not in passing
    }
    assert restored.written or restored.removed


def test_what_landed_since_stays(root: Path) -> None:
    taken = take(root).snapshot
    LocalStorage(root).write("landing/transactions/2026-03-02/later.csv", b"later")
    LocalStorage(root).write("landing/transactions/2026-03-01/a.csv", b"corrected")
    restored = restore(LocalStorage(root), open_snapshots(root), taken, taken.trees)
    assert (restored.written, restored.removed) == ({}, ("lake/scores/date=2026-03-09/part.parquet",))
    assert (root / "landing/transactions/2026-03-01/a.csv").read_bytes() == b"corrected"


def test_one_table_comes_back_alone(root: Path) -> None:
    write_partition(root, 1, b"old", "ledger")
    taken = take(root).snapshot
    write_partition(root, 1, b"new", "ledger")
    write_partition(root, 1, b"new")
    restore(LocalStorage(root), open_snapshots(root), taken, choose_folders(taken, ["ledger"]))
    assert (root / "lake/ledger/date=2026-03-01/part.parquet").read_bytes() == b"old"
    assert (root / "lake/scores/date=2026-03-01/part.parquet").read_bytes() == b"new"
    with pytest.raises(SnapshotError, match="nothing of ledgers; expected some of fraud_model, landing, ledger"):
        choose_folders(taken, ["ledgers"])


def test_where_bytes_are_lost_nothing_is_changed(root: Path) -> None:
    taken = take(root).snapshot
    md5 = hash_bytes(b"day 1")
    for remote in REMOTES:
        (root / remote / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    for day in (1, 2):
        write_partition(root, day, b"newer")
    before = hash_root(root)
    with pytest.raises(ObjectLostError, match=md5):
        restore(LocalStorage(root), open_snapshots(root), taken, taken.trees)
    assert hash_root(root) == before


def test_a_damaged_object_is_not_brought_back_where_the_other_remote_has_it_whole(root: Path) -> None:
    taken: Snapshot = take(root).snapshot
    md5 = hash_bytes(b"day 1")
    (root / "remotes" / "one" / "files" / "md5" / md5[:2] / md5[2:]).write_bytes(b"rotten")
    write_partition(root, 1, b"newer")
    restore(LocalStorage(root), open_snapshots(root), taken, taken.trees)
    assert (root / "lake/scores/date=2026-03-01/part.parquet").read_bytes() == b"day 1"


def test_all_that_is_unsettled_is_waited_for_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(4, 29):
        write_partition(root, day, b"day %d" % day).unlink()
    waits: list[float] = []
    monkeypatch.setattr("pipeline_assets.adapters.snapshot_index.time.sleep", waits.append)
    assert len(take(root).unsettled) == 25
    assert sum(waits) < 1
