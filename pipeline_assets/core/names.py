"""What a landed file may be called: what can be written, printed and compared; and how other names are shown."""

import re
import unicodedata
from typing import Final

# Bytes of UTF-8, folders below the day included: what we add to it still fits into the 255 that disks take.
LONGEST_NAME: Final = 200
_SHOWN_START: Final = 60  # characters of a long name in a message
_SHOWN_END: Final = 20
_CONTROLS: Final = frozenset({"Cc", "Zl", "Zp"})
# What turns the direction of writing: "gnp.csv" may be shown for a name that ends otherwise.
_DIRECTIONS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SUSPECT: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_DIRECTIONS}\ud800-\udfff]")


def find_name_fault(name: str) -> str | None:
    """Return why ``name`` cannot be that of a landed file, for a person; None where it can.

    Args:
        name: The name, or the path below the folder of the day, as the file system gave it: bytes that are no UTF-8
            are surrogates, as Python decodes them.
    """
    suspect = _SUSPECT.search(name)
    if suspect is None:
        length = len(name.encode())
        return f"its name has {length} bytes, expected at most {LONGEST_NAME}" if length > LONGEST_NAME else None
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "its name is no UTF-8"
    kind = "a control character" if unicodedata.category(suspect[0]) in _CONTROLS else "a change of writing direction"
    return f"its name has {kind} ({_escape(suspect[0])})"


def show_name(name: str) -> str:
    """Return a name for messages, JSON and logs: one line, printable, the middle of a long one left out."""
    shown = _SUSPECT.sub(lambda found: _escape(found[0]), name)
    if len(shown) <= _SHOWN_START + _SHOWN_END:
        return shown
    return f"{shown[:_SHOWN_START]}...{shown[-_SHOWN_END:]} ({len(shown)} characters)"


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python decodes a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
