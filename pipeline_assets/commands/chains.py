"""Running the daily and the weekly chain in this process, on the persistent Dagster instance of a data root."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_assets.adapters.holds import Holds
from pipeline_assets.commands.backfills import is_backfill_daemon_alive, run_backfill
from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Cadence

if TYPE_CHECKING:
    import dagster as dg

_CONFIG: Final = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


class ChainFailedError(RuntimeError):
    """A run of a chain failed; the message names the step, the run and the reason."""


def prepare_home(data_root: str) -> Path:
    """The folder of the Dagster instance: ``DAGSTER_HOME``, or else ``dagster`` inside a local data root.

    The instance is made here, by one process, before a web server and a daemon open it together: SQLite's tables
    must not be created twice at once.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or _default_home(data_root)).absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists() and _CONFIG.exists():
        shutil.copyfile(_CONFIG, home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
    return home


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
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        wanted = list(enumerate(day for day in days if day not in without))
        for _, group in groupby(wanted, key=lambda one: one[1] - timedelta(days=one[0])):
            part = [day for _, day in group]
            self._run("daily", groups, part[0], part[-1], "days", len(part))

    def run_all(self, holds: Holds, first: date, last: date) -> None:
        """Both chains from landed files to decisions; a day that is held stops itself and no other.

        Raises:
            ChainFailedError: Something else failed.
        """
        held: set[date] = set()
        try:
            self.run_daily(("ingestion", "features"), first, last)
        except ChainFailedError:
            held = {day for day in holds.held_days(TRANSACTIONS.name) if first <= day <= last}
            if not held:
                raise
            self._say(f"held: {', '.join(map(str, sorted(held)))}; see: pipeline-assets holds list; the others go on")
            self.run_daily(("features",), first, last, without=held)
        self.run_weekly(first, last + timedelta(days=1))  # what is known by the end of a day makes the next day's model
        self.run_daily(("scoring", "monitoring", "lineage"), first, last, without=held)

    def run_weekly(self, first: date, last: date) -> None:
        """Materialize the models and releases of the weeks that begin from ``first`` to ``last``."""
        keys = self._definitions.resolve_job_def("weekly").partitions_def
        assert keys is not None
        weeks = [date.fromisoformat(key) for key in keys.get_partition_keys()]
        due = [week for week in weeks if first <= week <= last]
        if due:
            self._run("weekly", ("models", "release"), due[0], due[-1], "weeks", len(due))

    def take_snapshot(self) -> None:
        """Keep the data root as it is, as a run of its own.

        Raises:
            ChainFailedError: No remote took it.
        """
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            result = self._definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey("snapshot")], run_config=_QUIET, raise_on_error=False
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

    def _run(self, job_name: str, groups: Sequence[str], first: date, last: date, unit: str, count: int) -> None:
        import dagster as dg

        selected = dg.AssetSelection.groups(*groups).resolve(self._definitions.resolve_asset_graph())
        assets = [key.to_user_string() for key in sorted(selected)]
        title = f"{', '.join(groups)}: {count} {unit} from {first} to {last}"
        self._execute(Cadence(job_name), assets, first, last, title)

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
                run_config=_QUIET,
                raise_on_error=False,
            )
        if not result.success:
            raise ChainFailedError(_explain(cadence, result))
        self._say(f"    done in {time.monotonic() - started:.1f} s")


def _explain(job_name: str, result: "dg.ExecuteInProcessResult") -> str:
    lines = [f"the {job_name} chain failed in run {result.run_id}; nothing after the failed step was made"]
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            cause = error.cause or error
            lines.append(f"  {event.step_key}: {cause.message.strip()}")
    return "\n".join(lines)
