#!/usr/bin/env bash
# Expected: Babel's parse_decimal refuses a number that is not written as the locale writes it:
#   '1.50' is no German number.
#
# What happens: the grouping sign is dropped wherever it stands. In `de` the text '1.50' is 150,
#   in `en_US` '12,34' is 1234 and in `fr` a text with plain spaces is read as well. With
#   strict=True these are refused; yet '1.234' in `de` stays 1234 in both modes, which is right
#   for the locale and wrong for the file.
#
# Why it matters: one bank in the group sends its CSV with points where the others send commas.
#   All its amounts arrive a hundred times too large, and each is a valid number.
#
# Instead: parse machine-written amounts with decimal.Decimal and a fixed pattern; keep
#   parse_decimal(strict=True) for what people type.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check babel==2.19.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from decimal import Decimal

from babel.numbers import NumberFormatError, parse_decimal

print("babel " + version("babel"))


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


def parse(text, locale, **options):
    try:
        return str(parse_decimal(text, locale=locale, **options))
    except NumberFormatError:
        return "refused"


for text, locale, loose, strict in (
    ("1.50", "de", "150", "refused"),
    ("12,34", "en_US", "1234", "refused"),
    ("1.234.5", "de", "12345", "refused"),
    ("1.234", "de", "1234", "1234"),
    ("1,50", "de", "1.50", "1.50"),
):
    seen(f"{text} in {locale}", parse(text, locale), loose)
    seen(f"{text} in {locale}, strict", parse(text, locale, strict=True), strict)
seen("Decimal('1.50')", str(Decimal("1.50")), "1.50")
PY
