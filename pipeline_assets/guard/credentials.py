"""The token that opens the UI, and the session cookie that stands for it in a browser.

The cookie is no copy of the token: browsers send it to every port of the host. It is a time of expiry, signed with
the token; so a web server that was started again knows it, and with another token it is worth nothing.
"""

import hashlib
import hmac
import re
from typing import Final

TOKEN_VARIABLE: Final = "PIPELINE_UI_TOKEN"  # noqa: S105 - the name of the variable, not its value
MIN_CHARACTERS: Final = 20  # 120 bits as URL-safe base64, which no one guesses over a network
_MIN_DIFFERENT: Final = 8
SESSION_SECONDS: Final = 12 * 3600  # a working day; then the token is asked for again
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what `Authorization: Bearer` can carry (RFC 6750)
_SESSION: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")
HOW_TO_MAKE: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


class Credentials:
    """Recognises the token and the sessions that were opened with it; in constant time, and without showing it."""

    def __init__(self, token: str) -> None:
        """Take the token that :data:`TOKEN_VARIABLE` holds.

        Raises:
            ValueError: It is too short, too regular, or cannot be sent.
        """
        found = None
        if len(token) < MIN_CHARACTERS:
            found = f"{len(token)} characters"
        elif not _TOKEN.fullmatch(token):
            found = "another character"
        elif len(set(token)) < _MIN_DIFFERENT:
            found = f"only {len(set(token))} different ones"
        if found is not None:
            raise ValueError(
                f"{TOKEN_VARIABLE}: expected at least {MIN_CHARACTERS} characters (A-Z a-z 0-9 - . _ ~ + / and = at "
                f"the end), {_MIN_DIFFERENT} of them different, found {found}; make one with: {HOW_TO_MAKE}"
            )
        self._token = token.encode()

    def is_token(self, text: str) -> bool:
        """Whether ``text`` is the token; takes as long whatever it is."""
        return hmac.compare_digest(_digest(text.encode("utf-8", "surrogateescape")), _digest(self._token))

    def open_session(self, now: float) -> str:
        """Return the value of a cookie that is good for :data:`SESSION_SECONDS` from ``now`` (Unix time) on."""
        expiry = str(int(now) + SESSION_SECONDS)
        return f"{expiry}.{self._sign(expiry)}"

    def is_session(self, text: str, now: float) -> bool:
        """Whether ``text`` is a session of this token that has not expired at ``now`` (Unix time)."""
        match = _SESSION.fullmatch(text)
        if match is None:
            return False
        expiry, signature = match.groups()
        return hmac.compare_digest(signature, self._sign(expiry)) and now < int(expiry)

    def _sign(self, expiry: str) -> str:
        return hmac.new(self._token, f"pipeline-assets ui session until {expiry}".encode(), "sha256").hexdigest()


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
