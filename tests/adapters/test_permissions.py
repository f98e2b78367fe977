"""What the pipeline writes is its own user's, and the group's to read; nobody else's."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from click.testing import CliRunner
from pipeline_assets import cli
from pipeline_assets.adapters.storage import LocalStorage
cli.commands = lambda prog_name: None
cli.main()
LocalStorage(Path(sys.argv[1])).write("t/p", b"1")
"""
LOADED = """
import sys
from pathlib import Path
from pipeline_assets import definitions
from pipeline_assets.adapters.storage import LocalStorage
definitions.defs()
LocalStorage(Path(sys.argv[1])).write("t/p", b"1")
"""


def run(program: str, root: Path, umask: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PIPELINE_UMASK": umask, "PIPELINE_DATA": str(root / "data")}
    return subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, env=environment, check=False
    )


def find_modes(root: Path) -> tuple[int, int]:
    return stat.S_IMODE((root / "t").stat().st_mode), stat.S_IMODE((root / "t" / "p").stat().st_mode)


@pytest.mark.parametrize(("umask", "modes"), [("", (0o750, 0o640)), ("077", (0o700, 0o600)), ("0o002", (0o775, 0o664))])
def test_files_are_the_groups_to_read_at_most_unless_an_operator_says_otherwise(
    tmp_path: Path, umask: str, modes: tuple[int, int]
) -> None:
    assert run(PROGRAM, tmp_path, umask).returncode == 0
    assert find_modes(tmp_path) == modes


def test_so_they_are_where_dagster_loads_the_definitions(tmp_path: Path) -> None:
    assert run(LOADED, tmp_path, "").returncode == 0
    assert find_modes(tmp_path) == (0o750, 0o640)


@pytest.mark.parametrize("umask", ["rw", "0", "8", "0777", "400", "-27"])
def test_a_mask_that_is_none_is_one_clear_message(tmp_path: Path, umask: str) -> None:
    done = run(PROGRAM, tmp_path, umask)
    if umask == "0":
        assert done.returncode == 0  # an operator may open everything
        return
    assert done.returncode == 1
    assert done.stderr.startswith("Error: PIPELINE_UMASK: expected")
    assert len(done.stderr.splitlines()) == 1
