"""Run every benchmark of this folder, one after the other, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

ALL = (
    "simulator",
    "features",
    "orchestration",
    "checkpointing",
    "growth",
    "small_files",
    "integrity",
    "snapshots",
    "garbage",
    "accuracy",
    "oracle",
    "replay",
    "ladder",
    "drift",
    "canary",
    "rehearsals",
)


def main() -> None:
    """Run the benchmarks named on the command line, or all of them."""
    here = Path(__file__).parent
    failed = []
    for name in sys.argv[1:] or ALL:
        print(f"\n== {name}", flush=True)
        run = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=here.parent, check=False)
        if run.returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
