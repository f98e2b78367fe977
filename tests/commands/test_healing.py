"""The commands of healing as a person types them: what they say, what they leave alone, and how they end."""

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.cli import commands
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level

DAYS = ("2026-01-04", "2026-01-05", "2026-01-06")
BAD = DAYS[1]
PARAMS = "{history_start: 2026-01-04, history_end: 2026-01-06, simulation: {n_customers: 60, n_terminals: 80}}"
Run = Callable[..., Result]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def use(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PIPELINE_DATA", str(root))
    patch.setenv("PIPELINE_PARAMS", str(root / "params.yaml"))
    patch.setenv("DAGSTER_HOME", str(root / "dagster"))


def copy_and_use(done_root: Path, root: Path, patch: pytest.MonkeyPatch) -> Path:
    """A copy of a data root, on which the commands work from now on."""
    shutil.copytree(done_root, root)
    use(root, patch)
    return root


@pytest.fixture(scope="module")
def done_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days, simulated and run."""
    root = tmp_path_factory.mktemp("built")
    (root / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        use(root, patch)
        assert run("simulate", "--until", DAYS[-1]).exit_code == 0
        result = run("backfill", "--from", DAYS[0], "--to", DAYS[-1])
        assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def root(done_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them."""
    return copy_and_use(done_root, tmp_path / "root", monkeypatch)


def hash_lake(root: Path) -> dict[str, str]:
    paths = (path for folder in ("lake", "records") for path in sorted((root / folder).rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest() for path in paths}


def find_file(root: Path, table: str, day: str) -> Path:
    return root / "lake" / table / f"date={day}" / "part.parquet"


def find_landed(root: Path, day: str) -> Path:
    (path,) = (root / "landing" / "transactions" / day).iterdir()
    return path


def poison(root: Path, day: str) -> None:
    path = find_landed(root, day)
    pl.read_parquet(path).with_columns(amount_cents=pl.lit(-1, pl.Int64)).write_parquet(path)


def test_where_nothing_is_broken_it_says_so(root: Path) -> None:
    for arguments in (["heal"], ["heal", "--apply"]):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "Nothing to heal" in result.output


def test_the_plan_says_what_why_and_how_to_make_it_so_and_changes_nothing(root: Path) -> None:
    find_file(root, "transactions", BAD).write_bytes(b"rot")
    (root / "records" / "scores" / f"{DAYS[2]}.json").unlink()
    before = hash_lake(root)
    result = run("heal")
    assert result.exit_code == 0
    assert "2 partitions to make again" in result.output
    lines = result.output.splitlines()
    place = next(number for number, line in enumerate(lines) if "to make again" in line)
    damaged, missing = (line.split() for line in lines[place + 1 : place + 3])
    assert damaged[:3] == ["transactions", BAD, "corrupt"]
    assert missing[:3] == ["scores", DAYS[2], "missing"]
    assert "To make it so: pipeline-assets heal --apply" in result.output
    assert hash_lake(root) == before


def test_quick_trusts_the_bytes(root: Path) -> None:
    find_file(root, "transactions", BAD).write_bytes(b"rot")
    assert "Nothing to heal" in run("heal", "--quick").output


def test_applied_it_restores_what_a_replica_has(root: Path) -> None:
    before = hash_lake(root)
    find_file(root, "transactions", BAD).write_bytes(b"rot")
    result = run("heal", "--apply")
    assert result.exit_code == 0
    assert f"lake/transactions/date={BAD}/part.parquet: restored from" in result.output
    assert "Nothing to heal" in result.output
    assert hash_lake(root) == before


def test_applied_it_makes_the_rest_again(root: Path) -> None:
    before = hash_lake(root)
    shutil.rmtree(root / "remotes")
    find_file(root, "transactions", BAD).unlink()
    (root / "records" / "scores" / f"{DAYS[2]}.json").unlink()
    result = run("heal", "--apply")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("Nothing to heal")
    assert hash_lake(root) == before


def test_a_bad_delivery_ends_with_an_error_and_all_else_is_healed(root: Path) -> None:
    before = hash_lake(root)
    poison(root, BAD)
    (root / "records" / "scores" / f"{DAYS[2]}.json").unlink()
    result = run("heal", "--apply")
    assert result.exit_code == 1
    assert "quarantine_share_is_low" in result.output
    assert "the rest is well" in result.output
    assert "Traceback" not in result.output
    after = hash_lake(root)
    changed = {path for path in after if after[path] != before[path] and path.startswith("lake/")}
    assert changed == {f"lake/{table}/date={BAD}/part.parquet" for table in ("transactions", "quarantine", "ledger")}
    assert f"transactions@{BAD}" in run("holds", "list").output


def test_what_a_bug_keeps_from_healing_is_named_and_not_tried_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("pipeline_assets.adapters.stages.scoring.score", fail)
    (root / "records" / "scores" / f"{DAYS[2]}.json").unlink()
    result = run("heal", "--apply")
    assert result.exit_code == 1
    assert f"scores@{DAYS[2]}" in result.output
    assert "ZeroDivisionError: a bug" in result.output


@pytest.mark.drill
def test_what_is_held_is_listed_and_released_with_a_reason(root: Path) -> None:
    assert run("holds", "list").output == "nothing is held\n"
    poison(root, BAD)
    run("heal", "--apply", "--quick")
    listed = run("holds", "list")
    assert listed.exit_code == 0
    assert listed.output.startswith(f"transactions@{BAD} since ")
    assert "quarantine_share_is_low" in listed.output

    assert f"1 partitions are held: transactions@{BAD}; see: pipeline-assets holds list" in run("heal").output
    (root / "records" / "scores" / f"{BAD}.json").unlink()
    assert f"  scores@{BAD}: transactions@{BAD} is held" in run("heal", "--quick").output.splitlines()

    released = run("holds", "release", f"transactions@{BAD}", "--because", "a day of tests at the source")
    assert released.exit_code == 0
    assert "pipeline-assets heal --apply" in released.output
    assert run("holds", "list").output == "nothing is held\n"
    assert run("heal", "--apply", "--quick").exit_code == 0
    assert pl.read_parquet(find_file(root, "scores", BAD)).is_empty()


@pytest.mark.parametrize(
    ("partition", "because", "said"),
    [
        (
            "transactions@2026-01-05",
            "why not",
            "transactions@2026-01-05: expected a partition that is held, found none",
        ),
        ("transactions", "why not", "expected asset@YYYY-MM-DD, found 'transactions'"),
        ("transactions@2026-02-30", "why not", "expected asset@YYYY-MM-DD, found 'transactions@2026-02-30'"),
    ],
)
def test_a_release_that_cannot_be_says_why(root: Path, partition: str, because: str, said: str) -> None:
    result = run("holds", "release", partition, "--because", because)
    assert result.exit_code == 1
    assert said in result.output


def test_a_release_needs_a_reason(root: Path) -> None:
    assert run("holds", "release", f"transactions@{BAD}").exit_code == 2
    poison(root, BAD)
    run("heal", "--apply", "--quick")
    result = run("holds", "release", f"transactions@{BAD}", "--because", " ")
    assert result.exit_code == 1
    assert "expected a reason for the release, found none" in result.output
    assert "nothing is held" not in run("holds", "list").output


def test_open_alerts_are_shown_with_what_to_do(root: Path) -> None:
    assert run("alerts").output == "no alert is open\n"
    now = datetime(2026, 1, 7, 8, tzinfo=UTC)
    store = Alerts(within(open_stores(str(root)).root, "alerts"), ())
    store.open(Alert("a", "the disk is full", "lake", now, "make room", Level.ERROR), now)
    result = run("alerts")
    assert result.exit_code == 0
    assert result.output == "ERROR since 2026-01-07 08:00 UTC: the disk is full\n    make room\n"
    store.resolve("a", "room was made", now)
    assert run("alerts").output == "no alert is open\n"


def test_a_backfill_ends_by_naming_what_was_refused_in_its_days(root: Path) -> None:
    transactions = root / "landing" / "transactions"
    for name in (f"{BAD}/pipe.csv", f"{DAYS[2]}/pipe.csv"):
        os.mkfifo(transactions / name)
    for name in ("9999-12-31", "2062-01-01"):
        shutil.copytree(transactions / DAYS[0], transactions / name)
    result = run("backfill", "--from", DAYS[0], "--to", BAD)
    assert result.exit_code == 0, result.output
    named = [line for line in result.output.splitlines() if line.startswith("REFUSED")]
    assert len(named) == 2
    assert named[0] == f"REFUSED, no data: transactions/{BAD}/pipe.csv: a named pipe, expected a file"
    assert "transactions/9999-12-31/" in named[1]
    healed = run("heal")
    assert "transactions/2062-01-01: a day to come" in healed.output
    assert f"transactions/{DAYS[2]}/pipe.csv: a named pipe" in healed.output
