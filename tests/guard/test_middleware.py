"""The guard over real sockets, before an application that tells what reached it."""

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import pytest
import uvicorn
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from pipeline_assets.guard import middleware
from pipeline_assets.guard.credentials import SESSION_SECONDS, TOKEN_VARIABLE
from pipeline_assets.guard.middleware import MAX_BODY_BYTES, Guard
from pipeline_assets.guard.policy import SIGN_IN_PATH, open_policy
from pipeline_assets.guard.refusals import Kind

TOKEN = "kX3-9fQv_72LmZpA0sRt"
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PROTOCOL = Subprotocol("graphql-ws")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Application:
    """Answers every request with what it got of it, and every websocket message with itself."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.reached.append(f"{scope['type']} {scope['path']}")
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": "graphql-ws"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        told = {"method": scope["method"], "size": len(body), "query": scope["query_string"].decode()}
        headers = [(b"content-type", b"application/json"), (b"content-security-policy", b"base-uri 'none'")]
        headers += [(b"x-frame-options", b"SAMEORIGIN"), (b"referrer-policy", b"unsafe-url")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})


class Site:
    """A guarded application on a port, and how to ask it."""

    def __init__(self, port: int, guard: Guard, application: Application) -> None:
        self.port, self.guard, self.application = port, guard, application
        self.host = f"127.0.0.1:{port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, dict[str, list[str]], str]:
        """Status, headers by their name in lower case, and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        sent = {"Host": self.host, **headers}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        named: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            named.setdefault(name.lower(), []).append(value)
        text = answer.read().decode()
        connection.close()
        return answer.status, named, text


@contextmanager
def serving(token: str = "") -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        application = Application()
        guard = Guard(application, open_policy("127.0.0.1", port, (), token))
        server = uvicorn.Server(uvicorn.Config(guard, http="h11", log_level="error", ws_max_size=MAX_BODY_BYTES))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Site(port, guard, application)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Site, Site]]:
    with serving() as unlocked, serving(TOKEN) as locked:
        yield unlocked, locked


@pytest.fixture
def site(shared: tuple[Site, Site]) -> Site:
    shared[0].application.reached.clear()
    return shared[0]


@pytest.fixture
def locked(shared: tuple[Site, Site]) -> Site:
    shared[1].application.reached.clear()
    return shared[1]


def test_a_query_as_json_reaches_the_application_as_it_was_sent(site: Site) -> None:
    body = json.dumps({"query": "{version}", "variables": {"x": "y" * 200_000}}).encode()
    status, _, text = site.ask("POST", "/graphql?op=Version", body, JSON)
    assert (status, json.loads(text)) == (200, {"method": "POST", "size": len(body), "query": ""})


def test_pages_reach_the_application_with_their_query(site: Site) -> None:
    status, _, text = site.ask("GET", "/runs?view=all")
    assert (status, json.loads(text)["query"]) == (200, "view=all")


