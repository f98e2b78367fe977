"""What strace wrote, read; and, where strace is installed, one call of a real process broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_assets.drills.drill import DrillError
from pipeline_assets.drills.trace import CHANGING, break_call, find_shift, find_strace, read_calls, read_main, select

PROGRAM = """
import os, sys
from pathlib import Path
from pipeline_assets.adapters.storage import LocalStorage
Path(sys.argv[2]).write_bytes(b"elsewhere")
LocalStorage(Path(sys.argv[1])).write("a/b", b"content")
"""
TRACE = """\
7 1.0 openat(AT_FDCWD</data/cwd>, "/elsewhere", O_RDONLY|O_CLOEXEC) = 3</elsewhere>
7 2.0 openat(AT_FDCWD</data/cwd>, "/data/lake/.tmp-0af3", O_WRONLY|O_CREAT|O_EXCL, 0666) = 3</data/lake/.tmp-0af3>
7 2.5 write(1</dev/null>, ""..., 4) = 4
7 3.0 write(3</data/lake/.tmp-0af3>, ""..., 4) = -1 ENOSPC (No space left on device) (INJECTED)
8 3.5 openat(AT_FDCWD</data/cwd>, "/data/lake/x", O_RDONLY|O_CLOEXEC) = 4</data/lake/x>
7 4.0 rename("/data/lake/.tmp-0af3", "/data/lake/part" <unfinished ...>
7 4.1 <... rename resumed>) = 0
7 5.0 unlink("/data/lake/.tmp-0af3") = -1 ENOENT (No such file or directory)
7 6.0 +++ exited with 0 +++
"""


def test_calls_on_the_data_root_are_numbered_among_all_calls_of_their_name(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(TRACE)
    calls = read_calls(trace, Path("/data"), main=read_main(trace))
    assert [(call.kind, call.path, call.number, call.place) for call in calls] == [
        ("create", "lake/.tmp-*", 2, 1),
        ("write", "lake/.tmp-*", 2, 1),
        ("rename", "lake/part", 1, 1),
        ("unlink", "lake/.tmp-*", 1, 1),
    ]
    assert [call.was_broken for call in calls] == [False, True, False, False]
    assert [call.is_on_temporary for call in calls] == [True, True, False, True]


def test_a_change_by_another_thread_is_an_error_because_it_could_not_be_broken(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(TRACE + '8 7.0 mkdir("/data/new", 0777) = 0\n')
    with pytest.raises(DrillError, match="main thread alone"):
        read_calls(trace, Path("/data"), main=7)


def test_numbers_that_are_off_are_told_by_the_last_call(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(TRACE)
    expected = [call for call in read_calls(trace, Path("/data"), main=7) if call.name == "openat"]
    trace.write_text(
        '1.0 openat(AT_FDCWD</data/cwd>, "/data/lake/.tmp-99", O_WRONLY|O_CREAT) = 3</data/lake/.tmp-99>\n'
    )
    found = read_calls(trace, Path("/data"))
    assert found[0].is_same(expected[0])
    assert find_shift(expected, found) == -1
    assert find_shift(expected, []) == 0


def test_without_strace_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DrillError, match=r"expected the program strace.*install.*strace \(Debian package\)"):
        find_strace()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_real_write_is_seen_call_by_call_and_killed_at_exactly_the_one_that_is_meant(tmp_path: Path) -> None:
    root, trace = tmp_path / "root", tmp_path / "trace"
    program = [sys.executable, "-c", PROGRAM, str(root), str(tmp_path / "other")]
    command = [find_strace(), *select(CHANGING, launched=True), "-o", str(trace), *program]
    subprocess.run(command, check=True, capture_output=True)
    calls = read_calls(trace, root, read_main(trace))
    written = [f"{call.kind} {call.path}" for call in calls]
    in_order = ["create a/.tmp-*", "write a/.tmp-*", "flush a/.tmp-*", "rename a/b"]
    assert [one for one in written if one in in_order] == in_order
    assert (root / "a" / "b").read_bytes() == b"content"

    (root / "a" / "b").write_bytes(b"old")
    rename = next(call for call in calls if call.kind == "rename")
    command = [find_strace(), *break_call(rename, "signal=KILL", launched=True), "-o", str(trace), *program]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    assert read_calls(trace, root, read_main(trace))[-1].is_same(rename)
    assert (root / "a" / "b").read_bytes() == b"old"
    assert len(list((root / "a").glob(".tmp-*"))) == 1
