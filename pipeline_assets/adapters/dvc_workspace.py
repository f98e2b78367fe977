"""The DVC workspace that a data root may lie in: after a snapshot its ``dvc.lock`` names the same bytes.

What DVC commits there is what ``dvc.yaml`` declares. A data root elsewhere, or in an object store, has its snapshots
all the same.
"""

import os
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.storage import Storage

_BY_DVC: Final = "DVC_STAGE"  # set by DVC in the commands of its stages, while it holds its lock


def find_workspace(root: Storage) -> Path | None:
    """The DVC repository whose stages have outputs in the data root; None where there is none."""
    if "://" in root.root:
        return None
    data = Path(root.root)
    for folder in data.parents:
        if (folder / ".dvc").is_dir() and (folder / "dvc.yaml").is_file():
            named = data.relative_to(folder).as_posix()
            return folder if f"{named}/lake/" in (folder / "dvc.yaml").read_text(encoding="utf-8") else None
    return None


def commit_workspace(root: Storage) -> str:
    """Let ``dvc.lock`` name what lies in the data root now, and DVC's cache hold it; what became of it, for a person.

    DVC works for one process at a time: who comes meanwhile waits.
    """
    workspace = find_workspace(root)
    if workspace is None:
        return "the data root lies in no DVC workspace"
    if os.environ.get(_BY_DVC):
        return "left to dvc repro, which runs this"
    from dvc.repo import Repo

    with Repo(str(workspace), _wait_for_lock=True) as repo:
        stages = repo.commit(force=True, allow_missing=True)
    return f"{len(stages)} stages committed in {workspace.name}"
