"""What is said of alerts, how their records look, and when a message is tried again."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.alerting import (
    MAX_ATTEMPTS,
    Alert,
    Incident,
    IncidentError,
    Tone,
    describe,
    find_next_attempt,
    name_key,
    read_incident,
)
from pipeline_assets.core.checks import Level

SINCE = datetime(2026, 5, 3, 6, 0, tzinfo=UTC)
ALERT = Alert("late/transactions", "no file for 30 h", "feed transactions", SINCE, "ask the sender", Level.WARN)
MOMENTS = st.datetimes(timezones=st.just(UTC))
ALERTS = st.builds(Alert, st.text(min_size=1), st.text(), st.text(), MOMENTS, st.text(), st.sampled_from(Level))


@given(st.builds(Incident, ALERTS, MOMENTS, st.none() | MOMENTS, st.text()))
def test_an_incident_is_read_back_as_it_was_written(incident: Incident) -> None:
    assert read_incident(incident.to_bytes()) == incident


def test_the_same_moment_in_another_time_zone_gives_the_same_bytes() -> None:
    elsewhere = SINCE.astimezone(timezone(timedelta(hours=2)))
    other = Alert(ALERT.key, ALERT.what, ALERT.where, elsewhere, ALERT.next_step, ALERT.level)
    assert Incident(other, elsewhere).to_bytes() == Incident(ALERT, SINCE).to_bytes()


def test_a_moment_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        Alert("k", "what", "where", datetime(2026, 5, 3), "next", Level.WARN)  # noqa: DTZ001


@pytest.mark.parametrize("content", [b"", b"{}", b"{", Incident(ALERT, SINCE).to_bytes()[:-9], b"\xff"])
def test_bytes_that_are_no_incident_are_refused(content: bytes) -> None:
    with pytest.raises(IncidentError, match="expected the record of an incident"):
        read_incident(content)


def test_an_opening_says_what_where_since_when_and_what_next() -> None:
    message = describe(Incident(ALERT, SINCE))
    assert (message.title, message.tone) == ("WARN: no file for 30 h", Tone.WARNING)
    assert message.body.splitlines() == [
        "What: no file for 30 h",
        "Where: feed transactions",
        "Since: 2026-05-03 06:00 UTC",
        "Next step: ask the sender",
        "Alert: late/transactions",
    ]


def test_an_error_looks_worse_than_a_warning() -> None:
    alert = Alert("k", "broken\nin many lines", "where", SINCE, "next", Level.ERROR)
    message = describe(Incident(alert, SINCE))
    assert (message.title, message.tone) == ("ERROR: broken", Tone.FAILURE)


@pytest.mark.parametrize(
    ("lasted", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=5, seconds=59), "5 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
    ],
)
def test_a_resolving_says_how_and_how_long_it_lasted(lasted: timedelta, said: str) -> None:
    message = describe(Incident(ALERT, SINCE + timedelta(minutes=1), SINCE + lasted, "the file came"))
    assert (message.title, message.tone) == ("RESOLVED: no file for 30 h", Tone.SUCCESS)
    assert "How it was resolved: the file came" in message.body.splitlines()
    assert f"It lasted: {said}, from 2026-05-03 06:00 UTC to {SINCE + lasted:%Y-%m-%d %H:%M} UTC" in message.body


@given(st.integers(0, 100_000), st.sampled_from([None, SINCE]))
def test_a_message_fits_into_the_smallest_services(length: int, resolved_at: datetime | None) -> None:
    text = "x" * length
    message = describe(Incident(Alert(f"k{text}", text, text, SINCE, text, Level.WARN), SINCE, resolved_at, text))
    assert len(message.title) <= 120
    assert len(message.body) + len(message.title) <= 2000


@given(st.sets(st.text(min_size=1), min_size=2))
def test_other_keys_have_other_names_and_each_is_the_name_of_one_folder(keys: set[str]) -> None:
    names = {name_key(key) for key in keys}
    assert len(names) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,89}", name) for name in names)


def test_keys_that_look_alike_as_names_stay_apart() -> None:
    assert name_key("failed/daily") != name_key("failed_daily")
    assert name_key("failed/daily/2026-05-03").startswith("failed_daily_2026-05-03-")


def test_a_refused_message_is_tried_again_ever_less_often_for_about_a_day() -> None:
    delays = [find_next_attempt(SINCE, n) - SINCE for n in range(1, MAX_ATTEMPTS + 1)]
    assert [delay // timedelta(minutes=1) for delay in delays[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert delays == sorted(delays)
    assert timedelta(hours=22) < sum(delays, timedelta()) < timedelta(hours=26)
