"""Where bytes live: a local folder or an object store, behind a few operations that each happen wholly or not at all.

Only whole objects are read and written. Paths are relative, with forward slashes.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Protocol

from pipeline_assets.adapters import files
from pipeline_assets.adapters.files import TEMPORARY_PREFIX, Listing, flush_folder, make_folder, naming
from pipeline_assets.adapters.locks import WAIT_SECONDS, FoundLock, Lock, break_file, hold_file, look_at_file
from pipeline_assets.adapters.object_storage import ObjectStatus, ObjectStorage
from pipeline_assets.adapters.probing import UnsuitableStoreError

__all__ = [
    "TEMPORARY_PREFIX",
    "LocalStorage",
    "Lock",
    "ObjectStatus",
    "ObjectStorage",
    "Storage",
    "open_storage",
    "within",
]

# What a file system answers that knows no second name of a file: FAT, and many that programs or servers provide.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Storage(Protocol):
    """A root that holds objects by path."""

    root: str

    def read(self, path: str) -> bytes:
        """The bytes at ``path``; raises FileNotFoundError where there is no object."""

    def open(self, path: str) -> IO[bytes]:
        """The object as a readable, seekable file; raises FileNotFoundError where there is no object."""

    def write(self, path: str, content: bytes) -> None:
        """Put ``content`` at ``path``: readers see the old bytes or the new ones, never a part. Durable on return."""

    def create(self, path: str, content: bytes) -> bool:
        """Like :meth:`write`, but only where nothing is; False, and nothing changed, where something was."""

    def exists(self, path: str) -> bool:
        """Whether there is an object at ``path``."""

    def stamp(self, path: str) -> str:
        """What changes when the object at ``path`` is written again, without reading it; raises FileNotFoundError."""

    def stat(self, path: str) -> ObjectStatus:
        """Return size and age of the object at ``path`` without reading it; raises FileNotFoundError."""

    def list(self, prefix: str) -> list[str]:
        """The paths of all objects in the folder ``prefix`` and below, sorted; empty where there is none."""

    def stamps(self, prefix: str) -> dict[str, str]:
        """By path, sorted, the :meth:`stamp` of all objects in the folder ``prefix`` and below."""

    def delete(self, path: str) -> None:
        """Remove the object at ``path``; silently where there is none."""

    def delete_all(self, paths: Iterable[str]) -> None:
        """Remove many objects, flushed together at the end; silently where there are none."""

    def list_plain(self, prefix: str) -> Listing:
        """What others put into the folder ``prefix`` and below: plain files, and what is none; no link is followed."""

    def stamp_plain(self, prefix: str) -> dict[str, str]:
        """By path the :meth:`stamp` of the files that :meth:`list_plain` lists."""

    def read_plain(self, path: str) -> bytes:
        """Like :meth:`read`, of a file that others put there: never through a link. Raises NotPlainError."""

    def lock(self, path: str, *, purpose: str = "", wait_seconds: float = WAIT_SECONDS) -> AbstractContextManager[Lock]:
        """While the context lasts, whoever asks for the same lock waits; that of a killed process goes.

        Who has waited ``wait_seconds`` gets LockHeldError, which names the holder and its ``purpose``; whose lock was
        broken or could not be renewed gets LockLostError at the end.
        """

    def list_locks(self) -> tuple[FoundLock, ...]:
        """The locks that are held, or were when their holder died, in the folders at the top."""

    def break_lock(self, path: str) -> None:
        """Let the next one who asks get a lock, whoever holds it; its holder gets LockLostError."""


class LocalStorage:
    """A folder on a POSIX file system."""

    def __init__(self, root: Path) -> None:
        """Use ``root``, which is made when the first object is written."""
        self._folder = root
        self.root = str(root)

    def read(self, path: str) -> bytes:
        """See :class:`Storage`."""
        name = f"{self.root}/{path}"  # tens of thousands of paths: as texts they take a third of the time
        with naming(name), files.open_plain(name) as file:
            return file.read()

    def open(self, path: str) -> IO[bytes]:
        """See :class:`Storage`."""
        return files.open_plain(self._folder / path)

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Storage`: temporary file in the same folder, flush, rename, flush of the folder."""
        with self._temporary(path, content) as (temporary, target):
            temporary.replace(target)

    def create(self, path: str, content: bytes) -> bool:
        """See :class:`Storage`: a hard link fails where the name exists, so that two writers cannot both win."""
        with self._temporary(path, content) as (temporary, target):
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                raise UnsuitableStoreError(
                    f"{self.root}: expected a file system with hard links, by which one of two writers wins; found "
                    f"that {target} got no name ({error.strerror}); use a folder on another file system"
                ) from error
        return True

    def exists(self, path: str) -> bool:
        """See :class:`Storage`."""
        return (self._folder / path).is_file()

    def stamp(self, path: str) -> str:
        """See :class:`Storage`."""
        return _stamp_file((self._folder / path).stat())

    def stat(self, path: str) -> ObjectStatus:
        """See :class:`Storage`."""
        status = os.stat(f"{self._folder}/{path}")  # noqa: PTH116 - hundreds of thousands of paths: texts are faster
        return ObjectStatus(status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def list(self, prefix: str) -> list[str]:
        """See :class:`Storage`."""
        return files.list_files(str(self._folder), prefix)

    def stamps(self, prefix: str) -> dict[str, str]:
        """See :class:`Storage`; what is removed while it is listed is left out."""
        return self._stamp_all(self.list(prefix))

    def delete(self, path: str) -> None:
        """See :class:`Storage`."""
        target = self._folder / path
        target.unlink(missing_ok=True)
        if target.parent.is_dir():
            flush_folder(target.parent)

    def delete_all(self, paths: Iterable[str]) -> None:
        """See :class:`Storage`."""
        folders = set()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{path}")  # noqa: PTH108 - as in stat
                folders.add(path.rpartition("/")[0])
        for folder in folders:
            flush_folder(self._folder / folder)

    def list_plain(self, prefix: str) -> Listing:
        """See :class:`Storage`."""
        return files.look_into(str(self._folder), prefix)

    def stamp_plain(self, prefix: str) -> dict[str, str]:
        """See :class:`Storage`; what is removed while it is listed is left out."""
        return self._stamp_all(self.list_plain(prefix).files)

    def _stamp_all(self, paths: Sequence[str]) -> dict[str, str]:
        found = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                found[path] = _stamp_file(os.stat(f"{self._folder}/{path}"))  # noqa: PTH116 - thousands of texts
        return found

    def read_plain(self, path: str) -> bytes:
        """See :class:`Storage`."""
        return files.read_landed(str(self._folder), path)

    def lock(self, path: str, *, purpose: str = "", wait_seconds: float = WAIT_SECONDS) -> AbstractContextManager[Lock]:
        """See :class:`Storage`: the kernel's lock on a file, which goes with the process."""
        return hold_file(self._folder / path, purpose, wait_seconds)

    def list_locks(self) -> tuple[FoundLock, ...]:
        """See :class:`Storage`."""
        paths = sorted(path.relative_to(self._folder).as_posix() for path in self._folder.glob("*/*lock"))
        return tuple(found for path in paths if (found := look_at_file(self._folder, path)) is not None)

    def break_lock(self, path: str) -> None:
        """See :class:`Storage`."""
        break_file(self._folder, path)

    @contextlib.contextmanager
    def _temporary(self, path: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        target = self._folder / path
        make_folder(target.parent)
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        with naming(target), contextlib.ExitStack() as stack:
            stack.callback(temporary.unlink, missing_ok=True)
            file = stack.enter_context(temporary.open("xb"))
            with contextlib.suppress(OSError):  # some servers have no such locks; then its age alone protects it
                fcntl.flock(file, fcntl.LOCK_SH)  # until it has its name: so nobody sweeps it away
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            yield temporary, target
        flush_folder(target.parent)


def open_storage(root: str) -> Storage:
    """The storage at ``root``: a local folder, or ``s3://bucket/prefix``.

    Raises:
        ValueError: The root is a URL of another kind.
    """
    if root.startswith("s3://"):
        return ObjectStorage(root)
    if "://" in root:
        raise ValueError(f"PIPELINE_DATA: expected a folder or an s3:// URL, found {root!r}")
    return LocalStorage(Path(root).absolute())


def within(storage: Storage, folder: str) -> Storage:
    """The part of ``storage`` below ``folder``, as a storage of its own."""
    return open_storage(f"{storage.root.rstrip('/')}/{folder}")


def _stamp_file(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
