#!/usr/bin/env bash
# Expected: Check.str_matches means the same for a pandas and a polars frame, as one schema in two
#   engines is what pandera offers.
#
# What happens: for pandas the pattern is matched from the start of the text. For polars a '^' is
#   put before the pattern, and binds to the first alternative only: 'DE|FR' also accepts 'XFR',
#   which pandas refuses. A '$' at the end accepts a trailing line feed in pandas and not in
#   polars.
#
# Why it matters: lists of countries, card schemes or codes are written with '|'. After the move
#   from pandas to polars the check passes texts that it was written to refuse, and every test
#   with valid data stays green.
#
# Instead: bracket the pattern and close it, `^(?:DE|FR)$`, or use Check.isin for a list.
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


def accepts(pattern, text):
    check = for_pandas.Check.str_matches(pattern)
    schemas = (
        (for_pandas.DataFrameSchema({"c": for_pandas.Column(str, check)}), pd.DataFrame),
        (for_polars.DataFrameSchema({"c": for_polars.Column(pl.String, check)}), pl.DataFrame),
    )
    answers = []
    for schema, frame in schemas:
        try:
            schema.validate(frame({"c": [text]}))
            answers.append(True)
        except (for_pandas.errors.SchemaError, for_polars.errors.SchemaError):
            answers.append(False)
    return dict(zip(("pandas", "polars"), answers))


seen("DE|FR on FR", accepts("DE|FR", "FR"), {"pandas": True, "polars": True})
seen("DE|FR on XFR", accepts("DE|FR", "XFR"), {"pandas": False, "polars": True})
seen("FR|DE on XFR", accepts("FR|DE", "XFR"), {"pandas": False, "polars": False})
seen("[0-9]+$ on 12 and a line feed", accepts("[0-9]+$", "12\n"), {"pandas": True, "polars": False})
for text, right in (("FR", True), ("XFR", False), ("FRX", False)):
    answer = accepts("^(?:DE|FR)$", text)
    seen(f"^(?:DE|FR)$ on {text}", answer, {"pandas": right, "polars": right})
PY
