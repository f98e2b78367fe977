"""Invented lives of a small pipeline: days are made, held, let go, landed again and made again, in any order.

What is made follows from what is seen, as in the real stages; but of few possible bytes, so that others often give the
same.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from hypothesis import strategies as st

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.lineage.inputs import Present, expect_inputs
from pipeline_assets.core.lineage.recipes import LANDING, MODEL, Reads, Recipe
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.core.lineage.tree import Landed, NodeId, Sources
from pipeline_assets.core.lineage.verdicts import list_inputs

START: Final = date(2026, 1, 4)
LAST: Final = START + timedelta(days=7)
_HISTORY: Final = 10
_POSSIBLE_BYTES: Final = 2  # of one partition


def _describe(asset: str, step: str, *reads: Reads) -> Recipe:
    return Recipe(asset, step, Cadence.DAILY, "1", reads)


def _repeat(asset: str) -> Recipe:
    return _describe(asset, "ingest", Reads(LANDING, 0, 0), Reads(asset, -2, -1, reads_held=True))


_FEATURES: Final = (Reads("payments", -3, 0, is_required=True), Reads("reports", -3, 0))
RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.asset: recipe
    for recipe in (
        _repeat("payments"),
        _repeat("reports"),
        _describe("cards", "features", *_FEATURES),
        _describe("shops", "features", *_FEATURES),
        _describe(
            "training_set", "training_set",
            *(Reads(asset, -_HISTORY, -1) for asset in ("payments", "reports", "cards", "shops")),
        ),
        _describe(MODEL, MODEL, Reads("training_set", 0, 0, is_required=True)),
    )
}  # fmt: skip
DAILY: Final = ("payments", "reports", "cards", "shops")


@dataclass
class Life:
    """What is there, what was there, and what is held."""

    records: dict[Key, Record] = field(default_factory=dict)
    earlier: dict[NodeId, Record] = field(default_factory=dict)
    landed: dict[date, str] = field(default_factory=dict)
    held: dict[str, set[date]] = field(default_factory=dict)

    def make(self, asset: str, day: date, hidden: frozenset[Key] = frozenset()) -> Record | None:
        """Make a partition of what can be seen but is not ``hidden``; None where what it needs cannot."""
        there: dict[str, dict[date, str]] = {LANDING: dict(self.landed)}
        for key, record in self.records.items():
            if key not in hidden:
                there.setdefault(key.asset, {})[key.day] = record.version
        present = Present(there, {name: frozenset(days) for name, days in self.held.items()})
        recipe = RECIPES[asset]
        needed = [Key(reads.upstream, day) for reads in recipe.reads if reads.is_required or reads.upstream == LANDING]
        if any(day not in there.get(one.asset, {}) or day in self.held.get(one.asset, ()) for one in needed):
            return None
        expected = expect_inputs(recipe, day, present)
        record = Record(asset, day, {"": ""}, "1", dict(expected.versions), expected.lacking)
        digest = hashlib.md5(str(sorted(list_inputs(record))).encode()).digest()
        record = replace(record, files={f"lake/{asset}/{day}": f"{asset}{digest[0] % _POSSIBLE_BYTES}"})
        self.records[record.key] = self.earlier[NodeId(record.key, record.version)] = record
        return record

    @property
    def sources(self) -> Sources:
        """Of what is there, and of everything that was."""
        return Sources(
            self.records.get,
            lambda day: Landed(self.landed[day], {}) if day in self.landed else None,
            [lambda key, version: self.earlier.get(NodeId(key, version))],
        )


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Lives that end with a model: every day as it should be, but for what happens before, between and after."""
    life = Life()
    days = [START + timedelta(days=number) for number in range((LAST - START).days)]
    for day in draw(st.permutations(days)) if draw(st.booleans()) else days:
        if draw(st.integers(0, 9)):
            life.landed[day] = "first"
        for asset in DAILY:
            if draw(st.integers(0, 14)):
                life.make(asset, day)
            if not draw(st.integers(0, 9)):
                life.held.setdefault(asset, set()).add(day)
        if not draw(st.integers(0, 3)):
            _disturb(life, draw)
    for _ in range(draw(st.integers(0, 3))):
        _disturb(life, draw)
    life.make("training_set", LAST)
    life.make(MODEL, LAST)
    return life


def _disturb(life: Life, draw: st.DrawFn) -> None:
    """Let something happen to a day that is over: it is let go, lands again or late, and some of it is made again."""
    day = START + timedelta(days=draw(st.integers(0, (LAST - START).days - 1)))
    if draw(st.booleans()):
        for days in life.held.values():
            days.discard(day)
    if not draw(st.integers(0, 3)):
        life.landed[day] = "again"
    for asset in DAILY:
        if draw(st.booleans()):
            life.make(asset, day)
