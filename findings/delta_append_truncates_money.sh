#!/usr/bin/env bash
# Expected: Delta Lake enforces the schema of a table: an append whose column has another type is
#   refused, or widens the column when schema_mode='merge' is asked for.
#
# What happens: delta-rs casts on append. Amounts of 1.6 (double) or 1.65 (decimal) appended to a
#   BIGINT column are stored as 1, text '7' as 7, with no error, and schema_mode='merge' does the
#   same. A decimal of another scale, the one case that could be harmless, is refused.
#
# Why it matters: a feed that changes from minor units to major units (from 165 to 1.65) is the
#   change that schema enforcement is bought for. Here the cents are gone from the stored data,
#   and the table still looks well typed.
#
# Instead: compare the frame's schema with DeltaTable(...).schema() before each append and refuse
#   any difference.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check deltalake==1.6.6 pyarrow==25.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from decimal import Decimal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

print("deltalake " + version("deltalake"), "pyarrow " + version("pyarrow"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


def append(name, first, then, **options):
    write_deltalake(name, pa.table({"amount": first}))
    try:
        write_deltalake(name, pa.table({"amount": then}), mode="append", **options)
    except Exception as error:
        return type(error).__name__
    return sorted(DeltaTable(name).to_pyarrow_table()["amount"].to_pylist())


whole = pa.array([100], pa.int64())
seen("double to BIGINT", append("a", whole, pa.array([1.6])), [1, 100])
seen("decimal to BIGINT", append("b", whole, pa.array([Decimal("1.65")])), [1, 100])
seen("text to BIGINT", append("c", whole, pa.array(["7"])), [7, 100])
merged = append("d", whole, pa.array([1.6]), schema_mode="merge")
seen("double to BIGINT, schema_mode='merge'", merged, [1, 100])
cents = pa.array([Decimal("1.00")], pa.decimal128(10, 2))
mills = pa.array([Decimal("2.000")], pa.decimal128(10, 3))
seen("decimal(10,3) to decimal(10,2)", append("e", cents, mills), "SchemaMismatchError")
same = pa.schema(DeltaTable("a").schema()).field("amount").type == pa.float64()
seen("a comparison of schemas would have refused", not same, True)
PY
