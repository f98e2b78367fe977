"""The house rules that a machine can check: who may import whom, what stays small, what starts fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline_assets"
MAY_IMPORT = {
    "contracts": {"contracts"},
    "core": {"contracts", "core"},
    "simulator": {"contracts", "simulator"},
    "adapters": {"contracts", "core", "adapters"},
    "settings": {"contracts", "core", "simulator", "adapters", "settings"},
    "defs": {"contracts", "core", "settings", "adapters", "defs"},
    "definitions": {"settings", "adapters", "defs"},
    "guard": {"guard"},
    "commands": {
        "contracts",
        "core",
        "simulator",
        "settings",
        "adapters",
        "definitions",
        "guard",
        "commands",
        "drills",
    },
    "drills": {"contracts", "core", "simulator", "settings", "adapters", "definitions", "guard", "commands", "drills"},
    "cli": {"contracts", "settings", "adapters", "commands", "definitions", "guard"},
}
HEAVY = {"apprise", "lightgbm", "sklearn", "matplotlib", "duckdb", "dvc", "dagster", "numba", "polars", "pandera"}


def imported_names(file: Path) -> set[str]:
    """Everything a module imports, inside functions as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return [file for file in sorted(PACKAGE.rglob("*.py")) if room_of(file) != "__init__"]


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_rooms_below_it(file: Path) -> None:
    ours = {name.split(".")[1] for name in imported_names(file) if name.startswith("pipeline_assets.")}
    assert ours <= MAY_IMPORT[room_of(file)]


@pytest.mark.parametrize("room", ["contracts", "core", "adapters", "simulator", "settings"])
def test_dagster_is_known_to_the_defs_only(room: str) -> None:
    for file in modules():
        if room_of(file) == room:
            assert not any(name.split(".")[0] == "dagster" for name in imported_names(file)), file


def test_the_guard_knows_dagster_in_its_program_only() -> None:
    knowing = {
        file.name
        for file in modules()
        if room_of(file) == "guard" and any(name.startswith("dagster") for name in imported_names(file))
    }
    assert knowing == {"webserver.py"}


def test_core_touches_no_file_no_environment_and_no_clock() -> None:
    forbidden = {"os", "pathlib", "shutil", "time", "tempfile", "subprocess", "socket"}
    for file in modules():
        if room_of(file) == "core":
            assert not forbidden & {name.split(".")[0] for name in imported_names(file)}, file
            calls = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
            assert not calls & {"now", "today", "utcnow"}, file


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_and_functions_stay_readable(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            nested = any(isinstance(inner, ast.FunctionDef) for inner in ast.walk(node) if inner is not node)
            assert nested or node.end_lineno - node.lineno < 60, f"{file.name}:{node.name}"


def test_the_command_line_answers_without_loading_a_heavy_library() -> None:
    program = "import sys, pipeline_assets.cli; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
