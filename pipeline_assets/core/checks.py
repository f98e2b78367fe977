"""What a check found: one frozen result for all checks.

"The data is bad" is a finding; "the check itself broke" is an exception. They are never the same answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How bad it is when the check does not pass."""

    WARN = "warn"  # go on, and say so
    ERROR = "error"  # hold the partition


@dataclass(frozen=True)
class Finding:
    """The answer of one check on one partition.

    Attributes:
        passed: Whether the claim holds.
        level: How bad it is when it does not.
        explanation: For a person: what was expected, what was found, what to do next.
        facts: Counts and codes; never values of cards or persons.
    """

    passed: bool
    level: Level
    explanation: str
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
