#!/usr/bin/env bash
# Expected: NaN in a nullable column either fails each bound, being no number, or passes each,
#   being missing; in pandas and in polars alike.
#
# What happens: on polars NaN passes ge, gt and notin and fails le, lt, in_range and isin, for
#   polars orders NaN above every number; on pandas it passes them all, for pandas drops it as
#   missing before the check.
#
# Why it matters: a lower bound alone (`amount >= 0`) is the usual check of an amount, and it lets
#   through the result of a failed division, which then makes each mean NaN. An added upper bound
#   changes this by accident.
#
# Instead: add a check of its own on polars: `~pl.col(x).is_nan()`, or turn NaN into null before
#   validation and decide with nullable.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  'pandera[polars,pandas]==0.35.0' polars==2.1.0 pandas==3.1.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd
import pandera.pandas as for_pandas
import pandera.polars as for_polars
import polars as pl

print(*(f"{p} {version(p)}" for p in ("pandera", "polars", "pandas", "numpy")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


def passes(check):
    schemas = (
        (for_pandas.DataFrameSchema({"x": for_pandas.Column(float, check, nullable=True)}), pd.DataFrame),
        (for_polars.DataFrameSchema({"x": for_polars.Column(pl.Float64, check, nullable=True)}), pl.DataFrame),
    )
    answers = {}
    for name, (schema, frame) in zip(("pandas", "polars"), schemas):
        try:
            schema.validate(frame({"x": [float("nan")]}))
            answers[name] = True
        except (for_pandas.errors.SchemaError, for_polars.errors.SchemaError):
            answers[name] = False
    return answers


Check = for_pandas.Check
for name, check, by_polars in (
    ("ge(0)", Check.ge(0), True),
    ("gt(0)", Check.gt(0), True),
    ("notin([5])", Check.notin([5.0]), True),
    ("le(10)", Check.le(10), False),
    ("lt(10)", Check.lt(10), False),
    ("in_range(0, 10)", Check.in_range(0, 10), False),
    ("isin([5])", Check.isin([5.0]), False),
):
    seen(f"NaN passes {name}", passes(check), {"pandas": True, "polars": by_polars})
schema = for_polars.DataFrameSchema(
    {"x": for_polars.Column(pl.Float64, for_polars.Check(lambda d: d.lazyframe.select(~pl.col(d.key).is_nan())))}
)
try:
    schema.validate(pl.DataFrame({"x": [float("nan")]}))
    outcome = "passes"
except for_polars.errors.SchemaError:
    outcome = "refused"
seen("NaN with a check of its own", outcome, "refused")
PY
