"""What DVC declares is what the pipeline is: inputs, outputs, parameters and code of each stage, by its recipes."""

import dataclasses
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline_assets.adapters.landing import _UNFINISHED_SUFFIXES
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.recipes import CODE_VERSIONS, LANDING
from pipeline_assets.core.lineage.stages import (
    LAND,
    METRICS,
    PLOTS,
    STAGES,
    list_asset_folders,
    list_earlier,
    list_folders,
)
from pipeline_assets.core.retraining import list_due_weeks
from pipeline_assets.defs.partitions import Calendar
from pipeline_assets.settings import Params

ROOT = Path(__file__).parents[1]
DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
RECIPES = Params().describe_assets()
CODE_FILE = "pipeline_assets/core/lineage/recipes.py"
DAY = timedelta(days=1)
START = date(2026, 1, 4)


def list_names(entries: list[Any]) -> list[str]:
    """The paths of outputs, with or without options."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def list_values(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where each number of some parameters stands."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from list_values(value, (*path, field.name))
        else:
            yield (*path, field.name)


def change(part: Any, path: tuple[str, ...]) -> Any:
    """The same parameters, but for one number."""
    name, *rest = path
    value = getattr(part, name)
    other = change(value, tuple(rest)) if rest else make_other(name, value)
    changed = object.__new__(type(part))  # not validated: some have but one value that is valid
    changed.__dict__.update({**part.__dict__, name: other})
    return changed


def make_other(name: str, value: Any) -> Any:
    if name == "history_start":
        return START + DAY
    if name == "history_end":
        return START + 20 * DAY
    return value + 7 if isinstance(value, int) else value / 2 if isinstance(value, float) else f"not {value}"


def describe(params: Params, stage: str) -> Any:
    """All of some parameters that decides on what a stage makes: recipes, and which partitions there are."""
    recipes = params.describe_assets()
    calendar = Calendar.between(params.history_start or START, params.history_end, params.first_model_after_days)
    partitions = {Cadence.DAILY: calendar.daily, Cadence.WEEKLY: calendar.weekly}
    weeks = [calendar.weekly.start.date() + 7 * number * DAY for number in range(52)]
    due = {Cadence.DAILY: None, Cadence.WEEKLY: list_due_weeks(weeks, params.retraining)}
    return [
        (recipe, partitions[recipe.cadence].start, partitions[recipe.cadence].end, due[recipe.cadence])
        for recipe in (recipes[asset] for asset in STAGES[stage])
    ]


def find_deciding(stage: str) -> set[str]:
    """The parameters that decide on what a stage makes, as DVC names them."""
    params = Params()
    before = describe(params, stage)
    return {".".join(path) for path in list_values(params) if describe(change(params, path), stage) != before}


def test_every_asset_is_made_by_one_stage() -> None:
    assets = [asset for stage in STAGES.values() for asset in stage]
    assert sorted(assets) == sorted(RECIPES)
    assert list(DVC["stages"]) == [LAND, *STAGES]


@pytest.mark.parametrize("stage", [LAND, *STAGES])
def test_the_command_of_a_stage_is_ours(stage: str) -> None:
    assert DVC["stages"][stage]["cmd"] == f"pipeline-assets stage {stage}"


@pytest.mark.parametrize("stage", [LAND, *STAGES])
def test_the_outputs_are_the_folders_of_the_assets(stage: str) -> None:
    declared = DVC["stages"][stage]
    assert sorted(list_names(declared["outs"])) == sorted(
        f"data/{path}" for path in (*list_folders(stage), *PLOTS.get(stage, ()))
    )
    assert list_names(declared.get("metrics", [])) == ([f"data/{METRICS[stage]}"] if stage in METRICS else [])
    for entry in (*declared["outs"], *declared.get("metrics", [])):
        assert list(entry.values()) == [{"persist": True}]  # Dagster replaces partitions, DVC removes none


@pytest.mark.parametrize("stage", STAGES)
def test_what_can_be_held_is_what_has_a_blocking_check(stage: str) -> None:
    for asset in STAGES[stage]:
        assert (f"holds/{asset}" in list_asset_folders(asset)) == bool(RECIPES[asset].checks)


@pytest.mark.parametrize("stage", STAGES)
def test_the_inputs_are_what_the_recipes_read_of_earlier_stages(stage: str) -> None:
    read = {reads.upstream for asset in STAGES[stage] for reads in RECIPES[asset].reads} - set(STAGES[stage])
    if stage == "score":
        read.add("fraud_model")  # which one is not in a recipe's windows: the release log says
    assert read - {LANDING} <= set(list_earlier(stage))
    folders = {folder for asset in read - {LANDING} for folder in list_asset_folders(asset)}
    assert sorted(DVC["stages"][stage]["deps"]) == sorted(
        f"data/{folder}" for folder in folders | ({"landing"} if LANDING in read else set())
    )


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameters_are_those_that_decide_on_what_is_made(stage: str) -> None:
    declared = [name for name in DVC["stages"][stage]["params"] if isinstance(name, str)]
    every = {".".join(path) for path in list_values(Params())}
    covered = {path for path in every for name in declared if path == name or path.startswith(f"{name}.")}
    assert covered == find_deciding(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_is_the_versions_of_its_assets(stage: str) -> None:
    (named,) = [entry for entry in DVC["stages"][stage]["params"] if isinstance(entry, dict)]
    assert named == {CODE_FILE: [f"CODE_VERSIONS.{asset}" for asset in STAGES[stage]]}


def test_every_asset_has_a_code_version() -> None:
    assert list(CODE_VERSIONS) == list(RECIPES)
    for asset, recipe in RECIPES.items():
        assert recipe.code_version.startswith(CODE_VERSIONS[asset])


@pytest.mark.parametrize("stage", [LAND, *STAGES])
def test_every_parameter_is_in_the_file(stage: str) -> None:
    for name in DVC["stages"][stage]["params"]:
        found = PARAMS
        for part in name.split(".") if isinstance(name, str) else ():
            assert part in found, name  # else DVC does not run the stage
            found = found[part]


def test_no_parameter_is_a_date() -> None:
    assert "datetime.date" not in repr(PARAMS)  # DVC refuses the file


def test_every_plot_is_of_a_file_that_a_stage_writes() -> None:
    declared = {path for plot in DVC["plots"] for options in plot.values() for path in options["y"]}
    assert declared == {f"data/{path}" for paths in PLOTS.values() for path in paths}


def test_what_the_landing_zone_does_not_read_is_no_input_for_dvc_either() -> None:
    ignored = (ROOT / ".dvcignore").read_text().splitlines()
    assert {f"/data/landing/**/*{suffix}" for suffix in _UNFINISHED_SUFFIXES} <= set(ignored)
