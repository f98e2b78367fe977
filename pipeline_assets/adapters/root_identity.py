"""Which data root this is: an id of its own, so that snapshots of several in one remote are never mixed up.

The id lies in ``snapshots/root.json``. A copy of a data root, and one that was brought back from an older image of its
disk, have the id of another that may go on: it is given up as soon as a remote knows snapshots that this one does not.
"""

import secrets
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pipeline_assets.adapters.catalog import Catalog
from pipeline_assets.adapters.replication import noting
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.lineage.dvc_trees import SnapshotError
from pipeline_assets.core.lineage.snapshots import UNNAMED, RootCard, read_card

_PATH: Final = "snapshots/root.json"
_ID_BYTES: Final = 8
_MIN_BEGINNING: Final = 4  # characters of an id that name it
_UNNAMED: Final = "unnamed"  # how people name those without an id


def load_card(root: Storage) -> RootCard | None:
    """Return the card of a data root; None where no snapshot of it was ever taken.

    Raises:
        SnapshotError: The card is not readable.
    """
    try:
        return read_card(root.read(_PATH))
    except FileNotFoundError:
        return None


def save_card(root: Storage, card: RootCard) -> None:
    """Let the data root be the one of the card."""
    root.write(_PATH, card.to_bytes())


def draw_card(root: Storage, now: datetime, forked_from: str | None = None) -> RootCard:
    """Draw an id that nobody else has."""
    return RootCard(secrets.token_hex(_ID_BYTES), describe_location(root), now, forked_from)


def describe_location(root: Storage) -> str:
    """Say where a data root is, for people: host and folder, or its URL."""
    return root.root if "://" in root.root else f"{socket.gethostname()}:{root.root}"


class Roots:
    """The data roots that share some remotes, seen from one of them."""

    def __init__(self, root: Storage, catalogs: Sequence[Catalog]) -> None:
        """See them from the data root ``root``."""
        self._root = root
        self._catalogs = catalogs

    def list(self) -> Mapping[str, RootCard | None]:
        """Return the data roots that have snapshots in a remote, by id, and who they say they are."""
        roots: dict[str, RootCard | None] = {}
        for catalog in self._catalogs:
            with noting(catalog, {}):  # one that cannot be reached knows none
                for root in catalog.list_roots():
                    roots[root] = roots.get(root) or (catalog.find_card(root) if root else None)
        return roots

    def find(self) -> str | None:
        """Return the id of this data root; where it has lost it, that of the only one that was where it is.

        None where that does not tell: then a person must say which of those in the remotes it is.
        """
        card = load_card(self._root)
        if card is not None:
            return card.id
        roots = self.list()
        here = [one for one, known in roots.items() if known and known.location == describe_location(self._root)]
        if len(here) == 1:
            return here[0]
        return UNNAMED if set(roots) == {UNNAMED} else None

    def choose(self, beginning: str | None) -> str:
        """Return the id of the data root that somebody means.

        Args:
            beginning: Of its id, four characters or more, or ``unnamed``; None for this data root.

        Raises:
            SnapshotError: There is none, or it means several.
        """
        roots = self.list()
        if not roots:
            raise SnapshotError("there is no snapshot yet; take one: pipeline-assets snapshot take")
        if beginning is None:
            own = self.find()
            found, asked = [] if own is None else [own], "this one has no id, or has lost it"
        else:
            asked = f"{beginning!r} names none of them, or several"
            found = [one for one in roots if (one or _UNNAMED).startswith(beginning)]
            found = found if len(beginning) >= _MIN_BEGINNING else []
        if len(found) != 1 or found[0] not in roots:
            known = (f"{one or _UNNAMED} ({card.location if card else 'no id yet'})" for one, card in roots.items())
            raise SnapshotError(
                f"the remotes have snapshots of these data roots: {'; '.join(known)}; {asked}; name one with --root"
            )
        return found[0]
