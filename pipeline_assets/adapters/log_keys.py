"""The keys that sign append-only logs, for whoever wants proof against somebody who can write every file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipeline_assets.core.lineage.append_log import Keyring, parse_keys

KEY_VARIABLE: Final = "PIPELINE_LOG_KEY"
KEY_FILE_VARIABLE: Final = "PIPELINE_LOG_KEY_FILE"


def read_keyring(environment: Mapping[str, str] = os.environ) -> Keyring:
    """The keys of ``PIPELINE_LOG_KEY``, or of the file ``PIPELINE_LOG_KEY_FILE``; none where neither is set.

    Raises:
        ValueError: Both are set, or what is set is no key; the message shows nothing of it.
        OSError: The file cannot be read.
    """
    text, path = environment.get(KEY_VARIABLE, ""), environment.get(KEY_FILE_VARIABLE, "")
    if text and path:
        raise ValueError(f"expected either {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, found both; unset one of them")
    if not text and not path:
        return Keyring()
    try:
        return parse_keys(text or Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{KEY_FILE_VARIABLE} ({path}): expected text in UTF-8, found other bytes") from error
    except ValueError as error:
        raise ValueError(f"{KEY_VARIABLE if text else f'{KEY_FILE_VARIABLE} ({path})'}: {error}") from None
