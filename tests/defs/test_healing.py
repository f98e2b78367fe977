"""The healing plan and its command on a whole world: what is broken is found, no more is made, and all is as it was."""

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline_assets.adapters.integrity import replicate
from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.lineage.recipes import RELEASE
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.performance import PerformanceParams
from tests.defs.conftest import LAST, PARAMS, START, CopyWorld
from tests.defs.worlds import DAY, FEATURES, TABLES, WEEKLY, WEEKS, World, damage

LATE = LAST - 5 * DAY
DAYS = [LATE + number * DAY for number in range(6)]


def list_paths(asset: str, *days: date) -> set[str]:
    """The files of partitions of an asset of the lake, and their records."""
    return {f"lake/{asset}/date={day}/part.parquet" for day in days} | {f"records/{asset}/{day}.json" for day in days}


def correct_one_payment(world: World, day: date) -> None:
    """Land the day's file again with another amount, of a customer who pays on few of the days after it."""
    later = world.stores.lake.read(TRANSACTIONS, [one for one in DAYS if one > day], with_date=True)
    active = later.group_by("customer_id").agg(pl.col("date").n_unique())
    frame = pl.read_parquet(world.find_landed(day))
    rare = frame.join(active, on="customer_id", how="left").with_columns(pl.col("date").fill_null(0)).sort("date")
    chosen = rare.filter(pl.col("date") >= 1)["transaction_id"][0]
    more = pl.when(transaction_id=pl.lit(chosen)).then(pl.col("amount_cents") + 100).otherwise("amount_cents")
    content = io.BytesIO()
    frame.with_columns(more.alias("amount_cents")).write_parquet(content)
    world.stores.landing.land(Feed.TRANSACTIONS, day, world.find_landed(day).name, content.getvalue(), replace=True)


@pytest.mark.drill
def test_a_corrected_delivery_of_five_days_ago_is_followed_as_far_as_it_changes_anything(copy_world: CopyWorld) -> None:
    world, at_once = copy_world(), copy_world(LATE - DAY, landed_until=LAST)
    correct_one_payment(world, LATE)
    world_file = world.find_landed(LATE)
    at_once.find_landed(LATE).write_bytes(world_file.read_bytes())
    before, stamps = world.hash(), world.stamp()

    assert world.list_repairs() == {f"{table}@{LATE}" for table in TABLES}
    world.heal()

    assert world.list_repairs() == set()
    assert at_once.run_chain(LATE, LAST).success
    assert world.hash() == at_once.hash()
    # The bytes of the days after it come out the same, so that nothing is made from them again.
    changed = {path for path, md5 in world.hash().items() if before[path] != md5}
    made = {path for path, stamp in world.stamp().items() if stamps[path] != stamp}
    days = {day for day in DAYS if any(f"lake/{name}/date={day}/part.parquet" in changed for name in FEATURES)}
    assert LATE in days
    assert 1 < len(days) < len(DAYS)  # that customer does not pay every day
    scores = {path for path in made if path.startswith("lake/scores/")}
    assert scores == {f"lake/scores/date={day}/part.parquet" for day in days}
    assert not [path for path in made if path.startswith(("models/", "release/"))]
    assert not [path for path in made if path.endswith(".parquet") and path.split("date=")[1][:10] < f"{LATE}"]


def test_the_same_content_delivered_again_stops_at_the_ledger(copy_world: CopyWorld) -> None:
    world = copy_world(START + 5 * DAY)
    day, before, stamps = START + 2 * DAY, world.hash(), world.stamp()
    world.stores.landing.land(Feed.TRANSACTIONS, day, "again.parquet", world.find_landed(day).read_bytes())
    assert world.list_repairs() == {f"{table}@{day}" for table in TABLES}
    world.heal()
    assert world.list_repairs() == set()
    changed = {path for path, md5 in world.hash("lake").items() if before[path] != md5}
    assert changed == {f"lake/ledger/date={day}/part.parquet"}
    made = {path for path, stamp in world.stamp().items() if stamps[path] != stamp}
    assert made == {path for table in TABLES for path in list_paths(table, day)}


# --- any damage whatever ---

BREAKING: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "one bit": damage,
}
ASSETS = tuple(PARAMS.describe_assets())
ALL_DAYS = [START + number * DAY for number in range((LAST - START).days + 1)]
SLOW = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.generate],
)


