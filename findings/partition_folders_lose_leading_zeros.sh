#!/usr/bin/env bash
# Expected: the value of a partition folder such as mcc=0742 comes back as it was written, the
#   text 0742; and where the column is also in the file, all readers prefer the same one.
#
# What happens: pyarrow, pandas, polars and Daft read the number 742; DuckDB keeps the text (a
#   number without a leading zero it reads as BIGINT). When a file in d=2 has a column d with 1,
#   polars and DuckDB say 2, Daft says 1, and pyarrow refuses.
#
# Why it matters: merchant category codes, bank codes and ids have leading zeros. A join with the
#   code list finds nothing for 0742 and something for 5411, so only some categories lose their
#   risk. And a folder copied to repair a day has another date for each reader.
#
# Instead: declare the type of each partition column, and leave the column out of the files.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  pyarrow==25.0.1 polars==2.1.0 duckdb==2.0.1 daft==0.7.26 pandas==3.1.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from pathlib import Path

import daft
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("pyarrow", "polars", "duckdb", "daft", "pandas", "numpy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


for folder, table in (
    ("mcc/mcc=0742", {"id": [1]}),
    ("mcc/mcc=5411", {"id": [2]}),
    ("both/d=2", {"id": [1], "d": [1]}),
):
    Path(folder).mkdir(parents=True)
    pq.write_table(pa.table(table), f"{folder}/part.parquet")
files, both = "mcc/*/*.parquet", "both/*/*.parquet"

seen("pyarrow", ds.dataset("mcc", partitioning="hive").to_table()["mcc"].to_pylist(), [742, 5411])
seen("pandas", [int(code) for code in pd.read_parquet("mcc")["mcc"]], [742, 5411])
seen("polars", pl.read_parquet(files, hive_partitioning=True)["mcc"].to_list(), [742, 5411])
seen("daft", daft.read_parquet(files, hive_partitioning=True).sort("id").to_pydict()["mcc"], [742, 5411])
query = "SELECT mcc FROM read_parquet('{}', hive_partitioning = true) ORDER BY id"
seen("duckdb", duckdb.sql(query.format(files)).fetchall(), [("0742",), ("5411",)])
codes = pl.read_parquet(files, hive_partitioning=True, hive_schema={"mcc": pl.String})["mcc"]
seen("polars, declared", codes.to_list(), ["0742", "5411"])
declared = ds.partitioning(pa.schema([("mcc", pa.string())]), flavor="hive")
codes = ds.dataset("mcc", partitioning=declared).to_table()["mcc"].to_pylist()
seen("pyarrow, declared", codes, ["0742", "5411"])

seen("both: polars", pl.read_parquet(both, hive_partitioning=True)["d"].to_list(), [2])
query = f"SELECT d FROM read_parquet('{both}', hive_partitioning = true)"
seen("both: duckdb", duckdb.sql(query).fetchall(), [(2,)])
seen("both: daft", daft.read_parquet(both, hive_partitioning=True).to_pydict()["d"], [1])
try:
    ds.dataset("both", partitioning="hive")
    outcome = "no error"
except pa.ArrowTypeError:
    outcome = "ArrowTypeError"
seen("both: pyarrow", outcome, "ArrowTypeError")
PY