def test_every_answer_says_that_it_may_not_be_framed_or_guessed_at(site: Site) -> None:
    for path, status in (("/", 200), ("/graphql", 405)):
        found, headers, _ = site.ask("GET", path)
        assert found == status
        assert headers["x-frame-options"] == ["SAMEORIGIN"]
        assert headers["x-content-type-options"] == ["nosniff"]
        assert headers["referrer-policy"] == ["same-origin"]
        assert headers["content-security-policy"][-1] == "frame-ancestors 'self'"
    assert site.ask("GET", "/")[1]["content-security-policy"][0] == "base-uri 'none'"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", None, {"Host": "other.example"}, 403),
        ("GET", "/", None, {"Origin": "null"}, 403),
        ("POST", "/graphql", b"{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/graphql", b"query=1", FORM, 415),
        ("POST", "/report_asset_check/a?passed=true", None, {}, 415),
        ("GET", "/graphql?query=1", None, {}, 405),
        ("DELETE", "/runs", None, {}, 405),
        ("OPTIONS", "/graphql", None, {"Origin": "http://other.example"}, 403),
        ("GET", "/graphql%0A", None, {"Accept": "text/html"}, 400),
        ("GET", "/logs/%2e%2e/x", None, {}, 400),
        ("POST", "/graphql", b"[{}]", JSON, 400),
        ("POST", "/graphql", b"{", JSON, 400),
        ("POST", "/graphql", b"", JSON, 400),
        ("POST", "/graphql", b"\xff", JSON, 400),
        ("POST", "/graphql", b"[" * 100_000, JSON, 400),
    ],
)
def test_what_is_refused_never_reaches_the_application(
    site: Site, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    before = site.guard.refusals.counts.total()
    found, answered, text = site.ask(method, path, body, headers)
    assert found == status
    assert "refused: " in text
    assert "access-control-allow-origin" not in answered
    assert site.guard.refusals.counts.total() == before + 1
    assert not site.application.reached


def test_without_a_host_nothing_is_answered(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"403" in answer.partition(b"\r\n")[0]
    assert b"0 Host headers" in answer
    assert not site.application.reached


def test_a_body_that_is_too_large_is_told_so_whether_it_says_its_size_or_not(site: Site) -> None:
    status, _, text = site.ask("POST", "/graphql", b" " * (MAX_BODY_BYTES + 1), JSON)
    assert (status, f"at most {MAX_BODY_BYTES}" in text) == (413, True)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    chunks = (b" " * 1_000_000 for _ in range(MAX_BODY_BYTES // 1_000_000 + 1))
    connection.request("POST", "/graphql", chunks, JSON, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert not site.application.reached


def begin_body(site: Site) -> bytes:
    head = ("POST /graphql HTTP/1.1", f"Host: {site.host}", "Content-Type: application/json", "Content-Length: 9")
    return "\r\n".join((*head, "", "{")).encode()


def test_a_body_that_never_ends_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(begin_body(site))
        assert b" 408 " in connection.recv(65536).partition(b"\r\n")[0]
    assert not site.application.reached


def test_a_client_that_goes_away_in_its_body_leaves_no_trace(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(begin_body(site))
    assert site.ask("GET", "/")[0] == 200
    assert site.application.reached == ["http /"]


def test_a_refused_graphql_request_is_answered_as_its_clients_read_it(site: Site) -> None:
    _, headers, text = site.ask("POST", "/graphql", b"{}", {**JSON, "Origin": "null"})
    assert headers["content-type"] == ["application/json"]
    assert json.loads(text)["errors"][0]["message"].startswith("refused: the request comes from another site")


def test_a_link_of_another_site_leads_on_by_one_click_of_the_person(site: Site) -> None:
    browser = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}
    status, headers, text = site.ask("GET", "/runs?view=%22%3E&a=1", headers=browser)
    assert status == 403
    assert '<a href="/runs?view=%22%3E&amp;a=1">' in text
    assert headers["x-frame-options"] == ["DENY"]
    assert '<a href="/">' in site.ask("GET", "//other.example/x", headers=browser)[2]
    assert not site.application.reached


def test_a_websocket_of_the_own_page_is_passed_on(site: Site) -> None:
    for origin in (None, f"http://{site.host}"):
        with connect(f"ws://{site.host}/graphql", origin=origin, subprotocols=[PROTOCOL]) as connection:  # type: ignore[arg-type]
            connection.send("hello")
            assert connection.recv(timeout=20) == "hello"
            assert connection.subprotocol == "graphql-ws"


@pytest.mark.parametrize(
    ("path", "origin", "host"),
    [
        ("/graphql", "http://other.example", None),
        ("/graphql", "null", None),
        ("/graphql", None, "other.example"),
        ("/", None, None),
    ],
)
def test_a_foreign_websocket_is_refused_with_the_reason(
    site: Site, path: str, origin: str | None, host: str | None
) -> None:
    address = f"ws://{host or '127.0.0.1'}:{site.port}{path}"
    with socket.create_connection(("127.0.0.1", site.port)) as raw, pytest.raises(InvalidStatus) as caught:
        connect(address, sock=raw, origin=origin, proxy=None)  # type: ignore[arg-type]
    assert caught.value.response.status_code in {403, 405}
    assert caught.value.response.body is not None
    assert b"refused: " in caught.value.response.body
    assert not site.application.reached


def test_with_a_token_nothing_is_shown_without_it(locked: Site) -> None:
    for path in ("/", "/server_info", "/logs/a", "/favicon.ico"):
        status, headers, text = locked.ask("GET", path)
        assert (status, headers["www-authenticate"]) == (401, ['Bearer realm="pipeline-assets"'])
        assert TOKEN_VARIABLE in text
        assert locked.ask("GET", path, headers=BEARER)[0] == 200
    assert locked.ask("HEAD", "/")[::2] == (401, "")
    assert locked.ask("POST", "/graphql", b"{}", JSON)[0] == 401
    assert locked.ask("POST", "/graphql", b"{}", {**JSON, **BEARER})[0] == 200
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"ws://{locked.host}/graphql", subprotocols=[PROTOCOL])
    with connect(f"ws://{locked.host}/graphql", additional_headers=BEARER, subprotocols=[PROTOCOL]) as connection:
        connection.send("hello")
        assert connection.recv(timeout=20) == "hello"


def sign_in(
    site: Site, token: str, target: str = "/runs", headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, dict[str, list[str]], str]:
    return site.ask("POST", SIGN_IN_PATH, urlencode({"token": token, "next": target}).encode(), {**FORM, **headers})


def test_a_person_signs_in_and_goes_where_they_wanted(locked: Site) -> None:
    status, _, text = locked.ask("GET", "/runs?a=%22&b=1", headers={"Accept": "text/html"})
    assert (status, 'name="next" value="/runs?a=%22&amp;b=1"' in text) == (401, True)
    status, headers, _ = sign_in(locked, TOKEN, "/runs?a=%22&b=1", {"Origin": f"http://{locked.host}"})
    assert (status, headers["location"]) == (303, ["/runs?a=%22&b=1"])
    cookie = headers["set-cookie"][0]
    assert "; Path=/; HttpOnly; SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert locked.ask("GET", "/runs", headers={"Cookie": cookie.partition(";")[0]})[0] == 200
    assert locked.ask("GET", SIGN_IN_PATH, headers={"Cookie": cookie.partition(";")[0]})[1]["location"] == ["/"]
    assert locked.application.reached == ["http /runs"]


def test_behind_a_proxy_with_https_the_cookie_stays_on_https(locked: Site) -> None:
    _, headers, _ = sign_in(locked, TOKEN, headers={"Origin": f"https://{locked.host}"})
    assert headers["set-cookie"][0].endswith("; Secure")


def test_a_session_that_expired_asks_for_the_token_again(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = sign_in(locked, TOKEN)[1]["set-cookie"][0].partition(";")[0]
    later = time.time() + SESSION_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert locked.ask("GET", "/runs", headers={"Accept": "text/html", "Cookie": cookie})[0] == 401


@pytest.mark.parametrize("token", ["", TOKEN[:-1], TOKEN.upper(), f"{TOKEN}{TOKEN}"])
def test_a_wrong_token_opens_nothing_and_the_form_says_so(locked: Site, token: str) -> None:
    status, headers, text = sign_in(locked, token, "/runs?b=1")
    assert (status, "set-cookie" in headers) == (401, False)
    assert "that is not the token" in text
    assert 'value="/runs?b=1"' in text
    assert token == "" or token not in text


@pytest.mark.parametrize("target", ["//other.example", "/\\other.example", "http://other.example", "/a\r\nb: c", ""])
def test_signing_in_leads_nowhere_else(locked: Site, target: str) -> None:
    assert sign_in(locked, TOKEN, target)[1]["location"] == ["/"]


def test_another_site_cannot_sign_a_person_in(locked: Site) -> None:
    for headers in ({"Origin": "http://other.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answered, _ = sign_in(locked, TOKEN, headers=headers)
        assert (status, "set-cookie" in answered) == (403, False)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [(b"token=a", JSON, 415), (b"token=" + b"a" * 9000, FORM, 413), (b"\xff=\xff", FORM, 401), (b"a&" * 20, FORM, 401)],
)
def test_a_form_that_is_none_is_refused(locked: Site, body: bytes, headers: dict[str, str], status: int) -> None:
    assert locked.ask("POST", SIGN_IN_PATH, body, headers)[0] == status


def test_without_a_token_there_is_nothing_to_sign_in_to(site: Site) -> None:
    assert sign_in(site, TOKEN)[0] == 405
    assert site.ask("GET", SIGN_IN_PATH)[0] == 200  # Dagster's to answer, as any other path
    assert site.application.reached == [f"http {SIGN_IN_PATH}"]


def test_refusals_are_counted_and_logged_without_a_secret_and_not_for_ever(
    locked: Site, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "aB3-not-the-token-but-nearly"
    counts = locked.guard.refusals.counts
    counts.clear()
    with caplog.at_level(logging.WARNING, logger="pipeline_assets.guard"):
        for _ in range(40):
            locked.ask(
                "GET", f"/runs?token={secret}", headers={"Authorization": f"Bearer {secret}", "Cookie": f"x={secret}"}
            )
        sign_in(locked, secret)
        locked.ask("GET", "/a%0Ab", headers=BEARER)
    assert counts == {Kind.WRONG_TOKEN: 41, Kind.PATH: 1}
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("pipeline_assets.guard")]
    assert len(lines) == 10 + 2 + 1  # the first ones, the 16th and the 32nd, and the other kind
    assert not any(one in line for one in (secret, TOKEN, "\n") for line in lines)
    assert "refused 'GET' '/a\\nb': the path holds" in lines[-1]
