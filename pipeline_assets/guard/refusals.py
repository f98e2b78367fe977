"""Why a request is refused, in words for a person; and the count of it."""

import logging
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from pipeline_assets.guard.credentials import TOKEN_VARIABLE

_SHOWN: Final = 100  # characters of what a request holds
_LOGGED_FIRST: Final = 10  # of each kind; then the 16th, the 32nd ...
_logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """Why requests are refused; what is counted."""

    PATH = "unsafe path"
    HOST = "foreign host"
    ORIGIN = "foreign origin"
    METHOD = "method"
    FORM = "not JSON"
    SIZE = "too large"
    SLOW = "too slow"
    TOKEN = "no token"  # noqa: S105 - a reason
    WRONG_TOKEN = "wrong token"  # noqa: S105 - a reason


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused, and what helps.

    Attributes:
        kind: The reason, for the count.
        status: Of the answer.
        problem: For a person; holds nothing secret.
        next_step: What whoever meant well does now.
        allow: The methods that are allowed, where the method is the problem.
    """

    kind: Kind
    status: HTTPStatus
    problem: str
    next_step: str
    allow: str = ""

    def __str__(self) -> str:
        return f"{self.problem}; {self.next_step}"


class RefusalLog:
    """Counts refusals by kind and logs them: each of the first ones, then ever fewer, so that no flood fills a disk."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[Kind] = Counter()

    def add(self, refusal: Refusal, method: str, path: str) -> None:
        """Count a refusal; queries, headers and bodies, which may hold secrets, are left out of the log."""
        self.counts[refusal.kind] += 1
        count = self.counts[refusal.kind]
        if count <= _LOGGED_FIRST or count & (count - 1) == 0:
            _logger.warning(
                "refused %s %s: %s (%s; %d of this kind so far)",
                show(method), show(path), refusal.problem, refusal.kind, count,
            )  # fmt: skip


def refuse_token() -> Refusal:
    """Return the refusal of a token that is not the right one."""
    return Refusal(
        Kind.WRONG_TOKEN,
        HTTPStatus.UNAUTHORIZED,
        "that is not the token",
        f"send the whole value of {TOKEN_VARIABLE}, as the server was started with it; upper and lower case differ",
    )


def refuse_body(problem: str) -> Refusal:
    """Return the refusal of a body that is no JSON object."""
    return Refusal(Kind.FORM, HTTPStatus.BAD_REQUEST, problem, "send one JSON object as the body")


def refuse_method(problem: str, allowed: tuple[str, ...]) -> Refusal:
    """Return the refusal of a method, or of what is asked by it."""
    named = ", ".join(allowed)
    return Refusal(Kind.METHOD, HTTPStatus.METHOD_NOT_ALLOWED, problem, f"use {named}", named)


def show(text: str) -> str:
    """Return what a stranger sent so that it can be printed: shortened, in quotes, without control characters."""
    return ascii(text[:_SHOWN])
