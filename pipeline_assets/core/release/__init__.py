"""Release: which model decides from when on, and the decision on what comes next. Missing evidence never promotes."""

from pipeline_assets.core.release.entries import ReleaseEntry, ReleaseEntryError, find_entry_in_force, read_entry
from pipeline_assets.core.release.params import ReleaseParams

__all__ = ["ReleaseEntry", "ReleaseEntryError", "ReleaseParams", "find_entry_in_force", "read_entry"]
