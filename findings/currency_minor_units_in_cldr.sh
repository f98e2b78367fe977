#!/usr/bin/env bash
# Expected: the number of decimal places of a currency in Babel is the number of minor units of
#   ISO 4217, on which card messages (ISO 8583) are built.
#
# What happens: Babel has CLDR's figures, which say what people write in shops. For HUF, IDR, COP,
#   LBP, IRR and others CLDR has 0 and ISO 2; for IQD 0 and ISO 3; ISO has none for gold (XAU),
#   CLDR 2. JPY, KWD and CLF agree, so a test with the well-known ones passes.
#
# Why it matters: an amount in minor units read with these places is a hundred times (IQD a
#   thousand times) off. A card payment of 5,000.00 HUF becomes 500,000 HUF, far above any limit,
#   and the other way round a large one slips under it.
#
# Instead: take minor units from ISO 4217's own table (the iso4217 package follows it), and CLDR
#   only for display.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check babel==2.19.0 iso4217==1.16.20260101
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from babel.numbers import get_currency_precision
from iso4217 import Currency

print("babel " + version("babel"), "iso4217 " + version("iso4217"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


for code, cldr, iso in (
    ("HUF", 0, 2),
    ("IDR", 0, 2),
    ("COP", 0, 2),
    ("LBP", 0, 2),
    ("IRR", 0, 2),
    ("IQD", 0, 3),
    ("XAU", 2, None),
    ("EUR", 2, 2),
    ("JPY", 0, 0),
    ("KWD", 3, 3),
    ("CLF", 4, 4),
):
    seen(f"{code}, babel", get_currency_precision(code), cldr)
    seen(f"{code}, iso4217", Currency(code).exponent, iso)
minor = 500_000  # as in field 4 of a card message
seen("500000 minor units of HUF, by babel", minor / 10 ** get_currency_precision("HUF"), 500_000.0)
seen("500000 minor units of HUF, by ISO", minor / 10 ** Currency("HUF").exponent, 5_000.0)
PY
