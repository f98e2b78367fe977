"""The DVC workspace that a data root may lie in: after a snapshot its ``dvc.lock`` names the same bytes.

What DVC commits there is what ``dvc.yaml`` declares, and it looks at every file for that. A data root elsewhere, or in
an object store, or in a workspace without ``dvc.lock`` where nobody uses DVC, has its snapshots all the same.
"""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.files import is_of_one_file
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.storage import Storage, within
from pipeline_assets.core.lineage.recipes import LANDING
from pipeline_assets.core.lineage.stages import LAND, STAGES, list_folders

_LOG: Final = logging.getLogger(__name__)
_DECLARED: Final = "dvc.yaml"
_LOCK: Final = "dvc.lock"  # written by the first dvc repro
_GIT_SECONDS: Final = 30.0  # a remote of git that does not answer within that is not reachable


def find_workspace(root: Storage) -> Path | None:
    """The DVC repository whose stages have outputs in the data root; None where there is none, or nobody uses it."""
    if "://" in root.root:
        return None
    data = Path(root.root)
    for folder in data.parents:
        if (folder / ".dvc").is_dir() and (folder / _LOCK).is_file() and (folder / _DECLARED).is_file():
            named = data.relative_to(folder).as_posix()
            return folder if f"{named}/lake/" in (folder / _DECLARED).read_text(encoding="utf-8") else None
    return None


def complete_folders(root: Storage, folders: Iterable[str]) -> None:
    """Make those folders of a local data root that nothing was written to.

    DVC misses what is not there, and warns of folders that are empty: of those of holds most are.
    """
    if "://" in root.root:
        return
    for folder in folders:
        Path(root.root, folder).mkdir(parents=True, exist_ok=True)
        if folder.startswith("holds/"):
            Path(root.root, folder, ".keep").touch()


def commit_workspace(root: Storage) -> str:
    """Let ``dvc.lock`` name what lies in the data root now, and cache and default remote hold it; for a person, how.

    DVC works for one process at a time: who comes meanwhile waits.
    """
    workspace = find_workspace(root)
    if workspace is None:
        return "the data root lies in no DVC workspace with a dvc.lock"
    refused = LandingZone(within(root, LANDING)).list_refused(is_read=False)
    if refused:  # DVC would open a pipe and wait for ever, or stop at a name that is no text
        return f"not committed while {len(refused)} things in the landing zone are no data, the first is {refused[0]}"
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)  # it tells of its work as on a terminal of its own
    for stage in (LAND, *STAGES):
        complete_folders(root, list_folders(stage))
    with Repo(str(workspace), _wait_for_lock=True) as repo:
        try:
            done = f"{len(repo.commit(force=True, allow_missing=True))} stages committed in {workspace.name}"
        except OSError as error:
            if not is_of_one_file(error):
                raise
            return f"not committed while a file cannot be read: {error}"
        try:
            repo.push()
        except (OSError, DvcException) as error:  # the snapshot itself is in the remotes that could be reached
            _LOG.warning("dvc push: %s", error)
            return f"{done}; not pushed: {error}"
    return f"{done} and pushed"


def list_committed(root: Storage) -> frozenset[str]:
    """The objects that the workspace names now, and those of every commit and experiment; none where there is none."""
    workspace = find_workspace(root)
    if workspace is None:
        return frozenset()
    from dvc.repo import Repo

    with Repo(str(workspace)) as repo:
        used = repo.used_objs(all_branches=True, all_tags=True, all_commits=True, all_experiments=True)
    return frozenset(found.value for objects in used.values() for found in objects)


def list_dvc_remotes(root: Storage) -> frozenset[str]:
    """Return the remotes of the DVC repository around the data root, each as :func:`name_place` names it."""
    repository = _find_repository(root)
    if repository is None:
        return frozenset()
    from dvc.config import Config

    remotes = Config(dvc_dir=str(repository / ".dvc"), validate=False).get("remote", {})  # with absolute folders
    return frozenset(name_place(str(one["url"])) for one in remotes.values() if one.get("url"))


def name_place(url: str) -> str:
    """Name a folder or a URL in one way, however it is written."""
    return url.rstrip("/") if "://" in url else str(Path(url).resolve())


def find_unknown_commits(root: Storage) -> str:
    """Say which commits may name objects of DVC's remotes without being known here; empty where all are known.

    The branches and tags of each remote of git are asked for: what was not fetched cannot be read.
    """
    repository = _find_repository(root)
    if repository is None or not any((one / ".git").exists() for one in (repository, *repository.parents)):
        return ""
    if shutil.which("git") is None:
        return "git is not installed, so that the commits that name objects are not known"
    if _git(repository, "rev-parse", "--is-shallow-repository").strip() == "true":
        return "the clone has only a part of the history, whose commits may name objects; run: git fetch --unshallow"
    for name in _git(repository, "remote").split():
        try:
            listed = _git(repository, "ls-remote", "--heads", "--tags", name)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = str(error.stderr or error).strip().splitlines()
            return (
                f"git cannot ask {name} for its branches ({said[-1] if said else 'no answer'}), which may name objects"
            )
        references = [line.split("\t") for line in listed.splitlines()]
        unknown = [reference for commit, reference in references if not _knows(repository, commit)]
        if unknown:
            return (
                f"{len(unknown)} branches or tags of {name} are not fetched, the first is {unknown[0]}: what they name "
                f"is not known; run: git fetch --tags {name}"
            )
    return ""


def _find_repository(root: Storage) -> Path | None:
    """The folder with the DVC repository around a local data root; None where there is none."""
    if "://" in root.root:
        return None
    return next((folder for folder in Path(root.root).parents if (folder / ".dvc").is_dir()), None)


def _knows(repository: Path, commit: str) -> bool:
    try:
        _git(repository, "cat-file", "-e", commit)
    except subprocess.CalledProcessError:
        return False
    return True


def _git(repository: Path, *arguments: str) -> str:
    """What git says."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],  # noqa: S607 - the git of the user
        capture_output=True, text=True, check=True, timeout=_GIT_SECONDS, env=environment,
    )  # fmt: skip
    return done.stdout
