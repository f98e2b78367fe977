#!/usr/bin/env bash
# Expected: listing with a prefix works as S3 defines it: the prefix `date=2026-07-1` finds the
#   10th to the 19th of July.
#
# What happens: obstore compares whole segments of the path. The prefix `tx/date=2026-07-1` finds
#   nothing, without an error, while boto3 finds both objects. Only complete folder names find
#   something.
#
# Why it matters: jobs list a month with `date=2026-07`, or a run by the beginning of its id.
#   After the move from boto3 to obstore such a job sees an empty list, and 'nothing new to load'
#   is a success.
#
# Instead: list the parent folder and filter the paths by str.startswith.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
  obstore==0.12.1 boto3==1.44.8 'moto[server]==5.2.5'
cd "$work"
AWS_ACCESS_KEY_ID=example AWS_SECRET_ACCESS_KEY=example AWS_DEFAULT_REGION=us-east-1 \
  "$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import atexit
import logging

import boto3
import obstore as obs
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

logging.disable(logging.CRITICAL)

print(*(f"{p} {version(p)}" for p in ("obstore", "boto3", "moto")), sep=", ")


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
atexit.register(server.stop)
address = "http://{}:{}".format(*server.get_host_and_port())
s3 = boto3.client("s3", endpoint_url=address)
s3.create_bucket(Bucket="payments")
options = {"endpoint": address, "client_options": {"allow_http": True}}
store = S3Store("payments", **options, virtual_hosted_style_request=False)


def put(key):
    s3.put_object(Bucket="payments", Key=key, Body=b"x")


def by_obstore(prefix=None):
    return sorted(item["path"] for item in obs.list(store, prefix).collect())


def by_boto3(prefix=""):
    found = s3.list_objects_v2(Bucket="payments", Prefix=prefix)["Contents"]
    return [item["Key"] for item in found]


for day in ("2026-07-09", "2026-07-10", "2026-07-11"):
    put(f"tx/date={day}/part.parquet")
both = ["tx/date=2026-07-10/part.parquet", "tx/date=2026-07-11/part.parquet"]
seen("boto3, part of a name", by_boto3("tx/date=2026-07-1"), both)
seen("obstore, part of a name", by_obstore("tx/date=2026-07-1"), [])
seen("obstore, whole name", by_obstore("tx/date=2026-07-10"), both[:1])
found = [path for path in by_obstore("tx") if path.startswith("tx/date=2026-07-1")]
seen("obstore, filtered", found, both)
PY
