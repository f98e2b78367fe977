"""Who may read what the pipeline writes: its own user, and the group unless that is taken away; nobody else.

The process's umask, set once where a program of ours begins, holds for every file and folder that it, its libraries and
its children make: the data root, the Dagster instance, exports.
"""

import os
import re
from typing import Final

UMASK_VARIABLE: Final = "PIPELINE_UMASK"
_DEFAULT: Final = 0o027  # others nothing, the group no writing
_OCTAL: Final = re.compile(r"(0o?)?[0-7]{1,3}")
_OWNER: Final = 0o700


def apply_umask() -> int:
    """Set this process's umask to ``PIPELINE_UMASK`` (octal, default 027) and return it.

    Raises:
        ValueError: It is no umask, or takes the right to its own files from the user who runs this.
    """
    text = os.environ.get(UMASK_VARIABLE) or f"{_DEFAULT:o}"
    if not _OCTAL.fullmatch(text):
        raise ValueError(f"{UMASK_VARIABLE}: expected three octal digits like 027, found {text!r}")
    mask = int(text.removeprefix("0o"), 8)
    if mask & _OWNER:
        raise ValueError(
            f"{UMASK_VARIABLE}: expected a mask that leaves the owner everything, like 027 or 077, found {text!r}"
        )
    os.umask(mask)
    return mask
