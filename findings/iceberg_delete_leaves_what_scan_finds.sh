#!/usr/bin/env bash
# Expected: in PyIceberg `table.delete(f)` removes the rows that `table.scan(f)` finds.
#
# What happens: a row with NaN is found by the scan `amount != 1` and is still there after the
#   delete `amount != 1`. Only `amount is nan` deletes it. And a file that holds nothing but 1,
#   NaN and null is skipped by its statistics: there the same scan finds no row at all.
#
# Why it matters: corrections and erasure requests are done as delete-by-filter and checked by the
#   count of the scan before it. The count promises rows that stay, and the NaN rows survive each
#   correction of the table.
#
# Instead: add `or amount is nan` to a negative filter on a float column, and count the whole
#   table after the delete.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  'pyiceberg[sql-sqlite,pyarrow]==0.12.0' pyarrow==25.0.1
cd "$work"
PYICEBERG_HOME="$work" "$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import warnings

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

print("pyiceberg " + version("pyiceberg"), "pyarrow " + version("pyarrow"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


warnings.simplefilter("ignore")
catalog = SqlCatalog("c", uri="sqlite:///catalog.db", warehouse="warehouse")
catalog.create_namespace("pay")


def scan_then_delete(amounts, condition):
    data = pa.table({"id": list(range(1, len(amounts) + 1)), "amount": amounts})
    table = catalog.create_table("pay.t", schema=data.schema)
    table.append(data)
    found = table.scan(row_filter=condition).to_arrow()["id"].to_pylist()
    table.delete(condition)
    left = table.scan().to_arrow()["id"].to_pylist()
    catalog.drop_table("pay.t")
    return {"found": found, "left": left}


nan = float("nan")
outcome = scan_then_delete([1.0, nan, 9.0], "amount != 1")
seen("amount != 1", outcome, {"found": [2, 3], "left": [1, 2]})
outcome = scan_then_delete([1.0, nan, 9.0], "amount != 1 or amount is nan")
seen("amount != 1 or amount is nan", outcome, {"found": [2, 3], "left": [1]})
outcome = scan_then_delete([1.0, nan, None], "amount != 1")
seen("the same without the 9", outcome, {"found": [], "left": [1, 2, 3]})
PY
