"""What a person is told when a command fails: one message with what, where and the next step, whatever the command."""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pipeline_assets.adapters.release_log import ReleaseLogError
from pipeline_assets.cli import commands
from pipeline_assets.commands.messages import describe_error, describe_text
from pipeline_assets.commands.opening import DEBUG_VARIABLE, ReportingGroup

DAYS = ["--from", "2026-01-04", "--to", "2026-01-05"]
WHY = ["--because", "x"]
ARGUMENTS = {  # of every command, so that it goes as far as the settings
    "alerts": [],
    "backfill": DAYS,
    "card": [],
    "drill": ["no-such-drill"],
    "heal": [],
    "holds list": [],
    "holds release": ["scores@2026-01-04", *WHY],
    "lineage": ["scores@2026-01-04"],
    "quarantine export": ["rows.csv", *DAYS],
    "quarantine replay": [__file__],
    "rehearse": ["--weeks", "-1"],
    "release confirm": WHY,
    "locks break": ["data/snapshots/lock"],
    "locks list": [],
    "release hold": ["champion", *WHY],
    "release log": [],
    "release promote": ["champion", *WHY],
    "release rollback": ["champion", *WHY],
    "reproduce": ["2026-01-04"],
    "restore": [],
    "run": [],
    "simulate": [],
    "snapshot collect-garbage": [],
    "snapshot forget-root": ["0123456789abcdef"],
    "snapshot keep": ["latest", *WHY],
    "snapshot list": [],
    "snapshot roots": [],
    "snapshot take": [],
    "snapshot verify": [],
    "sql": ["select 1"],
    "stage": ["land"],
    "train": [],
    "ui": [],
    "who-was-live": ["--at", "2026-01-04"],
}
WITHOUT_SETTINGS = {"drill", "rehearse"}  # they work on worlds of their own


def list_commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from list_commands(command, f"{path}{name} ")
        else:
            yield path + name


def test_every_command_is_tried_here() -> None:
    assert set(list_commands(commands)) == set(ARGUMENTS)


def lack(path: Path) -> str:
    return f"parameters file {path}: there is none"


def make_folder(path: Path) -> str:
    path.mkdir()
    return f"parameters file {path}: expected a file, found a folder"


def write_latin(path: Path) -> str:
    path.write_bytes(b"# caf\xe9\n")
    return f"parameters file {path}: line 1: expected text in UTF-8"


def write_twice(path: Path) -> str:
    path.write_text("rules: {}\nrules: {}\n")
    return "rules (line 2): expected each key once"


def put_file_in_place_of_root(path: Path) -> str:
    path.write_text("{}")
    (path.parent / "root").write_text("")
    return f"PIPELINE_DATA: expected a folder or an s3:// URL, found the file {path.parent / 'root'}"


