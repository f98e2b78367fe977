"""What reaches Dagster, by the head of a request: every way a foreign page can speak is told from our own."""

import socket
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.guard.authority import parse_authority
from pipeline_assets.guard.credentials import TOKEN_VARIABLE
from pipeline_assets.guard.head import WEBSOCKET, Head
from pipeline_assets.guard.policy import SIGN_IN_PATH, Policy, open_policy
from pipeline_assets.guard.refusals import Kind

TOKEN = "kX3-9fQv_72LmZpA0sRt"
OPEN = open_policy("127.0.0.1", 3000, (), "")
LOCKED = open_policy("0.0.0.0", 3000, (), TOKEN)


def ask(method: str = "GET", path: str = "/runs", *, arrived_at: str = "127.0.0.1", **headers: str) -> Head:
    """A request of a program on this machine, with headers added or, if empty, left out."""
    named = {"host": "127.0.0.1:3000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(method, path, tuple((name, value) for name, value in named.items() if value), arrived_at)


def judge(policy: Policy, head: Head) -> Kind | None:
    refusal = policy.check_source(head) or policy.check_form(head) or policy.check_credentials(head, 0.0)
    return refusal.kind if refusal else None


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "localhost.:3000"])
def test_the_bound_host_is_answered_in_every_spelling(host: str) -> None:
    assert judge(OPEN, ask(host=host)) is None


@pytest.mark.parametrize(
    "host",
    ["other.example:3000", "127.0.0.1", "127.0.0.1:3001", "localhost:80", "[::1]:3000", "127.0.0.2:3000",
     "localhost.other.example:3000", "127.0.0.1.other.example:3000", "2130706433:3000", "0.0.0.0:3000", "not a host"],
)  # fmt: skip
def test_a_foreign_host_is_refused(host: str) -> None:
    assert judge(OPEN, ask(host=host)) is Kind.HOST


@given(st.text(max_size=30))
def test_no_host_but_the_own_ones_is_ever_answered(host: str) -> None:
    own = {parse_authority(one) for one in ("127.0.0.1:3000", "localhost:3000")}
    refusal = OPEN.check_source(Head("GET", "/", (("host", host),)))
    assert (refusal is None) == (parse_authority(host) in own)


def test_no_host_and_two_hosts_are_refused() -> None:
    assert judge(OPEN, Head("GET", "/", ())) is Kind.HOST
    assert judge(OPEN, Head("GET", "/", (("host", "127.0.0.1:3000"), ("host", "127.0.0.1:3000")))) is Kind.HOST


def test_each_bound_address_has_its_own_names() -> None:
    assert judge(open_policy("::1", 3000, (), ""), ask(host="[::1]:3000")) is None
    assert judge(open_policy("::1", 3000, (), ""), ask(host="127.0.0.1:3000")) is Kind.HOST
    assert judge(open_policy("127.0.0.2", 3000, (), ""), ask(host="127.0.0.2:3000")) is None
    assert judge(open_policy("127.0.0.2", 3000, (), ""), ask(host="localhost:3000")) is Kind.HOST
    assert judge(open_policy("localhost", 3000, (), ""), ask(host="[::1]:3000")) is None


def test_on_the_port_of_http_a_host_needs_none() -> None:
    assert judge(open_policy("127.0.0.1", 80, (), ""), ask(host="localhost")) is None


def test_bound_to_all_addresses_it_answers_to_the_one_at_which_it_was_asked() -> None:
    bearer = f"Bearer {TOKEN}"
    assert judge(LOCKED, ask(host="10.0.0.5:3000", arrived_at="10.0.0.5", authorization=bearer)) is None
    assert judge(LOCKED, ask(host="[fe80::5]:3000", arrived_at="fe80::5", authorization=bearer)) is None
    assert judge(LOCKED, ask(host="localhost:3000", arrived_at="10.0.0.5", authorization=bearer)) is None
    for host in ("10.0.0.6:3000", "10.0.0.5:3001", "10.0.0.5", "box.example:3000"):
        assert judge(LOCKED, ask(host=host, arrived_at="10.0.0.5", authorization=bearer)) is Kind.HOST
    assert judge(OPEN, ask(host="10.0.0.5:3000", arrived_at="10.0.0.5")) is Kind.HOST


