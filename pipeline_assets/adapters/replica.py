"""Replicas: copies of the bytes of every partition and model, by their hash.

Layout: ``files/md5/<first two digits>/<the others>``, which is that of a DVC remote, so that either can read the other.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from pipeline_assets.adapters.storage import ObjectStatus, Storage, open_storage, within

_FOLDER: Final = "files/md5"
_DIRECTORY: Final = ".dir"


class Replica:
    """The copies below one storage root; an object is named by its md5, that of a DVC directory with ``.dir`` added."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing but copies and what names them."""
        self.storage = storage
        self.root = storage.root

    def has(self, md5: str) -> bool:
        """Whether there is a copy; its bytes are not read."""
        return self.storage.exists(_path(md5))

    def find(self, md5: str) -> bytes | None:
        """The bytes with that hash; None where there is no copy, or where the copy itself is damaged."""
        try:
            content = self.storage.read(_path(md5))
        except FileNotFoundError:
            return None
        return content if hash_bytes(content) == md5.removesuffix(_DIRECTORY) else None

    def put(self, content: bytes, md5: str | None = None) -> str:
        """Keep a copy of ``content``, in the place of a damaged one if need be, and return its name.

        Args:
            content: The bytes.
            md5: Their name, where it is known; it is not verified.
        """
        md5 = md5 or hash_bytes(content)
        self.storage.write(_path(md5), content)
        return md5

    def stat(self, md5: str) -> ObjectStatus | None:
        """Return size and age of a copy; None where there is none."""
        try:
            return self.storage.stat(_path(md5))
        except FileNotFoundError:
            return None

    def remove(self, md5s: Iterable[str]) -> None:
        """Remove copies; silently where there are none."""
        self.storage.delete_all(_path(md5) for md5 in md5s)


def open_replicas(root: Storage, names: tuple[str, ...]) -> list[Replica]:
    """The replicas by name: a folder or URL of its own, or a folder inside the data root."""
    return [
        Replica(open_storage(name) if "://" in name or name.startswith("/") else within(root, name)) for name in names
    ]


def hash_bytes(content: bytes) -> str:
    """MD5, which is DVC's hash of a file."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _path(md5: str) -> str:
    return f"{_FOLDER}/{md5[:2]}/{md5[2:]}"
