"""Trees of hashes in DVC's own format: which files one folder has.

A tree is the directory object of a folder: the JSON list of its files that DVC writes, named by its md5 and ``.dir``.
So a remote of snapshots is a DVC remote, and ``dvc pull`` finds in it what ``dvc.lock`` names.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

_TREE_DEPTH: Final = 2  # folders: lake/transactions is a tree, and so is records/transactions
_SUFFIX: Final = ".dir"
_MD5: Final = re.compile(r"[0-9a-f]{32}(\.dir)?")
_HASHES: Final = re.compile(rb"[0-9a-f]{32}")
_MARGIN: Final = 32  # bytes: a hash that is cut by the end of what is alike is read whole
TOP: Final = "."  # the tree of files that lie in no folder


class SnapshotError(ValueError):
    """The bytes of a snapshot or a tree are none, or no snapshot is the one that was asked for."""


def group_files(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Files (hash by path below the data root) by the folder whose tree they belong to; of ``.`` in no folder."""
    trees: dict[str, dict[str, str]] = {}
    for path in sorted(files):
        folder = "/".join(path.split("/", _TREE_DEPTH)[:-1]) or TOP
        trees.setdefault(folder, {})[path] = files[path]
    return trees


def make_tree(folder: str, files: Mapping[str, str]) -> bytes:
    """The tree of a folder's files, which are in order, in DVC's format."""
    start = 0 if folder == TOP else len(folder) + 1
    return json.dumps([{"md5": md5, "relpath": path[start:]} for path, md5 in files.items()]).encode()


def hash_tree(content: bytes) -> str:
    """DVC's name of a tree."""
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}{_SUFFIX}"


def read_tree(folder: str, content: bytes) -> dict[str, str]:
    """Hash by path below the data root of the files of a tree.

    Raises:
        SnapshotError: The bytes are no tree, or it names a file outside its folder.
    """
    start = "" if folder == TOP else f"{folder}/"
    files: dict[str, str] = {}
    try:
        listed: list[dict[str, Any]] = json.loads(content)
        for entry in listed:
            relpath, md5 = entry["relpath"], entry["md5"]
            if not _MD5.fullmatch(md5):
                raise ValueError(md5)
            require_inside(relpath, f"files of {folder}")
            files[f"{start}{relpath}"] = md5
    except SnapshotError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"the tree of {folder}: expected DVC's list of files, found {content[:60]!r}") from error
    return files


def find_new_hashes(content: bytes, before: bytes = b"") -> set[str]:
    """Return what may be the hash of a file in the bytes of a tree: all that it names, at times more.

    Args:
        content: The tree.
        before: Another tree, such as that of the same folder a day before: what only stands in what the two begin and
            end with alike may be left out.
    """
    start = _count_common(content, before)
    alike = _count_common(content[start:][::-1], before[start:][::-1])
    changed = content[max(0, start - _MARGIN) : len(content) - alike + _MARGIN]
    return {found.decode() for found in _HASHES.findall(changed)}


def _count_common(one: bytes, other: bytes) -> int:
    """With how many bytes both begin: by halves, as slices are compared at the speed of memory."""
    known, limit = 0, min(len(one), len(other))
    while known < limit:
        middle = (known + limit + 1) // 2
        if one[known:middle] == other[known:middle]:
            known = middle
        else:
            limit = middle - 1
    return known


def is_tree(md5: str) -> bool:
    """Tell whether an object is a tree by its name."""
    return md5.endswith(_SUFFIX)


def require_inside(path: str, what: str) -> None:
    """Refuse a path that leads out of the data root."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise SnapshotError(f"expected {what} inside the data root, found {path!r}; nothing of it is brought back")