def test_a_name_that_the_operator_allows_is_answered_on_its_ports_only() -> None:
    policy = open_policy("127.0.0.1", 3000, ("UI.example.org", "other.example:8443"), "")
    for host in ("ui.example.org", "ui.example.org:3000", "ui.example.org:443", "other.example:8443"):
        assert judge(policy, ask(host=host)) is None
    for host in ("ui.example.org:8443", "other.example", "sub.ui.example.org"):
        assert judge(policy, ask(host=host)) is Kind.HOST
    assert judge(policy, ask(host="ui.example.org", origin="https://ui.example.org")) is None
    assert judge(policy, ask(host="ui.example.org", origin="https://other.example:8443")) is Kind.ORIGIN


@pytest.mark.parametrize("name", ["*", "", "a b", "http://x", "*.example.org", "x:0"])
def test_a_name_that_is_none_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name or an address as browsers send it"):
        open_policy("127.0.0.1", 3000, (name,), "")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": "http://other.example"},
        {"origin": "http://localhost:3000"},  # the same server, but not the origin that the page was loaded from
        {"origin": "http://127.0.0.1:3001"},
        {"origin": "https://127.0.0.1"},
        {"origin": "http://127.0.0.1:3000.other.example"},
        {"referer": "http://other.example/127.0.0.1:3000"},
        {"referer": "http://127.0.0.1:3000@other.example/"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "Same-Origin"},
        {"origin": "http://127.0.0.1:3000", "referer": "http://other.example/"},
        {"origin": "http://127.0.0.1:3000", "sec_fetch_site": "cross-site"},
    ],
)
def test_what_comes_from_elsewhere_is_refused(method: str, headers: dict[str, str]) -> None:
    assert judge(OPEN, ask(method, **headers)) is Kind.ORIGIN
    assert judge(OPEN, ask(WEBSOCKET, "/graphql", **headers)) is Kind.ORIGIN
    assert judge(OPEN, ask("POST", "/graphql", content_type="application/json", **headers)) is Kind.ORIGIN


def test_what_comes_from_the_own_page_or_from_no_page_is_answered() -> None:
    own = {
        "origin": "http://127.0.0.1:3000",
        "referer": "http://127.0.0.1:3000/runs?x",
        "sec_fetch_site": "same-origin",
    }
    for headers in ({}, own, {"sec_fetch_site": "none"}):
        assert judge(OPEN, ask(**headers)) is None
        assert judge(OPEN, ask(WEBSOCKET, "/graphql", **headers)) is None
        assert judge(OPEN, ask("POST", "/graphql", content_type="application/json", **headers)) is None


def test_a_foreign_referer_is_told_without_its_path() -> None:
    refusal = OPEN.check_source(ask(referer="http://other.example/secret?token=1"))
    assert refusal is not None
    assert "other.example" in str(refusal)
    assert "secret" not in str(refusal)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", None),
        ("Application/JSON; charset=utf-8", None),
        ("text/plain", Kind.FORM),
        ("text/plain; application/json", Kind.FORM),  # Dagster takes any type that contains this
        ("application/x-www-form-urlencoded", Kind.FORM),
        ("multipart/form-data; boundary=application/json", Kind.FORM),
        ("application/graphql", Kind.FORM),
        ("application/json, text/plain", Kind.FORM),
        ("application/jsonp", Kind.FORM),
        ("", Kind.FORM),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/graphql", "/report_asset_materialization/a", "/report_asset_check/a", "/report_asset_observation/a/b"],
)
def test_only_json_changes_anything(path: str, kind: str, expected: Kind | None) -> None:
    assert judge(OPEN, ask("POST", path, content_type=kind)) is expected


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "WEBSOCKET", "X"])
@pytest.mark.parametrize("path", ["/", "/graphql", "/report_asset_check/a", "/logs/a"])
def test_no_other_method_is_answered(method: str, path: str) -> None:
    assert judge(OPEN, ask(method, path, content_type="application/json")) is Kind.METHOD


