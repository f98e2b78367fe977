#!/usr/bin/env bash
# Expected: params.yaml means the same for DVC, which watches it, and for the training script,
#   which reads it with PyYAML.
#
# What happens: DVC reads YAML 1.2 and PyYAML YAML 1.1. `mcc: 0742` is 742 for DVC and 482 (octal)
#   for PyYAML, `country: NO` a text and False, `threshold: 1e-3` a number and a text, `cutoff:
#   22:30` a text and 1350 (to base sixty).
#
# Why it matters: a merchant category code, a country, a learning rate and a settlement time: the
#   parameters of a fraud model. `dvc params diff` and the experiment table show one value, the
#   run used another.
#
# Instead: put codes and times in quotes, write 1.0e-3, or read parameters with
#   dvc.api.params_show().
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check dvc==3.67.1 PyYAML==6.0.4
cd "$work"
DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$work/site" PATH="$work/venv/bin:$PATH" \
  "$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from pathlib import Path

import dvc.api
import yaml
from dvc.repo import Repo

print("dvc " + version("dvc"), "PyYAML " + version("PyYAML"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


lines = "mcc: 0742\ncountry: NO\nthreshold: 1e-3\ncutoff: 22:30\n"
careful = "mcc: '0742'\ncountry: 'NO'\nthreshold: 1.0e-3\ncutoff: '22:30'\n"
Repo.init(no_scm=True).close()


def read(text):
    Path("params.yaml").write_text(text)
    return dvc.api.params_show(), yaml.safe_load(text)


by_dvc, by_pyyaml = read(lines)
expected = {"mcc": 742, "country": "NO", "threshold": 0.001, "cutoff": "22:30"}
seen("dvc", by_dvc, expected)
expected = {"mcc": 482, "country": False, "threshold": "1e-3", "cutoff": 1350}
seen("PyYAML", by_pyyaml, expected)
by_dvc, by_pyyaml = read(careful)
seen("in quotes: the same", by_dvc == by_pyyaml, True)
PY
