"""The scoring of days from stores, while the model that should decide fails in one way or another."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.stages.made import Made
from pipeline_assets.adapters.stages.scoring import find_degraded_scores, find_undecided_payments, score
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.training import TrainedModel, TrainingParams, train
from tests.adapters.stages.histories import (
    DAYS,
    START,
    build_history,
    copy_history,
    make_slow,
    spread_rows,
    write_model,
)

CHAMPION, BACKUP, BROKEN = START, DAYS[1], DAYS[2]  # the models by their as-of days


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, make_training_set: Callable[[int], pl.DataFrame]) -> Path:
    """A data root with two sound models, and one that gives NaN to some payments."""
    root = tmp_path_factory.mktemp("built")
    rows = spread_rows(make_training_set(4000))
    stores = build_history(root, rows)
    sound = [train(rows, TrainingParams(rounds=rounds, learning_rate=0.1)) for rounds in (20, 5)]
    for as_of, model in zip((CHAMPION, BACKUP, BROKEN), [*sound, give_nan(sound[0])], strict=True):
        write_model(stores, as_of, model)
    return root


def give_nan(model: TrainedModel) -> TrainedModel:
    """The model with one leaf of each tree that is no number."""
    text = re.sub(r"(?m)^tree_sizes=.*\n", "", model.text.decode())
    text = re.sub(r"(?m)^leaf_value=\S+", "leaf_value=nan", text)
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return replace(model, text=text.encode(), card={**model.card, "md5": md5})


@pytest.fixture
def stores(built: Path, tmp_path: Path) -> Stores:
    """A copy that a test may break."""
    return copy_history(built, tmp_path / "data")


def release(stores: Stores, champion: date, *, failed_over: bool = False) -> None:
    start = datetime.combine(START, datetime.min.time(), UTC)
    first, second = (stores.models.find(as_of).version for as_of in (champion, BACKUP))
    since = START if failed_over else None
    stores.release_log.append(
        ReleaseEntry(START, start, ReleaseAction.PROMOTE, "", first, second, failed_over_since=since)
    )


def run(stores: Stores, days: Sequence[date]) -> dict[date, Made]:
    made = score(stores, DecisionParams(), RulesParams(), ServingParams(), days)
    return {one.day: one for one in made}


def read_inputs(stores: Stores, day: date) -> dict[str, str]:
    record = stores.records.find(Key(SCORES.name, day))
    assert record is not None
    return record.inputs


def test_scoring_a_past_day_again_gives_the_same_bytes_though_the_champion_gives_nan(stores: Stores) -> None:
    release(stores, BROKEN)
    first = {day: made.md5 for day, made in run(stores, DAYS).items()}
    codes = {code for day in DAYS for code in find_degraded_scores(stores, day).facts}
    assert "champion_invalid" in codes
    day = DAYS[17]
    assert run(stores, [day])[day].md5 == first[day]
    counts = run(stores, [day])[day].facts
    degraded = counts["rows_by_degradation"]
    by_rung = counts["rows_by_rung"]
    assert isinstance(degraded, dict)
    assert isinstance(by_rung, dict)
    assert degraded["champion_invalid"] == by_rung["backup"] > 0
    assert by_rung["champion"] > 0
    assert not find_degraded_scores(stores, day).passed
    assert "unavailable" not in read_inputs(stores, day).values()


def test_a_champion_that_does_not_answer_is_replaced_in_the_same_run_and_was_there(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = make_slow(monkeypatch, CHAMPION)
    release(stores, CHAMPION)
    made = run(stores, DAYS)
    assert len(asked) == 1
    for day in (DAYS[0], DAYS[-1]):
        scores = stores.lake.read(SCORES, [day])
        assert set(scores["degraded_by"].list.join("+")) == {"champion_timed_out"}
        assert set(scores["model_version"]) == {stores.models.find(BACKUP).version}
        assert made[day].facts["models_timed_out"] == [stores.models.find(CHAMPION).version]
        assert find_undecided_payments(stores, day).passed
        assert find_degraded_scores(stores, day).facts["champion_timed_out"] == scores.height
        assert f"{MODEL}@{CHAMPION}" in read_inputs(stores, day)
        assert "unavailable" not in read_inputs(stores, day).values()


def test_a_champion_that_does_not_load_is_replaced_and_recorded(stores: Stores) -> None:
    release(stores, CHAMPION)
    (Path(stores.models.root) / stores.models.find(CHAMPION).path).unlink()
    run(stores, DAYS[5:6])
    assert set(stores.lake.read(SCORES, DAYS[5:6])["degraded_by"].list.join("+")) == {"champion_unavailable"}
    assert read_inputs(stores, DAYS[5])[f"{MODEL}@{CHAMPION}"] == "unavailable"
    assert list(stores.damage.load()) == [Key(MODEL, CHAMPION)]


def test_a_champion_that_has_failed_over_is_not_even_loaded(stores: Stores) -> None:
    release(stores, CHAMPION, failed_over=True)
    (Path(stores.models.root) / stores.models.find(CHAMPION).path).unlink()
    run(stores, DAYS[5:6])
    scores = stores.lake.read(SCORES, DAYS[5:6])
    assert set(scores["degraded_by"].list.join("+")) == {"champion_suspended"}
    assert set(scores["rung"]) == {"backup"}
    assert f"{MODEL}@{CHAMPION}" not in read_inputs(stores, DAYS[5])
    assert stores.damage.load() == {}