@dataclass(frozen=True)
class Defect:
    """One thing that is broken: a file of a partition, its record, or what landed on its day."""

    what: str
    how: str
    key: Key
    place: int = 0  # of the file, where a partition has several

    def find_path(self, world: World) -> Path:
        """What breaks, as long as it is whole."""
        if self.what == "landed":
            return world.find_landed(self.key.day)
        record = world.root / "records" / self.key.asset / f"{self.key.day}.json"
        files = sorted(json.loads(record.read_bytes())["files"])
        return record if self.what == "record" else world.root / files[self.place % len(files)]

    def strike(self, path: Path) -> None:
        """Break it; what landed is landed again without its last row."""
        if self.what == "landed":
            pl.read_parquet(path).head(-1).write_parquet(path)
        elif self.what == "record" and self.how == "one bit":
            path.write_bytes(b"{" + path.read_bytes())  # of a record any bit may be one that says nothing
        else:
            BREAKING[self.how](path)

    def list_repairs(self) -> set[str]:
        """The partitions that must be made again, by this alone."""
        return {f"{table}@{self.key.day}" for table in TABLES} if self.what == "landed" else {str(self.key)}


def draw_defects(days: Sequence[date], what: Sequence[str], assets: Sequence[str]) -> st.SearchStrategy[list[Defect]]:
    """Five defects, each of another partition."""
    daily = st.builds(Key, st.sampled_from([one for one in assets if one not in WEEKLY]), st.sampled_from(days))
    weekly = st.builds(Key, st.sampled_from([one for one in assets if one in WEEKLY]), st.sampled_from(WEEKS))
    keys = st.one_of(daily, daily, weekly)
    defects = st.builds(Defect, st.sampled_from(what), st.sampled_from([*BREAKING]), keys, st.integers(0, 2))
    return st.lists(defects, min_size=5, max_size=5, unique_by=lambda one: one.key)


def strike_all(world: World, defects: Sequence[Defect]) -> set[str]:
    """Break them all; the partitions that must be made again."""
    for defect, path in [(defect, defect.find_path(world)) for defect in defects]:
        defect.strike(path)
    return set[str]().union(*(defect.list_repairs() for defect in defects))


@pytest.mark.drill
def test_whatever_is_broken_the_plan_names_just_that(built_root: Path, copy_world: CopyWorld) -> None:
    world = copy_world()

    @settings(SLOW, max_examples=12)
    @given(draw_defects(ALL_DAYS, ("file", "record", "landed"), ASSETS))
    def prove(defects: list[Defect]) -> None:
        paths = [defect.find_path(world) for defect in defects]
        try:
            expected = strike_all(world, defects)
            assert world.list_repairs() == expected
        finally:
            for path in paths:
                shutil.copy2(built_root / path.relative_to(world.root), path)

    prove()


@pytest.mark.drill
def test_whatever_is_broken_healing_brings_back_to_the_same_bytes(copy_world: CopyWorld) -> None:
    # The release log is no table that could be made again from what landed: its bytes come from a replica only.
    assets = [asset for asset in ASSETS if asset != RELEASE]

    @settings(SLOW, max_examples=2)
    @given(draw_defects(DAYS, ("file", "record"), assets), st.booleans())
    def prove(defects: list[Defect], has_replica: bool) -> None:
        world = copy_world()
        before = world.hash()
        if has_replica:
            replicate(world.stores, world.stores.records.load_all().values(), world.open_healer().replicas)
        assert world.list_repairs() | strike_all(world, defects) == world.list_repairs()
        world.heal()
        assert world.list_repairs() == set()
        assert world.hash() == before

    prove()


@pytest.mark.drill
def test_with_new_data_and_new_parameters_healing_ends_with_nothing_left_to_do(copy_world: CopyWorld) -> None:
    params = replace(PARAMS, performance=PerformanceParams(window_days=5))

    @settings(SLOW, max_examples=1)
    @given(draw_defects(DAYS[3:], ("file", "record", "landed"), [asset for asset in ASSETS if asset != RELEASE]))
    def prove(defects: list[Defect]) -> None:
        world = copy_world(params=params)
        expected = strike_all(world, defects) | {f"performance@{day}" for day in ALL_DAYS}
        assert world.list_repairs() == expected
        world.heal()
        assert world.list_repairs() == set()

    prove()
