"""The guard as ASGI middleware: it stands before a whole web application and answers what the policy refuses.

It wraps the application in its own process, so that websockets, compression and streaming are the application's.
Bodies of state changes are read here first, bounded in bytes and time, and handed on as they came.
"""

import asyncio
import json
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote

from pipeline_assets.guard.head import WEBSOCKET, Head
from pipeline_assets.guard.pages import (
    NEXT_FIELD,
    PAGE_POLICY,
    TOKEN_FIELD,
    make_foreign_page,
    make_sign_in_page,
    make_target,
)
from pipeline_assets.guard.policy import GRAPHQL, SIGN_IN_PATH, Policy
from pipeline_assets.guard.refusals import Kind, Refusal, RefusalLog, refuse_body, refuse_token

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 4 << 20  # a launch of every partition of ten years is 0.1 MB
_MAX_FORM_BYTES: Final = 8 << 10
_BODY_SECONDS: Final = 30.0  # a body that drips in more slowly is given up
_DEFAULT_HEADERS: Final = {
    b"x-frame-options": b"SAMEORIGIN",  # not DENY: Dagster frames its own notebook pages
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",  # not no-referrer: with that, browsers send `Origin: null` with a form
    b"cross-origin-resource-policy": b"same-origin",
}
_FRAMES: Final = (b"content-security-policy", b"frame-ancestors 'self'")  # beside Dagster's own: both are in force
_PAGE_HEADERS: Final = {b"content-security-policy": PAGE_POLICY.encode(), b"x-frame-options": b"DENY"}
Headers = Iterable[tuple[bytes, bytes]]


class _GoneError(Exception):
    """The client went away while it was still sending."""


class Guard:
    """Lets requests through that the policy allows, and answers the others: briefly, with the reason and a way on."""

    def __init__(self, application: "ASGIApp", policy: Policy) -> None:
        """Stand before ``application``."""
        self._application = application
        self._policy = policy
        self.refusals = RefusalLog()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one connection, as ASGI asks for it."""
        if scope["type"] not in {"http", "websocket"}:  # the application's own start and end
            await self._application(scope, receive, send)
            return
        head = _read_head(scope)
        send = _with_headers(send)
        refusal = self._policy.check_source(head) or self._policy.check_form(head)
        is_sign_in = head.path == SIGN_IN_PATH and self._policy.credentials is not None
        if refusal is None and not (is_sign_in and head.method == "POST"):
            refusal = self._policy.check_credentials(head, time.time())
        try:
            if refusal is None and head.method == "POST":
                body = await _read_body(receive, head, _MAX_FORM_BYTES if is_sign_in else MAX_BODY_BYTES)
                if isinstance(body, Refusal):
                    refusal = body
                elif is_sign_in:
                    await self._sign_in(head, body, send)
                    return
                else:
                    refusal, receive = _check_json(body), _replay(body, receive)
        except _GoneError:
            return
        if refusal is not None:
            await self._refuse(refusal, head, scope, receive, send)
        elif is_sign_in:
            await _answer(send, HTTPStatus.SEE_OTHER, b"", "text/plain", [(b"location", b"/")])
        else:
            if head.endpoint == GRAPHQL:
                scope = {**scope, "query_string": b""}  # it would be executed where the page is not asked for
            await self._application(scope, receive, send)

    async def _sign_in(self, head: Head, body: bytes, send: "Send") -> None:
        credentials = self._policy.credentials
        assert credentials is not None
        try:
            fields = parse_qs(body.decode(), max_num_fields=10)
        except ValueError:
            fields = {}
        path, _, query = fields.get(NEXT_FIELD, ["/"])[0].partition("?")
        target = make_target(path, query)
        if not credentials.is_token(fields.get(TOKEN_FIELD, [""])[0].strip()):
            refusal = refuse_token()
            self.refusals.add(refusal, head.method, head.path)
            await _answer_page(send, refusal.status, make_sign_in_page(SIGN_IN_PATH, target, str(refusal)))
            return
        is_encrypted = any(value.startswith("https:") for value in head.list_values("origin"))  # by a proxy
        session = credentials.open_session(time.time())
        cookie = f"{self._policy.cookie}={session}; Path=/; HttpOnly; SameSite=Strict" + "; Secure" * is_encrypted
        location = quote(target, safe="/?&=%:@!$'()*+,;~-._[]").encode()
        headers = [(b"location", location), (b"set-cookie", cookie.encode())]
        await _answer(send, HTTPStatus.SEE_OTHER, b"", "text/plain", headers)

    async def _refuse(self, refusal: Refusal, head: Head, scope: "Scope", receive: "Receive", send: "Send") -> None:
        self.refusals.add(refusal, head.method, head.path)
        if head.method == WEBSOCKET:
            await _refuse_websocket(refusal, scope, receive, send)
            return
        target = make_target(quote(head.path, safe="/:@!$&'()*+,;=~"), scope["query_string"].decode("latin-1"))
        if refusal.kind is Kind.TOKEN and head.wants_page:
            target = "/" if head.path == SIGN_IN_PATH else target
            await _answer_page(send, refusal.status, make_sign_in_page(SIGN_IN_PATH, target, ""))
        elif refusal.kind is Kind.ORIGIN and head.wants_page:
            await _answer_page(send, refusal.status, make_foreign_page(refusal.problem, target))
        else:
            extra = [(b"allow", refusal.allow.encode())] if refusal.allow else []
            if refusal.status is HTTPStatus.UNAUTHORIZED:
                extra.append((b"www-authenticate", b'Bearer realm="pipeline-assets"'))
            text, kind = _write_refusal(refusal, head)
            await _answer(send, refusal.status, b"" if head.method == "HEAD" else text, kind, extra)


def _read_head(scope: "Scope") -> Head:
    method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    return Head(method, scope["path"], headers, str((scope.get("server") or ("",))[0]))


async def _read_body(receive: "Receive", head: Head, limit: int) -> bytes | Refusal:
    """Return the whole body; what is too large is read to its end without being kept, so that the answer arrives."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            is_complete = False
            while not is_complete:
                message = await receive()
                if message["type"] != "http.request":
                    raise _GoneError
                part = message.get("body", b"")
                size += len(part)
                if size <= limit:
                    parts.append(part)
                else:
                    parts.clear()
                is_complete = not message.get("more_body", False)
    except TimeoutError:
        return Refusal(
            Kind.SLOW,
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not end within {_BODY_SECONDS:.0f} s",
            "send it at once",
        )
    if size > limit:
        return Refusal(
            Kind.SIZE,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {size} bytes, and at most {limit} are read",
            "split what you ask for",
        )
    return b"".join(parts)


