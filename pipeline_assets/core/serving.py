"""How long a model may take to answer."""

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class ServingParams:
    """The time after which a model that has not answered is gone without.

    Attributes:
        min_timeout_seconds: Of the smallest request: a healthy model on a loaded machine answers well within it.
        timeout_microseconds_a_row: What each row adds; a healthy model takes 5 to 10 (measured).
    """

    min_timeout_seconds: float = Field(default=10.0, gt=0)
    timeout_microseconds_a_row: float = Field(default=2000.0, gt=0)

    def find_timeout_seconds(self, n_rows: int) -> float:
        """The time that a model has for so many rows, in seconds."""
        return max(self.min_timeout_seconds, n_rows * self.timeout_microseconds_a_row / 1e6)
