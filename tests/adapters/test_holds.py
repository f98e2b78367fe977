"""The latch: held until it is good or a person says so, across processes, with all that happened to it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_assets.adapters.holds import HoldError, Holds
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.lineage.records import Key

KEY = Key("transactions", date(2026, 3, 1))
NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
CHECK = "quarantine_share_is_low"


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    return Holds(LocalStorage(tmp_path))


def test_nothing_is_held_at_first(holds: Holds) -> None:
    assert holds.list_held() == []
    assert holds.find(KEY) is None


def test_a_hold_outlives_the_process_that_set_it(holds: Holds, tmp_path: Path) -> None:
    assert holds.hold(KEY, CHECK, "half of the rows", "v1", NOW)
    (hold,) = Holds(LocalStorage(tmp_path)).list_held("transactions")
    assert (hold.key, hold.checks, hold.since) == (KEY, {CHECK: "half of the rows"}, NOW)
    assert holds.held_days("transactions") == {KEY.day}
    assert holds.held_days("scores") == set()


def test_holding_again_for_the_same_reason_adds_nothing(holds: Holds) -> None:
    holds.hold(KEY, CHECK, "half of the rows", "v1", NOW)
    holds.hold(KEY, CHECK, "half of the rows", "v1", NOW + timedelta(hours=1))
    hold = holds.find(KEY)
    assert hold is not None
    assert len(hold.events) == 1


def test_every_check_that_held_it_has_to_pass(holds: Holds) -> None:
    holds.hold(KEY, CHECK, "a", "v1", NOW)
    holds.hold(KEY, "rows_are_conserved", "b", "v1", NOW)
    assert holds.repair(KEY, CHECK, "v2", NOW)
    assert holds.held_days("transactions") == {KEY.day}
    assert holds.repair(KEY, "rows_are_conserved", "v2", NOW)
    assert holds.list_held() == []
    assert not holds.repair(KEY, "rows_are_conserved", "v2", NOW)


def test_a_release_says_why_and_holds_for_those_bytes_only(holds: Holds) -> None:
    holds.hold(KEY, CHECK, "half of the rows", "v1", NOW)
    hold = holds.release(KEY, "the source confirmed them", NOW)
    assert [event.because for event in hold.events] == ["half of the rows", "the source confirmed them"]
    assert not holds.hold(KEY, CHECK, "half of the rows", "v1", NOW)
    assert holds.list_held() == []
    assert holds.hold(KEY, CHECK, "half of the rows", "v2", NOW)
    assert holds.held_days("transactions") == {KEY.day}


@pytest.mark.parametrize("because", ["", "  "])
def test_a_release_without_a_reason_is_refused(holds: Holds, because: str) -> None:
    holds.hold(KEY, CHECK, "x", "v1", NOW)
    with pytest.raises(HoldError, match="expected a reason"):
        holds.release(KEY, because, NOW)
    assert holds.list_held()


def test_what_is_not_held_cannot_be_released(holds: Holds) -> None:
    with pytest.raises(HoldError, match="holds list"):
        holds.release(KEY, "because", NOW)


def test_a_damaged_hold_is_no_permission(holds: Holds, tmp_path: Path) -> None:
    holds.hold(KEY, CHECK, "x", "v1", NOW)
    next(tmp_path.rglob("*.json")).write_bytes(b"{")
    assert holds.held_days("transactions") == {KEY.day}
    holds.release(KEY, "seen by a person", NOW)
    assert holds.held_days("transactions") == set()
