#!/usr/bin/env bash
# Expected: CatBoost's PRAUC and scikit-learn's average precision are both the area under the
#   curve of precision and recall, and differ in the third place.
#
# What happens: with tied scores they differ eightfold. A model that gives two scores to payments
#   of which 2 % are fraud has an average precision of 0.05; CatBoost says 0.41. It draws a
#   straight line over the ties, which no threshold can reach.
#
# Why it matters: CatBoost uses PRAUC for early stopping and for the choice of the best iteration.
#   The coarsest model (few leaves, many ties) looks best, and its figure is not comparable with
#   those of LightGBM or scikit-learn in the same report.
#
# Instead: select by average_precision_score on the predictions, or use it as a custom metric of
#   CatBoost.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  catboost==1.2.10 scikit-learn==1.9.1 numpy==2.4.6 pandas==3.1.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from catboost import CatBoostClassifier
from sklearn.metrics import average_precision_score

print(*(f"{p} {version(p)}" for p in ("catboost", "scikit-learn", "numpy", "pandas")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


fraud = np.array([1] * 40 + [0] * 1960)
feature = np.array([1] * 30 + [0] * 10 + [1] * 490 + [0] * 1470, dtype=float).reshape(-1, 1)
model = CatBoostClassifier(
    iterations=5,
    eval_metric="PRAUC",
    random_seed=0,
    thread_count=1,
    verbose=False,
    allow_writing_files=False,
)
model.fit(feature, fraud, eval_set=(feature, fraud))
scores = model.predict_proba(feature)[:, 1]
seen("different scores", len(set(scores.tolist())), 2)
seen("share of fraud", float(fraud.mean()), 0.02)
precise = round(float(average_precision_score(fraud, scores)), 3)
seen("average precision by scikit-learn", precise, 0.048)
told = round(model.get_evals_result()["validation"]["PRAUC"][-1], 3)
seen("PRAUC by catboost", told, 0.406)
PY
