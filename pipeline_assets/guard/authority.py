"""The host and port that a request was sent to, or comes from, in one spelling."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::([0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65_535


class Authority(NamedTuple):
    """A host and a port; ``port`` is None where none is written."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def parse_authority(text: str) -> Authority | None:
    """Return the host and port of ``text``, or None if it is not exactly one host with at most one port.

    Args:
        text: As in a Host header, such as ``127.0.0.1:3000``, ``[::1]:3000`` or ``Example.org.``.

    Returns:
        Names in lower case without the root's dot, addresses in their shortest form, IPv6 in brackets.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    written, digits = match.groups()
    host = _canonicalise(written)
    port = int(digits) if digits else None
    if host is None or (port is not None and not 0 < port <= _LAST_PORT):
        return None
    return Authority(host, port)


def parse_origin(text: str) -> tuple[str, Authority] | None:
    """Return scheme and authority, with its port, of an Origin or of the beginning of a Referer; None for others."""
    scheme, separator, rest = text.partition("://")
    authority = parse_authority(re.split("[/?#]", rest, maxsplit=1)[0])
    if not separator or scheme.lower() not in _DEFAULT_PORTS or authority is None:
        return None
    return scheme.lower(), fill_port(authority, scheme.lower())


def fill_port(authority: Authority, scheme: str) -> Authority:
    """Return the authority with the port of ``scheme`` where none is written."""
    return authority if authority.port is not None else Authority(authority.host, _DEFAULT_PORTS[scheme])


def write_address(address: str) -> str:
    """Return an IP address as it stands in a URL: IPv6 in brackets, IPv4 within IPv6 as IPv4."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else f"[{parsed}]"


def _canonicalise(written: str) -> str | None:
    try:
        if written.startswith("["):
            return f"[{IPv6Address(written[1:-1])}]"
        name = written.lower().removesuffix(".")
        return name if name and not name.startswith(".") and ".." not in name else None
    except ValueError:
        return None
