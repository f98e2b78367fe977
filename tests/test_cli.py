"""The command line: what it says to a person who made a mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline_assets.cli import commands
from pipeline_assets.commands.occupancy import occupy


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root and a small world."""
    params = tmp_path / "params.yaml"
    params.write_text("{history_start: 2026-01-04, simulation: {n_customers: 20, n_terminals: 40}}")
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(params))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backfill", "--from", "2026-01-05", "--to", "2026-01-04"], "--to: expected a day not before"),
        (
            ["quarantine", "export", "rows.csv", "--from", "2026-01-05", "--to", "2026-01-04"],
            "--to: expected a day not before --from (2026-01-05), found 2026-01-04",
        ),
        (["simulate", "--until", "2025-01-01"], "history's first"),
        (["sql", "select * from scores"], "none yet"),
        (["quarantine", "export", "rows.txt", "--from", "2026-01-05", "--to", "2026-01-06"], "rows.txt"),
    ],
)
def test_a_mistake_is_one_message_and_no_stack(
    environment: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(environment)
    result = CliRunner().invoke(commands, arguments)
    assert not list(environment.glob("rows.*"))
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        (["--host", "0.0.0.0"], "", "needs a token, and PIPELINE_UI_TOKEN is not set"),
        (["--host", "::"], "", "needs a token, and PIPELINE_UI_TOKEN is not set"),
        (["--host", "0.0.0.0"], "too-short-for-a-key", "expected at least 20 characters"),
        ([], "too-short-for-a-key", "expected at least 20 characters"),
        (["--allow-host", "*"], "", "expected a name or an address as browsers send it"),
    ],
)
def test_a_server_that_would_be_open_to_others_does_not_start(
    environment: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], token: str, said: str
) -> None:
    monkeypatch.setenv("PIPELINE_UI_TOKEN", token)
    monkeypatch.delenv("PIPELINE_UI_HOSTS", raising=False)
    result = CliRunner().invoke(commands, ["ui", *arguments])
    assert result.exit_code == 1
    assert said in result.output
    assert "too-short-for-a-key" not in result.output
    assert not (environment / "root").exists()


def test_further_hosts_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_UI_HOSTS", "ui.example.org,*")
    monkeypatch.delenv("PIPELINE_UI_TOKEN", raising=False)
    result = CliRunner().invoke(commands, ["ui"])
    assert "found '*'" in result.output


def test_a_server_that_comes_second_is_refused_and_says_nothing_else(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = environment / "dagster"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.delenv("PIPELINE_UI_TOKEN", raising=False)
    with occupy(home, "http://127.0.0.1:1"):
        result = CliRunner().invoke(commands, ["ui"])
    assert result.exit_code == 1
    assert "is served already" in result.output
    assert "Ctrl-C" not in result.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["ui"], "env var: PIPELINE_UI_HOSTS"),
        (["sql"], "inside texts and lists, after separators and quotes"),
        (["sql"], "Programs should take --format json"),
        (["quarantine", "export"], "inside texts and lists, after separators and quotes"),
        (["quarantine", "export"], "Programs should take .jsonl"),
    ],
)
def test_the_help_says_what_else_there_is_to_know(command: list[str], said: str) -> None:
    result = CliRunner().invoke(commands, [*command, "--help"])
    assert said in " ".join(result.output.split())


def test_an_unknown_parameter_is_named(environment: Path) -> None:
    (environment / "params.yaml").write_text("{histroy_start: 2026-01-04}")
    result = CliRunner().invoke(commands, ["simulate"])
    assert result.exit_code == 1
    assert "histroy_start" in result.output


def test_simulating_again_lands_only_the_days_that_are_missing(environment: Path) -> None:
    first = CliRunner().invoke(commands, ["simulate", "--until", "2026-01-06"])
    again = CliRunner().invoke(commands, ["simulate", "--until", "2026-01-07"])
    assert "6 new files landed" in first.output
    assert "2 new files landed" in again.output
    assert len(list((environment / "root" / "landing").rglob("*.parquet"))) == 8


def test_another_world_is_not_mixed_into_a_data_root(environment: Path) -> None:
    CliRunner().invoke(commands, ["simulate", "--until", "2026-01-05"])
    params = environment / "params.yaml"
    params.write_text(params.read_text().replace("n_customers: 20", "n_customers: 30"))
    result = CliRunner().invoke(commands, ["simulate", "--until", "2026-01-05"])
    assert result.exit_code == 1
    assert "another world" in result.output


def test_a_reader_that_goes_away_gets_no_stack_and_a_file_is_written_whole(environment: Path) -> None:
    program = [sys.executable, "-c", "from pipeline_assets.cli import main; main()"]
    statement = "select i, '-5' x from range(200000) t(i)"
    command = [*program, "sql", "--format", "csv", statement]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == "i,x\n"
        run.stdout.close()  # as head -1 does; what is left is more than a pipe holds
        assert run.stderr.read() == ""
    result = CliRunner().invoke(commands, ["sql", "--format", "csv", statement, "--output", str(environment / "x.csv")])
    assert result.exit_code == 0, result.output
    lines = (environment / "x.csv").read_text().splitlines()
    assert (len(lines), lines[1], lines[-1]) == (200_001, "0,'-5", "199999,'-5")
