#!/usr/bin/env bash
# Expected: a LightGBM model converted by onnxmltools scores like the original, up to the seventh
#   place of a float.
#
# What happens: not in two cases. The converted model computes in float32, also when its input is
#   declared int64, so whole numbers above 2^24 fall together: 16,777,216 and 16,777,217 minor
#   units get one score where LightGBM has two. And a model trained with zero_as_missing=true
#   gives zero another score after the conversion, here 0.18 instead of 0.82, without a warning.
#
# Why it matters: 167,772.16 in a currency with cents is a normal business payment, and a limit
#   just there is a normal rule. 'Zero means not known' is common for counters of new cards. Both
#   pass a comparison on typical rows.
#
# Instead: feed large amounts as logarithms or in major units, train with NaN for missing values,
#   and compare both models on edge values before release.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  lightgbm==4.7.0 onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 \
  numpy==2.4.6 scipy==1.17.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import lightgbm as lgb
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

print(*(f"{p} {version(p)}" for p in ("lightgbm", "onnxmltools", "skl2onnx", "onnx", "onnxruntime", "numpy", "scipy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


onnxruntime.set_default_logger_severity(3)
base = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 1, "num_threads": 1, "seed": 0}


def both(model, rows):
    kind = [("x", FloatTensorType([None, rows.shape[1]]))]
    graph = onnxmltools.convert_lightgbm(model, initial_types=kind, zipmap=False)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    scores = session.run(None, {"x": rows.astype(np.float32)})[1][:, 1]
    return model.predict(rows).round(3).tolist(), [round(float(score), 3) for score in scores]


amounts = np.array([[16_777_216.0], [16_777_217.0]])
model = lgb.train(base, lgb.Dataset(np.tile(amounts, (50, 1)), np.tile([0, 1], 50)), 20)
seen("2^24 and 2^24 + 1: lightgbm, onnx", both(model, amounts), ([0.066, 0.934], [0.066, 0.066]))

# 0 stands for "not known" here, and is as risky as 3
known = np.array([0.0, 1.0, 2.0, 3.0]).reshape(-1, 1)
data, target = np.repeat(known, 100, axis=0), np.repeat([1, 0, 0, 1], 100)
rows = np.array([[0.0], [np.nan], [1.0], [3.0]])
for missing, in_onnx in ((True, [0.179, 0.821, 0.179, 0.821]), (False, [0.821, 0.821, 0.179, 0.821])):
    options = {**base, "zero_as_missing": missing, "min_data_in_leaf": 5}
    scores = both(lgb.train(options, lgb.Dataset(data, target), 10), rows)
    seen(f"zero_as_missing={missing}: lightgbm", scores[0], [0.821, 0.821, 0.179, 0.821])
    seen(f"zero_as_missing={missing}: onnx", scores[1], in_onnx)
PY
