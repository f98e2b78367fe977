#!/usr/bin/env bash
# Expected: compiling a function with numba.njit changes its speed, not its result: np.mean of a
#   float32 column stays right to six places.
#
# What happens: numpy sums in pairs; numba sums one after the other in float32. For twenty million
#   values of 0.1 the mean is 0.1049 instead of 0.1, and the sum 2,097,152 instead of 2,000,000:
#   from 2^21 on, adding 0.1 no longer changes the total.
#
# Why it matters: frames hold amounts and scores as float32 to save memory, and the loop over them
#   is what one compiles. The mean amount is five percent too high with nothing to show it, and
#   only on data of full size.
#
# Instead: pass dtype=np.float64 (in numba: add up in a float64 variable), or convert the column
#   first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from numba import njit

print("numba " + version("numba"), "numpy " + version("numpy"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


@njit
def mean_and_sum(values):
    return np.mean(values), np.sum(values)


@njit
def careful_mean(values):
    total = 0.0  # float64
    for value in values:
        total += value
    return total / len(values)


values = np.full(20_000_000, 0.1, dtype=np.float32)
seen("numpy, mean", round(float(values.mean()), 6), 0.1)
mean, total = mean_and_sum(values)
seen("numba, mean", round(float(mean), 6), 0.104858)
seen("numba, sum", float(total), 2_097_152.0)
seen("numba, mean added up in float64", round(careful_mean(values), 6), 0.1)
PY
