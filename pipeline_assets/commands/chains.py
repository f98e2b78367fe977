"""Running the daily and the weekly chain in this process, on the persistent Dagster instance of a data root."""

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pipeline_assets.adapters.holds import Holds
from pipeline_assets.adapters.storage import TEMPORARY_PREFIX
from pipeline_assets.commands.backfills import is_backfill_daemon_alive, run_backfill
from pipeline_assets.commands.messages import describe_text
from pipeline_assets.commands.opening import is_debugging
from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Cadence
from pipeline_assets.core.retraining import list_due_weeks

if TYPE_CHECKING:
    import dagster as dg

_BEFORE_MODELS: Final = ("ingestion", "features")  # groups of daily assets
_MODELS: Final = ("models",)
_AFTER_MODELS: Final = ("release", "scoring", "monitoring", "lineage")
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_CONFIG: Final = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
_STORAGES: Final = {  # as in it
    "run_storage": ("pipeline_assets.defs.databases", "WholeSqliteRunStorage"),
    "schedule_storage": ("pipeline_assets.defs.databases", "WholeSqliteScheduleStorage"),
    "event_log_storage": ("pipeline_assets.defs.event_storage", "KeptSqliteEventLogStorage"),
}


class ChainFailedError(RuntimeError):
    """A run of a chain failed; the message names the step, the run and the reason."""


