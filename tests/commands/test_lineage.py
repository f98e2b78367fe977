"""The questions to the past as a person types them: what they answer, and what they say where there is no answer."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.cli import commands
from pipeline_assets.commands.snapshots import open_snapshots
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.contracts.vocabularies import Feed, ReleaseAction
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.training import TrainedModel
from pipeline_assets.settings import read_settings

DAY = date(2026, 2, 10)
WEEK = date(2026, 2, 8)


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def ask_json(*arguments: str) -> dict[str, Any]:
    result = ask(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def refused(*arguments: str) -> str:
    result = ask(*arguments)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return result.output


def record(stores: Stores, asset: str, day: date, files: dict[str, str], inputs: dict[str, str]) -> Record:
    made = Record(asset, day, files, "1 abc", inputs)
    stores.records.write(made)
    return made


def train(stores: Stores, text: bytes) -> str:
    """Put a model as of the week into the store, made from its landed files; its version."""
    model = TrainedModel(text, {"md5": _md5(text), "text": text.decode()}, 0, None)
    written = stores.models.write(WEEK, model)
    files = {f"models/{path}": md5 for path, md5 in written.files.items()}
    record(stores, "fraud_model", WEEK, files, {f"landing@{WEEK}": stores.landing.version(WEEK)})
    return written.version


def score(stores: Stores, day: date, rung: str, version: str, inputs: dict[str, str], *ids: str) -> None:
    """Decide on some payments of a day."""
    rows = [
        {
            "transaction_id": one, "score": 0.75, "decision": "review", "reason_codes": ["high_amount"],
            "model_version": version, "rung": rung, "degraded_by": [],
        }
        for one in ids
    ]  # fmt: skip
    written = stores.lake.write(SCORES, day, pl.DataFrame(rows, SCORES.empty().schema))
    record(stores, "scores", day, {f"lake/{written.path}": written.md5}, inputs)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root with an instance of its own."""
    params = tmp_path / "params.yaml"
    params.write_text("{history_start: 2026-01-04}")
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(params))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return tmp_path / "root"


@pytest.fixture
def stores(root: Path) -> Stores:
    """A model, and two days of scores: the rules decided on the first, the model on the second."""
    stores = open_stores(str(root))
    stores.landing.land(Feed.TRANSACTIONS, WEEK, "a.csv", b"landed")
    version = train(stores, b"a model")
    score(stores, DAY - timedelta(days=1), "rules", "rules-1", {}, "t0")
    model = stores.records.find(Key("fraud_model", WEEK))
    assert model is not None
    score(stores, DAY, "champion", version, {f"fraud_model@{WEEK}": model.version}, "t1", "o'clock")
    return stores


def find_version(stores: Stores) -> str:
    return stores.models.find(WEEK).version


def list_ids(told: dict[str, Any]) -> set[str]:
    return {f"{node['asset']}@{node['day']}" for node in told["nodes"]}


def test_a_partition_is_traced_to_the_files_that_landed(stores: Stores) -> None:
    told = ask_json("lineage", f"scores@{DAY}")
    assert list_ids(told) == {f"scores@{DAY}", f"fraud_model@{WEEK}", f"landing@{WEEK}"}
    assert len(told["edges"]) == 2
    landed = next(node for node in told["nodes"] if node["asset"] == "landing")
    assert landed["files"] == {f"landing/transactions/{WEEK}/a.csv": _md5(b"landed")}


def test_a_model_is_asked_for_by_its_version(stores: Stores) -> None:
    told = ask_json("lineage", find_version(stores))
    assert list_ids(told) == {f"fraud_model@{WEEK}", f"landing@{WEEK}"}
    assert told["asked"][0]["roots"] == told["roots"]


@pytest.mark.parametrize("name", ["t1", "o'clock", f"t1@{DAY}"])
def test_a_score_is_told_with_its_partition_and_the_model_that_decided(stores: Stores, name: str) -> None:
    told = ask_json("lineage", f"scores/{name}")
    (asked,) = told["asked"]
    assert asked["decision"]["date"] == f"{DAY}"
    assert asked["decision"]["model_version"] == find_version(stores)
    assert [root.split()[0] for root in asked["roots"]] == [f"scores@{DAY}", f"fraud_model@{WEEK}"]
    assert list_ids(told) == {f"scores@{DAY}", f"fraud_model@{WEEK}", f"landing@{WEEK}"}


def test_a_score_by_the_rules_has_no_model(stores: Stores) -> None:
    told = ask_json("lineage", "scores/t0")
    assert [root.split()[0] for root in told["roots"]] == [f"scores@{DAY - timedelta(days=1)}"]


