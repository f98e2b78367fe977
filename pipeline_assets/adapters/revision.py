"""Which revision of the code this is: the commit of the repository that holds it, or else the package's version."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[2]
_CODE: Final = ("pipeline_assets", "pyproject.toml")  # what a commit must hold to be the code that runs


@cache
def find_revision() -> str:
    """The commit's hash, with ``+changes`` where the code differs from it; ``version …`` where there is no repository.

    It is looked up once a process: that is the code that was loaded.
    """
    commit = _ask_git("rev-parse", "HEAD")
    if commit is None or _ask_git("rev-parse", "--show-toplevel") != str(_PROJECT):
        return f"version {version('pipeline-assets')}"
    changes = _ask_git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    return f"{commit}+changes" if changes else commit


def _ask_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_PROJECT), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
