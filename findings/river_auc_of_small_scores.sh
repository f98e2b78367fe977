#!/usr/bin/env bash
# Expected: river's ROCAUC is an approximation: on scores that separate fraud perfectly it is near
#   1, perhaps 0.98.
#
# What happens: it is 0.5. The metric counts on ten fixed thresholds from 0 to 1; when all scores
#   lie below the first step, as fraud probabilities of a rare event do, they are all alike to it.
#   With n_thresholds=100 it is 1.0; RollingROCAUC is exact.
#
# Why it matters: a monitor of an online model shows 'no better than chance' for a perfect model
#   and cannot fall when it breaks. It looks like a drift alarm, or, compared with the same metric
#   of another model, like a draw.
#
# Instead: use metrics.RollingROCAUC, or many thresholds, or feed the metric with ranks of the
#   scores instead of probabilities.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check river==0.26.1 scikit-learn==1.9.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from river import metrics
from sklearn.metrics import roc_auc_score

print(*(f"{p} {version(p)}" for p in ("river", "scikit-learn", "numpy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


payments = [(True, 0.04), (True, 0.03), (False, 0.01), (False, 0.02)] * 50


def auc(metric):
    for fraud, score in payments:
        metric.update(fraud, score)
    return float(metric.get())


truth, scores = zip(*payments)
seen("scikit-learn", float(roc_auc_score(truth, scores)), 1.0)
seen("river ROCAUC()", auc(metrics.ROCAUC()), 0.5)
seen("river ROCAUC(n_thresholds=100)", auc(metrics.ROCAUC(n_thresholds=100)), 1.0)
seen("river RollingROCAUC", auc(metrics.RollingROCAUC(window_size=200)), 1.0)
PY
