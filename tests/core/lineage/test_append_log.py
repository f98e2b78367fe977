"""What proves a log: who has seen its end, and signatures that only a key can make."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.lineage.append_log import (
    Keyring,
    Link,
    Proof,
    Witness,
    count_seen,
    list_contradictions,
    parse_keys,
)
from pipeline_assets.core.lineage.snapshots import LogHead

SECRET = "s" * 32
KEYS = Keyring({"a": SECRET.encode()})
CONTENTS = [b"one", b"two", b"three"]


def sign(contents: list[bytes], keys: Keyring = KEYS, log: str = "release") -> list[Link]:
    return [Link(one, keys.sign(log, contents[: number + 1])) for number, one in enumerate(contents)]


def see(number: int, md5: str, snapshot: int | None = None) -> Witness:
    return Witness(LogHead(number, md5), "somebody" if snapshot is None else f"snapshot {snapshot}", snapshot)


@given(md5s=st.lists(st.text("abcdef", min_size=4, max_size=4), min_size=1, max_size=12, unique=True), data=st.data())
def test_a_log_that_goes_on_contradicts_nobody_and_one_that_was_cut_or_altered_contradicts_who_saw_it(
    md5s: list[str], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(md5s)))
    witness = see(number, md5s[number - 1] if number else "")
    assert list_contradictions(md5s, [witness]) == []
    if number:
        (cut,) = list_contradictions(md5s[: number - 1], [witness])
        assert (cut.witness, cut.found.n_entries, cut.replaced_by) == (witness, number - 1, "")
        (altered,) = list_contradictions([*md5s[: number - 1], "other"], [witness])
        assert altered.replaced_by == "other"


def test_of_a_log_is_seen_what_its_own_witnesses_saw_each_as_far_as_it_did() -> None:
    seen = [see(1, "a"), see(2, "b"), see(1, "a", 4), see(3, "other", 5), see(4, "d", 6), see(0, "", 7)]
    assert count_seen(["a", "b", "c"], seen) == {"somebody": 2, "snapshot 4": 1}


def test_the_furthest_is_told_first_and_by_the_oldest_snapshot_that_has_it() -> None:
    seen = [see(2, "b"), see(3, "c", 7), see(3, "c"), see(3, "c", 5), see(1, "a")]
    first, second = list_contradictions(["a"], seen)
    assert (first.witness, second.witness) == (seen[3], seen[0])
    assert str(first) == (
        "entries at its end are gone: expected 3 entries, the last with md5 c (known by snapshot 5), "
        "found 1 entry, the last with md5 a"
    )


def test_what_was_given_up_contradicts_nobody_any_more() -> None:
    seen = [see(2, "b"), see(3, "c")]
    assert [one.witness.head for one in list_contradictions(["a"], seen, [LogHead(3, "c")])] == [LogHead(2, "b")]
    assert list_contradictions(["a"], seen, [LogHead(3, "c"), LogHead(2, "b")]) == []


def test_a_signed_log_is_proved_by_who_has_the_key_and_not_checked_by_who_has_none() -> None:
    links = sign(CONTENTS)
    assert KEYS.judge("release", links).proof is Proof.PROVED
    assert Keyring().judge("release", links).proof is Proof.NOT_CHECKED
    assert Keyring().judge("release", [Link(b"x")]).proof is Proof.NOT_SIGNED
    assert KEYS.judge("release", []).proof is Proof.PROVED


@pytest.mark.parametrize("place", range(3))
def test_an_entry_that_was_altered_is_forged_wherever_it_is(place: int) -> None:
    links = sign(CONTENTS)
    links[place] = dataclasses.replace(links[place], content=b"other")
    verdict = KEYS.judge("release", links)
    assert (verdict.proof, f"entry {place}" in verdict.detail) == (Proof.FORGED, True)


def test_entries_that_are_left_out_swapped_or_of_another_log_are_forged() -> None:
    links = sign(CONTENTS)
    for forged in ([links[0], links[2]], [links[1], links[0], links[2]], sign(CONTENTS, log="decisions")):
        assert KEYS.judge("release", forged).proof is Proof.FORGED


def test_a_signature_that_is_none_is_forged() -> None:
    for text in ("a:123", "nonsense", f"a:{'g' * 64}"):
        assert KEYS.judge("release", [Link(b"one", text)]).proof is Proof.FORGED


def test_who_adds_without_the_key_has_not_signed_and_who_signs_later_covers_it() -> None:
    links = [*sign(CONTENTS), Link(b"four")]
    verdict = KEYS.judge("release", links)
    assert (verdict.proof, verdict.detail) == (Proof.NOT_SIGNED, "entries 3 to 3 were added without a key")
    contents = [*CONTENTS, b"four", b"five"]
    links.append(Link(b"five", KEYS.sign("release", contents)))
    assert KEYS.judge("release", links).proof is Proof.PROVED
    links[3] = Link(b"another four")
    assert KEYS.judge("release", links).proof is Proof.FORGED


def test_a_key_that_is_retired_is_covered_by_the_one_that_followed_it() -> None:
    both = parse_keys(f"b:{'t' * 32}, a:{SECRET}")
    links = [*sign(CONTENTS), Link(b"four", both.sign("release", [*CONTENTS, b"four"]))]
    assert links[-1].signature.startswith("b:")
    assert both.judge("release", links).proof is Proof.PROVED
    new = parse_keys(f"b:{'t' * 32}")
    assert new.judge("release", links).proof is Proof.PROVED
    assert new.judge("release", links[:-1]).proof is Proof.NOT_SIGNED
    assert "expected one by b" in new.judge("release", links[:-1]).detail


@pytest.mark.parametrize("text", ["", " ,", SECRET, "a:short", f"a b:{SECRET}", f"a:{SECRET} a:{SECRET}"])
def test_what_is_no_key_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_keys(text)
    assert SECRET not in str(caught.value)
    assert "short" not in str(caught.value)


def test_no_text_of_a_keyring_shows_a_secret() -> None:
    assert SECRET not in f"{KEYS} {KEYS!r}"
