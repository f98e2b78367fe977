"""What sensors see while nothing but them is at work: every look is made once, until something has changed.

A day that passes idly has thousands of ticks, each of which looks at the same files and at the same instance. Only
while sensors are evaluated is anything recalled; whoever changes files or the instance says so.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import dagster as dg

from pipeline_assets.adapters import storage
from pipeline_assets.adapters.files import Listing
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.definitions import Surveyor

_OF_INSTANCE: Final = (
    "fetch_materializations",
    "get_materialized_partitions",
    "get_run_by_id",
    "get_run_records",
    "get_runs",
    "get_status_by_partition",
)
_OF_EVENTS: Final = ("get_asset_check_partition_info",)


class Recall:
    """The memory of one pipeline.

    Attributes:
        stores: The stores as they were seen last.
    """

    def __init__(self, instance: dg.DagsterInstance, root: Path) -> None:
        """Remember what is seen of ``instance`` and of the data root ``root``."""
        self._seen: dict[Any, Any] = {}
        self._is_looking = False
        for looked_at, names in ((instance, _OF_INSTANCE), (instance.event_log_storage, _OF_EVENTS)):
            for name in names:
                setattr(looked_at, name, partial(self._look, name, getattr(looked_at, name)))
        with patch.object(storage, "LocalStorage", partial(_SeenStorage, self)):
            self.stores: Stores = open_stores(str(root))

    def forget(self) -> None:
        """Something has changed, or may have."""
        self._seen.clear()

    def remember(self, key: Any, look: Callable[[], Any]) -> Any:
        """What ``look`` gave when it was called first."""
        if key not in self._seen:
            self._seen[key] = look()
        return self._seen[key]

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While the context lasts, sensors look; surveys are remembered as well, as long as the same is due."""
        survey = Surveyor.survey

        def recall(surveyor: Surveyor, instance: Any, stores: Stores, now: datetime) -> Any:
            due = surveyor.list_due(stores, now)
            return self.remember(("survey", str(due)), lambda: survey(surveyor, instance, stores, now))

        self._is_looking = True
        try:
            with patch.object(Surveyor, "survey", recall):
                yield
        finally:
            self._is_looking = False

    def _look(self, name: str, look: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if not self._is_looking:
            return look(*arguments, **named)
        return self.remember((name, repr(arguments), repr(named)), lambda: look(*arguments, **named))


class _SeenStorage(storage.LocalStorage):
    """A folder whose names, stamps and contents are recalled."""

    def __init__(self, recall: Recall, root: Path) -> None:
        super().__init__(root)
        self._recall = recall

    def list(self, prefix: str) -> list[str]:
        return list(self._recall.remember((self.root, "list", prefix), lambda: super(_SeenStorage, self).list(prefix)))

    def stamp(self, path: str) -> str:
        return str(self._recall.remember((self.root, "stamp", path), lambda: super(_SeenStorage, self).stamp(path)))

    def stamps(self, prefix: str) -> dict[str, str]:
        seen = self._recall.remember((self.root, "stamps", prefix), lambda: super(_SeenStorage, self).stamps(prefix))
        return dict(seen)

    def read(self, path: str) -> bytes:
        return bytes(self._recall.remember((self.root, "read", path), lambda: super(_SeenStorage, self).read(path)))

    def list_plain(self, prefix: str) -> Listing:
        found: Listing = self._recall.remember(
            (self.root, "list_plain", prefix), lambda: super(_SeenStorage, self).list_plain(prefix)
        )
        return found

    def read_plain(self, path: str) -> bytes:
        return bytes(
            self._recall.remember((self.root, "read_plain", path), lambda: super(_SeenStorage, self).read_plain(path))
        )
