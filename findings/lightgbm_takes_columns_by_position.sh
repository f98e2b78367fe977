#!/usr/bin/env bash
# Expected: a LightGBM model, which stores the names of its features, finds them by name in a
#   frame, or refuses a frame in another order when validate_features=True.
#
# What happens: the columns count by position. validate_features=True refuses a pandas frame in
#   another order; for a polars frame or an Arrow table it checks nothing, and the scores are off
#   by up to 0.87.
#
# Why it matters: features come from a query or a join that may order its columns anew after a
#   harmless change. Each score stays between 0 and 1, so nothing shows it but the fraud that
#   passes.
#
# Instead: select the columns by the model's own list before each prediction:
#   `frame.select(model.feature_name())`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  lightgbm==4.7.0 polars==2.1.0 pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6 scipy==1.17.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

print(*(f"{p} {version(p)}" for p in ("lightgbm", "polars", "pyarrow", "pandas", "numpy", "scipy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


rng = np.random.default_rng(0)
data = pd.DataFrame({"amount": rng.lognormal(3, 1, 500), "hour": rng.integers(0, 24, 500) * 1.0})
target = (data["amount"] > 30).astype(int)
options = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 0}
model = lgb.train(options, lgb.Dataset(data, target), 20)
right = model.predict(data)
turned = data[["hour", "amount"]]


def worst(frame):
    try:
        scores = model.predict(frame, validate_features=True)
    except lgb.basic.LightGBMError:
        return "refused"
    return "off by more than 0.8" if np.abs(scores - right).max() > 0.8 else "right"


seen("names in the model", model.feature_name(), ["amount", "hour"])
seen("pandas, turned", worst(turned), "refused")
seen("polars, turned", worst(pl.from_pandas(turned)), "off by more than 0.8")
seen("arrow, turned", worst(pa.Table.from_pandas(turned, preserve_index=False)), "off by more than 0.8")
frame = pl.from_pandas(turned).select(model.feature_name())
seen("polars, selected by the model's names", worst(frame), "right")
PY
