"""Who was live at a moment, by the release log: the same answer as scoring, and until when it holds."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import ReleaseAction, Rung
from pipeline_assets.core.lineage.live import Duty, describe_live, find_live, tell_live
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force

START = datetime(2026, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MODELS = st.sampled_from([None, "a", "b", "c"])


def make_entry(
    sequence: int, day: float, champion: str | None, backup: str | None = None, **of: object
) -> ReleaseEntry:
    start = START + day * DAY
    action = ReleaseAction.PROMOTE if champion else ReleaseAction.HOLD
    return ReleaseEntry(
        start.date(),
        start,
        action,
        f"reason {sequence}",
        champion,
        backup,
        sequence=sequence,
        **of,  # type: ignore[arg-type]
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
        )
        for sequence in range(draw(st.integers(0, 6)))
    ]


moments = st.integers(-4, 28).map(lambda quarters: START + quarters * DAY / 4)


@given(logs(), moments)
def test_the_answer_is_the_entry_that_scoring_would_follow(entries: list[ReleaseEntry], at: datetime) -> None:
    live = find_live(entries, at)
    assert live.entry == find_entry_in_force(entries, at)
    if live.entry is None:
        assert live.duties == (Duty(Rung.RULES, None, 1.0, None),)


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
    assert live.duties[-1].rung is Rung.RULES
    entry = live.entry
    if entry is not None:
        named = {Rung.CANARY: entry.canary, Rung.CHAMPION: entry.champion, Rung.BACKUP: entry.backup, Rung.RULES: None}
        assert all(named[duty.rung] == duty.version for duty in live.duties)
        assert len(live.duties) == 1 + sum(version is not None for version in named.values())


@given(logs(), moments)
def test_since_then_each_had_its_duty_and_not_before(entries: list[ReleaseEntry], at: datetime) -> None:
    for duty in find_live(entries, at).duties:
        if duty.since is None:
            continue
        assert duty.since <= at
        task = (duty.rung, duty.version, duty.share)
        for moment in sorted(
            {duty.since, *(one.effective_from for one in entries if duty.since <= one.effective_from <= at)}
        ):
            assert task in [(one.rung, one.version, one.share) for one in find_live(entries, moment).duties]
        before = find_live(entries, duty.since - timedelta(microseconds=1)).duties
        assert task not in [(one.rung, one.version, one.share) for one in before]


def test_a_champion_that_stayed_was_live_since_it_became_it() -> None:
    log = [make_entry(0, 0, "a"), make_entry(1, 7, "a"), make_entry(2, 14, "b", "a")]
    first = find_live(log, START + 10 * DAY)
    assert first.duties == (Duty(Rung.CHAMPION, "a", 1.0, START), Duty(Rung.RULES, None, 0.0, None))
    assert first.until == START + 14 * DAY
    second = find_live(log, START + 14 * DAY)
    assert second.duties[:2] == (
        Duty(Rung.CHAMPION, "b", 1.0, START + 14 * DAY),
        Duty(Rung.BACKUP, "a", 0.0, START + 14 * DAY),
    )


def test_a_canary_takes_its_share_from_the_champion() -> None:
    live = find_live([make_entry(0, 0, "a", canary="b", canary_share=0.1)], START)
    assert [(duty.rung, duty.version, duty.share) for duty in live.duties] == [
        (Rung.CANARY, "b", 0.1), (Rung.CHAMPION, "a", 0.9), (Rung.RULES, None, 0.0)
    ]  # fmt: skip
    assert "  canary    b                          0.1 of the customers, since 2026-02-01 00:00:00 UTC" in tell_live(
        live
    )


def test_an_entry_that_was_put_in_the_place_of_another_says_so() -> None:
    live = find_live([make_entry(0, 0, "a"), make_entry(1, 0, "b")], START)
    assert (live.entry and live.entry.champion, live.replaced) == ("b", (0,))
    assert "  in the place of entry 0, which was for the same time" in tell_live(live)


def test_without_a_model_the_rules_decide_since_there_was_none() -> None:
    log = [make_entry(0, 0, "a"), make_entry(1, 7, None), make_entry(2, 14, None)]
    assert find_live(log, START + 15 * DAY).duties == (Duty(Rung.RULES, None, 1.0, START + 7 * DAY),)
    assert find_live(log[1:], START + 15 * DAY).duties == (Duty(Rung.RULES, None, 1.0, None),)


def test_what_a_person_and_a_program_are_told() -> None:
    entry = make_entry(0, 0, "a", "b", evidence={"candidate": {"n_frauds": 33.0, "average_precision": 0.84125}})
    live = find_live([entry], START + DAY)
    assert list(tell_live(live)) == [
        "At 2026-02-02 00:00:00 UTC: in force from 2026-02-01 00:00:00 UTC on, and nothing after it is in the log",
        "  champion  a                          all customers, since 2026-02-01 00:00:00 UTC",
        "  backup    b                          in reserve: where those above cannot be loaded, since 2026-02-01"
        " 00:00:00 UTC",
        "  rules                                in reserve: where those above cannot be loaded",
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
    assert told["duties"][0] == {"rung": "champion", "version": "a", "share": 1.0, "since": START.isoformat()}


def test_before_the_first_entry_it_says_until_when() -> None:
    lines = list(tell_live(find_live([make_entry(0, 0, "a")], START - DAY)))
    assert lines == [
        "At 2026-01-31 00:00:00 UTC: before the first entry of the release log, until 2026-02-01 00:00:00 UTC",
        "  rules                                all customers",
    ]
    assert describe_live(find_live([], START))["entry"] is None
