"""The daily decision from stores: by what was known before the day, the same day by day as in a range, each once."""

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_assets.adapters.holds import Hold
from pipeline_assets.adapters.lake import PartitionCorruptError
from pipeline_assets.adapters.stages.made import Made
from pipeline_assets.adapters.stages.release import release_models
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import MODEL_HEALTH
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.lineage.recipes import MODEL, RELEASE, describe_release
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.release import ReleaseEntry
from tests.adapters.stages.releases import FIRST, SECOND, A, B, open_lake, put_health, put_model
from tests.core.release.signals import DAY, PARAMS, begin

DAYS = [FIRST + number * DAY for number in range(-1, 30)]
NOW = datetime(2026, 6, 1, tzinfo=UTC)
BROKEN = FIRST + 20 * DAY


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A month in which nothing happens to either model but that the champion breaks for one day."""
    stores = open_lake(tmp_path)
    for day in DAYS[1:]:
        models = (A, B) if day >= SECOND else (A,)
        put_health(stores, day, {**dict.fromkeys(models, "well"), **({A: "timed_out"} if day == BROKEN else {})})
    return stores


def decide(stores: Stores, days: Sequence[date]) -> list[Made]:
    return list(release_models(stores, PARAMS, days))


def find(stores: Stores, day: date) -> ReleaseEntry:
    """The latest entry that was decided for a day by the pipeline."""
    return [one for one in stores.release_log.entries() if one.as_of == day and one.decided_by is DecidedBy.PIPELINE][
        -1
    ]


def read_log(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "release").rglob("*.json")}


def test_the_life_of_two_models_is_decided_from_the_evidence_of_the_days_before(stores: Stores) -> None:
    made = decide(stores, DAYS)
    steps = [
        (entry.as_of, entry.action) for entry in stores.release_log.entries() if entry.action is not ReleaseAction.HOLD
    ]
    assert steps[:4] == [
        (FIRST, ReleaseAction.PROMOTE),
        (SECOND, ReleaseAction.START_SHADOW),
        (SECOND + 3 * DAY, ReleaseAction.START_CANARY),
        (SECOND + 5 * DAY, ReleaseAction.WIDEN_CANARY),
    ]
    assert (BROKEN + DAY, ReleaseAction.FAIL_OVER) in steps
    assert [one.day for one in made] == DAYS
    assert {one.name for one in made} == {RELEASE}


def test_a_range_of_days_is_decided_as_each_day_alone(stores: Stores, tmp_path: Path) -> None:
    together = decide(stores, DAYS)
    log = read_log(tmp_path)
    for folder in ("release", "records/release"):  # which know how far the log reached
        shutil.rmtree(tmp_path / folder)
    alone = [one for day in DAYS for one in decide(open_stores(str(tmp_path)), [day])]
    assert read_log(tmp_path) == log
    assert [(one.day, one.md5) for one in alone] == [(one.day, one.md5) for one in together]


def test_deciding_again_adds_nothing_also_where_a_person_decided_within_a_day(stores: Stores, tmp_path: Path) -> None:
    decide(stores, DAYS[:18])
    champion = find(stores, DAYS[17])
    by_hand = dataclasses.replace(
        champion, effective_from=begin(DAYS[17]) + timedelta(hours=14), is_held=True, decided_by=DecidedBy.PERSON
    )
    stores.release_log.append(by_hand)
    decide(stores, DAYS[18:])
    log = read_log(tmp_path)
    decide(stores, DAYS)
    decide(open_stores(str(tmp_path)), DAYS)
    assert read_log(tmp_path) == log
    assert len(log) == len(DAYS) + 1
    assert all(entry.is_held for entry in stores.release_log.entries()[18:])


def test_each_decision_is_recorded_with_the_entry_that_it_is_and_what_it_was_made_from(stores: Stores) -> None:
    (made,) = decide(stores, DAYS)[-1:]
    record, entry = stores.records.find(Key(RELEASE, DAYS[-1])), find(stores, DAYS[-1])
    assert record is not None
    table, entry_file = record.files
    assert table == f"lake/release/date={DAYS[-1]}/part.parquet"
    assert entry_file == f"release/entries/{entry.sequence:08d}.json"
    assert record.files[entry_file] == entry.md5
    assert (record.code, record.version) == (describe_release(PARAMS).code, made.md5)
    assert set(record.inputs) == {
        *(str(Key(MODEL_HEALTH.name, day)) for day in DAYS[1:-1]),
        *(str(Key(asset, week)) for asset in ("model_evaluation", MODEL) for week in (FIRST, SECOND)),
        str(Key(RELEASE, DAYS[-2])),
    }
    assert made.path in record.files
    assert made.facts["champion"] == entry.champion
    assert made.facts["reason"] == entry.reason


def test_evidence_of_the_day_itself_is_not_read(stores: Stores) -> None:
    decide(stores, DAYS[:10])
    put_health(stores, DAYS[10], {A: "invalid"})
    (made,) = decide(stores, [DAYS[10]])
    assert made.facts["failed_over"] is False
    (made,) = decide(stores, [DAYS[11]])
    assert made.facts["failed_over"] is True


def test_evidence_that_is_held_is_none(stores: Stores) -> None:
    put_health(stores, DAYS[10], {A: "invalid"})
    decide(stores, DAYS[:11])
    held = stores.holds.hold(Key(MODEL_HEALTH.name, DAYS[10]), "a check", "it failed", "1", NOW)
    assert held
    assert isinstance(stores.holds.find(Key(MODEL_HEALTH.name, DAYS[10])), Hold)
    (made,) = decide(stores, [DAYS[11]])
    assert made.facts["failed_over"] is False


def test_without_any_evidence_the_rules_decide_and_it_is_said(tmp_path: Path) -> None:
    (made,) = decide(open_stores(str(tmp_path)), [FIRST])
    assert (made.facts["champion"], made.facts["action"]) == ("rules", "hold")
    assert "there is no model yet" in str(made.facts["reason"])


def test_a_model_without_an_evaluation_is_no_candidate(tmp_path: Path) -> None:
    stores = open_stores(str(tmp_path))
    put_model(stores, FIRST, A)
    stores.records.delete(Key("model_evaluation", FIRST))
    (made,) = decide(stores, [FIRST])
    assert made.facts["action"] == "hold"
    assert "no evaluation of the candidate" in str(made.facts["reason"])


def test_evidence_that_is_damaged_stops_the_decision_and_is_noted(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "lake" / MODEL_HEALTH.name / f"date={DAYS[5]}" / "part.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PartitionCorruptError):
        decide(stores, DAYS[:10])
    assert Key(MODEL_HEALTH.name, DAYS[5]) in stores.damage.load()


def test_only_the_last_day_of_a_range_has_a_picture(stores: Stores) -> None:
    made = decide(stores, DAYS)
    assert [bool(one.plots) for one in made] == [False] * (len(DAYS) - 1) + [True]
    (draw,) = made[-1].plots.values()
    assert draw().startswith(b"\x89PNG")


def test_no_clock_and_no_path_is_in_the_entries(stores: Stores, tmp_path: Path) -> None:
    other = open_lake(tmp_path / "other")
    for day in DAYS[1:8]:
        put_health(other, day, {A: "well"})
    decide(stores, DAYS[:8])
    decide(other, DAYS[:8])
    assert read_log(tmp_path / "other") == {
        name: content for name, content in read_log(tmp_path).items() if name in read_log(tmp_path / "other")
    }
    assert B not in str(read_log(tmp_path / "other"))
