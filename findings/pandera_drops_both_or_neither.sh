#!/usr/bin/env bash
# Expected: drop_invalid_rows=True removes what fails the schema and keeps the rest: of a repeated
#   transaction id it keeps one row, and whatever it returns satisfies the schema.
#
# What happens: with unique=True on the column all rows of a repeated id are dropped, the first
#   included. With unique=['id'] on the whole schema none is dropped: the frame with the repeated
#   id comes back as validated.
#
# Why it matters: the two spellings are taken for the same. The first loses real payments with
#   each repeated message; the second lets every repetition into the totals. Neither says how many
#   rows it concerned.
#
# Instead: make the rows unique yourself before validation, and count them; validate without
#   drop_invalid_rows.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pandera[polars]==0.35.0' polars==2.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pandera.polars as pa
import polars as pl

print("pandera " + version("pandera"), "polars " + version("polars"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


frame = pl.DataFrame({"id": [1, 1, 2]})
column = pa.DataFrameSchema({"id": pa.Column(pl.Int64, unique=True)}, drop_invalid_rows=True)
seen("Column(unique=True)", column.validate(frame, lazy=True)["id"].to_list(), [2])
joint = pa.DataFrameSchema({"id": pa.Column(pl.Int64)}, unique=["id"], drop_invalid_rows=True)
kept = joint.validate(frame, lazy=True)
seen("DataFrameSchema(unique=['id'])", kept["id"].to_list(), [1, 1, 2])

strict = pa.DataFrameSchema({"id": pa.Column(pl.Int64)}, unique=["id"])
try:
    strict.validate(kept)
    outcome = "valid"
except pa.errors.SchemaError:
    outcome = "refused"
seen("the same schema without dropping, on that result", outcome, "refused")
first = frame.unique("id", keep="first", maintain_order=True)
seen("made unique first", strict.validate(first)["id"].to_list(), [1, 2])
PY
