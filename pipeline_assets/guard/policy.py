"""Which requests may reach Dagster's web server, by their head; pure decisions but for the name of the bound host.

What a browser sends for a foreign page is told by where it was sent (Host: a foreign name that resolves to this
machine), by where it comes from (Origin, Referer, Sec-Fetch-Site) and by its form: a page can make a browser send
forms and texts anywhere, but JSON only to its own origin. Programs send none of these headers but Host.
"""

import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from pipeline_assets.guard.authority import Authority, fill_port, parse_authority, parse_origin, write_address
from pipeline_assets.guard.credentials import HOW_TO_MAKE, TOKEN_VARIABLE, Credentials
from pipeline_assets.guard.head import WEBSOCKET, Head
from pipeline_assets.guard.refusals import Kind, Refusal, refuse_method, refuse_token, show

SIGN_IN_PATH: Final = "/guard/sign-in"
GRAPHQL: Final = "graphql"
_WRITES: Final = frozenset({"report_asset_materialization", "report_asset_check", "report_asset_observation"})
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to recognise them, not to bind
_LOOPBACK_NAMES: Final = {
    "127.0.0.1": ("127.0.0.1", "localhost"),
    "::1": ("[::1]", "localhost"),
    "localhost": ("localhost", "127.0.0.1", "[::1]"),
}
_UNSAFE_PATH: Final = re.compile(r"[\x00-\x1f\x7f\\]|(?:^|/)\.{1,2}(?:/|$)")  # routers and file systems read it twice


@dataclass(frozen=True)
class Policy:
    """Who may ask; made by :func:`open_policy`.

    Attributes:
        host: What the web server is bound to.
        port: The same.
        allowed: What requests may name as Host.
        is_any_address: Whether it is bound to all addresses of the machine.
        credentials: What opens it; None on loopback, where none is set.
    """

    host: str
    port: int
    allowed: frozenset[Authority]
    is_any_address: bool
    credentials: Credentials | None

    @property
    def url(self) -> str:
        """Where a person on this machine opens it."""
        if self.is_any_address:
            return f"http://localhost:{self.port}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def cookie(self) -> str:
        """The name of the session cookie: one for each port, because browsers send it to all ports of a host."""
        return f"pipeline_assets_ui_{self.port}"

    def check_source(self, head: Head) -> Refusal | None:
        """Return why a request is refused for where it was sent and where it comes from; None if it is not."""
        if _UNSAFE_PATH.search(head.path):
            return Refusal(
                Kind.PATH,
                HTTPStatus.BAD_REQUEST,
                "the path holds control characters, backslashes or dots for folders",
                "ask for the path as the page links it",
            )
        return self._check_host(head) or self._check_origin(head)

    def check_form(self, head: Head) -> Refusal | None:
        """Return why a request is refused for its method or the kind of its body; None if it is not."""
        if head.path == SIGN_IN_PATH and self.credentials is not None:
            return _check_method(head, ("GET", "HEAD", "POST")) or _check_type(head, _FORM)
        if head.endpoint == GRAPHQL:
            refusal = _check_method(head, ("GET", "POST", WEBSOCKET))
            if refusal is None and head.method == "GET" and not head.wants_page:
                return refuse_method("GraphQL is not answered by GET: a link could change something", ("POST",))
            return refusal or _check_type(head, _JSON)
        if head.endpoint in _WRITES:
            return _check_method(head, ("POST",)) or _check_type(head, _JSON)
        return _check_method(head, ("GET", "HEAD"))

    def check_credentials(self, head: Head, now: float) -> Refusal | None:
        """Return why a request is refused for want of the token or of a session at ``now`` (Unix time), or None."""
        if self.credentials is None:
            return None
        bearers = [
            value.partition(" ")[2].strip()
            for value in head.list_values("authorization")
            if value.partition(" ")[0].lower() == "bearer"
        ]
        if any(self.credentials.is_token(one) for one in bearers):
            return None
        if any(self.credentials.is_session(one, now) for one in self._list_sessions(head)):
            return None
        if bearers:
            return refuse_token()
        return Refusal(
            Kind.TOKEN,
            HTTPStatus.UNAUTHORIZED,
            "this server asks for a token",
            f"open its start page in a browser and sign in, or send the header: Authorization: Bearer "
            f"<the value of {TOKEN_VARIABLE}>",
        )

    def _list_sessions(self, head: Head) -> list[str]:
        pairs = (pair.strip().partition("=") for line in head.list_values("cookie") for pair in line.split(";"))
        return [value for name, _, value in pairs if name == self.cookie]

    def _check_host(self, head: Head) -> Refusal | None:
        hosts = head.list_values("host")
        authority = parse_authority(hosts[0]) if len(hosts) == 1 else None
        if authority is not None and (authority in self.allowed or self._is_where_it_arrived(authority, head)):
            return None
        found = show(hosts[0]) if len(hosts) == 1 else f"{len(hosts)} Host headers"
        return Refusal(
            Kind.HOST,
            HTTPStatus.FORBIDDEN,
            f"the request was sent to another host than this server's: {found}",
            f"open {self.url} on the machine that runs it, or start it with --allow-host NAME",
        )

    def _is_where_it_arrived(self, authority: Authority, head: Head) -> bool:
        if not self.is_any_address or not head.arrived_at:
            return False
        return (authority.host, authority.port or fill_port(authority, "http").port) == (
            write_address(head.arrived_at),
            self.port,
        )

    def _check_origin(self, head: Head) -> Refusal | None:
        host = parse_authority(head.list_values("host")[0])
        assert host is not None  # it was checked before
        sites = [value for value in head.list_values("sec-fetch-site") if value not in {"same-origin", "none"}]
        found = [f"Sec-Fetch-Site {show(value)}" for value in sites]
        for name in ("origin", "referer"):
            for value in head.list_values(name):
                origin = parse_origin(value)
                if origin is None or origin[1] != fill_port(host, origin[0]):
                    shown = origin[1] if origin else show(value)  # a Referer's path is nobody's business
                    found.append(f"{name.capitalize()} {shown}")
        if not found:
            return None
        return Refusal(
            Kind.ORIGIN,
            HTTPStatus.FORBIDDEN,
            f"the request comes from another site: {', '.join(found)}",
            "open the page by its own address; a proxy in between must pass the Host header on as it is",
        )


