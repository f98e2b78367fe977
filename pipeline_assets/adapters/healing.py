"""What healing looks at: the stores' side of the plan, and what decides on the outcome of a step."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from pipeline_assets.adapters.damage import Damage
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.core.healing.plan import Lake
from pipeline_assets.core.lineage.recipes import LANDING, Recipe
from pipeline_assets.core.lineage.records import Key


def look_at_lake(
    stores: Stores,
    recipes: Mapping[str, Recipe],
    due: Mapping[str, Sequence[date]],
    failed: Collection[Key] = frozenset(),
    in_progress: Collection[Key] = frozenset(),
    damage: Iterable[Damage] = (),
) -> Lake:
    """Everything that a healing plan is made from, as it is now; the bytes of the lake are not read.

    Args:
        stores: The stores.
        recipes: How each asset is made.
        due: The partitions that there should be, by asset.
        failed: Partitions whose latest run failed.
        in_progress: Partitions that a run is working on, or is queued to.
        damage: What was found damaged and is not noted yet.
    """
    records = {key: record for key, record in stores.records.load_all().items() if key.asset in recipes}
    read = {reads.upstream for recipe in recipes.values() for reads in recipe.reads}
    days = {key.day for key in records if recipes[key.asset].find_reads(LANDING)}
    days |= {day for asset, listed in due.items() if recipes[asset].find_reads(LANDING) for day in listed}
    return Lake(
        recipes=recipes,
        due=due,
        records=records,
        landed={day: stores.landing.version(day) for day in days} if LANDING in read else {},
        held={hold.key for hold in stores.holds.list_held()},
        damaged={one.key: str(one) for one in (*stores.damage.load().values(), *damage) if one.key in records},
        failed=failed,
        in_progress=in_progress,
    )


def fingerprint_step(
    stores: Stores, recipes: Mapping[str, Recipe], step: str, day: date, view: View | None = None
) -> str:
    """Digest of all that decides on what a step does for a partition: inputs and their damage, code, parameters.

    Args:
        stores: The stores.
        recipes: How each asset is made.
        step: The step.
        day: The partition.
        view: How the stores are seen; as they are now by default.
    """
    view, lines = view or View(stores), [step, day.isoformat()]
    damaged = set(map(str, view.damaged))
    for recipe in recipes.values():
        if recipe.step == step:
            if recipe.find_reads(LANDING):
                view.see_version(LANDING, day, stores.landing.version(day))
            expected = view.expect(recipe, day)
            lines += [recipe.code, *sorted(f"{name} {version}" for name, version in expected.versions.items())]
            lines += [*expected.lacking, *sorted(expected.versions.keys() & damaged)]
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()
