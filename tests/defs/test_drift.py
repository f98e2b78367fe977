"""Drift in the small world: what it says of a day, that a range is its days, and when the sensor asks for a model."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time

import dagster as dg
import polars as pl
import pytest

from pipeline_assets.adapters.stages.view import View
from pipeline_assets.contracts.features import TERMINAL_FEATURES
from pipeline_assets.contracts.tables import DRIFT, DRIFT_REFERENCE, TRANSACTIONS, Table
from pipeline_assets.core.drift import SCORE, SUBJECTS, DriftParams
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.retraining import RetrainingParams
from tests.defs.conftest import LAST, PARAMS, START, CopyWorld, Pipeline
from tests.defs.worlds import DAY, WEEKS, World, damage

WINDOW = [LAST - number * DAY for number in range(7)]
NEXT_WEEK = LAST + DAY
QUICK = DriftParams(persistent_days=2, min_drifted_days=1, cool_down_days=7)
SINCE = NEXT_WEEK - 8 * DAY  # the label delay, and the one day that is asked for


def read(world: World | Pipeline, day: date) -> dict[tuple[str, str], float | None]:
    table = world.stores.lake.read(DRIFT, [day])
    return {(subject, metric): value for subject, metric, value in table.iter_rows()}


def rewrite(world: World, table: Table, day: date, change: pl.Expr) -> None:
    """Change a column of one partition, and record it as if it had been made so."""
    written = world.stores.lake.write(table, day, world.stores.lake.read(table, [day]).with_columns(change))
    record = world.stores.records.find(Key(table.name, day))
    assert record is not None
    world.stores.records.write(replace(record, files={f"lake/{written.path}": written.md5}))


def say_drifted(world: World, days: Iterable[date], subjects: tuple[str, ...] = ("amount_cents",)) -> None:
    """Let the tables of some days say that just these subjects are drifted."""
    verdict = pl.col("subject").is_in(subjects).cast(pl.Float64)
    value = pl.when(pl.col("metric") == "is_drifted").then(verdict).otherwise("value").alias("value")
    for day in days:
        rewrite(world, DRIFT, day, value)


@pytest.fixture
def world(copy_world: CopyWorld) -> World:
    """A history that goes on, on the first day of a week that has no model yet, with models every four weeks."""
    world = copy_world()
    world.reopen(replace(world.params, history_end=None, drift=QUICK, retraining=RetrainingParams(every_weeks=4)))
    world.clock.now = datetime.combine(NEXT_WEEK, time(12), UTC)
    return world


def tick(world: World) -> dg.RunRequest | str:
    """What the sensor asks for, or why it asks for nothing."""
    result = world.evaluate("drift_detected")
    world.cursors["drift_detected"] = result.cursor
    world.clock.advance(minutes=5)
    if not result.run_requests:
        return str(result.skip_message)
    (request,) = result.run_requests
    assert isinstance(request, dg.RunRequest)
    return request


def test_before_the_first_model_there_is_no_evidence_and_after_it_there_is(built: Pipeline) -> None:
    before, after = read(built, WEEKS[0] - DAY), read(built, WEEKS[0])
    assert {before[subject, "n_rows"] for subject in SUBJECTS} == {0}
    assert {before[subject, "is_drifted"] for subject in SUBJECTS} == {None}
    assert {after[subject, "is_drifted"] for subject in SUBJECTS} == {0}
    assert all(after[subject, "threshold"] for subject in SUBJECTS)


def test_each_model_has_its_reference(built: Pipeline) -> None:
    view = View(built.stores)
    assert view.present(DRIFT_REFERENCE.name) == view.present(MODEL) == list(WEEKS)
    for week in WEEKS:
        record = built.stores.records.find(Key(DRIFT_REFERENCE.name, week))
        assert record is not None
        assert f"{MODEL}@{week}" in record.inputs


def test_a_day_is_compared_with_the_newest_reference_there_was(built: Pipeline) -> None:
    for day, week in ((WEEKS[1] - DAY, WEEKS[0]), (WEEKS[1], WEEKS[1]), (LAST, WEEKS[1])):
        record = built.stores.records.find(Key(DRIFT.name, day))
        assert record is not None
        assert [name for name in record.inputs if name.startswith(MODEL)] == [f"{MODEL}@{week}"]


def test_a_range_gives_the_bytes_of_its_days(copy_world: CopyWorld) -> None:
    world = copy_world()
    built = world.hash("lake/drift", "lake/drift_reference", "records/drift", "records/drift_reference")
    assert world.materialize(["drift_reference"], WEEKS[1]).success
    for day in (WEEKS[1] - DAY, LAST):
        assert world.materialize(["drift"], day).success
    assert world.materialize(["drift"], WEEKS[0] - DAY, WEEKS[1] + DAY).success
    assert world.hash("lake/drift", "lake/drift_reference", "records/drift", "records/drift_reference") == built


def test_what_changed_is_a_warning_with_pictures_and_nothing_is_held(copy_world: CopyWorld) -> None:
    world = copy_world()
    for day in WINDOW:
        rewrite(world, TRANSACTIONS, day, pl.col("amount_cents") * 50)
    result = world.materialize(["drift"], LAST)
    assert result.success
    found = read(world, LAST)
    assert {subject for subject in SUBJECTS if found[subject, "is_drifted"]} == {"amount_cents", SCORE}
    (evaluation,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "inputs_have_not_drifted"]
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    (materialization,) = result.asset_materializations_for_node("drift")
    assert {"distances", "distributions"} <= set(materialization.metadata)
    assert materialization.metadata["drifted"].value == "amount_cents, score"
    assert world.stores.holds.list_held() == []


def test_of_a_range_the_last_day_is_drawn_and_the_days_on_which_drift_begins(copy_world: CopyWorld) -> None:
    world = copy_world()
    for day in WINDOW[:5]:
        rewrite(world, TRANSACTIONS, day, pl.col("amount_cents") * 1000)
    days = sorted(WINDOW)
    result = world.materialize(["drift"], days[0], days[-1])
    assert result.success
    drifted = [day for day in days if read(world, day)["amount_cents", "is_drifted"]]
    assert days[0] < drifted[0] < LAST
    drawn = {
        event.partition
        for event in result.asset_materializations_for_node("drift")
        if event.partition and "distances" in event.metadata
    }
    assert drawn == {f"{drifted[0]}", f"{LAST}"}


def test_a_feature_table_that_is_lacking_is_no_drift_of_its_features(copy_world: CopyWorld) -> None:
    world = copy_world()
    for day in WINDOW:
        world.stores.records.delete(Key("terminal_features", day))
    assert world.materialize(["drift"], LAST).success
    found = read(world, LAST)
    unknown = {subject for subject in SUBJECTS if found[subject, "is_drifted"] is None}
    assert unknown == {SCORE, *(feature.name for feature in TERMINAL_FEATURES)}
    assert {found[subject, "n_rows"] for subject in unknown} == {0}


def test_a_model_that_does_not_load_leaves_the_score_without_evidence(copy_world: CopyWorld) -> None:
    world = copy_world()
    record = world.stores.records.find(Key(MODEL, WEEKS[1]))
    assert record is not None
    damage(world.root / next(iter(record.files)))
    assert world.materialize(["drift"], LAST).success
    found = read(world, LAST)
    assert [subject for subject in SUBJECTS if found[subject, "is_drifted"] is None] == [SCORE]
    assert list(world.stores.damage.load()) == [Key(MODEL, WEEKS[1])]


def test_there_is_no_reference_without_its_model(copy_world: CopyWorld) -> None:
    world = copy_world()
    world.stores.records.delete(Key(MODEL, WEEKS[1]))
    before = world.hash("lake/drift_reference")
    assert not world.materialize(["drift_reference"], WEEKS[1]).success
    assert world.hash("lake/drift_reference") == before


def test_without_drift_the_sensor_asks_for_nothing(world: World) -> None:
    assert tick(world) == f"nothing is drifted on 2 days in a row up to {LAST}"
    assert world.alerts.list_history() == []


def test_without_a_table_the_sensor_asks_for_nothing(world: World) -> None:
    for day in View(world.stores).present(DRIFT.name):
        world.stores.records.delete(Key(DRIFT.name, day))
    assert tick(world) == "no day has been compared with a reference yet"


def test_lasting_drift_asks_once_for_the_model_of_the_newest_week_and_is_told_once(world: World) -> None:
    say_drifted(world, [SINCE + number * DAY for number in range(8)])
    request = tick(world)
    assert isinstance(request, dg.RunRequest)
    assert (request.job_name, request.partition_key) == ("weekly", f"{NEXT_WEEK}")
    assert request.run_key == f"drift-{NEXT_WEEK}"
    (incident,) = world.alerts.list_open()
    assert (incident.alert.key, incident.alert.since.date()) == ("drift/inputs", SINCE)
    for _ in range(3):
        asked = tick(world)
        assert isinstance(asked, str)
        assert f"the model of {NEXT_WEEK} is there or asked for" in asked
    assert len(world.alerts.list_history()) == 1
    assert world.materialize(["training_set", MODEL, "drift_reference"], NEXT_WEEK).success
    world.cursors["drift_detected"] = None
    assert "is there or asked for" in str(tick(world))


@pytest.mark.parametrize("cursor", ["not json", "[1]", "{}", '{"requested": null}', '{"requested": "never"}'])
def test_a_broken_cursor_asks_again_under_the_same_key(world: World, cursor: str) -> None:
    say_drifted(world, [SINCE + number * DAY for number in range(8)])
    world.cursors["drift_detected"] = cursor
    request = tick(world)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"drift-{NEXT_WEEK}"  # Dagster makes one run for one key
    assert json.loads(world.cursors["drift_detected"] or "") == {"requested": f"{NEXT_WEEK}"}


def test_drift_whose_labels_are_not_mature_waits_and_says_until_when(world: World) -> None:
    say_drifted(world, [SINCE + number * DAY for number in range(1, 8)])
    assert f"from the as-of day {NEXT_WEEK + DAY} on, 1 days since then have mature labels" in str(tick(world))
    assert [incident.alert.key for incident in world.alerts.list_open()] == ["drift/inputs"]


def test_drift_that_is_over_is_told_and_asks_for_nothing(world: World) -> None:
    say_drifted(world, [SINCE + number * DAY for number in range(1, 8)])
    tick(world)
    say_drifted(world, [LAST], ())
    assert isinstance(tick(world), str)
    assert world.alerts.list_open() == []
    (incident,) = world.alerts.list_history()
    assert incident.resolved_at is not None


def test_where_every_week_has_its_model_the_sensor_tells_and_asks_for_nothing(world: World) -> None:
    world.reopen(replace(world.params, retraining=PARAMS.retraining))
    assert PARAMS.retraining.every_weeks == 1
    say_drifted(world, [SINCE + number * DAY for number in range(8)])
    assert "the model of every week is trained anyway" in str(tick(world))
    assert len(world.alerts.list_open()) == 1


def test_models_begin_where_they_are_expected() -> None:
    assert WEEKS[0] == START + 35 * DAY  # the days above follow from it
