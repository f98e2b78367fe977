"""The health of models from stores: the same day by day as in ranges, and on when models or features are not there."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.holds import PartitionHeldError
from pipeline_assets.adapters.lake import PartitionMissingError
from pipeline_assets.adapters.stages.health import measure_models
from pipeline_assets.adapters.stages.made import Made
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import (
    CUSTOMER_FEATURES_TABLE,
    MODEL_HEALTH,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
)
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.lineage.recipes import MODEL, MODEL_WINDOW_DAYS
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.training import TrainingParams, train
from tests.adapters.stages.histories import (
    DAYS,
    build_history,
    copy_history,
    make_slow,
    spread_rows,
    write,
    write_model,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OLD, NEW = date(2026, 1, 4), date(2026, 2, 1)
RULES = RulesParams()


@pytest.fixture(scope="module")
def rows(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    return spread_rows(make_training_set(4000))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rows: pl.DataFrame) -> Path:
    """A data root with a model as of the first week and one of weeks later."""
    root = tmp_path_factory.mktemp("built")
    stores = build_history(root, rows)
    for as_of, rounds in ((OLD, 5), (NEW, 20)):
        write_model(stores, as_of, train(rows, TrainingParams(rounds=rounds, learning_rate=0.1)))
    return root


@pytest.fixture
def stores(built: Path, tmp_path: Path) -> Stores:
    """A copy that a test may break."""
    return copy_history(built, tmp_path / "data")


def measure(stores: Stores, days: Sequence[date], serving: ServingParams = ServingParams()) -> list[Made]:  # noqa: B008
    return list(measure_models(stores, DecisionParams(), RULES, serving, 10, days))


def read(stores: Stores, day: date) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for version, signal, value in stores.lake.read(MODEL_HEALTH, [day]).iter_rows():
        found.setdefault(version, {})[signal] = value
    return found


def version_of(stores: Stores, as_of: date) -> str:
    return stores.models.find(as_of).version


def test_a_range_of_days_is_measured_as_each_day_alone(stores: Stores) -> None:
    together = {made.day: made.md5 for made in measure(stores, DAYS[2:])}
    assert len(together) == 38
    records = {day: stores.records.find(Key(MODEL_HEALTH.name, day)) for day in together}
    for day in (DAYS[2], DAYS[20], DAYS[31], DAYS[39]):
        (alone,) = measure(stores, [day])
        assert alone.md5 == together[day]
        assert stores.records.find(Key(MODEL_HEALTH.name, day)) == records[day]
    with_gap = measure(stores, [DAYS[3], DAYS[12], DAYS[30]])
    assert {made.day: made.md5 for made in with_gap} == {made.day: together[made.day] for made in with_gap}


def test_every_model_is_measured_from_its_day_on_until_it_is_old(stores: Stores) -> None:
    old, new = version_of(stores, OLD), version_of(stores, NEW)
    measure(stores, DAYS)
    assert set(read(stores, OLD - timedelta(days=1))) == {RULES.version}
    assert set(read(stores, NEW - timedelta(days=1))) == {old, RULES.version}
    assert set(read(stores, NEW)) == {old, new, RULES.version}
    for offset, versions in ((0, {old, new}), (1, {new})):
        late = OLD + timedelta(days=MODEL_WINDOW_DAYS + offset)
        write(stores, TRANSACTIONS, late, TRANSACTIONS.empty())
        measure(stores, [late])
        assert set(read(stores, late)) == {*versions, RULES.version}


def test_what_is_measured_is_what_arrived_and_what_matured(stores: Stores, rows: pl.DataFrame) -> None:
    day = DAYS[30]
    (made,) = measure(stores, [day])
    signals = read(stores, day)[version_of(stores, OLD)]
    matured = rows.filter(pl.col("event_time").dt.date() == day - timedelta(days=7))
    assert signals["n_payments"] == rows.filter(arrival_date=day).height
    assert signals["mature_n_payments"] == matured.height == 100
    assert signals["mature_n_frauds"] == matured["is_fraud"].sum() > 0
    assert made.facts["n_models"] == 1
    assert made.facts["mature_average_precision"].keys() == read(stores, day).keys()  # type: ignore[attr-defined]


def test_a_model_that_does_not_load_is_told_recorded_and_noted_as_damage(stores: Stores) -> None:
    day, old = NEW, version_of(stores, OLD)
    measure(stores, [day])
    sound = read(stores, day)
    path = stores.models.find(OLD).path
    (Path(stores.models.root) / path).write_bytes(b"rotten")
    (made,) = measure(stores, [day])
    assert read(stores, day) == {**sound, old: {"unavailable": 1}}
    assert list(made.facts["models_unavailable"]) == [old]  # type: ignore[call-overload]
    record = stores.records.find(Key(MODEL_HEALTH.name, day))
    assert record is not None
    assert record.inputs[f"{MODEL}@{OLD}"] == "unavailable"
    assert record.inputs[f"{MODEL}@{NEW}"] != "unavailable"
    assert list(stores.damage.load()) == [Key(MODEL, OLD)]


def test_a_model_without_its_card_is_unavailable_too(stores: Stores) -> None:
    old = version_of(stores, OLD)
    for path in stores.models.find(OLD).files:
        (Path(stores.models.root) / path).unlink()
    measure(stores, [NEW])
    assert read(stores, NEW)[old] == {"unavailable": 1}


def test_a_model_that_times_out_was_there_and_is_not_asked_for_the_later_days(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = make_slow(monkeypatch, OLD)
    made = measure(stores, DAYS[5:])
    for day in (DAYS[5], DAYS[39]):
        assert read(stores, day)[version_of(stores, OLD)]["timed_out"] == 1
        record = stores.records.find(Key(MODEL_HEALTH.name, day))
        assert record is not None
        assert record.inputs[f"{MODEL}@{OLD}"] != "unavailable"
    assert read(stores, DAYS[39])[version_of(stores, NEW)]["timed_out"] == 0
    assert len(asked) == 1
    assert made[-1].facts["models_timed_out"] == [version_of(stores, OLD)]


def test_absent_features_are_typical_and_absent_earlier_days_are_gone_without(stores: Stores) -> None:
    day, earlier = DAYS[30], DAYS[23]
    measure(stores, [day])
    whole = read(stores, day)[version_of(stores, OLD)]
    for table in (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE):
        stores.holds.hold(Key(table.name, day), "check", "found", "", NOW)
    stores.holds.hold(Key(TRANSACTIONS.name, earlier), "check", "found", "", NOW)
    (made,) = measure(stores, [day])
    found = read(stores, day)[version_of(stores, OLD)]
    assert found["n_payments"] == whole["n_payments"]
    assert found["score_mean"] != whole["score_mean"]
    assert 0 < (found["mature_n_payments"] or 0) < (whole["mature_n_payments"] or 0)
    record = stores.records.find(Key(MODEL_HEALTH.name, day))
    assert record is not None
    assert f"{TRANSACTIONS.name}@{earlier}" in record.lacking
    assert made.rows > 0


def test_the_payments_of_the_day_itself_have_to_be_there(stores: Stores) -> None:
    with pytest.raises(PartitionMissingError):
        measure(stores, [DAYS[-1] + timedelta(days=1)])
    stores.holds.hold(Key(TRANSACTIONS.name, DAYS[9]), "check", "found", "", NOW)
    with pytest.raises(PartitionHeldError):
        measure(stores, DAYS[:12])
