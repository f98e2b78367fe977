"""What proves an append-only log: heads, which say how far it reached, and signatures, which only a key can make.

Entries that name the hash of the one before prove the middle of a log. Its end is proved by who has seen it: a head
(count, and hash of the last entry) that was written elsewhere. Who can write everywhere can still make all of it anew;
but not the signatures. A signature covers its entry and all before it (a chain of SHA-256 under HMAC), so the last one
proves the whole log, also entries from before there was a key, or of a key that is retired.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pipeline_assets.core.lineage.snapshots import LogHead

_DOMAIN: Final = "pipeline-assets append-only log 1"  # no other use of the same key gives the same signature
_SIGNATURE: Final = re.compile(r"([A-Za-z0-9_.-]{1,32}):([0-9a-f]{64})")
_KEY: Final = re.compile(r"([A-Za-z0-9_.-]{1,32}):(\S{32,})")


@dataclass(frozen=True)
class Link:
    """One entry of a log.

    Attributes:
        content: What it says, without its signature.
        signature: As :meth:`Keyring.sign` gave it; empty where there is none.
    """

    content: bytes
    signature: str = ""


@dataclass(frozen=True)
class Witness:
    """Who has seen how far a log reached.

    Attributes:
        head: How far.
        where: Who, for a person.
        snapshot: Number of the snapshot, where it is one: it has the entries.
    """

    head: LogHead
    where: str
    snapshot: int | None = None


@dataclass(frozen=True)
class Contradiction:
    """A log that is not the one that was seen.

    Attributes:
        witness: Who has seen another one.
        found: The log's own head.
        replaced_by: Hash of the entry in the place of the last one that was seen; empty where the log ends before.
    """

    witness: Witness
    found: LogHead
    replaced_by: str

    @property
    def expected_text(self) -> str:
        """The log that was seen."""
        return _tell(self.witness.head)

    @property
    def found_text(self) -> str:
        """The log that is there."""
        if self.replaced_by:
            return f"{_tell(self.found)}; entry {self.witness.head.n_entries - 1} has md5 {self.replaced_by}"
        return _tell(self.found)

    def __str__(self) -> str:
        """What happened, expected and found."""
        what = "its end was altered or replaced" if self.replaced_by else "entries at its end are gone"
        return f"{what}: expected {self.expected_text} (known by {self.witness.where}), found {self.found_text}"


def list_contradictions(
    md5s: Sequence[str], witnesses: Iterable[Witness], given_up: Iterable[LogHead] = ()
) -> list[Contradiction]:
    """The witnesses whose head is not in the log, the furthest first; of several with one head, the oldest snapshot.

    A log that goes on after a head is as it should be: entries are added after it was taken down.

    Args:
        md5s: Hashes of the entries that there are, in order.
        witnesses: Who has seen the log.
        given_up: Heads that a person has given up, on the record: what is lost stays lost, and is no contradiction.
    """
    lost, found = set(given_up), LogHead(len(md5s), md5s[-1] if md5s else "")
    chosen: dict[LogHead, Witness] = {}
    for witness in sorted(witnesses, key=lambda one: (one.snapshot is None, one.snapshot or 0)):
        number = witness.head.n_entries
        is_there = number == 0 or (number <= len(md5s) and md5s[number - 1] == witness.head.md5)
        if not is_there and witness.head not in lost:
            chosen.setdefault(witness.head, witness)
    return [
        Contradiction(one, found, md5s[one.head.n_entries - 1] if one.head.n_entries <= len(md5s) else "")
        for one in sorted(chosen.values(), key=lambda one: one.head.n_entries, reverse=True)
    ]


def count_seen(md5s: Sequence[str], witnesses: Iterable[Witness]) -> dict[str, int]:
    """By witness, how many entries of this log it has seen, at the beginning of the log; without those of another log.

    Args:
        md5s: Hashes of the entries that there are, in order.
        witnesses: Who has seen a log.
    """
    seen: dict[str, int] = {}
    for witness in witnesses:
        number = witness.head.n_entries
        if 0 < number <= len(md5s) and md5s[number - 1] == witness.head.md5:
            seen[witness.where] = max(number, seen.get(witness.where, 0))
    return seen


class Proof(StrEnum):
    """What the signatures of a log say."""

    PROVED = "proved"  # the last entry is signed by a key that is here, and no signature is wrong
    NOT_SIGNED = "not signed"  # the last entry has no signature, or one by a key that is not here
    NOT_CHECKED = "signed, and not checked: there is no key here"
    FORGED = "FORGED"  # a signature is not that of the key that it names


@dataclass(frozen=True)
class Verdict:
    """What the signatures say, and of which entry."""

    proof: Proof
    detail: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.proof}: {self.detail}" if self.detail else str(self.proof)


@dataclass(frozen=True)
class Keyring:
    """Secrets by their id; the first one signs, all of them verify. No text of it shows a secret."""

    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        """Whether there is a key."""
        return bool(self.keys)

    def sign(self, log: str, contents: Iterable[bytes]) -> str:
        """The signature of the last entry of the log named ``log``, ``id:HMAC-SHA256``; empty without a key."""
        if not self.keys:
            return ""
        key_id = next(iter(self.keys))
        return f"{key_id}:{self._authenticate(key_id, log, list(_chain(contents))[-1])}"

    def judge(self, log: str, links: Sequence[Link]) -> Verdict:
        """What the signatures of a log say."""
        signed = [number for number, link in enumerate(links) if link.signature]
        if not self.keys:
            return Verdict(Proof.NOT_CHECKED if signed else Proof.NOT_SIGNED, "")
        last = ""
        for number, digest in enumerate(_chain(link.content for link in links)):
            last = links[number].signature
            parts = _SIGNATURE.fullmatch(last)
            if last and parts is None:
                return Verdict(Proof.FORGED, f"the signature of entry {number} is none")
            if parts and parts[1] in self.keys:
                expected = self._authenticate(parts[1], log, digest)
                if not hmac.compare_digest(expected, parts[2]):
                    return Verdict(Proof.FORGED, f"entry {number} is not as it was signed with key {parts[1]}")
        if not links or last.partition(":")[0] in self.keys:
            return Verdict(Proof.PROVED, f"by key {last.partition(':')[0]}" if links else "it is empty")
        if last:
            return Verdict(Proof.NOT_SIGNED, f"entry {len(links) - 1} has a signature by {last.partition(':')[0]}, "
                                             f"expected one by {' or '.join(self.keys)}")  # fmt: skip
        since = signed[-1] + 1 if signed else 0
        return Verdict(Proof.NOT_SIGNED, f"entries {since} to {len(links) - 1} were added without a key")

    def _authenticate(self, key_id: str, log: str, digest: bytes) -> str:
        message = f"{_DOMAIN}\0{log}\0".encode() + digest
        return hmac.new(self.keys[key_id], message, hashlib.sha256).hexdigest()


def parse_keys(text: str) -> Keyring:
    """The keys of a text, ``id:secret`` each, separated by spaces, lines or commas; the first one signs.

    Raises:
        ValueError: It holds no key, or something else; the message shows nothing of it.
    """
    keys: dict[str, bytes] = {}
    words = text.replace(",", " ").split()
    for number, word in enumerate(words, start=1):
        parts = _KEY.fullmatch(word)
        if parts is None or parts[1] in keys:
            raise ValueError(
                f"expected id:secret, the id of at most 32 letters and digits and of no other key, the secret of at "
                f"least 32 characters (openssl rand -hex 32), found something else in place {number}"
            )
        keys[parts[1]] = parts[2].encode()
    if not keys:
        raise ValueError("expected at least one key, id:secret, found none")
    return Keyring(keys)


def _chain(contents: Iterable[bytes]) -> Iterator[bytes]:
    """By entry, the digest of it and of all before it."""
    digest = b""
    for content in contents:
        digest = hashlib.sha256(digest + hashlib.sha256(content).digest()).digest()
        yield digest


def _tell(head: LogHead) -> str:
    number = head.n_entries
    entries = "1 entry" if number == 1 else f"{number} entries"
    return f"{entries}, the last with md5 {head.md5}" if number else "no entry"
