"""The decision on a release: by evidence on the same payments, and never without."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release import (
    ReleaseEntry,
    ReleaseEntryError,
    ReleaseParams,
    decide_release,
    find_entry_in_force,
    read_entry,
)

AS_OF = date(2026, 3, 8)
PARAMS = ReleaseParams(tolerated_loss=0.02, min_frauds=50)


def metrics(average_precision: float, n_frauds: float = 60, n_rows: float = 900) -> dict[str, float]:
    return {"average_precision": average_precision, "n_frauds": n_frauds, "n_rows": n_rows, "n_removed": 4}


def in_force(champion: str | None, backup: str | None = None, as_of: date = date(2026, 3, 1)) -> ReleaseEntry:
    start = datetime.combine(as_of, datetime.min.time(), UTC)
    return ReleaseEntry(as_of, start, ReleaseAction.PROMOTE, "", champion, backup)


@pytest.mark.parametrize(("candidate", "rules"), [(0.5, 0.3), (0.3, 0.3), (0.281, 0.3)])
def test_the_first_model_that_is_not_worse_than_the_rules_becomes_champion(candidate: float, rules: float) -> None:
    entry = decide_release([], AS_OF, "new", {"candidate": metrics(candidate), "rules": metrics(rules)}, PARAMS)
    assert (entry.action, entry.champion, entry.backup) == (ReleaseAction.PROMOTE, "new", None)
    assert entry.effective_from == datetime(2026, 3, 8, tzinfo=UTC)


def test_a_promoted_candidate_has_the_old_champion_as_backup() -> None:
    evidence = {"candidate": metrics(0.50), "old": metrics(0.51), "rules": metrics(0.9)}
    entry = decide_release([in_force("old", "older")], AS_OF, "new", evidence, PARAMS)
    assert (entry.action, entry.champion, entry.backup) == (ReleaseAction.PROMOTE, "new", "old")
    assert entry.evidence == {"candidate": metrics(0.50), "old": metrics(0.51)}
    assert "0.5000 against 0.5100 of old" in entry.reason


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({}, "no evaluation of the candidate"),
        ({"candidate": metrics(0.9)}, "no evaluation of old"),
        ({"candidate": metrics(0.9), "rules": metrics(0.1)}, "no evaluation of old"),
        ({"old": metrics(0.1)}, "no evaluation of the candidate"),
        ({"candidate": metrics(0.9, n_frauds=49), "old": metrics(0.1, n_frauds=49)}, "49 frauds"),
        ({"candidate": metrics(0.9), "old": metrics(0.1, n_rows=901)}, "not evaluated on the same payments"),
        ({"candidate": {"n_frauds": 60.0}, "old": metrics(0.1)}, "the candidate has no average_precision"),
        ({"candidate": metrics(0.479), "old": metrics(0.5)}, "more than 0.02 less"),
        ({"candidate": metrics(float("nan")), "old": metrics(0.5)}, "more than 0.02 less"),
        ({"candidate": metrics(0.9), "old": metrics(float("nan"))}, "more than 0.02 less"),
    ],
)
def test_without_evidence_for_the_candidate_the_champion_stays(
    evidence: dict[str, dict[str, float]], reason: str
) -> None:
    entry = decide_release([in_force("old", "older")], AS_OF, "new", evidence, PARAMS)
    assert (entry.action, entry.champion, entry.backup) == (ReleaseAction.HOLD, "old", "older")
    assert reason in entry.reason


def test_deciding_a_week_again_does_not_see_the_first_decision_nor_later_ones() -> None:
    evidence = {"candidate": metrics(0.6), "old": metrics(0.5)}
    earlier = [in_force("old")]
    once = decide_release(earlier, AS_OF, "new", evidence, PARAMS)
    later = in_force("newest", "new", as_of=AS_OF + timedelta(days=7))
    assert decide_release([*earlier, once, later], AS_OF, "new", evidence, PARAMS) == once


def test_in_force_is_the_latest_start_and_of_equal_starts_the_latest_entry() -> None:
    first, corrected, future = in_force("a"), in_force("b"), in_force("c", as_of=AS_OF)
    entries = [
        ReleaseEntry(e.as_of, e.effective_from, e.action, e.reason, e.champion, e.backup, sequence=number)
        for number, e in ((0, first), (1, future), (2, corrected))
    ]
    moment = future.effective_from
    assert [
        getattr(find_entry_in_force(entries, at), "champion", None)
        for at in (
            first.effective_from - timedelta(microseconds=1),
            first.effective_from,
            moment - timedelta(microseconds=1),
            moment,
        )
    ] == [None, "b", "b", "c"]


@given(
    reason=st.text(max_size=20),
    share=st.floats(0, 1),
    value=st.floats(allow_nan=False, allow_infinity=False),
    champion=st.none() | st.text(max_size=5),
)
def test_an_entry_survives_its_bytes(reason: str, share: float, value: float, champion: str | None) -> None:
    entry = ReleaseEntry(
        AS_OF, datetime(2026, 3, 8, tzinfo=UTC), ReleaseAction.HOLD, reason, champion, "b", "c", share,
        {"candidate": {"average_precision": value}}, 7, "0" * 32,
    )  # fmt: skip
    again = read_entry(entry.to_bytes())
    assert again == entry
    assert again.to_bytes() == entry.to_bytes()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", in_force("a").to_bytes().replace(b"hold", b"x")[:-9]])
def test_bytes_that_are_no_entry_are_refused(content: bytes) -> None:
    with pytest.raises(ReleaseEntryError, match="expected an entry of the release log"):
        read_entry(content)
