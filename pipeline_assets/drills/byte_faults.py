"""Bytes that rot: partitions and model files with a flipped bit, cut short or gone.

Found by the watch over all bytes, which restores what a replica has and lets the rest be made again; or by whoever
reads them first. And random defects of all kinds, which ``pipeline-assets heal`` must find exactly.
"""

import json
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.commands.chains import Chains
from pipeline_assets.commands.healing import Healer
from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, INTEGRITY, SCORES, TRANSACTIONS
from pipeline_assets.core.healing.plan import RepairReason
from pipeline_assets.core.lineage.recipes import MODEL, RELEASE
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.drills.drill import Drill, Journal, format_seconds
from pipeline_assets.drills.histories import compare, live_day, list_last_days, open_history, verify
from pipeline_assets.drills.unattended import Unattended
from pipeline_assets.drills.world import World

_SEEDS: Final = (1, 2, 3)
_N_DEFECTS: Final = 5
_FULL: Final = {"ops": {INTEGRITY.name: {"config": {"full": True}}}}


def flip_bit(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut a file to its first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def delete(path: Path) -> None:
    """Remove a file."""
    path.unlink()


DAMAGES: Final[tuple[Callable[[Path], None], ...]] = (flip_bit, truncate, delete)


def run_rot(world: World, journal: Journal) -> None:
    """One file of each kind is damaged, in every way; all bytes are read, with replicas and without."""
    for has_replica in (True, False):
        with open_history(world, 0, "rot") as pipeline:
            if not has_replica:
                shutil.rmtree(pipeline.folder / "replica")
            files = _choose_files(pipeline, with_log=has_replica)
            _damage(pipeline, journal, files)
            began = time.monotonic()
            pipeline.execute("daily", world.daily.day, [INTEGRITY.name], _FULL)
            journal.detected(time.monotonic() - began)
            report = pipeline.stores.reports.read(INTEGRITY, [world.daily.day])
            missed = set(files) - set(report["path"].to_list())
            if missed:
                journal.fail(f"expected the watch to find all damage, but it missed {sorted(missed)}")
            where = "restored from a replica" if has_replica else "made again, without a replica"
            pipeline.settle()
            journal.recovered(time.monotonic() - began)
            journal.note(f"{len(files)} files {where}: {len(pipeline.asked)} runs")
            journal.count(f"runs where {where}", len(pipeline.asked))
            if has_replica and pipeline.asked:
                journal.fail(f"expected no run where a replica has all, found {', '.join(map(str, pipeline.asked))}")
            verify(world, pipeline, journal, where)


def _choose_files(pipeline: Unattended, *, with_log: bool) -> dict[str, Key]:
    """By path, a file of each asset: of another partition each, the three files of a model of one week each.

    An entry of the release log is left out without a replica: it is the one thing that cannot be made again.
    """
    chosen: dict[str, Key] = {}
    by_asset: dict[str, list[Record]] = {}
    for record in pipeline.stores.records.load_all().values():
        by_asset.setdefault(record.asset, []).append(record)
    for place, (asset, records) in enumerate(sorted(by_asset.items())):
        if asset == MODEL:
            for record, path in zip(records, list(records[0].files), strict=True):
                number = list(records[0].files).index(path)
                chosen[list(record.files)[number]] = record.key
        elif asset != RELEASE or with_log:
            record = records[-1 - place % len(records)]
            chosen[next(iter(record.files))] = record.key
    return chosen


def _damage(pipeline: Unattended, journal: Journal, files: Mapping[str, Key]) -> None:
    for number, path in enumerate(files):
        damage = DAMAGES[number % len(DAMAGES)]
        damage(pipeline.root / path)
        journal.broke(f"file: {damage.__name__.replace('_', ' ')}")


def run_read(world: World, journal: Journal) -> None:
    """What the next day's run reads is damaged before it: payments, features, decisions and the champion."""
    last = world.daily.day
    with open_history(world, 1, "read") as pipeline:
        pipeline.settle()
        shutil.rmtree(pipeline.folder / "replica")
        week = max(day for day in pipeline.stores.models.as_of_days())
        keys = [
            Key(TRANSACTIONS.name, last - timedelta(days=2)),
            Key(CUSTOMER_FEATURES_TABLE.name, last - timedelta(days=15)),
            Key(SCORES.name, last - timedelta(days=10)),
            Key(MODEL, week),
        ]
        records = (pipeline.stores.records.find(key) for key in keys)
        _damage(pipeline, journal, {next(iter(record.files)): record.key for record in records if record})
        known, began = pipeline.find_signs(), time.monotonic()
        live_day(world, pipeline, last)
        for asked in pipeline.asked:
            journal.note(f"{asked.at:%m-%d %H:%M} {asked}")
        journal.note(str(pipeline.find_signs()-known))
        verify(world, pipeline, journal, "damage that was found by whoever read it")


ROT: Final = Drill("rotten_bytes", "a file of each kind rots, is cut short or is gone", run_rot)
READ: Final = Drill("rotten_inputs", "what the next run reads has rotted", run_read)
