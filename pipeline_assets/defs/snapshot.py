"""The asset ``snapshot``: everything is kept in the remotes after each chain, and on demand."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG

from pipeline_assets.adapters.dvc_workspace import commit_workspace, find_workspace
from pipeline_assets.adapters.log_heads import RELEASE_LOG
from pipeline_assets.adapters.replication import Taken
from pipeline_assets.adapters.revision import find_revision
from pipeline_assets.adapters.snapshots import Snapshots
from pipeline_assets.adapters.stages.metrics import refresh_metrics
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import DRIFT_REFERENCE, INTEGRITY, MODEL_EVALUATION, SERVICE_LEVELS
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.failures import AbsentInputError, BadDataError
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.lineage.snapshots import Snapshot
from pipeline_assets.defs.failures import RETRY, names_failures
from pipeline_assets.defs.origins import RESTORED_FROM
from pipeline_assets.defs.reporting import make_check_result
from pipeline_assets.defs.resources import OWNERS, AlertsResource, ParamsResource, StoresResource
from pipeline_assets.settings import Params, is_run_by_dvc

SNAPSHOT = "snapshot"
GROUP = "lineage"
_CHECK = "snapshot_is_replicated"
_ALERT = "snapshot/behind"


def build(snapshots: Snapshots, parameters: bytes, clock: Callable[[], datetime]) -> dg.Definitions:
    """The asset and its check; ``parameters`` are kept with each snapshot."""

    @dg.asset(
        name=SNAPSHOT,
        deps=[INTEGRITY.name, SERVICE_LEVELS.name, MODEL_EVALUATION.name, DRIFT_REFERENCE.name],  # to come last
        check_specs=[
            dg.AssetCheckSpec(_CHECK, asset=SNAPSHOT, description="Every remote has everything that was ever kept.")
        ],
        pool="snapshot",  # one writer; who comes by another way waits at the lock
        retry_policy=RETRY,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"dvc"},
        code_version="1",
        description="All bytes and what they were made from, kept under the run's id in DVC remotes.",
    )
    @names_failures({})  # it is made from no recipe
    def snapshot(
        context: dg.AssetExecutionContext, stores: StoresResource, params: ParamsResource, alerts: AlertsResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        heads = {RELEASE_LOG: stores.release_log.find_head()}
        taken = snapshots.take(context.run.run_id, find_revision(), parameters, clock(), heads)
        _tell(alerts, taken, clock())
        finding = judge_replication(taken)
        _refresh_metrics(stores, params)
        committed = "left to dvc repro" if is_run_by_dvc() else commit_workspace(stores.root)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(taken.snapshot.digest),
            metadata={
                "sequence": taken.snapshot.sequence,
                "files": taken.snapshot.n_files,
                "new_objects": taken.n_new,
                "revision": taken.snapshot.revision,
                "trees": dg.MetadataValue.json(dict(taken.snapshot.trees)),
                "not_replicated": dg.MetadataValue.json(taken.behind),
                "unsettled": dg.MetadataValue.json(taken.unsettled),
                "dvc": committed,
            },
            check_results=[make_check_result(finding, check_name=_CHECK)],
        )

    return dg.Definitions(assets=[snapshot])


def _refresh_metrics(stores: Stores, params: Params) -> None:
    """Write the metrics that DVC is to commit, where it declares them; what is damaged is told elsewhere."""
    if find_workspace(stores.root) is not None:
        with contextlib.suppress(BadDataError, AbsentInputError):
            refresh_metrics(stores, params.training, params.evaluation, params.rules)


def judge_replication(taken: Taken) -> Finding:
    """Whether each remote has all snapshots."""
    problems = [f"{remote} is behind: {why}" for remote, why in taken.behind.items()]
    if taken.lost:
        problems.append(f"of snapshots {taken.lost} some bytes are in no remote any more")
    return Finding(
        passed=not problems,
        level=Level.WARN,
        explanation="; ".join(problems) or f"snapshot {taken.snapshot.sequence} and all before it are in every remote",
        facts={"remotes_behind": len(taken.behind), "snapshots_lost": len(taken.lost)},
    )


def record_restoration(
    instance: dg.DagsterInstance, stores: Stores, written: Iterable[str], origin: Snapshot
) -> list[Key]:
    """Record each partition that has bytes of a snapshot again as a materialization that says where they come from."""
    restored = []
    for asset, day in sorted({key for path in written if (key := _find_key(path))}):
        record = stores.records.find(Key(asset, day))
        if record is None:
            continue
        restored.append(record.key)
        stores.damage.strike(record.key)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset,
                partition=day.isoformat(),
                description=f"restored from snapshot {origin.sequence}",
                metadata={
                    "md5": record.md5,
                    RESTORED_FROM: origin.sequence,
                    "snapshot_taken_at": dg.MetadataValue.timestamp(origin.taken_at),
                    "snapshot_run": origin.run_id,
                    "revision": origin.revision,
                },
                tags={DATA_VERSION_TAG: record.md5, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"},
            )
        )
    return restored


def _find_key(path: str) -> Key | None:
    """The partition whose record it is; what else belongs to a partition is restored with its record or without."""
    folder, _, name = path.removesuffix(".json").replace("/date=", "/").partition("/")
    parts = name.split("/")
    try:
        return Key(parts[0], date.fromisoformat(parts[1])) if folder in ("records", "lake", "models") else None
    except (IndexError, ValueError):
        return None


def _tell(alerts: AlertsResource, taken: Taken, now: datetime) -> None:
    finding = judge_replication(taken)
    if finding.passed:
        alerts.resolve(_ALERT, "every remote has everything again", now)
        return
    step = "look at the remote; the next snapshot brings it what it lacks"
    alerts.open(Alert(_ALERT, finding.explanation, ", ".join(taken.behind) or "remotes", now, step, Level.WARN), now)
