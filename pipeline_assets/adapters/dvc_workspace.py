"""The DVC workspace that a data root may lie in: after a snapshot its ``dvc.lock`` names the same bytes.

What DVC commits there is what ``dvc.yaml`` declares, and it looks at every file for that. A data root elsewhere, or in
an object store, or in a workspace without ``dvc.lock`` where nobody uses DVC, has its snapshots all the same.
"""

import logging
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
