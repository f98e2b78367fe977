#!/usr/bin/env bash
# Expected: Apache's Avro library for Python writes a Decimal so that the same value is read back,
#   whatever the number of digits after the point, as long as the schema's scale can hold it.
#
# What happens: the digits of the Decimal are written as they stand and the exponent is dropped.
#   In a field of scale 2 the value 5.1 is read back as 0.51, the value 12 as 0.12 and 1E+3 as
#   0.01, without an error. fastavro writes the same values correctly, to the same schema.
#
# Why it matters: an amount that comes from JSON, a spreadsheet or Decimal.normalize() seldom has
#   its trailing zeros: 5.10 arrives as 5.1. One producer in the topic makes these payments ten or
#   a hundred times too small, and every consumer reads them as valid.
#
# Instead: quantize every amount to the scale of the schema before writing with the avro package,
#   or write with fastavro.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check avro==1.12.2 fastavro==1.13.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import io
import json
from decimal import Decimal

import avro.io
import avro.schema
import fastavro

print("avro " + version("avro"), "fastavro " + version("fastavro"), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


money = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
schema = {"type": "record", "name": "payment", "fields": [{"name": "amount", "type": money}]}


def by_avro(amount):
    data = io.BytesIO()
    writer = avro.io.DatumWriter(avro.schema.parse(json.dumps(schema)))
    writer.write({"amount": amount}, avro.io.BinaryEncoder(data))
    return data.getvalue()


def by_fastavro(amount):
    data = io.BytesIO()
    fastavro.schemaless_writer(data, schema, {"amount": amount})
    return data.getvalue()


def read(data):
    return str(fastavro.schemaless_reader(io.BytesIO(data), schema)["amount"])


for text, wrong in (("5.1", "0.51"), ("12", "0.12"), ("1E+3", "0.01")):
    amount = Decimal(text)
    seen(f"{text} written by avro", read(by_avro(amount)), wrong)
    seen(f"{text} written by fastavro", Decimal(read(by_fastavro(amount))) == amount, True)
    cured = amount.quantize(Decimal("0.01"))
    seen(f"{text} quantized, written by avro", Decimal(read(by_avro(cured))) == amount, True)
PY
