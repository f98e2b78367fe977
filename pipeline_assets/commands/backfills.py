"""Backfills by the daemon of the instance, as the UI launches them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

_DAEMON: Final = "BACKFILL"
_POLL_SECONDS: Final = 2


def is_backfill_daemon_alive(instance: "dg.DagsterInstance") -> bool:
    """Whether a daemon that runs backfills has shown itself lately."""
    from dagster._daemon.controller import get_daemon_statuses

    return bool(get_daemon_statuses(instance, [_DAEMON], ignore_errors=True)[_DAEMON].healthy)


def run_backfill(
    instance: "dg.DagsterInstance", graph: "AssetGraph", assets: Sequence[str], keys: Sequence[str]
) -> str | None:
    """Launch a backfill of some partitions of assets and wait for its end; what went wrong, None where nothing did."""
    import dagster as dg
    from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionStatus, PartitionBackfill
    from dagster._core.utils import make_new_backfill_id

    backfill_id = make_new_backfill_id()
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id=backfill_id,
            asset_graph=graph,
            partition_names=keys,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title="heal",
            description=f"{', '.join(assets)} for {len(keys)} partitions, by the healing plan",
            run_config=None,
        )
    )
    while True:
        time.sleep(_POLL_SECONDS)
        backfill = instance.get_backfill(backfill_id)
        assert backfill is not None
        if backfill.status is BulkActionStatus.COMPLETED_SUCCESS:
            return None
        if backfill.status in BULK_ACTION_TERMINAL_STATUSES:
            return f"backfill {backfill_id} of {', '.join(assets)} ended as {backfill.status.value}; see it in the UI"
