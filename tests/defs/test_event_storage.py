"""The pools of the instance that deploy/dagster.yaml describes: a slot is claimed by one run at a time."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.defs.event_storage import KeptSqliteEventLogStorage

CONFIG = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
POOL = "training"


@pytest.fixture
def storages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[KeptSqliteEventLogStorage]]:
    """The storage of one instance, opened twice, as two processes do."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(CONFIG, tmp_path / "dagster.yaml")
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            instance = stack.enter_context(dg.DagsterInstance.from_config(str(tmp_path)))
            assert isinstance(instance.event_log_storage, KeptSqliteEventLogStorage)
            found.append(instance.event_log_storage)
        found[0].initialize_concurrency_limit_to_default(POOL)
        yield found


def test_a_slot_is_claimed_by_one_and_by_the_next_when_it_is_free(storages: list[KeptSqliteEventLogStorage]) -> None:
    one, other = storages
    assert one.claim_concurrency_slot(POOL, "one", "step").is_claimed
    assert not other.claim_concurrency_slot(POOL, "other", "step").is_claimed
    one.free_concurrency_slot_for_step("one", "step")
    assert other.claim_concurrency_slot(POOL, "other", "step").is_claimed
    other.free_concurrency_slots_for_run("other")
    assert one.claim_concurrency_slot(POOL, "third", "step").is_claimed


def test_no_claim_goes_on_while_another_one_does(
    storages: list[KeptSqliteEventLogStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = storages
    ended, claimed = threading.Event(), []
    judge = one.has_unassigned_slots

    def claim() -> None:
        claimed.append(other.claim_concurrency_slot(POOL, "other", "step").is_claimed)
        ended.set()

    rival = threading.Thread(target=claim)

    def judge_while_another_tries(pool: str) -> bool:
        is_free = judge(pool)
        rival.start()
        assert not ended.wait(0.5)
        return is_free

    monkeypatch.setattr(one, "has_unassigned_slots", judge_while_another_tries)
    assert one.claim_concurrency_slot(POOL, "one", "step").is_claimed
    rival.join()
    assert claimed == [False]


_HOLD = """
import sys, time, dagster as dg
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    status = instance.event_log_storage.claim_concurrency_slot(sys.argv[2], "killed", "step")
    print(status.is_claimed, flush=True)
    time.sleep(60)
"""


def test_the_slot_of_a_killed_process_is_free_at_once_and_that_of_a_living_one_is_not(
    storages: list[KeptSqliteEventLogStorage], tmp_path: Path
) -> None:
    one, other = storages
    command = [sys.executable, "-c", _HOLD, str(tmp_path), POOL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not one.claim_concurrency_slot(POOL, "one", "step").is_claimed
        holder.kill()
    assert one.claim_concurrency_slot(POOL, "one", "step").is_claimed
    assert not other.claim_concurrency_slot(POOL, "other", "step").is_claimed
    assert one.get_concurrency_info(POOL).active_run_ids == {"one"}


def test_who_waits_for_a_slot_is_told_to_ask_again_only_after_a_pause(
    storages: list[KeptSqliteEventLogStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = storages
    pauses: list[float] = []
    monkeypatch.setattr("pipeline_assets.defs.event_storage.time.sleep", pauses.append)
    one.claim_concurrency_slot(POOL, "one", "step")
    assert pauses == []
    assert other.claim_concurrency_slot(POOL, "other", "step").sleep_interval == 0
    assert pauses == [1.0]
