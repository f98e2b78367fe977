"""The end of the release log is cut, altered, replaced, rolled back or emptied, by somebody who knows the format.

In the place of what was decided a model that was never released would decide for everybody. Expected: no score is made
by it, every command that asks the log names what was expected and found and the snapshot to restore, and after that the
bytes are those of before. With a key, also of somebody who makes anew all that has seen the log.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from unittest.mock import patch

from pipeline_assets.adapters.log_keys import KEY_VARIABLE
from pipeline_assets.adapters.release_log import ReleaseLog, ReleaseLogError
from pipeline_assets.adapters.replica import open_replicas
from pipeline_assets.adapters.restoring import choose_folders, restore
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stages.scoring import score
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.verify import Whole, hash_files
from pipeline_assets.drills.workers import Worker
from pipeline_assets.drills.world import World, copy_root
from pipeline_assets.settings import DATA_VARIABLE, PARAMS_VARIABLE

_ENTRIES: Final = "release/entries"
_KEY: Final = f"drill:{'0123456789abcdef' * 4}"
_AS_OF: Final = re.compile(r"restore release --as-of (\d+)")
_PATIENCE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class _Case:
    """A way to change the log.

    Attributes:
        name: For a person.
        tamper: Changes the log of a data root.
        says: What a reader must say.
        asks_heal: Whether ``heal`` is asked, too.
        has_key: Whether the pipeline signs its log.
    """

    name: str
    tamper: Callable[[Path], None]
    says: str
    asks_heal: bool = False
    has_key: bool = False


def run_tampering(world: World, journal: Journal) -> None:
    """See the module."""
    folder = world.make_folder("tampered-log")
    for has_key in (False, True):
        with patch.dict(os.environ, {KEY_VARIABLE: _KEY} if has_key else {}), world.open_worker(int(has_key)) as worker:
            kept = _prepare(world, worker, folder / f"kept-{has_key}", has_key=has_key)
            whole = Whole(kept)
            for case in _CASES:
                if case.has_key == has_key:
                    _change(world, worker, case, whole, folder / "root", journal)


def _prepare(world: World, worker: Worker, root: Path, *, has_key: bool) -> Path:
    """The complete world, with a decision of a person at the end of its log, and a snapshot of all."""
    copy_root(world.complete, root)
    log = open_stores(str(root)).release_log
    last, now = log.look().entries[-1], datetime.now(UTC)
    by_hand = replace(last, effective_from=now, action=ReleaseAction.HOLD, reason="all is well",
                      decided_by=DecidedBy.PERSON)  # fmt: skip
    log.confirm(by_hand) if has_key else log.append(by_hand)
    outcome = worker.run("take_snapshot", root, world.daily.day, world.daily.day)
    if not outcome.succeeded:
        raise DrillError(f"a snapshot, nothing changed: {outcome}")
    return root


def _change(world: World, worker: Worker, case: _Case, whole: Whole, root: Path, journal: Journal) -> None:
    copy_root(whole.root, root)
    case.tamper(root)
    if hash_files(root / "release", ()) == hash_files(whole.root / "release", ()):
        raise DrillError(f"{case.name}: the log is as it was")
    journal.broke(case.name)
    began = time.monotonic()
    said = _refuse(world, worker, case, whole, root, journal)
    journal.detected(time.monotonic() - began)
    for command in [["release", "log"], *([["heal", "--quick"]] if case.asks_heal else [])]:
        code, told = _ask(world, root, command)
        if code != 1 or not re.search(case.says, told) or "Traceback" in told:
            journal.fail(
                f"{case.name}: expected {' '.join(command)} to say {case.says!r} and fail, found {code}: {told}"
            )
    journal.note(f"{case.name}: {said.partition(': ')[2][:300]}")
    _restore(world, worker, case, whole, root, said, journal)


def _refuse(world: World, worker: Worker, case: _Case, whole: Whole, root: Path, journal: Journal) -> str:
    """See that nothing decides from the log, and what is said of it."""
    day, params = world.daily.day, world.params
    outcome = worker.run("run_decisions", root, day, day)
    text = outcome.error.text if outcome.error else ""
    if outcome.succeeded or not re.search(case.says, text):
        journal.fail(f"{case.name}: expected the daily run to refuse with {case.says!r}, but {outcome}")
    try:
        list(score(open_stores(str(root)), params.decision, params.rules, params.serving, [day]))
        journal.fail(f"{case.name}: expected scoring alone to refuse, it went through")
    except ReleaseLogError:
        pass
    before, after = hash_files(whole.root / "lake" / "scores", ()), hash_files(root / "lake" / "scores", ())
    if before != after:
        journal.fail(f"{case.name}: scores were made by a log that was changed")
    return text


def _restore(world: World, worker: Worker, case: _Case, whole: Whole, root: Path, said: str, journal: Journal) -> None:
    """Do what the message says: restore the log from the snapshot that it names, or from the latest."""
    began = time.monotonic()
    named = _AS_OF.search(said)
    storage = open_stores(str(root)).root
    for part in ("remotes", "snapshots"):  # whoever changes these, too: there is a copy elsewhere
        copy_root(whole.root / part, root / part)
    snapshots = Snapshots(storage, open_replicas(storage, world.params.snapshots.remotes))
    listed = {one.sequence: one for one in snapshots.list()}
    snapshot = listed[int(named[1])] if named else listed[max(listed)]
    restore(storage, snapshots, snapshot, choose_folders(snapshot, ["release"]))
    again = worker.run("run_decisions", root, world.daily.day, world.daily.day)
    journal.recovered(time.monotonic() - began)
    if not again.succeeded:
        journal.fail(f"{case.name}, restored: {again}")
        return
    journal.compare(case.name, whole.compare(root))


def _ask(world: World, root: Path, command: list[str]) -> tuple[int, str]:
    """How a command ended, and all that it said."""
    program = [sys.executable, "-c", "from pipeline_assets.cli import main; main()", *command]
    environment = os.environ | {
        DATA_VARIABLE: str(root),
        PARAMS_VARIABLE: str(world.params_file),
        "DAGSTER_HOME": str(root / "dagster"),
    }
    done = subprocess.run(
        program, capture_output=True, text=True, env=environment, timeout=_PATIENCE_SECONDS, check=False
    )
    return done.returncode, done.stdout + done.stderr


def _list_entries(root: Path) -> list[Path]:
    return sorted((root / _ENTRIES).iterdir())


def _cut(number: int) -> Callable[[Path], None]:
    def cut(root: Path) -> None:
        for path in _list_entries(root)[-number:]:
            path.unlink()

    return cut


def _alter(root: Path) -> None:
    path = _list_entries(root)[-1]
    path.write_bytes(path.read_bytes().replace(b"all is well", b"all is good"))


def _add_rogue(root: Path) -> None:
    """In the place of what was decided for the last day another model decides, in an entry that follows the chain."""
    entries = ReleaseLog(within(open_stores(str(root)).root, "release"))
    last_day = max(entry.effective_from for entry in entries.look().entries if entry.decided_by is DecidedBy.PIPELINE)
    for path, entry in zip(_list_entries(root), entries.look().entries, strict=True):
        if entry.effective_from >= last_day:
            path.unlink()
    left = entries.look().entries
    if not entries.append_after(left, _make_rogue(left[-1], last_day)):
        raise DrillError("the rogue entry was not added")


def _make_rogue(last: ReleaseEntry, moment: datetime) -> ReleaseEntry:
    return replace(last, as_of=moment.date(), effective_from=moment, action=ReleaseAction.PROMOTE, reason="trust me",
                   champion=None, backup=None, given_up=(), signature="")  # fmt: skip


def _roll_back(root: Path) -> None:
    """The log and its records as they were a week ago, as from an older copy."""
    _cut(8)(root)
    for path in sorted((root / "records" / "release").iterdir())[-8:]:
        path.unlink()


def _empty(root: Path) -> None:
    shutil.rmtree(root / "release")


def _make_anew(root: Path) -> None:
    """Everything that has seen the log goes, and the log is written anew by somebody without the key."""
    entries = open_stores(str(root)).release_log.look().entries
    for folder in ("release", "records/release", "heads", "snapshots", "remotes"):
        shutil.rmtree(root / folder)
    log, made = ReleaseLog(within(open_stores(str(root)).root, "release")), list[ReleaseEntry]()
    for entry in entries:
        added = log.append_after(made, replace(entry, champion=None, backup=None, given_up=(), signature=""))
        assert added is not None
        made.append(added)


def _alter_signed(root: Path) -> None:
    """The same, but that the last signature is kept."""
    signature = open_stores(str(root)).release_log.look().entries[-1].signature
    _make_anew(root)
    path = _list_entries(root)[-1]
    log = ReleaseLog(within(open_stores(str(root)).root, "release"))
    path.write_bytes(replace(log.look().entries[-1], signature=signature).to_bytes())


_GONE: Final = r"entries at its end are gone: expected \d+ entries, the last with md5 [0-9a-f]{32} .*restore release"
_OTHER: Final = r"its end was altered or replaced: expected \d+ entries, .*restore release"
_CASES: Final = (
    _Case("the last entry is cut", _cut(1), _GONE, asks_heal=True),
    _Case("three entries are cut", _cut(3), _GONE),
    _Case("the last entry is altered", _alter, _OTHER),
    _Case("the last decisions are replaced by another one", _add_rogue, r"expected \d+ entries, .*restore release"),
    _Case("log and records are rolled back", _roll_back, _GONE, asks_heal=True),
    _Case("the log is emptied", _empty, _GONE),
    _Case("a signed log is cut", _cut(2), _GONE, has_key=True),
    _Case("a signed log is made anew without the key", _make_anew, "not signed", has_key=True),
    _Case("a signed log is made anew, its signature kept", _alter_signed, "FORGED", asks_heal=True, has_key=True),
)
TAMPERED: Final = Drill(
    "tampered_log", "the end of the release log is cut, replaced, rolled back or forged", run_tampering
)
