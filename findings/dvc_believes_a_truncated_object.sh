#!/usr/bin/env bash
# Expected: DVC, which names each object by the MD5 of its content, notices when an object in the
#   remote is not that content any more: at the latest when it is pulled.
#
# What happens: an object in a folder remote that was cut short is pulled as the data, `dvc
#   status` and `dvc status -c` call it up to date and `dvc push` does not replace it, for a read-
#   only object in the remote is trusted unread. With `verify = true` on the remote the pull
#   fails.
#
# Why it matters: a remote on a share loses the end of a file in a full disk or an interrupted
#   copy. The model is then trained on a part of the payments, with a lock file that says it was
#   the whole.
#
# Instead: `dvc remote modify NAME verify true` for every remote, and compare the MD5 of what was
#   pulled in the pipeline.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check dvc==3.67.1
cd "$work"
DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$work/site" PATH="$work/venv/bin:$PATH" \
  "$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

print("dvc " + version("dvc"))


def seen(what, got, want):
    """Print what was seen; end with status 1 when it is no longer so."""
    print(f"{what}: {got!r}")
    if got != want:
        sys.exit(f"changed: {what}: expected {want!r}")


def dvc(*arguments):
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True)
    return done.returncode == 0, done.stdout


data, remote, cache = Path("payments.csv"), Path("remote"), Path(".dvc/cache")
remote.mkdir()
data.write_text("id,amount\n1,10\n2,20\n")
known = hashlib.md5(data.read_bytes()).hexdigest()
for command in ("init --no-scm", "remote add -d share remote", "add payments.csv", "push"):
    assert dvc(*command.split())[0], command

stored = remote / "files" / "md5" / known[:2] / known[2:]
os.chmod(stored, 0o644)
stored.write_text("id,amount\n1,10\n")  # the second payment is lost
os.chmod(stored, 0o444)


def forget():
    shutil.rmtree(cache)
    data.unlink()


forget()
seen("pull succeeds", dvc("pull")[0], True)
seen("lines pulled", data.read_text().splitlines(), ["id,amount", "1,10"])
seen("status", "up to date" in dvc("status")[1], True)
seen("status -c", "in sync" in dvc("status", "-c")[1], True)
dvc("push")
seen("push repairs it", hashlib.md5(stored.read_bytes()).hexdigest() == known, False)
dvc("remote", "modify", "share", "verify", "true")
forget()
seen("pull with verify succeeds", dvc("pull")[0], False)
PY
