"""Where bytes live: a local folder or an object store, behind a few operations that each happen wholly or not at all.

Only whole objects are read and written. Paths are relative, with forward slashes.
"""

import contextlib
import fcntl
import io
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from obstore import ObjectMeta

_LEASE_SECONDS = 60.0  # a lock in an object store that is not renewed for so long has no holder any more
_LEASE_POLL_SECONDS = 0.5
_DELETED_AT_ONCE = 1000  # objects a request: the most that S3 takes
TEMPORARY_PREFIX = ".tmp-"  # never listed: what a killed write leaves behind is invisible


class ObjectStatus(NamedTuple):
    """What is known of an object without reading it: its size, and when it was written, by the clock of the store."""

    n_bytes: int
    modified_at: datetime


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

    def lock(self, path: str) -> AbstractContextManager[None]:
        """While the context lasts, whoever asks for the same lock waits; that of a killed process goes."""


class LocalStorage:
    """A folder on a POSIX file system."""

    def __init__(self, root: Path) -> None:
        """Use ``root``, which is made when the first object is written."""
        self._folder = root
        self.root = str(root)

    def read(self, path: str) -> bytes:
        """See :class:`Storage`."""
        name = f"{self.root}/{path}"  # thousands of paths: as texts they take a third of the time
        with _naming(name), open(name, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()

    def open(self, path: str) -> IO[bytes]:
        """See :class:`Storage`."""
        return (self._folder / path).open("rb")

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
        root = self.root
        walk = os.walk(f"{root}/{prefix}" if prefix else root, onerror=_raise_unless_absent)
        return sorted(
            f"{folder}/{name}"[len(root) :].lstrip("/")
            for folder, _, names in walk
            for name in names
            if not name.startswith(TEMPORARY_PREFIX)
        )

    def stamps(self, prefix: str) -> dict[str, str]:
        """See :class:`Storage`; what is removed while it is listed is left out."""
        found = {}
        for path in self.list(prefix):
            with contextlib.suppress(FileNotFoundError):
                found[path] = _stamp_file(os.stat(f"{self._folder}/{path}"))  # noqa: PTH116 - as above
        return found

    def delete(self, path: str) -> None:
        """See :class:`Storage`."""
        target = self._folder / path
        target.unlink(missing_ok=True)
        if target.parent.is_dir():
            _flush_folder(target.parent)

    def delete_all(self, paths: Iterable[str]) -> None:
        """See :class:`Storage`."""
        folders = set()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{path}")  # noqa: PTH108 - as in stat
                folders.add(path.rpartition("/")[0])
        for folder in folders:
            _flush_folder(self._folder / folder)

    @contextlib.contextmanager
    def lock(self, path: str) -> Iterator[None]:
        """See :class:`Storage`: the kernel's lock on a file, which goes with the process."""
        target = self._folder / path
        _make_folder(target.parent)
        with target.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _temporary(self, path: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        target = self._folder / path
        _make_folder(target.parent)
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        try:
            with _naming(target), temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary, target
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(target.parent)


class ObjectStorage:
    """A bucket of an S3-compatible object store, whose puts are atomic and whose conditional puts are exclusive.

    Credentials, region and endpoint come from the usual ``AWS_*`` environment variables.
    """

    def __init__(self, url: str) -> None:
        """Use the bucket and prefix of ``url`` (``s3://bucket/prefix``)."""
        from obstore.store import from_url

        self.root = url
        # A store that cannot be reached is told after a minute or so: with the defaults it takes minutes.
        self._store = from_url(url, retry_config={"retry_timeout": timedelta(seconds=60)})
        self._leases: dict[str, float] = {}  # since when a lock of others was seen unchanged

    def read(self, path: str) -> bytes:
        """See :class:`Storage`."""
        return bytes(self._store.get(path).bytes())

    def open(self, path: str) -> IO[bytes]:
        """See :class:`Storage`."""
        return io.BytesIO(self.read(path))

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Storage`."""
        self._store.put(path, content)

    def create(self, path: str, content: bytes) -> bool:
        """See :class:`Storage`."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(path, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def exists(self, path: str) -> bool:
        """See :class:`Storage`."""
        try:
            self._store.head(path)
        except FileNotFoundError:
            return False
        return True

    def stamp(self, path: str) -> str:
        """See :class:`Storage`."""
        return _stamp(self._store.head(path))

    def stat(self, path: str) -> ObjectStatus:
        """See :class:`Storage`."""
        found = self._store.head(path)
        return ObjectStatus(found["size"], found["last_modified"])

    def list(self, prefix: str) -> list[str]:
        """See :class:`Storage`."""
        return sorted(meta["path"] for batch in self._store.list(prefix) for meta in batch)

    def stamps(self, prefix: str) -> dict[str, str]:
        """See :class:`Storage`."""
        found = (meta for batch in self._store.list(prefix) for meta in batch)
        return {meta["path"]: _stamp(meta) for meta in sorted(found, key=lambda meta: str(meta["path"]))}

    def delete(self, path: str) -> None:
        """See :class:`Storage`."""
        with contextlib.suppress(FileNotFoundError):
            self._store.delete(path)

    def delete_all(self, paths: Iterable[str]) -> None:
        """See :class:`Storage`: in requests of a thousand."""
        listed = list(paths)
        for start in range(0, len(listed), _DELETED_AT_ONCE):
            with contextlib.suppress(FileNotFoundError):
                self._store.delete(listed[start : start + _DELETED_AT_ONCE])

    @contextlib.contextmanager
    def lock(self, path: str) -> Iterator[None]:
        """See :class:`Storage`: an object that its holder renews; one that is not renewed is taken over."""
        token = secrets.token_hex(8).encode()
        while not self.create(path, token):
            self._break_lease(path)
            time.sleep(_LEASE_POLL_SECONDS)
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(_LEASE_SECONDS / 3):
                self.write(path, token)

        renewing = threading.Thread(target=renew, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            self.delete(path)

    def _break_lease(self, path: str) -> None:
        """Remove a lock whose holder is gone, by the clock of the store alone."""
        with contextlib.suppress(FileNotFoundError):
            held = self._store.head(path)
            before = _stamp(held)
            seen_since = self._leases.setdefault(before, time.monotonic())
            if time.monotonic() - seen_since > _LEASE_SECONDS and _stamp(self._store.head(path)) == before:
                self.delete(path)


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


def _stamp(meta: "ObjectMeta") -> str:
    return f"{meta['size']}-{meta['e_tag']}-{meta['last_modified'].isoformat()}"


def _raise_unless_absent(error: OSError) -> None:
    """A folder that cannot be read is not an empty one."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextlib.contextmanager
def _naming(path: Path | str) -> Iterator[None]:
    """Errors of reading, writing and flushing say of which file, as those of opening do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _make_folder(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        _flush_folder(new.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with _naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
