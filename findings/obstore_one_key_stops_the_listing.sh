#!/usr/bin/env bash
# Expected: a bucket that others write to can be listed, whatever keys they chose, and each listed
#   path can be read.
#
# What happens: a key with two slashes in a row, valid in S3 and made by many a `prefix + '/' +
#   name`, ends the whole listing of its folder with an error: the other objects are not listed
#   either. The empty object `inbox/` that consoles create for a folder is listed as `inbox`, and
#   reading that path finds nothing.
#
# Why it matters: a join of two path parts that went wrong once makes a whole landing folder
#   unreadable until the object is renamed with another tool, and the object itself is fine for
#   everyone else. A loop over the listing fails on the folder marker.
#
# Instead: list each sender's folder by itself, so that an error stays there; pass over entries of
#   size 0 without a suffix.
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


def error_of(action):
    try:
        return action() and "no error"
    except Exception as error:
        return type(error).__name__


put("inbox/")
put("inbox/one.csv")
seen("listed by obstore", by_obstore(), ["inbox", "inbox/one.csv"])
seen("reading the listed inbox", error_of(lambda: obs.get(store, "inbox")), "FileNotFoundError")
put("inbox/partner//two.csv")
put("other/three.csv")
count = s3.list_objects_v2(Bucket="payments")["KeyCount"]
seen("keys counted by boto3", count, 4)
seen("obstore, with a double slash", error_of(by_obstore), "InvalidPathError")
seen("obstore, a folder by itself", by_obstore("other"), ["other/three.csv"])
PY
