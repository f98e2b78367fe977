"""The release by hand as a person types it: at once, on the record, shown, or refused with what to do."""

import getpass
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner, Result

from pipeline_assets.adapters.integrity import find_log_damage
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.cli import commands
from pipeline_assets.commands import release
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.lineage.records import Record
from pipeline_assets.core.lineage.snapshots import LogHead
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.release.states import State
from tests.adapters.stages.releases import train_models

SHOW = release._show
WEEKS = [date(2026, 3, 1), date(2026, 3, 8)]
SET_UP = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, make_training_set: Callable[[int], pl.DataFrame]) -> Path:
    root = tmp_path_factory.mktemp("trained")
    train_models(root, make_training_set(1500), WEEKS)
    return root


@pytest.fixture
def stores(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Two models, the first of which is champion, in a data root with an instance of its own."""
    root = Path(shutil.copytree(trained, tmp_path / "root"))
    (tmp_path / "params.yaml").write_text("{history_start: 2026-01-04}")
    monkeypatch.setenv("PIPELINE_DATA", str(root))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", str(root / "dagster"))
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.setattr(release, "_show", lambda *_: None)  # an instance takes seconds to make
    stores = open_stores(str(root))
    set_up(stores, State(find(stores, 0)))
    return stores


def set_up(stores: Stores, state: State, moment: datetime = SET_UP) -> ReleaseEntry:
    return stores.release_log.append(ReleaseEntry(moment.date(), moment, ReleaseAction.HOLD, "set up", **asdict(state)))


def find(stores: Stores, place: int) -> str:
    return stores.models.find(WEEKS[place]).version


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["release", *arguments])


def done(*arguments: str) -> str:
    result = ask(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    result = ask(*arguments)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_promotion_is_in_force_at_once_recorded_with_who_and_why_and_shown(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_show", SHOW)
    a, b = find(stores, 0), find(stores, 1)
    before = datetime.now(UTC)
    told = done("promote", "2026-03-08", "--because", "the old one is slow")
    entry = stores.release_log.entries()[-1]
    assert before <= entry.effective_from <= datetime.now(UTC)
    assert (entry.champion, entry.backup, entry.decided_by) == (b, a, DecidedBy.PERSON)
    assert entry.reason == "the old one is slow (ada)"
    assert f"  champion  {b:26} all customers" in told
    assert "Reason: promote, decided by a person: the old one is slow (ada)" in told
    with dg.DagsterInstance.get() as instance:
        (record,) = instance.fetch_observations(dg.AssetKey("release"), limit=5).records
    observation = record.asset_observation
    assert observation is not None
    assert observation.partition == f"{entry.as_of}"
    assert observation.metadata["champion"].value == b
    assert observation.metadata["md5"].value == entry.md5
    assert "promote by person" in str(observation.description)


def test_a_canary_is_held_and_rolled_back_by_hand(stores: Stores) -> None:
    a, b = find(stores, 0), find(stores, 1)
    trial = {"trial_since": WEEKS[1], "stage_since": WEEKS[1]}
    set_up(stores, State(a, canary=b, canary_share=0.05, **trial), SET_UP + timedelta(days=1))  # type: ignore[arg-type]
    assert "Held by a person: no trial begins" in done("hold", "canary", "--because", "it is Friday")
    told = done("rollback", "canary", "--because", "customers complain")
    assert "canary" not in told
    assert stores.release_log.entries()[-1].canary is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "2026-03-09", "--because", "x"], "expected a version, the unique beginning of one"),
        (["promote", "2026-03", "--because", "x"], "found 2 models that begin so"),
        (["hold", "canary", "--because", "x"], "there is no canary; in force is champion 2026-03-01-"),
        (["rollback", "2026-03-08", "--because", "x"], "roll_back of 2026-03-08"),
        (["rollback", "champion", "--because", "  "], "--because: expected a reason, found none"),
    ],
)
def test_what_cannot_be_is_one_message_and_adds_nothing(stores: Stores, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)
    assert len(stores.release_log.entries()) == 1


def test_a_reason_has_to_be_given(stores: Stores) -> None:
    result = ask("rollback", "champion")
    assert result.exit_code == 2
    assert "--because" in result.output


def test_a_model_that_does_not_load_is_refused_with_the_next_step(stores: Stores) -> None:
    path = Path(stores.models.root) / stores.models.find(WEEKS[1]).path
    path.write_bytes(b"no model")
    said = refused("promote", "2026-03-08", "--because", "x")
    assert "expected it to load and to give a probability" in said
    assert "pipeline-assets heal --apply" in said
    assert len(stores.release_log.entries()) == 1


def test_it_is_in_force_also_where_the_ui_cannot_be_told(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def get() -> dg.DagsterInstance:
        raise OSError("no space left")

    monkeypatch.setattr(release, "_show", SHOW)
    monkeypatch.setattr("pipeline_assets.commands.chains.prepare_home", lambda _: None)
    monkeypatch.setattr(dg.DagsterInstance, "get", get)
    result = ask("rollback", "champion", "--because", "x")
    assert result.exit_code == 0
    assert "it is in force, but not shown in the UI" in result.output
    assert stores.release_log.entries()[-1].champion is None


def test_entries_that_come_into_force_later_are_named(stores: Stores) -> None:
    later = datetime.now(UTC) + timedelta(days=3)
    set_up(stores, State(find(stores, 0)), later)
    told = done("rollback", "champion", "--because", "x")
    assert f"Entries for {later.date()} to {later.date()} come into force later" in told


def test_a_clock_in_doubt_is_told_and_the_decision_is_taken_all_the_same(stores: Stores) -> None:
    landed = Path(stores.root.root) / "landing" / "transactions" / "2190-01-01" / "payments.csv"
    landed.parent.mkdir(parents=True)
    landed.write_text("x")
    assert "by this machine's clock, but the clock is behind the data" in done("hold", "champion", "--because", "x")
    assert stores.release_log.entries()[-1].is_held


def test_the_log_tells_every_decision_the_latest_last(stores: Stores) -> None:
    a, b = find(stores, 0), find(stores, 1)
    away = {"trial_since": WEEKS[1], "stage_since": WEEKS[1], "failed_over_since": WEEKS[1], "is_held": True}
    set_up(stores, State(a, canary=b, canary_share=0.05, **away), SET_UP + timedelta(days=1))  # type: ignore[arg-type]
    set_up(stores, State(a), SET_UP + timedelta(days=1))
    done("promote", b, "--because", "why not")
    lines = done("log").splitlines()
    assert len(lines) == 4
    assert lines[0] == f"     0 2026-03-20 00:00:00 hold         by pipeline champion {a}: set up"
    assert f"champion {a}, canary {b} at 0.05, failed over since 2026-03-08, held: set up [replaced by 2]" in lines[1]
    assert lines[3].endswith(f"promote      by person   champion {b}, backup {a}: why not (ada)")
    assert done("log", "--limit", "1").splitlines() == lines[-1:]
    assert ask("log", "--limit", "0").exit_code == 2


def test_where_nothing_was_decided_the_log_says_who_decides(
    tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "empty"))
    assert done("log") == "nothing was decided yet: the rules decide\n"


def test_a_log_that_was_changed_is_no_ground_to_decide_on(stores: Stores) -> None:
    done("hold", "champion", "--because", "x")
    path = Path(stores.release_log.root) / "entries" / "00000000.json"
    path.write_text(path.read_text().replace("set up", "set off"))
    assert "was changed after it was written" in refused("hold", "champion", "--because", "x")


def find_entry(stores: Stores, number: int) -> Path:
    return Path(stores.release_log.root) / "entries" / f"{number:08d}.json"


def test_the_log_says_how_far_it_reaches_and_what_proves_it(stores: Stores) -> None:
    done("hold", "champion", "--because", "x")
    head = stores.release_log.find_head()
    *_, told, proof = done("log", "--verify").splitlines()
    assert told == f"head 2:{head.md5}, seen up to entry 1 by 1 of 1 records, snapshots and kept heads"
    assert proof == "signatures: not signed"
    assert done("log", "--verify", "--expect", f"2:{head.md5}").splitlines()[-1] == proof
    assert "--expect: expected a head as --verify says it" in refused("log", "--expect", "two")


def test_what_nobody_has_seen_yet_is_not_said_to_be_seen(stores: Stores) -> None:
    assert ", seen by nobody yet" in done("log", "--verify")
    done("hold", "champion", "--because", "x")
    files = {"lake/release/x.parquet": "0" * 32}
    first = LogHead(1, stores.release_log.entries()[0].md5)
    stores.records.write(Record("release", SET_UP.date(), files, "1", {}, head=first))
    for number in (1, 2):
        set_up(stores, State(find(stores, 0)), SET_UP + timedelta(days=number))
    told = done("log", "--verify").splitlines()[-2]
    assert "seen up to entry 1 by 1 of 2 records, snapshots and kept heads; the last 2 entries by nobody yet" in told
    head = stores.release_log.find_head()
    told = done("log", "--verify", "--expect", f"4:{head.md5}").splitlines()[-2]
    assert told.endswith("seen up to entry 3 by 1 of 3 records, snapshots and kept heads")


@pytest.mark.parametrize("command", ["promote", "hold", "rollback", "confirm"])
def test_a_decision_by_hand_that_is_taken_away_is_missed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    done("hold", "champion", "--because", "x")
    if command == "confirm":
        monkeypatch.setenv("PIPELINE_LOG_KEY", f"mine:{'k' * 32}")
        done("confirm", "--because", "x")
        monkeypatch.delenv("PIPELINE_LOG_KEY")
    else:
        done(command, "champion", "--because", "x")
    find_entry(stores, 2).unlink()
    for arguments in (["log"], ["promote", "champion", "--because", "x"]):
        said = refused(*arguments)
        assert "entries at its end are gone: expected 3 entries" in said
        assert "known by the head written with decision 2" in said
    damage = find_log_damage(open_stores(stores.root.root), open_replicas(stores.root, ()))  # as heal asks
    assert damage is not None
    assert damage.expected.startswith("3 entries")
    shutil.rmtree(stores.release_log.root)
    assert "expected 3 entries" in refused("log")
    done("confirm", "--because", "it is lost")
    done("log")


def test_who_is_champion_already_is_not_promoted_again(stores: Stores) -> None:
    for word in ("champion", "2026-03-01"):
        told = done("promote", word, "--because", "x")
        assert "It is champion already, neither held nor failed over: nothing was added to the log" in told
        assert f"  champion  {find(stores, 0):26} all customers" in told
    assert len(stores.release_log.entries()) == 1
    done("hold", "champion", "--because", "x")
    assert "already" not in done("promote", "champion", "--because", "x")
    assert len(stores.release_log.entries()) == 3


def test_a_log_whose_end_is_gone_is_told_as_far_as_it_goes_and_is_an_error(stores: Stores) -> None:
    set_up(stores, State(), SET_UP + timedelta(days=1))
    head = stores.release_log.find_head()
    find_entry(stores, 1).unlink()  # which no record and no snapshot knows: only who kept its head
    assert "set up" in done("log")
    said = refused("log", "--expect", f"2:{head.md5}")
    assert "set up" in said
    assert f"expected 2 entries, the last with md5 {head.md5} (known by --expect), found 1 entry" in said


def cut_log(stores: Stores) -> LogHead:
    """Take the last of two entries away; a record knows it."""
    done("hold", "champion", "--because", "x")
    head = stores.release_log.find_head()
    files = {"lake/release/x.parquet": "0" * 32}
    stores.records.write(Record("release", SET_UP.date(), files, "1", {}, head=head))
    find_entry(stores, 1).unlink()
    return head


@pytest.mark.parametrize("command", ["promote", "hold", "rollback"])
def test_nobody_decides_from_a_log_whose_end_is_gone(stores: Stores, command: str) -> None:
    cut_log(stores)
    said = refused(command, "champion", "--because", "x")
    assert "entries at its end are gone: expected 2 entries" in said
    assert "pipeline-assets restore release" in said
    assert not find_entry(stores, 1).exists()


def test_what_is_lost_for_good_is_given_up_by_a_person_on_the_record(stores: Stores) -> None:
    head = cut_log(stores)
    told = done("confirm", "--because", "the disk is lost")
    assert f"the disk is lost (ada); given up: 2:{head.md5}" in told
    entry = stores.release_log.entries()[-1]
    assert (entry.champion, entry.given_up, entry.decided_by) == (find(stores, 0), (head,), DecidedBy.PERSON)
    assert "nothing needs to be confirmed" in done("confirm", "--because", "again")
    assert "--because: expected a reason, found none" in refused("confirm", "--because", " ")


def test_a_log_from_before_the_key_is_signed_by_a_person_and_proved_from_then_on(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_LOG_KEY", f"mine:{'k' * 32}")
    assert "not signed: entries 0 to 0 were added without a key" in refused("log")
    done("confirm", "--because", "there is a key now")
    assert done("log", "--verify").splitlines()[-1] == "signatures: proved: by key mine"
    monkeypatch.setenv("PIPELINE_LOG_KEY", f"mine:{'x' * 32}")
    assert "FORGED: entry 1 is not as it was signed with key mine" in refused("log", "--verify")
    monkeypatch.setenv("PIPELINE_LOG_KEY", "secret-without-an-id-that-is-long-enough")
    assert "secret-without" not in refused("log")


def test_who_has_no_name_may_decide_too(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", fail)
    done("hold", "champion", "--because", "x")
    assert stores.release_log.entries()[-1].reason == "x (a user without a name)"
