"""The head of a request, as far as it decides who may ask."""

from dataclasses import dataclass
from typing import Final

WEBSOCKET: Final = "websocket handshake"  # stands for the method of a request that becomes a websocket


@dataclass(frozen=True)
class Head:
    """The head of a request.

    Attributes:
        method: As sent, or :data:`WEBSOCKET`.
        path: Decoded, without the query.
        headers: Names in lower case, and values, in their order.
        arrived_at: This machine's address at which it arrived; empty where unknown.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    arrived_at: str = ""

    def list_values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key == name]

    @property
    def wants_page(self) -> bool:
        """Whether a person's browser asks for a page to show."""
        return self.method == "GET" and any("text/html" in value for value in self.list_values("accept"))

    @property
    def endpoint(self) -> str:
        """The first part of the path, which chooses Dagster's endpoint."""
        return self.path.lstrip("/").partition("/")[0].strip().lower()