def test_text_begins_with_the_decision_and_shows_the_model_by_itself(stores: Stores) -> None:
    result = ask("lineage", "scores/t1")
    lines = result.stdout.splitlines()
    version = find_version(stores)
    assert lines[0] == (f"scores/t1: arrived {DAY}, score 0.75, review, by champion {version}; reasons: high_amount")
    assert lines[1] == f"scores@{DAY}"
    assert f"└── fraud_model@{WEEK}, again" in lines
    assert f"fraud_model@{WEEK}" in lines


def test_a_score_that_is_in_two_days_has_to_be_told_apart(stores: Stores) -> None:
    later = DAY + timedelta(days=1)
    score(stores, later, "rules", "rules-1", {}, "t1", f"t1@{DAY}")
    said = refused("lineage", "scores/t1")
    assert f"expected one decision, found 2; say which: scores/t1@{DAY}, scores/t1@{later}" in said
    assert ask_json("lineage", f"scores/t1@{later}")["asked"][0]["decision"]["date"] == f"{later}"
    # An id that is written like that comes first.
    assert ask_json("lineage", f"scores/t1@{DAY}")["asked"][0]["decision"]["transaction_id"] == f"t1@{DAY}"


def test_scores_that_are_not_the_recorded_ones_are_not_traced(stores: Stores) -> None:
    frame = stores.lake.read(SCORES, [DAY]).with_columns(score=pl.lit(0.25))
    stores.lake.write(SCORES, DAY, frame)
    assert "is damaged" in refused("lineage", "scores/t1")


def test_a_model_that_was_trained_again_is_not_taken_for_the_one_that_went_in(stores: Stores) -> None:
    before = find_version(stores)
    stores.landing.land(Feed.TRANSACTIONS, WEEK, "b.csv", b"late")
    after = train(stores, b"another model")
    told = ask_json("lineage", f"scores@{DAY}")
    model = next(node for node in told["nodes"] if node["asset"] == "fraud_model")
    assert (model["state"], model["version"]) == ("changed_since", _md5(b"a model"))
    assert model["present_version"] == _md5(b"another model")
    assert "of what went in only the version is known" in ask("lineage", "scores/t1").stdout
    said = refused("lineage", before)
    assert f"model {before}: expected the record of its bytes (md5 {_md5(b'a model')}), found none" in said
    assert f"pipeline-assets lineage fraud_model@{WEEK}" in said
    assert list_ids(ask_json("lineage", after)) == {f"fraud_model@{WEEK}", f"landing@{WEEK}"}


def test_what_went_in_before_is_found_in_the_snapshots(stores: Stores) -> None:
    before, landed = find_version(stores), stores.landing.version(WEEK)
    snapshots: Snapshots = open_snapshots(read_settings())[1]
    snapshots.take("run", "revision", b"", datetime(2026, 2, 11, tzinfo=UTC))
    stores.landing.land(Feed.TRANSACTIONS, WEEK, "b.csv", b"late")
    train(stores, b"another model")
    for key in (f"scores@{DAY}", before):
        told = ask_json("lineage", key)
        model, files = told["nodes"][-2:]
        assert (model["state"], model["version"], model["is_replaced"]) == ("recorded", _md5(b"a model"), True)
        assert (files["state"], files["version"], files["is_replaced"]) == ("landed", landed, True)
        assert files["files"] == {f"landing/transactions/{WEEK}/a.csv": _md5(b"landed")}


def test_depth_ends_the_tree(stores: Stores) -> None:
    told = ask_json("lineage", f"scores@{DAY}", "--depth", "0")
    (node,) = told["nodes"]
    assert (node["inputs_left_out"], told["edges"]) == (1, [])


def test_several_keys_make_one_tree(stores: Stores) -> None:
    told = ask_json("lineage", f"scores@{DAY}", find_version(stores), f"landing@{WEEK}")
    assert len(told["asked"]) == len(told["roots"]) == len(told["nodes"]) == 3


@pytest.mark.parametrize(
    ("style", "begins"),
    [("text", "scores@"), ("json", "{"), ("mermaid", "flowchart"), ("dot", "digraph"), ("openlineage", '{"eventTime"')],
)
def test_every_format_can_go_to_a_file(stores: Stores, tmp_path: Path, style: str, begins: str) -> None:
    target = tmp_path / "answer"
    result = ask("lineage", f"scores@{DAY}", "--format", style, "--output", str(target))
    assert result.exit_code == 0, result.output
    assert target.read_text().startswith(begins)
    assert result.stdout == f"3 versions of partitions, 2 inputs: {target}\n"