@pytest.mark.parametrize("path", ["/", "/runs", "/logs/a/b.out", "/download_debug/a", "/notebook", SIGN_IN_PATH])
def test_pages_are_only_read(path: str) -> None:
    assert judge(OPEN, ask("POST", path, content_type="application/json")) is Kind.METHOD
    assert judge(OPEN, ask(WEBSOCKET, path)) is Kind.METHOD
    assert judge(OPEN, ask("GET", path)) is None


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "//graphql", "/GraphQL", "/graphql ", "/graphql/x"])
def test_graphql_by_get_is_the_page_of_graphiql_only(path: str) -> None:
    assert judge(OPEN, ask(path=path)) is Kind.METHOD
    assert judge(OPEN, ask("HEAD", path)) is Kind.METHOD
    assert judge(OPEN, ask(path=path, accept="application/json")) is Kind.METHOD
    assert judge(OPEN, ask(path=path, accept="text/html,*/*")) is None


@pytest.mark.parametrize("what", ["check", "materialization", "observation"])
def test_a_link_reports_nothing(what: str) -> None:
    refusal = OPEN.check_form(ask(path=f"/report_asset_{what}/a"))
    assert refusal is not None
    assert (refusal.status, refusal.allow) == (HTTPStatus.METHOD_NOT_ALLOWED, "POST")


@pytest.mark.parametrize(
    "path", ["/graphql\n", "/logs/../x", "/..", "/./graphql", "/logs/..", "/a\\b", "/\x00", "/\x7f"]
)
def test_a_path_that_is_read_in_two_ways_is_refused(path: str) -> None:
    assert judge(OPEN, ask(path=path, accept="text/html")) is Kind.PATH


@pytest.mark.parametrize("path", ["/assets/a..b", "/.well-known/x", "/_next/static/[id]-1.js", "/locations/a@b/jobs/ü"])
def test_a_path_with_dots_inside_names_is_answered(path: str) -> None:
    assert judge(OPEN, ask(path=path)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback_nothing_starts_without_a_token(host: str) -> None:
    with pytest.raises(ValueError, match=f"--host {host}: .* needs a token, and {TOKEN_VARIABLE} is not set.*ssh -L"):
        open_policy(host, 3000, ("ui.example.org",), "")
    assert open_policy(host, 3000, (), TOKEN).credentials is not None


def test_a_name_that_is_loopback_and_something_else_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 3000)) for one in ("127.0.0.1", "10.0.0.5")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(ValueError, match="needs a token"):
        open_policy("box.example", 3000, (), "")


@pytest.mark.parametrize("host", ["", "a" * 64, "a..b"])
def test_a_host_that_is_none_is_an_error(host: str) -> None:
    with pytest.raises(ValueError, match="no such host here"):
        open_policy(host, 3000, (), TOKEN)


def test_the_token_opens_as_a_bearer_and_as_a_session_and_nothing_else_does() -> None:
    assert LOCKED.credentials is not None
    session = LOCKED.credentials.open_session(0.0)
    opened = [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer  {TOKEN}"},
        {"cookie": f"{LOCKED.cookie}={session}"},
        {"cookie": f"a=b; {LOCKED.cookie}=old; {LOCKED.cookie}={session}; c"},
    ]
    closed = [
        {},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": f"{LOCKED.cookie}={TOKEN}"},
        {"cookie": f"pipeline_assets_ui_3001={session}"},
        {"cookie": session},
    ]
    wrong = [{"authorization": f"Bearer {one}"} for one in (TOKEN.lower(), TOKEN[:-1], f"{TOKEN}x", session, "")]
    for path, method in (("/runs", "GET"), ("/server_info", "GET"), ("/graphql", WEBSOCKET)):
        assert {judge(LOCKED, ask(method, path, **headers)) for headers in opened} == {None}
        assert {judge(LOCKED, ask(method, path, **headers)) for headers in closed} == {Kind.TOKEN}
        assert {judge(LOCKED, ask(method, path, **headers)) for headers in wrong} == {Kind.WRONG_TOKEN}


def test_the_token_does_not_open_for_a_foreign_page() -> None:
    assert judge(LOCKED, ask(authorization=f"Bearer {TOKEN}", origin="http://other.example")) is Kind.ORIGIN


def test_the_policy_does_not_show_the_token() -> None:
    assert TOKEN not in repr(LOCKED)
