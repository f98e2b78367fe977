"""What people are told of the release: what is so now, for as long as it is so, and nothing of old days."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.release.alerts import describe_weakness, list_alerts
from pipeline_assets.core.release.watch import Accuracy
from tests.core.release.signals import DAY, START, begin, histories, make_entry
from tests.core.release.test_policy import CANDIDATES, MODELS, live

NOW = begin(START) + timedelta(days=5, hours=12)
AWAY = {"action": ReleaseAction.FAIL_OVER, "failed_over_since": START + 2 * DAY}


def tell(*entries: ReleaseEntry, now: datetime = NOW) -> dict[str, Alert]:
    alerts = list_alerts(entries, now)
    assert alerts is not None
    return {alert.key: alert for alert in alerts}


def make_log(*steps: dict[str, Any]) -> list[ReleaseEntry]:
    """An entry a day, the first before all others."""
    return [
        make_entry(
            START + number * DAY,
            **{"champion": "a", "backup": "b", "reason": f"why {number}", **step, "sequence": number},
        )
        for number, step in enumerate(steps)
    ]


def test_a_champion_that_has_failed_over_stands_with_its_reason_until_it_is_back() -> None:
    log = make_log({}, {}, AWAY, *({**AWAY, "action": ReleaseAction.HOLD} for _ in range(3)))
    (alert,) = tell(*log).values()
    assert alert.key == "release/log/failed_over/a"
    assert alert.what == "b in the place of a: why 2"
    assert (alert.since, alert.where) == (begin(START + 2 * DAY), "entry 2 of the release log")
    assert alert.level is Level.WARN
    assert "release promote a" in alert.next_step
    back = make_entry(NOW.date(), "a", "b", action=ReleaseAction.FAIL_BACK, sequence=6)
    assert tell(*log, back) == {}


def test_where_the_rules_decide_in_the_place_of_the_champion_it_is_an_error() -> None:
    (alert,) = tell(*make_log({}, {}, {}, {**AWAY, "backup": None})).values()
    assert alert.level is Level.ERROR
    assert alert.what.startswith("the rules in the place of a")


def test_who_came_and_who_went_is_told_for_three_days_with_the_reason_and_who_decided() -> None:
    promoted = {"action": ReleaseAction.PROMOTE, "champion": "c", "backup": "a"}
    rolled_back = {**promoted, "action": ReleaseAction.ROLL_BACK, "decided_by": DecidedBy.PERSON}
    log = make_log({}, {"canary": "c", "canary_share": 0.25}, {}, promoted, {**promoted, "shadow": "d"}, rolled_back)
    alerts = tell(*log)
    assert set(alerts) == {"release/log/promoted/c", "release/log/rolled_back/d"}
    assert alerts["release/log/promoted/c"].what == "c is champion: why 3"
    assert "release rollback c" in alerts["release/log/promoted/c"].next_step
    assert alerts["release/log/rolled_back/d"].what == "d was rolled back: why 5 (by a person)"
    log += [make_entry(START + n * DAY, "c", "a", sequence=n) for n in (6, 7)]
    assert set(tell(*log, now=begin(START + 6 * DAY))) == set(alerts)
    assert set(tell(*log, now=begin(START + 6 * DAY) + timedelta(seconds=1))) == {"release/log/rolled_back/d"}
    assert tell(*log, now=begin(START + 8 * DAY) + timedelta(seconds=1)) == {}


def test_a_champion_that_was_rolled_back_by_hand_is_told_with_who_decides_now() -> None:
    log = make_log({}, {}, {}, {"champion": "b", "backup": None, "action": ReleaseAction.ROLL_BACK})
    (alert,) = tell(*log).values()
    assert alert.key == "release/log/rolled_back/a"
    assert "in force is b" in alert.next_step


def test_a_promotion_of_who_is_champion_already_is_no_news() -> None:
    assert tell(*make_log({}, {}, {}, {"action": ReleaseAction.PROMOTE})) == {}


def test_a_log_that_ends_long_before_says_nothing_of_now() -> None:
    log = make_log({}, {**AWAY})
    assert list_alerts(log, begin(START + 4 * DAY)) is not None
    assert list_alerts(log, begin(START + 4 * DAY) + timedelta(seconds=1)) is None
    assert list_alerts([], NOW) is None
    assert list_alerts(log, begin(START) - DAY) is None


@settings(max_examples=40, deadline=None)
@given(
    histories(MODELS, 20).map(lambda kinds: live(kinds, START, 21, (), CANDIDATES)),
    st.integers(1, 20),
    st.integers(0, 23),
)
def test_whatever_happened_what_is_told_is_unique_and_not_of_the_future(
    log: list[ReleaseEntry], n_days: int, hour: int
) -> None:
    now = begin(START + n_days * DAY) + timedelta(hours=hour)
    alerts = list_alerts(log, now)
    assert alerts is not None
    assert len({alert.key for alert in alerts}) == len(alerts)
    assert all(alert.since <= now for alert in alerts)
    assert alerts == list_alerts([entry for entry in log if entry.effective_from <= now][::-1], now)
    away = [alert for alert in alerts if "/failed_over/" in alert.key]
    assert bool(away) == log[n_days].is_failed_over


@pytest.mark.parametrize(("backup", "said"), [("b", "its backup b is not clearly better"), (None, "it has no backup")])
def test_a_weak_champion_is_told_with_how_weak_it_is_and_why_nobody_takes_over(backup: str | None, said: str) -> None:
    alert = describe_weakness(Accuracy("a", 0.7, 0.45, 14, 88.0), backup, NOW)
    assert alert.key == "release/weak/a"
    assert alert.what == (
        f"average precision of a is 0.450 on 88 frauds of 14 days, 0.250 below that of its evaluation; {said}"
    )
    assert alert.level is Level.WARN
