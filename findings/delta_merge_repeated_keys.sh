#!/usr/bin/env bash
# Expected: a MERGE by transaction id (update when matched, insert when not) is idempotent: a
#   batch that holds the same id twice gives one row, or is refused.
#
# What happens: it depends on whether the id is new. An id that the table has already is refused
#   ('multiple source rows'). A new id that is twice in the batch is inserted twice, and every
#   null id is inserted again by every repetition of the batch. The next MERGE with that id then
#   updates both rows.
#
# Why it matters: at-least-once delivery repeats messages within a batch, mostly of new
#   transactions. This is the usual recipe for deduplication; it counts those payments twice, in a
#   table whose key everyone believes to be unique.
#
# Instead: reduce the source to one row for each key, and refuse null keys, before the MERGE.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check deltalake==1.6.6 pyarrow==25.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

print("deltalake " + version("deltalake"), "pyarrow " + version("pyarrow"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


write_deltalake("pay", pa.table({"id": [1], "amount": [100]}))


def merge(ids, amounts):
    source = pa.table({"id": pa.array(ids, pa.int64()), "amount": amounts})
    merge = DeltaTable("pay").merge(source, "t.id = s.id", source_alias="s", target_alias="t")
    try:
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    except Exception as error:
        return type(error).__name__
    rows = DeltaTable("pay").to_pyarrow_table().to_pylist()
    return sorted((str(row["id"]), row["amount"]) for row in rows)


seen("known id twice in the batch", merge([1, 1], [101, 102]), "DeltaError")
seen("new id twice in the batch", merge([9, 9], [50, 50]), [("1", 100), ("9", 50), ("9", 50)])
seen("the same id once more", merge([9], [60]), [("1", 100), ("9", 60), ("9", 60)])
merge([None], [7])
seen(
    "a null id, batch repeated",
    merge([None], [7]),
    [("1", 100), ("9", 60), ("9", 60), ("None", 7), ("None", 7)],
)
PY
