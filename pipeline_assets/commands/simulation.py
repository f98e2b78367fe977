"""Letting a payments world land its files in the landing zone, and remembering which world it is."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.storage import open_storage, within
from pipeline_assets.settings import WORLD_RECORD, Settings


def simulate_until(settings: Settings, last: date, say: Callable[[str], None]) -> None:
    """Land the files of every day from the world's first one to ``last``; days that have landed stay as they are.

    Raises:
        ValueError: The data root holds the files of another world, or ``last`` lies before the first day.
    """
    from pipeline_assets.simulator.landing import landed_files
    from pipeline_assets.simulator.world import World

    simulation, first = settings.params.simulation, settings.history_start
    if last < first:
        raise ValueError(f"simulate: expected a last day not before history's first one, {first}, found {last}")
    params = simulation.make_world(first)
    _remember(settings.data_root, asdict(params))
    landing = LandingZone(within(open_storage(settings.data_root), "landing"))
    world, n_new = World(params), 0
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    say(f"simulation: {params.total_customers} customers, {len(days)} days from {first} to {last} ...")
    for day in days:
        for file in landed_files(world, day, simulation.faults, simulation.file_format):
            n_new += landing.land(file.feed, file.day, file.name, file.content)
    say(f"    {n_new} new files landed")


def check_world(settings: Settings) -> None:
    """Make sure that what was simulated into the data root, if anything was, is the world of the parameters.

    Raises:
        ValueError: It is another one.
    """
    if open_storage(settings.data_root).exists(WORLD_RECORD):
        _remember(settings.data_root, asdict(settings.params.simulation.make_world(settings.history_start)))


def _remember(data_root: str, world: dict[str, Any]) -> None:
    root = open_storage(data_root)
    content = json.dumps(world, default=str, indent=1, sort_keys=True).encode() + b"\n"
    if root.create(WORLD_RECORD, content):
        return
    found = root.read(WORLD_RECORD)
    if found != content:
        raise ValueError(
            f"{data_root}/{WORLD_RECORD}: this data root holds the files of another world (other parameters under "
            "`simulation`); use another PIPELINE_DATA, or remove the data (make clean) and start anew"
        )
