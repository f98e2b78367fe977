"""Who was live at a moment, by the release log: the same answer as scoring, and until when it holds."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction, Rung
from pipeline_assets.core.lineage.live import Duty, Task, describe_live, find_live, tell_live
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.states import read_state
from pipeline_assets.core.scoring import list_deciding_versions

START = datetime(2026, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MODELS = st.sampled_from([None, "a", "b", "c"])


def make_entry(sequence: int, day: float, champion: str | None, backup: str | None = None, **of: Any) -> ReleaseEntry:
    start = START + day * DAY
    of = {"action": ReleaseAction.PROMOTE if champion else ReleaseAction.HOLD, "reason": f"reason {sequence}", **of}
    return ReleaseEntry(
        as_of=start.date(), effective_from=start, champion=champion, backup=backup, sequence=sequence, **of
    )


@st.composite
def logs(draw: st.DrawFn) -> list[ReleaseEntry]:
    """Logs whose entries need not be in the order of the times from which on they are in force."""
    return [
        make_entry(
            sequence,
            draw(st.integers(0, 5)),
            draw(MODELS),
            draw(MODELS),
            canary=draw(MODELS),
            canary_share=draw(st.sampled_from([0.0, 0.1, 1.0])),
            shadow=draw(MODELS),
            failed_over_since=draw(st.sampled_from([None, START.date()])),
            is_held=draw(st.booleans()),
        )
        for sequence in range(draw(st.integers(0, 6)))
    ]


moments = st.integers(-4, 28).map(lambda quarters: START + quarters * DAY / 4)


@given(logs(), moments)
def test_the_answer_is_the_entry_that_scoring_would_follow(entries: list[ReleaseEntry], at: datetime) -> None:
    live = find_live(entries, at)
    assert live.entry == find_entry_in_force(entries, at)
    if live.entry is None:
        assert live.duties == (Duty(Rung.RULES, None, 1.0, Task.DECIDES, None),)
    else:
        asked = {duty.version for duty in live.duties if duty.task in (Task.DECIDES, Task.IN_RESERVE)}
        assert asked - {None} == list_deciding_versions(live.entry)


@given(logs(), moments, moments)
def test_until_the_next_entry_the_answer_stays_the_same(
    entries: list[ReleaseEntry], at: datetime, other: datetime
) -> None:
    live = find_live(entries, at)
    if live.until is not None:
        assert at < live.until
        assert find_live(entries, live.until).entry != live.entry
    if at <= other and (live.until is None or other < live.until):
        later = find_live(entries, other)
        assert (later.entry, later.duties, later.until) == (live.entry, live.duties, live.until)


@given(logs(), moments)
def test_the_shares_are_all_of_the_traffic_and_the_rules_stand_last(entries: list[ReleaseEntry], at: datetime) -> None:
    live = find_live(entries, at)
    assert sum(duty.share for duty in live.duties) == 1
    assert [duty for duty in live.duties if duty.rung][-1].rung is Rung.RULES
    assert all(duty.task is Task.DECIDES for duty in live.duties if duty.share)
    entry = live.entry
    if entry is not None:
        named = {
            Rung.CANARY: entry.canary, Rung.CHAMPION: entry.champion, Rung.BACKUP: entry.backup, Rung.RULES: None,
            None: entry.shadow,
        }  # fmt: skip
        assert all(named[duty.rung] == duty.version for duty in live.duties)
        assert len(live.duties) == 1 + sum(version is not None for version in named.values())


@given(logs(), moments)
def test_the_cause_is_the_first_entry_since_which_nothing_has_changed(
    entries: list[ReleaseEntry], at: datetime
) -> None:
    live = find_live(entries, at)
    if live.entry is None or live.cause is None:
        assert live.entry is live.cause
        return
    state = read_state(live.entry)
    for start in {one.effective_from for one in entries if live.cause.effective_from <= one.effective_from <= at}:
        assert read_state(find_entry_in_force(entries, start)) == state
    before = find_entry_in_force(entries, live.cause.effective_from - timedelta(microseconds=1))
    assert before is None or read_state(before) != state


@given(logs(), moments)
def test_since_then_each_had_its_duty_and_not_before(entries: list[ReleaseEntry], at: datetime) -> None:
    for duty in find_live(entries, at).duties:
        if duty.since is None:
            continue
        assert duty.since <= at
        task = astuple(duty)[:-1]
        for moment in sorted(
            {duty.since, *(one.effective_from for one in entries if duty.since <= one.effective_from <= at)}
        ):
            assert task in [astuple(one)[:-1] for one in find_live(entries, moment).duties]
        before = find_live(entries, duty.since - timedelta(microseconds=1)).duties
        assert task not in [astuple(one)[:-1] for one in before]


def test_a_champion_that_stayed_was_live_since_it_became_it() -> None:
    log = [make_entry(0, 0, "a"), make_entry(1, 7, "a"), make_entry(2, 14, "b", "a")]
    first = find_live(log, START + 10 * DAY)
    assert first.duties == (
        Duty(Rung.CHAMPION, "a", 1.0, Task.DECIDES, START),
        Duty(Rung.RULES, None, 0.0, Task.IN_RESERVE, None),
    )
    assert first.until == START + 14 * DAY
    second = find_live(log, START + 14 * DAY)
    assert second.duties[:2] == (
        Duty(Rung.CHAMPION, "b", 1.0, Task.DECIDES, START + 14 * DAY),
        Duty(Rung.BACKUP, "a", 0.0, Task.IN_RESERVE, START + 14 * DAY),
    )


def test_a_canary_takes_its_share_from_the_champion() -> None:
    live = find_live([make_entry(0, 0, "a", canary="b", canary_share=0.1)], START)
    assert [(duty.rung, duty.version, duty.share) for duty in live.duties] == [
        (Rung.CANARY, "b", 0.1), (Rung.CHAMPION, "a", 0.9), (Rung.RULES, None, 0.0)
    ]  # fmt: skip
    assert "  canary    b                          0.1 of the customers, since 2026-02-01 00:00:00 UTC" in tell_live(
        live
    )


@pytest.mark.parametrize(("backup", "who"), [("b", "b"), (None, "the rules")])
def test_where_the_champion_has_failed_over_who_stands_behind_it_decides_for_all(backup: str | None, who: str) -> None:
    away: dict[str, Any] = {"failed_over_since": START.date(), "canary": "c", "canary_share": 0.1}
    live = find_live([make_entry(0, 0, "a", backup, action=ReleaseAction.FAIL_OVER, **away)], START)
    assert [(duty.version, duty.share, duty.task) for duty in live.duties] == [
        ("c", 0.0, Task.SUSPENDED),
        ("a", 0.0, Task.SUSPENDED),
        *([("b", 1.0, Task.DECIDES)] if backup else []),
        (None, 0.0 if backup else 1.0, Task.IN_RESERVE if backup else Task.DECIDES),
    ]
    told = list(tell_live(live))
    assert f"Failed over since 2026-02-01: {who} in the place of a" in told
    assert told[2].startswith("  champion  a                          decides nothing until the champion is well again")
    assert describe_live(live)["failed_over_since"] == "2026-02-01"


def test_a_model_in_shadow_is_on_no_rung_and_decides_nothing() -> None:
    live = find_live([make_entry(0, 0, "a", shadow="c")], START)
    assert live.duties[-1] == Duty(None, "c", 0.0, Task.IN_SHADOW, START)
    assert list(tell_live(live))[3] == (
        "  shadow    c                          scores in shadow and decides nothing, since 2026-02-01 00:00:00 UTC"
    )
    assert describe_live(live)["duties"][-1]["task"] == "in_shadow"


def test_what_a_person_decided_is_told_for_as_long_as_it_stands() -> None:
    by_hand: dict[str, Any] = {
        "action": ReleaseAction.HOLD,
        "decided_by": DecidedBy.PERSON,
        "is_held": True,
        "shadow": "c",
    }
    log = [make_entry(0, 0, "a", shadow="c"), make_entry(1, 0.5, "a", **by_hand)]
    held = find_live(log, START + DAY)
    assert "Reason: hold, decided by a person: reason 1" in tell_live(held)
    assert "Held by a person: no trial begins, and none gets a greater share, by itself" in tell_live(held)
    assert describe_live(held)["decided_by"] == "person"
    log.append(make_entry(2, 1, "a", shadow="c", is_held=True, action=ReleaseAction.HOLD))
    later = find_live(log, START + 2 * DAY)
    assert (later.entry, later.cause) == (log[2], log[1])
    assert "It is so by entry 1, from 2026-02-01 12:00:00 UTC on: hold, decided by a person: reason 1" in tell_live(
        later
    )
    assert describe_live(later)["cause"]["sequence"] == 1


def test_an_entry_that_was_put_in_the_place_of_another_says_so() -> None:
    live = find_live([make_entry(0, 0, "a"), make_entry(1, 0, "b")], START)
    assert (live.entry and live.entry.champion, live.replaced) == ("b", (0,))
    assert "  in the place of entry 0, which was for the same time" in tell_live(live)


def test_without_a_model_the_rules_decide_since_there_was_none() -> None:
    log = [make_entry(0, 0, "a"), make_entry(1, 7, None), make_entry(2, 14, None)]
    assert find_live(log, START + 15 * DAY).duties == (Duty(Rung.RULES, None, 1.0, Task.DECIDES, START + 7 * DAY),)
    assert find_live(log[1:], START + 15 * DAY).duties == (Duty(Rung.RULES, None, 1.0, Task.DECIDES, None),)


def test_what_a_person_and_a_program_are_told() -> None:
    entry = make_entry(0, 0, "a", "b", evidence={"candidate": {"n_frauds": 33.0, "average_precision": 0.84125}})
    live = find_live([entry], START + DAY)
    assert list(tell_live(live)) == [
        "At 2026-02-02 00:00:00 UTC: in force from 2026-02-01 00:00:00 UTC on, and nothing after it is in the log",
        "  champion  a                          all customers, since 2026-02-01 00:00:00 UTC",
        "  backup    b                          in reserve: where those above cannot answer, since 2026-02-01"
        " 00:00:00 UTC",
        "  rules                                in reserve: where those above cannot answer",
        f"Entry 0 of the release log, md5 {entry.md5}",
        "Reason: promote: reason 0",
        "Evidence, candidate:",
        "  average_precision            0.84125",
        "  n_frauds                     33",
    ]
    told = describe_live(live)
    assert told["entry"]["md5"] == entry.md5
    assert told["entry"]["evidence"] == entry.evidence
    assert (told["since"], told["until"]) == (START.isoformat(), None)
    assert told["duties"][0] == {
        "rung": "champion", "version": "a", "share": 1.0, "task": "decides", "since": START.isoformat()
    }  # fmt: skip
    assert (told["failed_over_since"], told["is_held"], told["decided_by"]) == (None, False, "pipeline")


def test_before_the_first_entry_it_says_until_when() -> None:
    lines = list(tell_live(find_live([make_entry(0, 0, "a")], START - DAY)))
    assert lines == [
        "At 2026-01-31 00:00:00 UTC: before the first entry of the release log, until 2026-02-01 00:00:00 UTC",
        "  rules                                all customers",
    ]
    assert describe_live(find_live([], START))["entry"] is None