def _check_json(body: bytes) -> Refusal | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return refuse_body("the body is no JSON")
    if isinstance(found, dict):
        return None
    return refuse_body(f"expected one JSON object, found a {type(found).__name__}: batches are not answered")


def _replay(body: bytes, receive: "Receive") -> "Receive":
    """A ``receive`` that gives the body that was read, then what comes after it."""
    is_given = False

    async def replayed() -> "Message":
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _with_headers(send: "Send") -> "Send":
    """A ``send`` that adds the headers of :data:`_DEFAULT_HEADERS` to every answer."""

    async def sent(message: "Message") -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            given = [(name.lower(), value) for name, value in message.get("headers", ())]
            names = {name for name, _ in given} - {b"referrer-policy"}  # Dagster's is weaker
            kept = [(name, value) for name, value in given if name != b"referrer-policy"]
            added = [(name, value) for name, value in _DEFAULT_HEADERS.items() if name not in names]
            message = {**message, "headers": [*kept, *added, _FRAMES]}
        await send(message)

    return sent


def _write_refusal(refusal: Refusal, head: Head) -> tuple[bytes, str]:
    """The text and its type: GraphQL's form where GraphQL was asked for, so that its clients show it."""
    if head.endpoint == GRAPHQL and head.method == "POST":
        return json.dumps({"errors": [{"message": f"refused: {refusal}"}]}).encode(), "application/json"
    return f"refused: {refusal}\n".encode(), "text/plain; charset=utf-8"


async def _answer_page(send: "Send", status: HTTPStatus, page: str) -> None:
    await _answer(send, status, page.encode(), "text/html; charset=utf-8", _PAGE_HEADERS.items())


async def _answer(
    send: "Send", status: HTTPStatus, body: bytes, kind: str, extra: Headers, prefix: str = "http"
) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    await send({"type": f"{prefix}.response.start", "status": int(status), "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})


async def _refuse_websocket(refusal: Refusal, scope: "Scope", receive: "Receive", send: "Send") -> None:
    """Answer the handshake, where the server can, as any other request; else close it unopened."""
    await receive()  # the handshake
    if "websocket.http.response" in scope.get("extensions", {}):
        text, kind = _write_refusal(refusal, Head(WEBSOCKET, scope["path"], ()))
        await _answer(send, refusal.status, text, kind, (), "websocket.http")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.problem[:100]})
