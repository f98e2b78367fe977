"""The code of an earlier revision, checked out beside the present one for as long as it is needed."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.revision import find_revision
from pipeline_assets.core.lineage.reproduction import NotReproducibleError

PROGRAM: Final = "pipeline_assets.commands.rebuild"  # what the code is needed for
PROJECT: Final = Path(__file__).parents[2]  # the folder whose code runs
_CHANGED: Final = "+changes"  # how a revision ends that no commit holds
_HERE: Final = "reproduce it by the present code and parameters: --here"


@contextmanager
def open_code(revision: str, folder: Path, *, is_here: bool = False) -> Iterator[Path]:
    """The folder that has the code of a revision: that of the project, or a git worktree while the context lasts.

    Args:
        revision: As :func:`pipeline_assets.adapters.revision.find_revision` names it.
        folder: Where a worktree is made; it does not exist.
        is_here: Whether the present code will do, whatever it is.

    Raises:
        NotReproducibleError: The code of then cannot be had, or cannot rebuild anything.
    """
    if is_here or (revision == find_revision() and not revision.endswith(_CHANGED)):
        yield PROJECT
        return
    _require(revision)
    _git("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(folder), revision)
    try:
        yield folder.resolve()
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _require(revision: str) -> None:
    if revision.endswith(_CHANGED):
        raise NotReproducibleError(
            f"revision {revision}: the model was made by changed code that no commit holds; {_HERE}"
        )
    if revision.startswith("version "):
        raise NotReproducibleError(
            f"the model was made by an installed package ({revision}), and this is other code; install that version "
            f"and reproduce it there, or {_HERE}"
        )
    if not _holds(f"{revision}^{{commit}}"):
        raise NotReproducibleError(
            f"revision {revision}: expected it in the repository of the code, found it not there; git fetch, or {_HERE}"
        )
    if not _holds(f"{revision}:{PROGRAM.replace('.', '/')}.py"):
        raise NotReproducibleError(f"revision {revision}: its code cannot rebuild models yet; {_HERE}")


def _holds(name: str) -> bool:
    try:
        _git("cat-file", "-e", name)
    except NotReproducibleError:
        return False
    return True


def _git(*arguments: str) -> None:
    command = ["git", "-C", str(PROJECT), *arguments]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise NotReproducibleError("git is needed for the code of then, and is not installed") from error
    except subprocess.CalledProcessError as error:
        raise NotReproducibleError(f"git {' '.join(arguments)}: {error.stderr.strip()}") from error
