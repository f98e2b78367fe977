"""A model of more than sixty days comes out of a rebuild bit for bit, or the first node that differs is named.

In its past a day was held, one never came, and one came after the next ones had been made.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
from click.testing import CliRunner

from pipeline_assets.adapters import reproduction, revision, worktree
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.revision import find_revision
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stages.features import build_features
from pipeline_assets.adapters.stages.ingestion import ingest
from pipeline_assets.adapters.stages.models import build_training_sets, train_models
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.cli import commands
from pipeline_assets.commands.simulation import simulate_until
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from pipeline_assets.core.lineage.tree import NodeId, Origin
from pipeline_assets.core.lineage.verdicts import Order, Outcome
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.settings import Params, Settings, SimulationParams
from tests.adapters.test_worktree import git

DAY: Final = timedelta(days=1)
START: Final = date(2026, 1, 4)
AS_OF: Final = START + 63 * DAY
DAYS: Final = [START + number * DAY for number in range(63)]
HELD, NEVER, LATE = DAYS[20], DAYS[30], DAYS[40]
NOW: Final = datetime(2026, 3, 8, 6, tzinfo=UTC)
PROJECT: Final = Path(__file__).parents[2]
PARAMS: Final = Params(
    history_start=START,
    training=TrainingParams(rounds=20),
    snapshots=SnapshotParams(remotes=("remotes/one",)),
    simulation=SimulationParams(n_customers=120, n_terminals=240),
)


def make_days(stores: Stores, days: Iterable[date]) -> None:
    """Ingestion and features of some days, whose features are left out where the day is held."""
    days = sorted(days)
    exhaust(ingest(stores, PARAMS.ingestion, days))
    if HELD in days:
        stores.holds.hold(Key("transactions", HELD), "quarantine_share_is_low", "half of the rows", "", NOW)
    exhaust(build_features(stores, [day for day in days if day != HELD]))


def make_model(stores: Stores) -> str:
    """The training set and the model as of the day after the last; the model's version."""
    exhaust(build_training_sets(stores, PARAMS.training, [AS_OF]))
    exhaust(train_models(stores, PARAMS.training, [AS_OF]))
    return stores.models.find(AS_OF).version


def exhaust(made: Iterable[object]) -> None:
    for _ in made:
        pass


@pytest.fixture(scope="module")
def built_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a model of more than sixty days; nothing of it is kept in a snapshot."""
    root = tmp_path_factory.mktemp("built") / "data"
    simulate_until(Settings(str(root), PARAMS, START), DAYS[-1], lambda _: None)
    stores = open_stores(str(root))
    make_days(stores, {*DAYS} - {NEVER, LATE})
    make_days(stores, [LATE])
    make_model(stores)
    return root


@pytest.fixture(scope="module")
def built_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit: the code as it is here, whatever of it is committed."""
    code = tmp_path_factory.mktemp("code") / "project"
    shutil.copytree(PROJECT / "pipeline_assets", code / "pipeline_assets")  # with its compiled kernels
    shutil.copyfile(PROJECT / "pyproject.toml", code / "pyproject.toml")
    git(code, "init", "-q")
    git(code, "add", "*.py", "pyproject.toml")
    git(code, "commit", "-qm", "then")
    return code


@dataclass(frozen=True)
class World:
    """A copy of the built data root and of the code, with the command line upon them."""

    root: Path
    code: Path
    stores: Stores
    version: str

    def keep(self, revision: str = "", parameters: Params = PARAMS) -> None:
        """Take a snapshot, by the code as it is committed or by another."""
        snapshots = Snapshots(self.stores.root, open_replicas(self.stores.root, PARAMS.snapshots.remotes))
        snapshots.take("a run", revision or self.head, parameters.to_bytes(), NOW)

    @property
    def head(self) -> str:
        return git(self.code, "rev-parse", "HEAD")

    def alter_code(self) -> None:
        """Commit another kernel: one statistic of customers looks back on 13 days instead of 14."""
        kernel = self.code / "pipeline_assets" / "core" / "features" / "customer.py"
        before = kernel.read_text()
        kernel.write_text(before.replace("14 * DAY_US", "13 * DAY_US"))
        assert kernel.read_text() != before
        git(self.code, "commit", "-qam", "altered")
        find_revision.cache_clear()

    def alter_row(self, day: date, cents: int = 1) -> str:
        """Change one landed amount; the path of the file."""
        (path,) = (self.root / "landing" / "transactions" / f"{day}").iterdir()
        frame = pl.read_parquet(path)
        is_first = pl.int_range(pl.len()) == 0
        frame.with_columns(pl.col("amount_cents") + pl.when(is_first).then(cents).otherwise(0)).write_parquet(path)
        return path.relative_to(self.root).as_posix()

    def hash(self, path: str) -> str:
        return hashlib.md5((self.root / path).read_bytes()).hexdigest()


