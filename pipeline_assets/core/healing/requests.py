"""Which runs would make a healing plan come true, one after the other: what a sensor asks for, and when."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final

from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.healing.plan import Lake, Plan, Repair, RepairReason, find_first_wave
from pipeline_assets.core.lineage.records import Key

_UNDONE: Final = (RepairReason.FAILED, RepairReason.MISSING)
_OUTDATED: Final = (RepairReason.UPSTREAM_CHANGED, RepairReason.CORRUPT)


@dataclass(frozen=True)
class Request:
    """One run that is wanted.

    Attributes:
        key: Names it, the same as long as the same is wanted.
        cadence: Of its partitions.
        first: The first of them.
        last: The last one.
        assets: What it makes.
        permanent_reason: Why it would fail again; None where nothing is known to stand in the way.
        is_waiting: Whether something that it reads is being made just now, or will be before it.
    """

    key: str
    cadence: Cadence
    first: date
    last: date
    assets: tuple[str, ...]
    permanent_reason: str | None = None
    is_waiting: bool = False


def list_requests(
    plan: Plan, lake: Lake, permanent: Mapping[Key, str], settled: Collection[str], split: Collection[str] = ()
) -> list[Request]:
    """The runs that are wanted now, the first to be made first; what only other code would change is left to people.

    What failed or is missing is made a day at a time, all assets of the day in one run: a bad day then fails alone.
    What is out of date or damaged comes after that, step by step, in one run for each range of days; a range that
    failed as a whole is then made a day at a time.

    Args:
        plan: What must be made again.
        lake: What the plan was made from.
        permanent: Partitions that would fail again with the inputs, code and parameters that they have now, and why.
        settled: Keys of requests that are not made any more: nothing waits for them.
        split: Keys of ranges that failed as a whole.
    """
    undone = _list_undone(plan, lake)
    days = list(_list_days(undone, lake, permanent))
    pending = [one for one in days if one.permanent_reason is None and one.key not in settled]
    days = [_wait(one, _is_awaited(one, pending, lake)) for one in days]
    outdated = [one for one in plan.repairs if one.reason in _OUTDATED and one not in undone]
    healable = [one for one in outdated if one.key not in permanent]
    first_wave = find_first_wave(Plan(tuple(healable), (), {}), lake.recipes)
    waves = [_wait(one, bool(pending or lake.in_progress)) for one in list_ranges(first_wave, lake, split)]
    known = [one for one in outdated if one.key in permanent]
    return [*days, *waves, *(_make(one.key, lake, permanent) for one in known)]


def _list_undone(plan: Plan, lake: Lake) -> list[Repair]:
    """What failed or is missing, together with what of its own day it needs and what is to be made again as well."""
    undone = [repair for repair in plan.repairs if repair.reason in _UNDONE]
    needed = {
        (lake.recipes[reads.upstream].step, repair.key.day)
        for repair in undone
        for reads in lake.recipes[repair.key.asset].reads
        if reads.is_required
    }
    return [
        repair
        for repair in plan.repairs
        if repair in undone
        or (repair.reason in _OUTDATED and (lake.recipes[repair.key.asset].step, repair.key.day) in needed)
    ]


def _list_days(undone: Iterable[Repair], lake: Lake, permanent: Mapping[Key, str]) -> Iterable[Request]:
    by_day: dict[tuple[date, Cadence], list[Key]] = {}
    for repair in undone:
        by_day.setdefault((repair.key.day, lake.recipes[repair.key.asset].cadence), []).append(repair.key)
    for (day, cadence), keys in sorted(by_day.items()):
        healable = tuple(key.asset for key in keys if key not in permanent)
        reason = None if healable else "; ".join(sorted({permanent[key] for key in keys}))
        assets = healable or tuple(key.asset for key in keys)
        yield Request(f"{cadence}@{day}", cadence, day, day, assets, reason)


def _is_awaited(request: Request, pending: Iterable[Request], lake: Lake) -> bool:
    """Whether a week waits for days before it, or any partition for a run that makes it or its own day."""
    if any(key.day == request.first and key.asset in _list_around(request, lake) for key in lake.in_progress):
        return True
    if request.cadence is Cadence.DAILY:
        return False
    days = {one.first for one in pending if one.cadence is Cadence.DAILY}
    days |= {key.day for key in lake.in_progress if lake.recipes[key.asset].cadence is Cadence.DAILY}
    earlier = {one.first for one in pending if one.cadence is Cadence.WEEKLY and one.first < request.first}
    return bool(earlier) or any(day < request.first for day in days)


def _list_around(request: Request, lake: Lake) -> set[str]:
    """The assets of a request and those whose partition of the same day they read."""
    read = {
        reads.upstream
        for asset in request.assets
        for reads in lake.recipes[asset].reads
        if reads.first <= 0 <= reads.last
    }
    return {*request.assets, *read}


def list_ranges(repairs: Iterable[Repair], lake: Lake, split: Collection[str] = ()) -> Iterable[Request]:
    """The runs that make ``repairs``: one for each step, assets and range of days, or a day at a time where split."""
    by_step: dict[str, dict[date, list[str]]] = {}
    for repair in repairs:
        assets = by_step.setdefault(lake.recipes[repair.key.asset].step, {}).setdefault(repair.key.day, [])
        assets.append(repair.key.asset)
    for step, days in by_step.items():
        cadence = lake.recipes[next(iter(days.values()))[0]].cadence
        length = timedelta(days=1 if cadence is Cadence.DAILY else 7)
        # Days in a row come out as the same day after their place in the order is taken off.
        numbered = [(day, day - place * length, tuple(days[day])) for place, day in enumerate(sorted(days))]
        for (_, assets), group in groupby(numbered, key=itemgetter(1, 2)):
            run = [day for day, _, _ in group]
            whole = Request(f"{step}@{run[0]}..{run[-1]}", cadence, run[0], run[-1], assets)
            if whole.key in split:
                yield from (Request(f"{step}@{day}", cadence, day, day, tuple(days[day])) for day in run)
            else:
                yield whole


def _make(key: Key, lake: Lake, permanent: Mapping[Key, str]) -> Request:
    recipe = lake.recipes[key.asset]
    return Request(f"{recipe.step}@{key.day}", recipe.cadence, key.day, key.day, (key.asset,), permanent[key])


def _wait(request: Request, is_waiting: bool) -> Request:
    return replace(request, is_waiting=is_waiting)
