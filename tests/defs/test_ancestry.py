"""Lineage of what the chains really made: exactly what was read, by the runs that made it."""

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from pipeline_assets.adapters.lake import Lake
from pipeline_assets.adapters.stages.models import build_training_sets
from pipeline_assets.cli import commands
from pipeline_assets.contracts.tables import SCORES, Table
from pipeline_assets.core.lineage.recipes import LANDING
from tests.defs.conftest import LAST, PARAMS, START, CopyWorld, Pipeline
from tests.defs.worlds import WEEKS

WEEK = WEEKS[1]


@pytest.fixture(autouse=True)
def environment(built: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line asks the built world."""
    (tmp_path / "params.yaml").write_text(f"history_start: {START}")
    monkeypatch.setenv("PIPELINE_DATA", str(built.root))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))


def ask(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(commands, [*arguments, "--format", "json"])
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def list_keys(ids: Iterable[str]) -> set[str]:
    return {one.split()[0] for one in ids}


def list_inputs(told: dict[str, Any], key: str) -> set[str]:
    return list_keys(edge["made_from"] for edge in told["edges"] if edge["made"].startswith(f"{key} "))


def spy_on_reads(patch: pytest.MonkeyPatch) -> set[str]:
    """What is read from any lake from now on, as keys."""
    read: set[str] = set()
    really = Lake.read

    def spy(lake: Lake, table: Table, days: Iterable[date], *arguments: Any, **named: Any) -> pl.DataFrame:
        days = list(days)
        read.update(f"{table.name}@{day}" for day in days)
        return really(lake, table, days, *arguments, **named)

    patch.setattr(Lake, "read", spy)
    return read


def test_the_lineage_of_a_model_is_exactly_what_its_training_set_read(
    copy_world: CopyWorld, built: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ask("lineage", built.stores.models.find(WEEK).version)
    with monkeypatch.context() as patch:
        read = spy_on_reads(patch)
        list(build_training_sets(copy_world().stores, PARAMS.training, [WEEK]))
    days = (WEEK - START).days
    assert len(read) == 4 * days
    assert list_inputs(told, f"fraud_model@{WEEK}") == {f"training_set@{WEEK}"}
    assert list_inputs(told, f"training_set@{WEEK}") == read
    # What was read was made from all days before the model's, of the same two feeds, and from nothing else.
    landed = {f"{LANDING}@{START + timedelta(days=number)}" for number in range(days)}
    assert list_keys(node["id"] for node in told["nodes"]) == {
        f"fraud_model@{WEEK}", f"training_set@{WEEK}", *read, *landed
    }  # fmt: skip


def test_every_version_is_that_of_the_bytes_and_has_the_run_that_made_them(built: Pipeline) -> None:
    told = ask("lineage", f"performance@{LAST}")
    with built.instance() as instance:
        runs = {run.run_id: run for run in instance.get_runs()}
        made = {(one["asset"], one["day"]): one for one in told["nodes"] if one["asset"] != LANDING}
        assert {asset for asset, _ in made} >= {"scores", "release", "fraud_model", "transactions"}
        for (asset, _), node in made.items():
            assert node["state"] == "recorded"
            assert dg.AssetKey(asset) in (runs[node["origin"]["run_id"]].asset_selection or ())
            assert node["origin"]["revision"]
    for node in told["nodes"]:
        assert node["files"]
        assert not node["is_replaced"]
        for path, md5 in node["files"].items():
            assert hashlib.md5((built.root / path).read_bytes()).hexdigest() == md5


@pytest.mark.parametrize("rung", ["champion", "rules"])
def test_a_decision_leads_to_the_model_that_took_it(built: Pipeline, rung: str) -> None:
    day = LAST if rung == "champion" else START
    chosen = built.stores.lake.read(SCORES, [day]).filter(rung=rung).row(0, named=True)
    told = ask("lineage", f"scores/{chosen['transaction_id']}")
    (asked,) = told["asked"]
    assert asked["decision"] == {"date": f"{day}", **chosen}
    models = [key for key in asked["roots"] if key.startswith("fraud_model@")]
    expected: Collection[str] = [chosen["model_version"][:10]] if rung == "champion" else []
    assert [key.split()[0].removeprefix("fraud_model@") for key in models] == expected
    assert list_keys(asked["roots"][:1]) == {f"scores@{day}"}


def test_the_model_that_was_live_is_the_one_that_decided(built: Pipeline) -> None:
    told = ask("who-was-live", "--at", f"{LAST}T12:00")
    decided = built.stores.lake.read(SCORES, [LAST]).filter(rung="champion")["model_version"].unique().to_list()
    assert decided
    assert told["duties"][0]["version"] in decided
    early = ask("who-was-live", "--at", f"{START}")
    assert [duty["rung"] for duty in early["duties"]] == ["rules"]