def share_remote(path: Path) -> str:
    path.write_text("snapshots: {remotes: [remotes/one, remotes/./one]}")
    return "snapshots.remotes.1 (line 1): expected a place of its own"


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize(
    "spoil", [lack, make_folder, write_latin, write_twice, put_file_in_place_of_root, share_remote]
)
def test_a_mistake_in_the_settings_is_one_message_of_every_command(
    name: str, spoil: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    said = spoil(tmp_path / "params.yaml")
    result = CliRunner().invoke(commands, [*name.split(), *ARGUMENTS[name]])
    assert result.exit_code == 1, result.output
    assert result.output.splitlines()[-1].startswith("Error: ")
    if name not in WITHOUT_SETTINGS:
        assert said in result.output
        assert not (tmp_path / "dagster").exists()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_wrong_option_is_a_matter_of_usage(name: str) -> None:
    assert CliRunner().invoke(commands, [*name.split(), "--no-such-option"]).exit_code == 2


def fail_with(error: BaseException, *options: str) -> Result:
    """What a command deep in a group that raises ``error`` ends with."""

    @click.group(cls=ReportingGroup)
    @click.option("--debug", is_flag=True, envvar=DEBUG_VARIABLE)
    def outer(debug: bool) -> None:
        del debug

    @outer.group()
    def inner() -> None:
        pass

    @inner.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(outer, [*options, "inner", "fail"])


def make_os_error(number: int, path: str | None = "/data/lake/x.parquet") -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (make_os_error(errno.ENOSPC), "/data/lake/x.parquet: the disk is full; make room there"),
        (make_os_error(errno.EDQUOT), "/data/lake/x.parquet: the quota of the disk is used up"),
        (make_os_error(errno.EROFS), "/data/lake/x.parquet: the file system is read-only"),
        (make_os_error(errno.EACCES), f"/data/lake/x.parquet: user {os.getuid()} has no permission"),
        (make_os_error(errno.EACCES, "/data/lake/.tmp-12"), f"/data/lake: user {os.getuid()} has no permission"),
        (make_os_error(errno.EIO), "/data/lake/x.parquet: the disk answers with an error"),
        (make_os_error(errno.ENOTDIR), "/data/lake/x.parquet: expected folders all the way to it"),
        (make_os_error(errno.EISDIR), "/data/lake/x.parquet: expected a file, found a folder"),
        (make_os_error(errno.ENOENT), "/data/lake/x.parquet: there is no such file or folder"),
        (make_os_error(errno.ENOENT, "/it's here"), "/it's here: there is no such file or folder"),
        (OSError(errno.ENOSPC, "No space left on device", "/from", None, "/to"), "/to: the disk is full"),
        (make_os_error(errno.EMFILE, None), "too many open files"),
        (make_os_error(errno.ECONNREFUSED, None), "the network or the other side does not answer"),
        (sqlite3.OperationalError("database is locked"), "Dagster's database is locked by another process"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "database cannot be written"),
        (sqlite3.DatabaseError("file is not a database"), "Dagster's database is damaged"),
        (RuntimeError('Could not set lock on file "x.duckdb"'), "the DuckDB database is locked by another process"),
        (RuntimeError("cannot cache function 'f': no locator available"), "can keep the compiled kernels nowhere"),
        (MemoryError(), "there is no memory left"),
        (ReleaseLogError("the log is cut; restore it"), "the log is cut; restore it"),
    ],
)
def test_a_known_error_says_what_where_and_the_next_step(error: Exception, said: str) -> None:
    result = fail_with(error)
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert ";" in result.output
    wrapped = RuntimeError("something around it")
    wrapped.__cause__ = error
    assert said in describe_error(wrapped)


def test_an_error_that_nobody_foresaw_says_that_it_is_no_fault_of_the_person() -> None:
    result = fail_with(KeyError("amount"))
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert "Error: unexpected KeyError: 'amount'; this is a fault of the program" in result.output
    assert "PIPELINE_DEBUG=1" in result.output


def test_a_value_error_of_a_library_is_none_of_our_messages() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    assert describe_error(caught.value).startswith("unexpected JSONDecodeError")


@pytest.mark.parametrize("by", ["option", "variable"])
def test_who_debugs_sees_the_stack_too(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "variable":
        monkeypatch.setenv(DEBUG_VARIABLE, "1")
    result = fail_with(KeyError("amount"), *(["--debug"] if by == "option" else []))
    assert "Traceback (most recent call last)" in result.output
    assert result.output.splitlines()[-1].startswith("Error: unexpected KeyError")


def test_an_interrupt_ends_quietly_as_shells_expect() -> None:
    result = fail_with(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.output == "stopped; what was done stays: give the same command again, and it goes on\n"


def test_a_reader_who_closes_the_output_is_no_error() -> None:
    result = fail_with(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (result.exit_code, result.output) == (1, "")


def test_the_words_of_a_run_are_told_like_the_error_itself() -> None:
    assert "the disk is full" in str(describe_text("OSError: [Errno 28] No space left on device: '/data/x'\n"))
    assert "the disk is full" in str(describe_text("ComputeError: No space left on device (os error 28)"))
    assert describe_text("a day is held") is None


def test_what_a_database_was_asked_is_not_told() -> None:
    text = "(sqlite3.OperationalError) database is locked [SQL: INSERT INTO x] [parameters: ('card 4711',)]"
    assert "4711" not in str(describe_text(text))
