#!/usr/bin/env bash
# Expected: in a bank statement (SWIFT MT940) a reversal has the opposite sign of what it
#   reverses: RC takes a credit back, so money leaves the account; RD gives a debit back.
#
# What happens: mt-940 makes the amount negative for the mark D only. C, RC and RD are all
#   positive: the reversal of a credit is read as a second credit.
#
# Why it matters: returned direct debits and recalled transfers are RC. The balance computed from
#   the entries is off by twice each of them, and a fraud feature 'money in by day' rises just
#   when payments are taken back.
#
# Instead: use the sign only together with `status`: negate the amount when status is 'RC'. Check
#   the entries against the closing balance of each statement.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check mt-940==5.1.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from decimal import Decimal

import mt940

print("mt-940 " + version("mt-940"))


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


statement = """:20:REF
:25:EXAMPLE/0001
:28C:1/1
:60F:C260101EUR100,00
:61:2601020102C12,50NTRFA
:61:2601020102RC12,50NTRFA
:61:2601020102D7,00NTRFB
:61:2601020102RD7,00NTRFB
:62F:C260102EUR100,00
-"""

entries = mt940.parse(statement)
read = [(entry.data["status"], str(entry.data["amount"].amount)) for entry in entries]
seen("entries", read, [("C", "12.50"), ("RC", "12.50"), ("D", "-7.00"), ("RD", "7.00")])
total = sum(entry.data["amount"].amount for entry in entries)
opening = entries.data["final_opening_balance"].amount.amount
closing = entries.data["final_closing_balance"].amount.amount
seen("closing minus opening balance", closing - opening, Decimal("0.00"))
seen("sum of the entries", total, Decimal("25.00"))
signed = sum(
    -entry.data["amount"].amount if entry.data["status"] == "RC" else entry.data["amount"].amount
    for entry in entries
)
seen("sum with RC negated", signed, Decimal("0.00"))
PY
