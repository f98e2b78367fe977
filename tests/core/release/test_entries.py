"""The entries of the release log: each survives its bytes, keeps them for ever, and is in force from its moment on."""

import dataclasses
import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.release import ReleaseEntry, ReleaseEntryError, find_entry_in_force, read_entry

AS_OF = date(2026, 3, 8)
# As it was written before there were trials, fail-overs and decisions of persons.
OLD_BYTES = b"""{
 "action": "promote",
 "as_of": "2026-03-08",
 "backup": "2026-03-01-0123456789ab",
 "canary": null,
 "canary_share": 0.0,
 "champion": "2026-03-08-ba9876543210",
 "effective_from": "2026-03-08T00:00:00Z",
 "evidence": {
  "candidate": {
   "average_precision": 0.84125,
   "n_frauds": 61.0
  }
 },
 "previous_md5": "d41d8cd98f00b204e9800998ecf8427e",
 "reason": "average precision 0.8412 against 0.8400 of 2026-03-01-0123456789ab on 61 frauds",
 "sequence": 1
}
"""
models = st.none() | st.text(max_size=5)
days = st.none() | st.dates()
moments = st.integers(-3, 8).map(lambda hours: datetime(2026, 3, 8, tzinfo=UTC) + timedelta(hours=hours))
entries = st.builds(
    ReleaseEntry,
    as_of=st.dates(),
    effective_from=moments,
    action=st.sampled_from(ReleaseAction),
    reason=st.text(max_size=20),
    champion=models,
    backup=models,
    canary=models,
    canary_share=st.floats(0, 1),
    evidence=st.dictionaries(
        st.text(max_size=5), st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False))
    ),
    sequence=st.integers(0, 10**8),
    previous_md5=st.text(max_size=32),
    shadow=models,
    trial_since=days,
    stage_since=days,
    is_held=st.booleans(),
    failed_over_since=days,
    decided_by=st.sampled_from(DecidedBy),
)


def in_force(champion: str, as_of: date = date(2026, 3, 1), **of: Any) -> ReleaseEntry:
    start = datetime.combine(as_of, datetime.min.time(), UTC)
    return ReleaseEntry(**{
        "as_of": as_of, "effective_from": start, "action": ReleaseAction.PROMOTE, "reason": "", "champion": champion,
        "backup": None, **of,
    })  # fmt: skip


@given(entries)
def test_an_entry_survives_its_bytes(entry: ReleaseEntry) -> None:
    again = read_entry(entry.to_bytes())
    assert again == entry
    assert again.to_bytes() == entry.to_bytes()
    assert again.md5 == hashlib.md5(entry.to_bytes()).hexdigest()


@given(entries, entries)
def test_other_entries_have_other_bytes(one: ReleaseEntry, other: ReleaseEntry) -> None:
    assert (one.to_bytes() == other.to_bytes()) == (one == other)


def test_an_entry_that_was_written_before_the_newer_fields_existed_keeps_its_bytes_and_its_hash() -> None:
    entry = read_entry(OLD_BYTES)
    assert entry.to_bytes() == OLD_BYTES
    assert entry.md5 == "1825714b443f9e3b920e44b11789ad97"
    assert (entry.shadow, entry.is_held, entry.is_failed_over) == (None, False, False)
    assert entry.decided_by is DecidedBy.PIPELINE
    assert set(entry.decision) == set(json.loads(OLD_BYTES)) - {"sequence", "previous_md5"}


@pytest.mark.parametrize(
    "newer",
    [{"shadow": "c"}, {"trial_since": AS_OF}, {"stage_since": AS_OF}, {"is_held": True}, {"failed_over_since": AS_OF},
     {"decided_by": DecidedBy.PERSON}],
    ids=lambda newer: next(iter(newer)),
)  # fmt: skip
def test_what_is_newer_is_written_where_it_says_something(newer: dict[str, Any]) -> None:
    plain, telling = in_force("a"), in_force("a", **newer)
    assert set(json.loads(telling.to_bytes())) - set(json.loads(plain.to_bytes())) == set(newer)
    assert read_entry(telling.to_bytes()) == telling
    assert telling.decision != plain.decision


def test_an_entry_has_failed_over_where_it_says_since_when() -> None:
    assert in_force("a", failed_over_since=AS_OF).is_failed_over
    assert not in_force("a").is_failed_over


@given(st.lists(moments, max_size=6), moments)
def test_in_force_is_the_latest_start_and_of_equal_starts_the_latest_entry(
    starts: list[datetime], moment: datetime
) -> None:
    log = [in_force("a", effective_from=start, sequence=number) for number, start in enumerate(starts)]
    found = find_entry_in_force(log, moment)
    effective = [entry for entry in log if entry.effective_from <= moment]
    assert (found is None) == (not effective)
    for entry in effective:
        assert found is not None
        assert (entry.effective_from, entry.sequence) <= (found.effective_from, found.sequence)
    assert found == find_entry_in_force(log[::-1], moment)


def test_an_entry_is_in_force_from_its_first_moment_on_and_not_before() -> None:
    entry = in_force("a")
    assert find_entry_in_force([entry], entry.effective_from) == entry
    assert find_entry_in_force([entry], entry.effective_from - timedelta(microseconds=1)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[1]", b"\xff", OLD_BYTES[:-9], OLD_BYTES.replace(b"promote", b"x"),
        OLD_BYTES.replace(b'"canary_share": 0.0', b'"canary_share": 1.5'), OLD_BYTES.replace(b"00Z", b"00"),
        OLD_BYTES.replace(b'"canary": null', b'"canary": null, "more": 1'),
        OLD_BYTES.replace(b'"canary": null', b'"canary": null, "decided_by": "nobody"'),
    ],
)  # fmt: skip
def test_bytes_that_are_no_entry_are_refused(content: bytes) -> None:
    with pytest.raises(ReleaseEntryError, match="expected an entry of the release log"):
        read_entry(content)


def test_no_entry_can_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        in_force("a").champion = "b"  # type: ignore[misc]
