"""Where the remotes of snapshots may lie: each in a place of its own, apart from what the pipeline itself keeps."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

_S3: Final = "s3://"
_OWN: Final = (
    "alerts", "dagster", "damage", "heads", "holds", "lake", "landing", "models", "records", "release", "reports",
    "snapshots", "world.json",
)  # fmt: skip


class BadRemote(NamedTuple):
    """A remote that cannot be used: its place in the list, and why."""

    number: int
    problem: str


def find_bad_remote(root: str, remotes: Sequence[str]) -> BadRemote | None:
    """The first remote that is no place, no place of its own, or one that the pipeline itself uses; None without.

    Places are compared as they are meant: ``..``, double and trailing slashes and links are followed.

    Args:
        root: The data root, a folder or an ``s3://`` URL.
        remotes: As ``snapshots.remotes`` has them.
    """
    home, known = _resolve(root), list[str]()
    for number, name in enumerate(remotes):
        problem = _find_flaw(name)
        if problem:
            return BadRemote(number, problem)
        place = _resolve(name if _is_absolute(name) else f"{root.rstrip('/')}/{name}")
        if place == home or _is_in(home, place):
            what = "is the data root itself" if place == home else "holds the data root"
            return BadRemote(number, f"expected a place of its own, found {name!r}, which {what}")
        for folder in _OWN:
            own = _resolve(f"{root.rstrip('/')}/{folder}")
            if place == own or _is_in(place, own) or _is_in(own, place):
                return BadRemote(number, f"expected a place of its own, found {name!r}, which lies in {folder} of the "
                                         "data root, where the pipeline keeps its own files")  # fmt: skip
        for other, earlier in enumerate(known):
            if place == earlier or _is_in(place, earlier) or _is_in(earlier, place) or _is_same_file(place, earlier):
                return BadRemote(number, f"expected a place of its own, found {name!r}, which is the same as, or lies "
                                         f"in or around, {remotes[other]!r}: one disk would lose both")  # fmt: skip
        known.append(place)
    return None


def _find_flaw(name: str) -> str:
    expected = "expected a folder inside the data root, or a folder (/…) or s3:// URL of its own, found"
    if not name.strip() or name != name.strip() or not name.isprintable():
        return f"{expected} {name!r}"
    if "://" in name and (not name.startswith(_S3) or not name[len(_S3) :].strip("/") or set("?#") & set(name)):
        return f"{expected} {name!r}"
    if name.startswith("~"):
        return f"{expected} {name!r}; write the whole path instead of ~"
    if name.startswith("/") and Path(name).exists() and not Path(name).is_dir():
        return f"{expected} {name!r}, which is a file"
    return ""


def _is_absolute(name: str) -> bool:
    return name.startswith((_S3, "/"))


def _resolve(name: str) -> str:
    if name.startswith(_S3):
        bucket, _, key = name[len(_S3) :].partition("/")
        return f"{_S3}{bucket.lower()}{posixpath.normpath('/' + unquote(key).lstrip('/')).rstrip('/')}"
    return os.path.realpath(name)


def _is_in(inner: str, outer: str) -> bool:
    return inner.startswith(f"{outer.rstrip('/')}/")


def _is_same_file(one: str, other: str) -> bool:
    try:
        return not one.startswith(_S3) and not other.startswith(_S3) and os.path.samefile(one, other)  # noqa: PTH121
    except OSError:  # one of them is not there yet
        return False
