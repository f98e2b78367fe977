"""Bytes that rot: partitions and model files with a flipped bit, cut short or gone.

Found by the watch over all bytes, which restores what a replica has and lets the rest be made again; or by whoever
reads them first. And random defects of all kinds, which ``pipeline-assets heal`` must find exactly.
"""

import dataclasses
import itertools
import random
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.commands.chains import Chains
from pipeline_assets.commands.healing import Healer
from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, INTEGRITY, SCORES, TRANSACTIONS
from pipeline_assets.core.healing.plan import RepairReason
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key, Record
from pipeline_assets.drills.drill import Drill, Journal
from pipeline_assets.drills.histories import begin_night, detect, end_night, land_day, note_runs, open_history, verify
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


_BYTE_DEFECTS: Final[Mapping[str, Callable[[Path], None]]] = {
    "flipped bit": flip_bit,
    "file cut short": truncate,
    "file gone": delete,
}
_RECORD_DEFECTS: Final = ("lost record", "other code", "other input")
_REASONS: Final = {
    **dict.fromkeys(_BYTE_DEFECTS, RepairReason.CORRUPT),
    "lost record": RepairReason.MISSING,
    "other code": RepairReason.CODE_CHANGED,
    "other input": RepairReason.UPSTREAM_CHANGED,
}


def run_rot(world: World, journal: Journal) -> None:
    """One file of each kind is damaged, in every way; all bytes are read, with a replica and without."""
    last = world.daily.day
    for has_replica, where in ((True, "restored from a replica"), (False, "made again without a replica")):
        with open_history(world, 0, "rot") as pipeline:
            pipeline.execute("daily", last, [INTEGRITY.name], _FULL)  # a day's share of it was not read so far
            if not has_replica:
                shutil.rmtree(pipeline.folder / "replica")
            pipeline.settle()
            files = _choose_files(pipeline, with_log=has_replica)
            _damage(pipeline, journal, files)
            began = time.monotonic()
            pipeline.execute("daily", last, [INTEGRITY.name], _FULL)
            journal.detected(time.monotonic() - began)
            missed = set(files) - set(pipeline.stores.reports.read(INTEGRITY, [last])["path"].to_list())
            if missed:
                journal.fail(f"{where}: expected the watch to find all damage, but it missed {sorted(missed)}")
            pipeline.settle()
            journal.recovered(time.monotonic() - began)
            journal.count(f"runs, {where}", len(pipeline.asked))
            note_runs(journal, pipeline)
            if has_replica and pipeline.asked:
                journal.fail(f"{where}: expected no run, found {'; '.join(map(str, pipeline.asked))}")
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
        else:
            record = records[-1 - place % len(records)]
            chosen[list(record.files)[-1 if with_log else 0]] = record.key
    return chosen


def _damage(pipeline: Unattended, journal: Journal, files: Mapping[str, Key]) -> None:
    for path, (kind, damage) in zip(files, itertools.cycle(_BYTE_DEFECTS.items()), strict=False):
        damage(pipeline.root / path)
        journal.broke(kind)


def run_read(world: World, journal: Journal) -> None:
    """What the next runs read is damaged, and no replica has it: payments, features, decisions, the champion."""
    last = world.daily.day
    with open_history(world, 1, "read") as pipeline:
        shutil.rmtree(pipeline.folder / "replica")
        keys = [
            Key(TRANSACTIONS.name, last - timedelta(days=2)),
            Key(CUSTOMER_FEATURES_TABLE.name, last - timedelta(days=15)),
            Key(SCORES.name, last - timedelta(days=10)),
            Key(MODEL, max(pipeline.stores.models.as_of_days())),
        ]
        _damage(pipeline, journal, {_find_file(pipeline, key): key for key in keys})
        begin_night(pipeline, last)
        land_day(world, pipeline, last)
        began = time.monotonic()
        detect(pipeline, journal, "damage that is read")
        pipeline.settle()
        end_night(pipeline, last)
        journal.recovered(time.monotonic() - began)
        note_runs(journal, pipeline)
        verify(world, pipeline, journal, "damage that was found by whoever read it")


def _find_file(pipeline: Unattended, key: Key) -> str:
    record = pipeline.stores.records.find(key)
    assert record is not None
    return next(iter(record.files))


def run_random(world: World, journal: Journal) -> None:
    """Five random defects at once, of all kinds that ``heal`` knows, again and again."""
    for seed in _SEEDS:
        with open_history(world, 0, "random") as pipeline:
            has_replica = seed % 2 == 0
            if not has_replica:
                shutil.rmtree(pipeline.folder / "replica")
            broken = _break_at_random(pipeline, random.Random(seed), with_log=has_replica)  # noqa: S311 - repeatable
            for defect in broken.values():
                journal.broke(defect)
            _heal(world, pipeline, journal, broken, f"seed {seed}")


def _break_at_random(pipeline: Unattended, rng: random.Random, *, with_log: bool) -> dict[Key, str]:
    """Which partitions were broken, and how."""
    records = pipeline.stores.records.load_all()
    broken: dict[Key, str] = {}
    for key in rng.sample(sorted(records), _N_DEFECTS):
        broken[key] = rng.choice([*_RECORD_DEFECTS, *_BYTE_DEFECTS])
        match broken[key]:
            case "lost record":
                pipeline.stores.records.delete(key)
            case "other code":
                pipeline.stores.records.write(dataclasses.replace(records[key], code="0 of long ago"))
            case "other input":
                changed = {**records[key].inputs, rng.choice(sorted(records[key].inputs)): "0" * 32}
                pipeline.stores.records.write(dataclasses.replace(records[key], inputs=changed))
            case defect:
                files = [path for path in records[key].files if with_log or not path.startswith("release/")]
                _BYTE_DEFECTS[defect](pipeline.root / rng.choice(files))
    return broken


def _heal(world: World, pipeline: Unattended, journal: Journal, broken: Mapping[Key, str], where: str) -> None:
    healer = Healer(
        pipeline.surveyor,
        pipeline.stores,
        open_replicas(pipeline.stores.root, (str(pipeline.folder / "replica"),)),
        lambda _: None,
    )
    began = time.monotonic()
    damage = healer.verify()
    _, plan = healer.plan(damage)
    journal.detected(time.monotonic() - began)
    found = {repair.key: str(repair.reason) for repair in plan.repairs}
    expected = {key: str(_REASONS[defect]) for key, defect in broken.items()}
    journal.note(f"{where}: {', '.join(f'{key} {defect}' for key, defect in broken.items())}")
    if found != expected:
        journal.fail(f"{where}: expected the plan {_describe(expected)}, found {_describe(found)}")
    healer.apply(Chains(pipeline.definitions, lambda _: None), damage)
    journal.recovered(time.monotonic() - began)
    left = healer.verify()
    if left:
        journal.fail(f"{where}: {', '.join(map(str, left))} after it was healed")
    verify(world, pipeline, journal, where)


def _describe(reasons: Mapping[Key, str]) -> str:
    return ", ".join(f"{key} {reason}" for key, reason in sorted(reasons.items())) or "nothing"


ROT: Final = Drill("rotten_bytes", "a file of each kind rots, is cut short or is gone", run_rot)
READ: Final = Drill("rotten_inputs", "what the next run reads has rotted", run_read)
RANDOM: Final = Drill("random_defects", "five random defects at once", run_random)
