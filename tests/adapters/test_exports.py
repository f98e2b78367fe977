"""Files for people: wholly there or not at all, whoever is killed, and never a device or somebody's corrections."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline_assets.adapters.exports import write_file

# Writes one of two contents over the other, again and again, until it is killed.
WRITER = """
import sys
from pathlib import Path
from pipeline_assets.adapters.exports import write_file
contents = [letter * 3_000_000 for letter in "ab"]
while True:
    for content in contents:
        write_file(Path(sys.argv[1]), content)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "export.csv"
    n_in_the_middle = 0
    for seed in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(target)])
        try:
            deadline = time.monotonic() + 30
            while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(0.3 + random.Random(seed).random() / 20)
        finally:
            writer.kill()
            writer.wait()
        if target.exists():
            content = target.read_bytes()
            assert content in (b"a" * 3_000_000, b"b" * 3_000_000)
        left = [path for path in tmp_path.iterdir() if path != target]
        n_in_the_middle += bool(left)
        for path in left:
            assert path.name.startswith(".tmp-")
            path.unlink()
    assert target.exists()
    assert n_in_the_middle > 0, "no writer was killed while it wrote"


def test_a_file_that_may_not_be_replaced_stays_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "fix.csv"
    write_file(target, "mine", may_replace=False)
    with pytest.raises(FileExistsError, match="name another file"):
        write_file(target, "other", may_replace=False)
    assert target.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_line_ends_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "ü\r\n\n")
    write_file(tmp_path / "b", b"\xff\r\n")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == ("ü\r\n\n".encode(), b"\xff\r\n")


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "old")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "old").read_text() == "new"


def test_what_is_no_file_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for target in (tmp_path, tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ValueError, match="found a folder, a pipe or a device"):
            write_file(target, "text")
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(FileNotFoundError, match="expected its folder"):
        write_file(tmp_path / "none" / "a.csv", "text")
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "link"}