@pytest.fixture
def world(built_root: Path, built_code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    root, code = tmp_path / "data", tmp_path / "code"
    shutil.copytree(built_root, root)
    shutil.copytree(built_code, code)
    (tmp_path / "params.yaml").write_bytes(PARAMS.to_bytes())
    monkeypatch.setenv("PIPELINE_DATA", str(root))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setattr(revision, "_PROJECT", code)
    monkeypatch.setattr(worktree, "PROJECT", code)
    find_revision.cache_clear()
    stores = open_stores(str(root))
    yield World(root, code, stores, stores.models.find(AS_OF).version)
    find_revision.cache_clear()


def reproduce(model: str, *options: str, expected_exit: int = 0) -> dict[str, Any]:
    """The verdict of the command as JSON."""
    result = CliRunner().invoke(commands, ["reproduce", model, "--format", "json", *options])
    assert result.exit_code == expected_exit, result.output
    verdict: dict[str, Any] = json.loads(result.stdout)
    return verdict


def refuse(model: str, *options: str) -> str:
    """The message with which the command ends."""
    result = CliRunner().invoke(commands, ["reproduce", model, *options])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


@pytest.mark.drill
def test_a_model_of_more_than_sixty_days_is_proved_bit_for_bit(world: World, tmp_path: Path) -> None:
    world.keep()
    into = tmp_path / "rebuilt"
    verdict = reproduce(f"fraud_model@{AS_OF}", "--into", str(into))
    md5 = world.hash(f"models/fraud_model/{AS_OF}/{world.version.rpartition('-')[2]}/model.txt")
    assert (verdict["outcome"], verdict["model"], verdict["md5"]) == ("proved", world.version, md5)
    assert (verdict["revision"], verdict["difference"]) == (world.head, None)
    # Of 63 days one never came, one was held and has no features; with the training set and the model.
    assert (verdict["n_partitions"], verdict["n_files"]) == (62 * 2 + 61 * 2 + 2, 62 * 2)
    for folder in ("lake/training_set", "lake/customer_features", "models"):
        paths = [path.relative_to(into).as_posix() for path in (into / folder).rglob("*") if path.is_file()]
        assert paths
        assert all(hashlib.md5((into / path).read_bytes()).hexdigest() == world.hash(path) for path in paths)
    assert not (into / "lake" / "customer_features" / f"date={HELD}").exists()


def test_what_was_held_absent_or_late_then_is_so_in_the_rebuild(world: World, tmp_path: Path) -> None:
    after = world.stores.records.find(Key("customer_features", HELD + DAY))
    late = world.stores.records.find(Key("transactions", LATE + DAY))
    training_set = world.stores.records.find(Key("training_set", AS_OF))
    assert after is not None
    assert late is not None
    assert training_set is not None
    assert f"transactions@{HELD}" in after.lacking
    assert f"transactions@{HELD}" in late.inputs or f"transactions@{LATE}" in late.lacking
    assert f"transactions@{LATE}" in training_set.inputs
    assert f"transactions@{NEVER}" in training_set.lacking


def test_one_cent_in_one_landed_row_names_the_first_day_that_differs(world: World) -> None:
    world.keep()
    world.alter_row(DAYS[50])
    changed = DAYS[33]
    expected = world.hash(f"landing/transactions/{changed}/transactions-{changed}.parquet")
    path = world.alter_row(changed)
    verdict = reproduce(world.version, expected_exit=1)
    assert verdict["outcome"] == "differs"
    assert verdict["difference"]["node"] == f"landing@{changed}"
    assert verdict["difference"]["expected"] == {path: expected}
    assert verdict["difference"]["found"] == {path: world.hash(path)}
    assert verdict["n_partitions"] == 0, "nothing is built where the input is another one"


@pytest.mark.drill
def test_what_landed_then_comes_from_the_remotes_whatever_lies_in_the_landing_zone_now(world: World) -> None:
    world.keep()
    world.alter_row(DAYS[33])
    shutil.rmtree(world.root / "landing" / "chargebacks")
    verdict = reproduce(world.version, "--from-remotes")
    assert (verdict["outcome"], verdict["n_files"]) == ("proved", 62 * 2)


@pytest.mark.drill
def test_altered_code_names_the_first_table_that_differs_and_builds_no_later_one(world: World, tmp_path: Path) -> None:
    world.alter_code()
    into = tmp_path / "rebuilt"
    verdict = reproduce(world.version, "--here", "--into", str(into), expected_exit=1)
    asset, _, day = verdict["difference"]["node"].partition("@")
    assert asset == "customer_features"
    path = f"lake/customer_features/date={day}/part.parquet"
    assert verdict["difference"]["expected"] == {path: world.hash(path)}
    assert verdict["difference"]["found"] == {path: hashlib.md5((into / path).read_bytes()).hexdigest()}
    assert "inputs were equal" in verdict["difference"]["explanation"]
    built = sorted(folder.name for folder in (into / "lake" / "customer_features").iterdir())
    assert built[-1] == f"date={day}"
    for name in built[:-1]:
        earlier = f"lake/customer_features/{name}/part.parquet"
        assert hashlib.md5((into / earlier).read_bytes()).hexdigest() == world.hash(earlier)
    others = {folder.name for folder in (into / "lake" / "terminal_features").iterdir()}
    assert not others or max(others) < f"date={day}"
    assert not (into / "lake" / "training_set").exists()


@pytest.mark.drill
def test_the_code_of_then_proves_it_though_the_present_one_is_another(world: World) -> None:
    then = world.head
    world.keep()
    world.alter_code()
    verdict = reproduce(world.version)
    assert (verdict["outcome"], verdict["revision"]) == ("proved", then)
    assert len(git(world.code, "worktree", "list").splitlines()) == 1


@pytest.mark.drill
def test_what_was_replaced_since_is_found_as_it_was_then(world: World) -> None:
    world.keep()
    then = world.stores.records.find(Key("transactions", DAYS[51]))
    world.alter_row(DAYS[50], cents=100_000)
    make_days(world.stores, DAYS[50:])
    assert make_model(world.stores) != world.version
    world.keep()
    now = world.stores.records.find(Key("transactions", DAYS[51]))
    assert then is not None
    assert now is not None
    assert (now.files, now.inputs != then.inputs) == (then.files, True), "the same bytes, made from others"
    assert reproduce(world.version, "--from-remotes")["outcome"] == "proved"


def test_without_a_snapshot_the_next_step_is_named(world: World) -> None:
    said = refuse(world.version)
    assert "no snapshot has this model" in said
    assert "pipeline-assets snapshot take" in said
    assert "--here" in said


def test_other_parameters_are_named_before_anything_is_built(world: World, tmp_path: Path) -> None:
    world.keep(parameters=replace(PARAMS, training=TrainingParams(rounds=21)))
    said = refuse(world.version, "--into", str(tmp_path / "rebuilt"))
    assert f"fraud_model (1 partitions, {AS_OF} to {AS_OF}): made by" in said
    assert "transactions (" not in said
    assert not (tmp_path / "rebuilt" / "lake").exists()


def test_code_that_no_commit_holds_is_refused_and_the_next_step_named(world: World) -> None:
    world.keep(revision=f"{world.head}+changes")
    assert "--here" in refuse(world.version)


def test_the_revision_that_the_run_reported_is_believed_more_than_that_of_the_snapshot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(_: object, wanted: list[NodeId]) -> dict[NodeId, Origin]:
        return {one: Origin("a run", "weekly", NOW, "0" * 40) for one in wanted}

    world.keep()
    monkeypatch.setattr("pipeline_assets.definitions.find_origins", find)
    assert f"revision {'0' * 40}" in refuse(world.version)


def test_a_rebuild_is_not_believed_but_read_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_nothing(_: Path, order: Order, __: Path) -> Outcome:
        return Outcome(world.head, len(order.records))

    world.keep()
    monkeypatch.setattr(reproduction, "_run", build_nothing)
    difference = reproduce(world.version, expected_exit=1)["difference"]
    assert set(difference["found"].values()) == {"nothing"}


def test_a_rebuild_by_other_code_than_that_of_then_proves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep()
    monkeypatch.setattr(reproduction, "_run", lambda *_: Outcome("another"))
    assert "found that of another" in refuse(world.version)


def test_a_rebuild_that_fails_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.keep()
    monkeypatch.setattr(reproduction, "PROGRAM", "pipeline_assets.nothing")
    assert "No module named pipeline_assets.nothing" in refuse(world.version)


def test_what_no_snapshot_has_cannot_come_from_the_remotes(world: World) -> None:
    said = refuse(world.version, "--here", "--from-remotes")
    assert f"of 62 days no snapshot has what landed then: landing@{DAYS[0]}" in said


def test_what_is_no_model_is_refused(world: World) -> None:
    assert "expected a model" in refuse(f"transactions@{DAYS[0]}")
    assert "expected a partition that was made" in refuse(f"fraud_model@{AS_OF + DAY}")


def test_a_folder_with_files_in_it_is_not_built_in(world: World, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    assert "expected an empty folder" in refuse(world.version, "--into", str(tmp_path / "full"))


def test_a_person_reads_what_was_proved_or_what_differs(world: World) -> None:
    world.keep()
    world.alter_row(DAYS[3])
    result = CliRunner().invoke(commands, ["reproduce", world.version])
    assert result.exit_code == 1
    assert f"the first node that differs is landing@{DAYS[3]}" in result.stdout
    assert f"pipeline-assets reproduce {world.version} --from-remotes" in result.stdout
