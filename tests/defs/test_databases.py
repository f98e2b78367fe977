"""The databases of the instance: whole or not there, however many make them at once and whenever one is killed."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline_assets.commands.chains import prepare_home
from pipeline_assets.defs.databases import (
    EVENTS,
    INDEX,
    RUNS,
    SCHEDULES,
    BrokenInstanceError,
    Schema,
    WholeSqliteRunStorage,
    make_whole,
)

CONFIG = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
FILES = {"history/runs.db": RUNS, "history/runs/index.db": INDEX, "schedules/schedules.db": SCHEDULES}


def look(path: Path) -> dict[str, Any]:
    """All that a database is, but for its rows."""
    with closing(sqlite3.connect(path)) as connection:
        named = connection.execute("select type, name, sql from sqlite_master order by name").fetchall()
        return {
            "schema": named,
            "versions": connection.execute("select version_num from alembic_version").fetchall(),
            "marks": connection.execute("select name from secondary_indexes order by name").fetchall(),
            "journal": connection.execute("pragma journal_mode").fetchall(),
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The databases as Dagster makes them, alone and undisturbed."""
    home = tmp_path_factory.mktemp("plain")
    (home / "dagster.yaml").touch()
    with dg.DagsterInstance.from_config(str(home)):
        return {name: look(home / name) for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_it_is_just_what_dagster_makes(whole: dict[str, dict[str, Any]], tmp_path: Path, name: str) -> None:
    assert make_whole(tmp_path / name, FILES[name])
    assert look(tmp_path / name) == whole[name]


def test_the_instance_of_the_configuration_is_whole(
    whole: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(CONFIG, tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_storage, WholeSqliteRunStorage)
        instance.report_runless_asset_event(dg.AssetMaterialization("one"))  # in a file that is named ".db"
    assert {name: look(tmp_path / name) for name in FILES} == whole


# Makes the databases of folders, each by several processes that are let go together, some of which are killed.
_MAKERS = """
import json, os, random, signal, sys, time
from pathlib import Path
from pipeline_assets.defs.databases import INDEX, RUNS, SCHEDULES, make_whole

FILES = {"history/runs.db": RUNS, "history/runs/index.db": INDEX, "schedules/schedules.db": SCHEDULES}

def make(root, go):
    os.read(go, 1)
    for name, schema in FILES.items():
        make_whole(root / name, schema)

def fork(root, number):
    read, write = os.pipe()
    pids = []
    for _ in range(number):
        pid = os.fork()
        if pid == 0:
            os.close(write)
            code = 1
            try:
                make(root, read)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(read)
    os.close(write)
    return pids

roots = [Path(one) for one in sys.argv[2:]]
random.seed(int(sys.argv[1]))
codes, killed = [], 0
for root in roots:
    for round in range(6):
        (pid,) = fork(root, 1)
        time.sleep(random.random() * 0.03)
        os.kill(pid, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    codes += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in fork(root, 6)]
print(json.dumps([codes, killed]))
"""


def test_six_at_once_after_six_that_were_killed_make_one_that_is_whole(
    whole: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    roots = [tmp_path / f"root-{number}" for number in range(4)]
    command = [sys.executable, "-c", _MAKERS, "1", *map(str, roots)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    codes, killed = json.loads(done.stdout)
    assert (codes, done.stderr) == ([0] * 24, "")
    assert killed > 6
    for root in roots:
        assert {name: look(root / name) for name in FILES} == whole


BREAKS: dict[str, str] = {
    "two revisions, as two commands at once left them": "insert into alembic_version values ('5771160a95ad')",
    "no revision": "delete from alembic_version",
    "no table of revisions": "drop table alembic_version",
    "a table that was not made yet": "drop table daemon_heartbeats",
    "an index that was not made yet": "drop index idx_run_tags",
}


def break_runs(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'index'")]
        if statement == "drop index idx_run_tags":
            statement = f"drop index {next(name for name in names if not name.startswith('sqlite_'))}"
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("statement", BREAKS.values(), ids=BREAKS)
def test_what_is_half_made_is_completed_and_its_runs_stay(
    whole: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")  # as an older version left it
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_run(dg.DagsterRun("nothing"))
    break_runs(tmp_path / "history/runs.db", statement)
    prepare_home(str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_runs_count() == 1
    names = {one: sorted(look(tmp_path / "history/runs.db")[one]) for one in ("schema", "versions", "marks")}
    assert names == {one: sorted(whole["history/runs.db"][one]) for one in names}


def test_marks_that_are_lacking_beside_runs_come_by_the_migrations(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    storage = WholeSqliteRunStorage.from_local(str(tmp_path))
    storage.add_run(dg.DagsterRun("nothing"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("delete from secondary_indexes")
        connection.commit()
    assert not make_whole(path, RUNS)
    assert WholeSqliteRunStorage.from_local(str(tmp_path)).has_run_stats_index_cols()
    assert make_whole(path, RUNS)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def drop_column(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("alter table daemon_heartbeats drop column body")
        connection.execute("delete from alembic_version")
        connection.commit()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: path.write_bytes(b"no database at all, but long enough to be one" * 99), "not a database"),
        (cut_off, "malformed"),
        (drop_column, "daemon_heartbeats without body"),
    ],
    ids=["text", "cut off", "column"],
)
def test_what_cannot_be_mended_is_named_with_the_next_step(
    tmp_path: Path, damage: Callable[[Path], None], found: str
) -> None:
    path = tmp_path / "runs.db"
    make_whole(path, RUNS)
    for beside in tmp_path.glob("runs.db-*"):
        beside.unlink()
    damage(path)
    with pytest.raises(BrokenInstanceError, match="move the folder of the instance") as error:
        make_whole(path, RUNS)
    assert found in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_database_of_an_older_dagster_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    make_whole(path, RUNS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update alembic_version set version_num = '5771160a95ad'")
        connection.execute("drop table daemon_heartbeats")
        connection.commit()
    before = look(path)
    make_whole(path, RUNS)
    assert look(path) == before


@pytest.mark.parametrize("schema", [RUNS, EVENTS, INDEX, SCHEDULES])
def test_what_is_whole_is_not_written(tmp_path: Path, schema: Schema) -> None:
    path = tmp_path / "one.db"
    make_whole(path, schema)
    before = path.read_bytes()
    path.chmod(0o400)
    make_whole(path, schema)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_configuration_whose_copy_was_cut_off_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    home, content = tmp_path / "home", CONFIG.read_bytes()
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    (home / "dagster.yaml").write_bytes(content[: int(share * len(content))])
    prepare_home(str(tmp_path))
    assert (home / "dagster.yaml").read_bytes() == content
    assert not list(home.glob(".tmp-*"))


def test_a_configuration_of_ones_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    (home / "dagster.yaml").write_text("nux: {enabled: false}\n")
    prepare_home(str(tmp_path))
    assert (home / "dagster.yaml").read_text() == "nux: {enabled: false}\n"
    assert look(home / "history/runs.db")["versions"]


def test_a_configuration_that_is_no_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    (home / "dagster.yaml").write_text("nux: {enabled: [\n")
    with pytest.raises(ValueError, match=r"dagster.yaml: expected YAML"):
        prepare_home(str(tmp_path))
