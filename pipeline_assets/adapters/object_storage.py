"""An object store as a storage: whole objects, conditional puts, bounded waits."""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from pipeline_assets.adapters import leases
from pipeline_assets.adapters.files import TEMPORARY_PREFIX, Listing
from pipeline_assets.adapters.locks import WAIT_SECONDS, FoundLock, Lock
from pipeline_assets.adapters.probing import require_exclusive_puts
from pipeline_assets.core.failures import BadDataError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, RetryConfig

# Of one request, and of all attempts at it together; the environment may say otherwise (AWS_TIMEOUT=300s).
_CLIENT: Final = {"connect_timeout": "5s", "timeout": "120s"}
_CLIENT_OPTIONS: Final = (
    "allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only", "pool_idle_timeout",
    "pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url", "timeout", "user_agent",
)  # fmt: skip
_RETRIES: Final = 5
_RETRY_TIMEOUT: Final = timedelta(seconds=60)
_DELETED_AT_ONCE: Final = 1000  # objects a request: the most that S3 takes


class ObjectStatus(NamedTuple):
    """What is known of an object without reading it: its size, and when it was written, by the clock of the store."""

    n_bytes: int
    modified_at: datetime


class ObjectStorage:
    """A bucket of an S3-compatible object store, whose puts are atomic and whose conditional puts are exclusive.

    Credentials, region and endpoint come from the usual ``AWS_*`` environment variables.
    """

    def __init__(self, url: str) -> None:
        """Use the bucket and prefix of ``url`` (``s3://bucket/prefix``)."""
        from obstore.store import from_url

        self.root = url
        retries: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT}
        self._store = from_url(url, client_options=_read_client_options(), retry_config=retries)
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        self._bucket = f"{endpoint} {url.removeprefix('s3://').partition('/')[0]}"

    def read(self, path: str) -> bytes:
        """See :class:`Storage`."""
        return bytes(self._store.get(path).bytes())

    def open(self, path: str) -> IO[bytes]:
        """See :class:`Storage`."""
        return io.BytesIO(self.read(path))

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Storage`."""
        self._require_suitable()
        self._store.put(path, content)

    def create(self, path: str, content: bytes) -> bool:
        """See :class:`Storage`."""
        from obstore.exceptions import AlreadyExistsError

        self._require_suitable()
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
        return sorted(str(meta["path"]) for meta in self._list(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        """See :class:`Storage`."""
        found = sorted(self._list(prefix), key=lambda meta: str(meta["path"]))
        return {str(meta["path"]): _stamp(meta) for meta in found}

    def list_plain(self, prefix: str) -> Listing:
        """See :class:`Storage`: there are only objects."""
        return Listing(files=self.list(prefix))

    def stamp_plain(self, prefix: str) -> dict[str, str]:
        """See :class:`Storage`."""
        return self.stamps(prefix)

    def read_plain(self, path: str) -> bytes:
        """See :class:`Storage`."""
        return self.read(path)

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
    def lock(self, path: str, *, purpose: str = "", wait_seconds: float = WAIT_SECONDS) -> Iterator[Lock]:
        """See :class:`Storage`: an object that its holder renews; one that is not renewed is taken over."""
        self._require_suitable()
        with leases.hold(self._store, path, f"{self.root}/{path}", purpose, wait_seconds) as lease:
            yield lease

    def list_locks(self) -> tuple[FoundLock, ...]:
        """See :class:`Storage`."""
        folders = self._store.list_with_delimiter("")["common_prefixes"]
        objects = (meta["path"] for folder in folders for meta in self._store.list_with_delimiter(folder)["objects"])
        paths = sorted(str(path) for path in objects if str(path).endswith("lock"))
        return tuple(found for path in paths if (found := leases.look_at(self._store, path)) is not None)

    def break_lock(self, path: str) -> None:
        """See :class:`Storage`."""
        self._require_suitable()
        leases.break_lease(self._store, path)

    def _require_suitable(self) -> None:
        require_exclusive_puts(self._store, self._bucket, self.root)

    def _list(self, prefix: str) -> Iterator["ObjectMeta"]:
        from obstore.exceptions import InvalidPathError

        try:
            for batch in self._store.list(prefix):
                yield from (meta for meta in batch if not _is_temporary(str(meta["path"])))
        except InvalidPathError as error:
            raise BadDataError(
                f"{self.root}/{prefix}: expected objects whose keys are paths, found one that is none: "
                f"{str(error).splitlines()[0]:.300}; remove it from the bucket, or give it a key without '..' and '//'"
            ) from error


def _stamp(meta: "ObjectMeta") -> str:
    return f"{meta['size']}-{meta['e_tag']}-{meta['last_modified'].isoformat()}"


def _is_temporary(path: str) -> bool:
    return path.rpartition("/")[2].startswith(TEMPORARY_PREFIX)


def _read_client_options() -> "ClientConfig":
    """Our limits of time, and what the environment says of the client: options that are given replace all of it."""
    said = {name: value for name in _CLIENT_OPTIONS if (value := os.environ.get(f"AWS_{name.upper()}"))}
    return cast("ClientConfig", _CLIENT | said)
