"""The healing plan: the least set of partitions that must be made again, why, and in which order.

A partition is up to date when its bytes are the recorded ones and its record names the code and the versions of the
inputs that there are now. Whatever is made from a partition follows only if its bytes come out different: that is
found out by planning again (early cutoff; Mokhov, Mitchell and Peyton Jones, Build systems a la carte, 2018).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from pipeline_assets.core.lineage.inputs import Present, expect_inputs
from pipeline_assets.core.lineage.recipes import LANDING, Recipe
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, Record, parse_key

_SHOWN: Final = 3  # inputs named in an explanation: enough to see where to look


class RepairReason(StrEnum):
    """Why a partition must be made again; the first that holds is named."""

    CORRUPT = "corrupt"  # its bytes are not the recorded ones
    MISSING = "missing"  # it is due, or a run that was to make it failed, and there is none
    CODE_CHANGED = "code_changed"  # another version of the code, or other parameters
    UPSTREAM_CHANGED = "upstream_changed"  # other inputs than it was made from
    FAILED = "failed"  # the last run that tried failed, though what is there is as it should be


@dataclass(frozen=True)
class Lake:
    """All that a plan is made from.

    Attributes:
        recipes: How each asset is made, by name, in an order in which they can be made.
        due: The partitions that there should be, by asset.
        records: Of the partitions that there are.
        landed: The version of what landed, by day.
        held: Partitions that failed a blocking check.
        damaged: Partitions whose bytes were found not to be the recorded ones, with what was found.
        failed: Partitions whose latest run failed.
        in_progress: Partitions that a run is working on, or is queued to.
    """

    recipes: Mapping[str, Recipe]
    due: Mapping[str, Sequence[date]]
    records: Mapping[Key, Record]
    landed: Mapping[date, str]
    held: Collection[Key] = frozenset()
    damaged: Mapping[Key, str] = field(default_factory=dict)
    failed: Collection[Key] = frozenset()
    in_progress: Collection[Key] = frozenset()

    def present(self) -> Present:
        """What is there to be read."""
        versions: dict[str, dict[date, str]] = {LANDING: dict(self.landed)}
        for key, record in self.records.items():
            versions.setdefault(key.asset, {})[key.day] = record.version
        held: dict[str, set[date]] = {}
        for key in self.held:
            held.setdefault(key.asset, set()).add(key.day)
        return Present(versions, {asset: frozenset(days) for asset, days in held.items()})


@dataclass(frozen=True)
class Repair:
    """One partition that must be made again.

    Attributes:
        key: Which.
        reason: Why.
        detail: What differs, for a person.
        may_change: Whether its bytes may come out different, so that what is made from it may follow.
    """

    key: Key
    reason: RepairReason
    detail: str
    may_change: bool


@dataclass(frozen=True)
class Plan:
    """What must be made again.

    Attributes:
        repairs: Surely, in an order in which they can be made.
        followers: What may follow if bytes come out different, in that order.
        blocked: What cannot be made while what it needs is held or absent, and why.
    """

    repairs: tuple[Repair, ...]
    followers: tuple[Key, ...]
    blocked: Mapping[Key, str]

    def limit_to(self, assets: Collection[str]) -> "Plan":
        """The part of the plan that is about some assets."""
        return Plan(
            tuple(repair for repair in self.repairs if repair.key.asset in assets),
            tuple(key for key in self.followers if key.asset in assets),
            {key: why for key, why in self.blocked.items() if key.asset in assets},
        )


def plan_healing(lake: Lake) -> Plan:
    """The plan for what is there now; partitions in progress are left to their runs."""
    present = lake.present()
    repairs: dict[Key, Repair] = {}
    blocked: dict[Key, str] = {}
    for asset, recipe in lake.recipes.items():
        known = (key.day for key in (*lake.records, *lake.failed) if key.asset == asset)
        for day in sorted({*lake.due.get(asset, ()), *known}):
            key = Key(asset, day)
            if key in lake.in_progress:
                continue
            repair = _find_repair(key, recipe, present, lake, repairs.keys() | blocked.keys())
            if repair is None:
                continue
            obstacle = _find_obstacle(recipe, day, present, repairs, blocked, lake)
            if obstacle:
                blocked[key] = obstacle
            else:
                repairs[key] = repair
    followers = _find_followers(lake, [repair.key for repair in repairs.values() if repair.may_change])
    return Plan(tuple(repairs.values()), tuple(key for key in followers if key not in repairs), blocked)


def _find_repair(key: Key, recipe: Recipe, present: Present, lake: Lake, pending: Collection[Key]) -> Repair | None:
    record = lake.records.get(key)
    if record is None:
        why = "the run that was to make it failed" if key in lake.failed else "it is due, and there is none"
        return Repair(key, RepairReason.MISSING, why, may_change=True)
    is_new_code = record.code != recipe.code
    changed = _describe_change(record, recipe, present, lake, pending)
    may_change = is_new_code or bool(changed)
    if key in lake.damaged:
        return Repair(key, RepairReason.CORRUPT, lake.damaged[key], may_change)
    if is_new_code:
        return Repair(key, RepairReason.CODE_CHANGED, f"made by {record.code!r}, now {recipe.code!r}", may_change)
    if changed:
        return Repair(key, RepairReason.UPSTREAM_CHANGED, changed, may_change)
    if key in lake.failed:
        return Repair(key, RepairReason.FAILED, "the latest run failed", may_change)
    return None


def _describe_change(record: Record, recipe: Recipe, present: Present, lake: Lake, pending: Collection[Key]) -> str:
    windows = {reads.upstream for reads in recipe.reads}
    outside = [name for name in record.inputs if parse_key(name).asset not in windows]
    expected = expect_inputs(recipe, record.day, present, outside)
    differing = [
        name
        for name in sorted(expected.versions.keys() | record.inputs.keys())
        if record.inputs.get(name) != expected.versions.get(name)
    ]
    differing += sorted(set(expected.lacking) - set(record.lacking) - set(differing))
    changed = [name for name in differing if not _is_unsettled(name, record, lake, pending)]
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return ", ".join(changed[:_SHOWN]) + more


def _is_unsettled(name: str, record: Record, lake: Lake, pending: Collection[Key]) -> bool:
    """Whether an input says nothing yet: it is being made again, or it is held, and what was made before stays."""
    key = parse_key(name)
    if key in pending or key in lake.in_progress or key in lake.held:
        return True
    return record.inputs.get(name) == UNAVAILABLE and key in lake.damaged


def _find_obstacle(
    recipe: Recipe, day: date, present: Present, repairs: Mapping[Key, Repair], blocked: Mapping[Key, str], lake: Lake
) -> str:
    """Why a partition cannot be made now, whatever is repaired before it; empty where it can."""
    for reads in recipe.reads:
        own = Key(reads.upstream, day)
        if not reads.is_required or own in repairs:
            continue
        if own in lake.held:
            return f"{own} is held"
        if own in blocked:
            return f"{own} is blocked: {blocked[own]}"
        if present.find_version(own) == UNAVAILABLE and own not in lake.in_progress:
            return f"{own} is absent"
    return ""


def _find_followers(lake: Lake, changing: Sequence[Key]) -> list[Key]:
    """All that is made from ``changing``, directly or not, in an order in which it can be made."""
    touched: dict[str, set[date]] = {}
    for key in changing:
        touched.setdefault(key.asset, set()).add(key.day)
    followers = []
    for key in _list_keys(lake):
        reads = (
            any(
                key.day + timedelta(days=one.first) <= day <= key.day + timedelta(days=one.last)
                for day in touched.get(one.upstream, ())
            )
            for one in lake.recipes[key.asset].reads
        )
        if any(reads):
            touched.setdefault(key.asset, set()).add(key.day)
            followers.append(key)
    return followers


def _list_keys(lake: Lake) -> Iterator[Key]:
    for asset in lake.recipes:
        days = {*lake.due.get(asset, ()), *(key.day for key in lake.records if key.asset == asset)}
        yield from (Key(asset, day) for day in sorted(days))


def find_first_wave(plan: Plan, recipes: Mapping[str, Recipe]) -> list[Repair]:
    """The repairs whose inputs no other step will make again; partitions of one step go together, in their order."""
    pending = {recipes[repair.key.asset].step for repair in plan.repairs}
    upstream = {step: _list_upstream_steps(recipes, step) for step in pending}
    ready = {step for step in pending if not upstream[step] & pending}
    return [repair for repair in plan.repairs if recipes[repair.key.asset].step in ready]


def _list_upstream_steps(recipes: Mapping[str, Recipe], step: str) -> set[str]:
    """The other steps that a step reads from, directly or not."""
    direct = {
        recipes[reads.upstream].step
        for recipe in recipes.values()
        if recipe.step == step
        for reads in recipe.reads
        if reads.upstream in recipes
    } - {step}
    return direct.union(*(_list_upstream_steps(recipes, one) for one in direct))