def test_without_an_instance_the_runs_are_unknown_and_the_rest_is_told(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file" / "home"))
    result = ask("lineage", f"scores@{DAY}")
    assert result.exit_code == 0
    assert "the Dagster instance cannot be read" in result.stderr
    assert result.stdout.count("made by a run that is not known here") == 2


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("scores", "expected asset@YYYY-MM-DD, the version of a model (2026-02-08-377c3a0b22a7), or scores/<transacti"),
        ("scores@yesterday", "found 'scores@yesterday'"),
        ("score@2026-02-10", "expected an asset that has records (chargebacks, customer_features, "),
        ("scores@2026-03-01", "found no record of it; there are 2, from 2026-02-09 to 2026-02-10; what is missing"),
        ("transactions@2026-02-10", "found no record of it; there are none yet; what is missing is made by"),
        ("landing@2026-02-10", "expected files that landed on this day, found nothing"),
        ("2026-02-08-000000000000", "expected a model of the store, found 2026-02-08-"),
        ("2026-02-15-000000000000", "expected a model of the store, found none as of that day"),
        ("scores/t9", "expected a transaction that was decided on, found it in none of the scores from 2026-02-09 to"),
        ("scores/t1@2026-02-09", "expected a transaction that was decided on"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_what_there_is(stores: Stores, key: str, said: str) -> None:
    assert said in refused("lineage", key)


def test_a_card_that_is_no_card_is_not_read_as_one(stores: Stores, root: Path) -> None:
    version = find_version(stores)
    (root / "models" / "fraud_model" / f"{WEEK}" / version[-12:] / "card.json").write_bytes(b"rot")
    assert f"model {version}: expected a card that names the hash of the model, found b'rot'" in refused(
        "lineage", version
    )


def test_in_an_empty_data_root_nothing_was_decided(root: Path) -> None:
    assert "the scores, of which there are none yet" in refused("lineage", "scores/t1")
    assert "there are none yet" in refused("lineage", f"scores@{DAY}")


@pytest.fixture
def released(root: Path) -> list[ReleaseEntry]:
    """Two weeks of releases."""
    log = open_stores(str(root)).release_log
    return [
        log.append(
            ReleaseEntry(
                WEEK + timedelta(days=7 * week),
                datetime(2026, 2, 8, tzinfo=UTC) + timedelta(days=7 * week),
                ReleaseAction.PROMOTE,
                "it was better",
                champion,
                backup,
                evidence={"candidate": {"n_frauds": 33.0}},
            )
        )
        for week, champion, backup in ((0, "a", None), (1, "b", "a"))
    ]


@pytest.mark.parametrize(
    "at", ["2026-02-15", "2026-02-15T00:00", "2026-02-15T00:00:00Z", "2026-02-15T01:00+01:00", "2026-02-14T19:00-05:00"]
)
def test_a_moment_may_be_said_in_any_zone(released: list[ReleaseEntry], at: str) -> None:
    result = ask("who-was-live", "--at", at, "--format", "json")
    told = json.loads(result.stdout)
    assert told["at"] == "2026-02-15T00:00:00+00:00"
    assert told["entry"]["sequence"] == 1
    assert told["entry"]["md5"] == released[1].md5
    assert [duty["version"] for duty in told["duties"]] == ["b", "a", None]


def test_who_was_live_is_told_with_reason_evidence_and_until_when(released: list[ReleaseEntry]) -> None:
    told = ask("who-was-live", "--at", "2026-02-14T23:59:59.999999").stdout
    assert "in force from 2026-02-08 00:00:00 UTC on, until 2026-02-15 00:00:00 UTC" in told
    assert f"Entry 0 of the release log, md5 {released[0].md5}" in told
    assert "Reason: promote: it was better" in told
    assert "Evidence, candidate:\n  n_frauds" in told


def test_before_the_first_entry_the_rules_were_live(root: Path, released: list[ReleaseEntry]) -> None:
    told = ask("who-was-live", "--at", "2026-01-01").stdout
    assert told.splitlines()[1].split() == ["rules", "all", "customers"]


def test_where_nothing_was_released_the_rules_are_live(root: Path) -> None:
    told = ask("who-was-live", "--at", "2026-01-01").stdout
    assert "before the first entry of the release log, and nothing after it is in the log" in told


@pytest.mark.parametrize("at", ["yesterday", "2026-02-30", "2026-02-10 25:00"])
def test_what_is_no_time_is_refused(root: Path, at: str) -> None:
    assert "--at: expected an ISO time such as 2026-02-10, 2026-02-10T12:00 or" in refused("who-was-live", "--at", at)
    assert f"found {at!r}" in refused("who-was-live", "--at", at)


def test_a_log_that_was_changed_is_no_answer(root: Path, released: list[ReleaseEntry]) -> None:
    path = root / "release" / "entries" / "00000000.json"
    path.write_text(path.read_text().replace("it was better", "it was worse"))
    assert "was changed after it was written" in refused("who-was-live", "--at", "2026-02-10")
