"""A kill (SIGKILL) in the middle of whole Dagster runs, at a few of the moments when bytes become visible.

``crash_matrix.py`` kills the bare chain everywhere; here the same is shown where Dagster's own instance, steps and
checks go on as well: the command that a person types is killed at a rename or link, then typed again.
"""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.trace import (
    CHANGING,
    Call,
    break_call,
    find_shift,
    find_strace,
    read_calls,
    read_main,
    select,
)
from pipeline_assets.drills.verify import Whole
from pipeline_assets.drills.world import Scene, World, copy_root, write_params
from pipeline_assets.settings import Params

_VISIBLE: Final = ("rename", "link")  # the kinds of calls that let readers see new bytes
_KILLS_A_SCENE: Final = 2
_ATTEMPTS: Final = 3  # to hit the call that is meant
_SIGKILL: Final = 9
_PATIENCE_SECONDS: Final = 300  # many times what a run takes
_PREPARE: Final = "import sys; from pipeline_assets.commands.chains import prepare_home; prepare_home(sys.argv[1])"


@dataclass(frozen=True)
class _Command:
    """The materialization of a scene's assets by Dagster on the data root ``root`` of a folder."""

    scene: Scene
    folder: Path
    params: Params

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def run(self, strace: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run it to its end, or to its death, under strace with options if there are any."""
        command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize"]
        command += ["-m", "pipeline_assets.definitions", "--select", ",".join(list_assets(self.scene))]
        return self._call([*([find_strace(), *strace] if strace else []), *command, "--partition", f"{self.scene.day}"])

    def prepare(self) -> None:
        """Make the data root and its Dagster instance."""
        copy_root(self.scene.before, self.root)
        write_params(self.params, self.folder / "params.yaml")
        done = self._call([sys.executable, "-c", _PREPARE, str(self.root)])
        if done.returncode:
            raise DrillError(f"the Dagster instance of {self.root} could not be made: {done.stderr[-2000:]}")

    def _call(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PIPELINE_DATA": str(self.root),
            "PIPELINE_PARAMS": str(self.folder / "params.yaml"),
            "DAGSTER_HOME": str(self.root / "dagster"),
        }
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )


def list_assets(scene: Scene) -> list[str]:
    """The assets whose partition a scene makes: those that have a record of it afterwards."""
    return sorted(path.parent.name for path in scene.after.glob(f"records/*/{scene.day}.json"))


def run_kills(world: World, journal: Journal) -> None:
    """See the module."""
    folder = world.make_folder("dagster-kills")
    for scene in (world.daily, world.weekly):
        whole = Whole(scene.after)
        # History goes on to the week that is trained, so that it has its partition.
        command = _Command(scene, folder, dataclasses.replace(world.params, history_end=world.weekly.day))
        calls = _trace(command, folder / "trace", whole, journal)
        for call in _spread(calls, _KILLS_A_SCENE):
            _kill_at(command, calls, call, folder / "trace", whole, journal)


def _trace(command: _Command, trace: Path, whole: Whole, journal: Journal) -> list[Call]:
    """The calls that make bytes visible, of a run that is not broken."""
    command.prepare()
    done = command.run([*select(CHANGING, launched=True), "-o", str(trace)])
    if done.returncode:
        raise DrillError(f"{command.scene.name} in Dagster, not broken: {_tail(done)}")
    journal.compare(f"{command.scene.name} in Dagster, not broken", whole.compare(command.root))
    calls = [call for call in read_calls(trace, command.root, read_main(trace)) if call.kind in _VISIBLE]
    journal.note(f"{command.scene.name} in Dagster: {len(calls)} moments at which bytes become visible")
    return calls


def _spread(calls: Sequence[Call], number: int) -> list[Call]:
    """Some of the calls, evenly over the run, those at its ends left out; links, which are rare, first."""
    links = [call for call in calls if call.kind == "link" and not call.path.startswith("dagster/")][:1]
    renames = [call for call in calls if call.kind == "rename" and not call.path.startswith("dagster/")]
    count = number - len(links)
    return [renames[len(renames) * (2 * place + 1) // (2 * count)] for place in range(count)] + links


def _kill_at(command: _Command, calls: Sequence[Call], call: Call, trace: Path, whole: Whole, journal: Journal) -> None:
    where = f"{command.scene.name} in Dagster, killed at {call}"
    shift = 0
    for _ in range(_ATTEMPTS):
        command.prepare()
        killed = command.run([*break_call(call, "signal=KILL", shift=shift, launched=True), "-o", str(trace)])
        known_at = time.time()
        found = read_calls(trace, command.root, read_main(trace))
        struck = found[-1:]
        if killed.returncode == -_SIGKILL and struck and struck[0].is_same(call):
            break
        shift = find_shift(calls, found)  # where modules are compiled, they are renamed as well: once
    else:
        journal.fail(f"{where}: expected death by SIGKILL there, found status {killed.returncode} after {struck}")
        return
    journal.broke(f"kill of Dagster at {call.kind}")
    journal.detected(known_at - struck[0].at)
    journal.note(f"killed {command.scene.name} at {call.kind} {call.path}")
    began = time.monotonic()
    again = command.run()
    journal.recovered(time.monotonic() - began)
    journal.note(f"the same command again, after {time.monotonic() - began:.1f} s: status {again.returncode}")
    if again.returncode:
        journal.fail(f"{where}, run again: {_tail(again)}")
    journal.compare(where, whole.compare(command.root))


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return f"status {done.returncode}: {done.stderr[-2000:]}"


KILLS: Final = Drill("dagster_kills", "whole Dagster runs are killed while bytes become visible", run_kills)
