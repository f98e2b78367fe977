#!/usr/bin/env bash
# Expected: a run over a range of partitions whose first key comes after its last is refused, or
#   reads the range the other way round.
#
# What happens: the range is empty and the run succeeds with nothing done. A range of dynamic
#   partitions is in the order in which the keys were added, not in the order of the keys, so a
#   range that looks forwards can be backwards.
#
# Why it matters: a backfill of late batches by key ('from batch-07 to batch-09') reports success
#   and has loaded nothing, when batch-09 arrived before batch-07.
#
# Instead: compare context.partition_keys with what was asked for, and fail when it is empty.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check dagster==1.13.27
cd "$work"
DAGSTER_DISABLE_TELEMETRY=yes "$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import dagster as dg

print("dagster " + version("dagster"))


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


batches = dg.DynamicPartitionsDefinition(name="batches")
loaded = []


@dg.asset(partitions_def=batches, backfill_policy=dg.BackfillPolicy.single_run())
def payments(context: dg.AssetExecutionContext) -> None:
    loaded.extend(context.partition_keys)


def run(first, last):
    loaded.clear()
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    result = dg.materialize([payments], instance=instance, tags=tags)
    return result.success, list(loaded)


with dg.DagsterInstance.ephemeral() as instance:
    instance.add_dynamic_partitions("batches", ["batch-09", "batch-07", "batch-08"])
    seen("batch-09 to batch-08", run("batch-09", "batch-08"), (True, ["batch-09", "batch-07", "batch-08"]))
    seen("batch-07 to batch-09", run("batch-07", "batch-09"), (True, []))
PY
