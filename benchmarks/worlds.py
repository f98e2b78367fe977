"""Simulated worlds for the benchmarks: their files in a landing zone, or their rows as they lie in the lake."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.simulator.landing import landed_files
from pipeline_assets.simulator.params import WorldParams
from pipeline_assets.simulator.world import World


def land_world(root: Path, start: date, n_days: int, n_customers: int, n_terminals: int, seed: int = 0) -> None:
    """Land the files of a world's first ``n_days`` below the data root ``root``."""
    world = World(WorldParams(start, n_customers, n_terminals, seed))
    landing = LandingZone(LocalStorage(root / "landing"))
    for number in range(n_days):
        for file in landed_files(world, start + timedelta(days=number)):
            landing.land(file.feed, file.day, file.name, file.content)


def simulate_rows(world: World, last: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Transactions and chargebacks up to ``last``, each with ``arrival_date``: nothing is late."""
    history = world.simulate(world.params.start, last)
    return (
        history.transactions.with_columns(arrival_date=pl.col("event_time").dt.date()),
        history.chargebacks.with_columns(arrival_date=pl.col("reported_at").dt.date()),
    )
