"""The healing plan for a person: what must be made again and why, and making it so."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pipeline_assets.adapters.damage import Damage
from pipeline_assets.adapters.integrity import find_damage, mend
from pipeline_assets.adapters.landed_days import list_refused
from pipeline_assets.adapters.leftovers import sweep_leftovers
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.commands.chains import ChainFailedError
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.healing.plan import Lake, Plan, find_first_wave
from pipeline_assets.core.healing.requests import Request, list_ranges
from pipeline_assets.core.lineage.recipes import Recipe
from pipeline_assets.core.lineage.records import Key

if TYPE_CHECKING:
    from pipeline_assets.commands.chains import Chains
    from pipeline_assets.definitions import Surveyor

_SHOWN: Final = 40  # ranges that a plan lists; the counts tell of the rest
_MAX_WAVES: Final = 100  # a wave is a step over any range of days, so a plan has a dozen; more would be a loop


class NotHealedError(RuntimeError):
    """A plan could not be made true; the message says what is left."""


@dataclass(frozen=True)
class Healer:
    """Surveys a data root and heals it, or some assets alone; ``say`` hears of the progress."""

    surveyor: "Surveyor"
    stores: Stores
    replicas: list[Replica]
    say: Callable[[str], None]
    assets: Collection[str] | None = None

    def verify(self) -> list[Damage]:
        """What is not as it was recorded; the bytes of everything are read, nothing is changed."""
        records = [
            one for one in self.stores.records.load_all().values() if self.assets is None or one.asset in self.assets
        ]
        self.say(f"verifying the bytes of {len(records)} partitions ...")
        return list(find_damage(self.stores, records))

    def describe_refused(self) -> list[str]:
        """What lies in the landing zone and is no data, in lines for a person."""
        refused = list_refused(self.stores, datetime.now(UTC), self.surveyor.freshness)
        lines = [f"{len(refused)} things in the landing zone are no data; rename, replace or remove them:"]
        lines += [f"  {one}" for one in refused[:_SHOWN]]
        more = [f"  and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
        return [*lines, *more] if refused else []

    def plan(self, damage: Sequence[Damage] = ()) -> tuple[Lake, Plan]:
        """The plan for what is there now."""
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            lake, plan = self.surveyor.survey(instance, self.stores, datetime.now(UTC), damage)
        return lake, plan if self.assets is None else plan.limit_to(self.assets)

    def apply(self, chains: "Chains", damage: Sequence[Damage] = ()) -> None:
        """Restore what a replica has, then make the plan true, step by step.

        Each step is planned anew, so that what is made from bytes that came out the same is left alone. A day that is
        held stops itself and no other.

        Raises:
            NotHealedError: Something failed, or the plan does not become empty.
        """
        swept = sweep_leftovers([self.stores.root, *(replica.storage for replica in self.replicas)])
        if swept:
            self.say(f"{len(swept)} temporary files and folders of killed processes removed")
        for one in mend(self.stores, damage, self.replicas):
            if one.replica:
                self.say(f"{one.damage.path}: restored from {one.replica}")
        done: set[tuple[Request, str]] = set()
        failures: list[str] = []
        for _ in range(_MAX_WAVES):
            lake, plan = self.plan()
            wave = list(list_ranges(find_first_wave(plan, lake.recipes), lake))
            if not wave and failures:
                raise NotHealedError("\n".join(["the rest is well; what failed waits for a person:", *failures]))
            if not wave:
                return
            for request in wave:
                reasons = ", ".join(sorted({str(r.reason) for r in plan.repairs if r.key.asset in request.assets}))
                if (request, reasons) in done:
                    problem = f"{request.key} was made again and is still not well ({reasons}); see its run"
                    raise NotHealedError("\n".join([problem, *failures]))
                done.add((request, reasons))
                try:
                    chains.run_assets(request.cadence, request.assets, request.first, request.last)
                except ChainFailedError as error:  # what it has held up is left out of the next plan
                    failures.append(str(error))
        raise NotHealedError("\n".join([f"the plan is not empty after {_MAX_WAVES} steps", *failures]))


def describe_plan(plan: Plan, lake: Lake) -> list[str]:
    """The plan for ``lake`` in lines for a person."""
    if not plan.repairs and not plan.blocked and not lake.held:
        return ["Nothing to heal: every partition has its bytes, made from its present inputs by the present code."]
    lines = [f"{len(plan.repairs)} partitions to make again, in this order:"] if plan.repairs else []
    groups = list(_group(plan, lake.recipes))
    lines += [f"  {text}" for text in groups[:_SHOWN]]
    if len(groups) > _SHOWN:
        lines.append(f"  and {len(groups) - _SHOWN} more lines")
    if plan.followers:
        lines.append(f"Then, only where the bytes of these come out different, up to {len(plan.followers)} more:")
        lines += [f"  {asset} {_span(days)}" for asset, days in _by_asset(plan.followers)]
    if plan.blocked:
        lines.append(f"{len(plan.blocked)} partitions wait for a person:")
        lines += [f"  {key}: {why}" for key, why in list(plan.blocked.items())[:_SHOWN]]
    if lake.held:
        held = ", ".join(map(str, sorted(lake.held)[:_SHOWN]))
        lines.append(f"{len(lake.held)} partitions are held: {held}; see: pipeline-assets holds list")
    return lines


def _group(plan: Plan, recipes: Mapping[str, Recipe]) -> Iterator[str]:
    """Neighbours of one asset with one reason in one line."""
    length = {Cadence.DAILY: timedelta(days=1), Cadence.WEEKLY: timedelta(days=7)}

    def name(place_and_repair: tuple[int, object]) -> tuple[object, ...]:
        place, repair = place_and_repair
        return repair.key.asset, repair.reason, repair.key.day - place * length[recipes[repair.key.asset].cadence]  # type: ignore[attr-defined]

    for _, group in groupby(enumerate(plan.repairs), key=name):
        repairs = [repair for _, repair in group]
        days = [repair.key.day for repair in repairs]
        yield f"{repairs[0].key.asset:20} {_span(days):26} {repairs[0].reason:18} {repairs[0].detail}"


def _by_asset(keys: Iterable[Key]) -> Iterator[tuple[str, list[date]]]:
    for asset, group in groupby(keys, key=lambda key: key.asset):
        yield asset, [key.day for key in group]


def _span(days: list[date]) -> str:
    return f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]} ({len(days)})"
