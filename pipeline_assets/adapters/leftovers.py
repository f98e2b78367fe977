"""What killed processes leave behind: temporary files of writes, folders for work. Swept when nobody can use them.

A writer holds a shared lock of the kernel on its temporary file until the file has its name; so does whoever works in a
folder of :func:`open_scratch`. Such a lock goes with its process: what has none, and is old, is nobody's.
"""

import contextlib
import fcntl
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pipeline_assets.adapters.files import TEMPORARY_PREFIX
from pipeline_assets.adapters.storage import Storage

OLD_SECONDS: Final = 3_600.0  # a file is made and locked within milliseconds; this is for file systems without locks
_OLD_FOLDER_SECONDS: Final = 86_400.0  # of a folder: those of earlier versions of this program are not locked
_BUDGET_SECONDS: Final = (
    10.0  # of one sweep; folders come in another order each time, so that none is left out for ever
)
_SCRATCH: Final = ("pipeline-rehearsal-", "pipeline-drills-", "reproduce-")


def sweep_leftovers(
    roots: Iterable[Storage],
    old_seconds: float = OLD_SECONDS,
    budget_seconds: float = _BUDGET_SECONDS,
    old_folder_seconds: float = _OLD_FOLDER_SECONDS,
) -> list[str]:
    """Remove the temporary files that killed writers left below some roots, and the folders of killed commands.

    Args:
        roots: Where; in an object store a killed write leaves nothing.
        old_seconds: How long they were not written to.
        old_folder_seconds: The same of a command's folder for work.
        budget_seconds: How long to look; what is not reached is swept another time.

    Returns:
        The paths of what was removed; nothing that a living process may still use.
    """
    deadline = time.monotonic() + budget_seconds
    removed = [path for path in _find_scratch() if _is_old(path, old_folder_seconds) and _sweep_folder(path)]
    for root in roots:
        if "://" not in root.root:
            removed += [path for path in _find_temporary(root.root, deadline) if _sweep_file(path, old_seconds)]
    return sorted(removed)


@contextlib.contextmanager
def open_scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder for work that is removed afterwards; that of a killed process is swept.

    Args:
        prefix: What its name begins with, one of those that are swept.
        parent: Where; the usual folder for temporary files by default.
    """
    assert prefix in _SCRATCH, prefix
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as folder:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield Path(folder)
        finally:
            os.close(descriptor)


def _find_temporary(root: str, deadline: float) -> Iterator[str]:
    waiting = [root]
    while waiting and time.monotonic() < deadline:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = list(entries)
        except OSError:  # gone meanwhile, or not ours to read
            continue
        folders = [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
        random.shuffle(folders)
        waiting += folders
        yield from (
            entry.path
            for entry in found
            if entry.name.startswith(TEMPORARY_PREFIX) and entry.is_file(follow_symlinks=False)
        )


def _find_scratch() -> Iterator[str]:
    for parent in {tempfile.gettempdir(), "/dev/shm"}:  # noqa: S108 - only our own folders there, by name and owner
        with contextlib.suppress(OSError), os.scandir(parent) as entries:
            for entry in entries:
                if entry.name.startswith(_SCRATCH) and entry.is_dir(follow_symlinks=False):
                    yield entry.path


def _is_old(path: str, seconds: float) -> bool:
    try:
        status = Path(path).lstat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and time.time() - status.st_mtime > seconds


def _sweep_file(path: str, old_seconds: float) -> bool:
    with contextlib.suppress(OSError), _only_user(path):
        if _is_old(path, old_seconds):
            Path(path).unlink()
            return True
    return False


def _sweep_folder(path: str) -> bool:
    with contextlib.suppress(OSError), _only_user(path):
        shutil.rmtree(path)
        return True
    return False


@contextlib.contextmanager
def _only_user(path: str) -> Iterator[None]:
    """Hold the kernel's lock on a file or folder alone; raises BlockingIOError where its maker goes on."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