def open_policy(host: str, port: int, names: Iterable[str], token: str) -> Policy:
    """Return the policy of a server on ``host:port``; loopback without a token is open to this machine.

    Args:
        host: To bind; a name or an address.
        port: To bind.
        names: Further hosts by which it may be called, ``NAME`` or ``NAME:PORT``. Without a port: the server's own,
            and those of http and https, as behind a proxy.
        token: The secret that opens it; empty for none.

    Raises:
        ValueError: No such host, no valid name, a token that is too weak, or none where one is needed.
    """
    credentials = Credentials(token) if token else None
    addresses = _resolve(host, port)
    if credentials is None and not all(ip_address(one).is_loopback for one in addresses):
        raise ValueError(
            f"--host {host}: who listens beyond this machine needs a token, and {TOKEN_VARIABLE} is not set: whoever "
            f"reaches the port could launch and delete runs. Set it first: export {TOKEN_VARIABLE}=$({HOW_TO_MAKE}); "
            "or stay on 127.0.0.1 and come in by ssh -L"
        )
    is_any_address = bool(addresses & _ANY_ADDRESS)
    if is_any_address:
        own: Collection[str] = _LOOPBACK_NAMES["localhost"]
    else:
        own = _LOOPBACK_NAMES.get(host.lower(), (_parse_name(host).host, *map(write_address, addresses)))
    allowed = {Authority(one, port) for one in own}
    if port == fill_port(Authority(host, None), "http").port:
        allowed |= {Authority(one, None) for one in own}
    for name in names:
        authority = _parse_name(name)
        ports = (None, port, 80, 443) if authority.port is None else (authority.port,)
        allowed |= {Authority(authority.host, one) for one in ports}
    return Policy(host, port, frozenset(allowed), is_any_address, credentials)


def _parse_name(name: str) -> Authority:
    authority = parse_authority(f"[{name}]" if name.count(":") > 1 and "[" not in name else name)
    if authority is None:
        raise ValueError(
            f"--allow-host or --host: expected a name or an address as browsers send it, such as ui.example.org, "
            f"10.0.0.5:3000 or [::1], found {show(name)}"
        )
    return authority


def _resolve(host: str, port: int) -> set[str]:
    try:
        if not host:
            raise OSError("it is empty")
        return {str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise ValueError(f"--host {host}: no such host here ({error}); name an address of this machine") from error


def _check_method(head: Head, allowed: tuple[str, ...]) -> Refusal | None:
    if head.method in allowed:
        return None
    named = tuple(one for one in allowed if one != WEBSOCKET)
    return refuse_method(f"{show(head.method)} is not allowed here", named)


def _check_type(head: Head, expected: str) -> Refusal | None:
    """Only the exact type counts: Dagster takes any that contains ``application/json``, and so would a foreign form."""
    if head.method != "POST":
        return None
    found = head.list_values("content-type")
    if len(found) == 1 and found[0].partition(";")[0].strip().lower() == expected:
        return None
    return Refusal(
        Kind.FORM,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"expected Content-Type {expected}, found {', '.join(map(show, found)) or 'none'}",
        "send one JSON object as the body" if expected == _JSON else "use the form of the page",
    )
