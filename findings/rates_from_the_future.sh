#!/usr/bin/env bash
# Expected: a currency converter asked for a Saturday gives Friday's rate, the last that was
#   known, and says so when a currency has no rate any more.
#
# What happens: with fallback_on_missing_rate=True CurrencyConverter draws a line from Friday's
#   rate to Monday's, so Saturday's answer holds a third of a change that had not happened. And
#   without a date it takes the last rate it has: for RUB one of 1 March 2022, without a word.
#
# Why it matters: amounts in one currency are a feature and a limit. In a backtest the weekend
#   amounts know the next week (look-ahead), and can never be computed live; and today's RUB
#   payments are counted at a rate of years ago.
#
# Instead: pass fallback_on_missing_rate_method='last_known', always pass the date, and compare it
#   with bounds[currency].last_date.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check CurrencyConverter==0.18.23
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from datetime import date

from currency_converter import CurrencyConverter

print("CurrencyConverter " + version("CurrencyConverter"))


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


days = [date(2024, 3, day) for day in (1, 2, 3, 4)]  # Friday to Monday
drawn = CurrencyConverter(fallback_on_missing_rate=True)
rates = [round(drawn.convert(1, "EUR", "USD", date=day), 4) for day in days]
seen("default", rates, [1.0813, 1.0824, 1.0835, 1.0846])
kept = CurrencyConverter(
    fallback_on_missing_rate=True, fallback_on_missing_rate_method="last_known"
)
rates = [round(kept.convert(1, "EUR", "USD", date=day), 4) for day in days]
seen("last_known", rates, [1.0813, 1.0813, 1.0813, 1.0846])

plain = CurrencyConverter()
today = plain.convert(1000, "RUB", "EUR")
last = plain.convert(1000, "RUB", "EUR", date=date(2022, 3, 1))
seen("RUB without a date is the rate of 2022-03-01", today == last, True)
seen("the last date is there to be asked", plain.bounds["RUB"].last_date, date(2022, 3, 1))
PY