def prepare_home(data_root: str) -> Path:
    """Make the Dagster instance of a data root, or complete one whose making was killed; whole when it returns.

    Any number of first commands may do so at once. ``DAGSTER_HOME`` is set for this process and its children.

    Returns:
        The folder of the instance: ``DAGSTER_HOME``, or else ``dagster`` inside a local data root.

    Raises:
        ValueError: There is something that is no instance, and what to do about it.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or _default_home(data_root)).absolute()
    home.mkdir(parents=True, exist_ok=True)
    if _CONFIG.exists():
        _copy_config(_CONFIG.read_bytes(), home)
    os.environ["DAGSTER_HOME"] = str(home)
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    ref = InstanceRef.from_dir(str(home), overrides=_list_storages(home))
    with dg.DagsterInstance.from_ref(ref) as instance:
        instance.get_runs_count()
    return home


def _copy_config(content: bytes, home: Path) -> None:
    """Put the configuration into an instance that has none, at once and whole; a copy that was cut off is no one."""
    target = home / "dagster.yaml"
    if target.exists():
        found = target.read_bytes()
        if found == content or not content.startswith(found) or (home / "history").exists():
            return
    temporary = home / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    temporary.write_bytes(content)
    temporary.replace(target)


def _list_storages(home: Path) -> dict[str, Any]:
    """The storages that make their databases whole, where an older configuration leaves them to Dagster."""
    config = home / "dagster.yaml"
    try:
        told = yaml.safe_load(config.read_text()) if config.exists() else {}
    except yaml.YAMLError as error:
        raise ValueError(f"{config}: expected YAML, found: {error}; mend it, or remove it to get a new one") from error
    if "storage" in (told or {}):
        return {}
    return {
        name: {"module": module, "class": known, "config": {"base_dir": str(home)}}
        for name, (module, known) in _STORAGES.items()
        if name not in (told or {})
    }


def _default_home(data_root: str) -> Path:
    return Path(".dagster") if data_root.startswith("s3://") else Path(data_root, "dagster")


class Chains:
    """Runs parts of the daily and the weekly chain over a range of partitions, each part as one recorded run."""

    def __init__(self, definitions: "dg.Definitions", say: Callable[[str], None]) -> None:
        """Run the jobs of ``definitions`` on the instance of ``DAGSTER_HOME``; ``say`` hears of the progress."""
        self._definitions = definitions
        self._say = say

    def run_daily(self, groups: Sequence[str], first: date, last: date, without: Collection[date] = ()) -> None:
        """Materialize the daily assets of ``groups`` from ``first`` to ``last``, both inclusive, but some days."""
        days = [first + number * _DAY for number in range((last - first).days + 1)]
        for part in _list_stretches((day for day in days if day not in without), _DAY):
            self._run(Cadence.DAILY, groups, part, "days")

    def run_all(self, holds: Holds, first: date, last: date) -> None:
        """Both chains from landed files to decisions; a day that is held stops itself and no other.

        Models come before the releases: that of a day chooses among the models up to it.

        Raises:
            ChainFailedError: Something else failed.
        """
        held: set[date] = set()
        try:
            self.run_daily(_BEFORE_MODELS, first, last)
        except ChainFailedError:
            held = {day for day in holds.held_days(TRANSACTIONS.name) if first <= day <= last}
            if not held:
                raise
            self._say(f"held: {', '.join(map(str, sorted(held)))}; see: pipeline-assets holds list; the others go on")
            self.run_daily(("features",), first, last, without=held)
        self.run_weekly(first, last + _DAY)  # what is known by the end of a day makes the next day's model
        self.run_daily(_AFTER_MODELS, first, last, without=held)

    def run_weekly(self, first: date, last: date) -> None:
        """Materialize the models of the weeks that begin from ``first`` to ``last`` and are due."""
        assert self._definitions.resources is not None
        due = list_due_weeks(self.list_weeks(), self._definitions.resources["params"].retraining)
        # A run of a range makes every week of it: so only weeks that follow each other share one.
        for part in _list_stretches((week for week in due if first <= week <= last), _WEEK):
            self._run(Cadence.WEEKLY, _MODELS, part, "weeks")

    def list_weeks(self) -> list[date]:
        """The weeks that can have a model, in order, whether they are due or not."""
        partitions = self._definitions.resolve_job_def(Cadence.WEEKLY).partitions_def
        assert partitions is not None
        return [date.fromisoformat(key) for key in partitions.get_partition_keys()]

    def train(self, week: date) -> None:
        """Materialize the model of a week, due or not, with its training set, its references and its evaluation."""
        self.run_assets(Cadence.WEEKLY, self._list_assets(_MODELS), week, week)

    def take_snapshot(self) -> None:
        """Keep the data root as it is, as a run of its own.

        Raises:
            ChainFailedError: No remote took it.
        """
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            result = self._definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey("snapshot")],
                run_config=_tune_log(),
                raise_on_error=False,
            )
        if not result.success:
            raise ChainFailedError(_explain("snapshot", result))
        (event,) = result.asset_materializations_for_node("snapshot")
        told = {name: value.value for name, value in event.metadata.items()}
        self._say(
            f"snapshot {told['sequence']}: {told['files']} files, {told['new_objects']} new objects"
            + (f"; NOT replicated: {told['not_replicated']}" if told["not_replicated"] else "")
        )

    def run_assets(self, cadence: Cadence, assets: Sequence[str], first: date, last: date) -> None:
        """Materialize some assets of one cadence for a range of partitions, as a backfill.

        Where a daemon runs, it is launched there, as from the UI, and waited for; else it runs in this process.
        """
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            has_daemon = is_backfill_daemon_alive(instance)
        if not has_daemon:
            self._execute(cadence, assets, first, last, f"{', '.join(assets)}: {first} to {last}")
            return
        self._say(f"{', '.join(assets)}: {first} to {last}, by the daemon ...")
        job = self._definitions.resolve_job_def(cadence)
        assert job.partitions_def is not None
        keys = [key for key in job.partitions_def.get_partition_keys() if f"{first}" <= key <= f"{last}"]
        with dg.DagsterInstance.get() as instance:
            problem = run_backfill(instance, self._definitions.resolve_asset_graph(), assets, keys)
        if problem:
            raise ChainFailedError(problem)

    def _run(self, cadence: Cadence, groups: Sequence[str], part: Sequence[date], unit: str) -> None:
        title = f"{', '.join(groups)}: {len(part)} {unit} from {part[0]} to {part[-1]}"
        self._execute(cadence, self._list_assets(groups), part[0], part[-1], title)

    def _list_assets(self, groups: Sequence[str]) -> list[str]:
        import dagster as dg

        selected = dg.AssetSelection.groups(*groups).resolve(self._definitions.resolve_asset_graph())
        return [key.to_user_string() for key in sorted(selected)]

    def _execute(self, cadence: Cadence, assets: Sequence[str], first: date, last: date, title: str) -> None:
        import dagster as dg

        tags = {"dagster/asset_partition_range_start": f"{first}", "dagster/asset_partition_range_end": f"{last}"}
        if first == last:
            tags = {"dagster/partition": f"{first}"}
        started = time.monotonic()
        self._say(f"{title} ...")
        with dg.DagsterInstance.get() as instance:
            result = self._definitions.resolve_job_def(cadence).execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(asset) for asset in assets],
                tags=tags,
                run_config=_tune_log(),
                raise_on_error=False,
            )
        if not result.success:
            raise ChainFailedError(_explain(cadence, result))
        self._say(f"    done in {time.monotonic() - started:.1f} s")


def _tune_log() -> dict[str, Any]:
    """What Dagster's own log tells: nothing, for the message at the end says it; stacks, too, where somebody debugs."""
    return {"loggers": {"console": {"config": {"log_level": "ERROR" if is_debugging() else "CRITICAL"}}}}


def _list_stretches(days: Iterable[date], length: timedelta) -> Iterator[list[date]]:
    """Days, in order, in parts in which each comes ``length`` after the one before it."""
    # They come out as the same day after their place in the order is taken off.
    for _, group in groupby(enumerate(days), key=lambda one: one[1] - one[0] * length):
        yield [day for _, day in group]


def _explain(job_name: str, result: "dg.ExecuteInProcessResult") -> str:
    lines = [f"the {job_name} chain failed in run {result.run_id}; nothing after the failed step was made"]
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            cause = error.cause or error
            lines.append(f"  {event.step_key}: {describe_text(cause.message) or cause.message.strip()}")
    return "\n".join(lines)
