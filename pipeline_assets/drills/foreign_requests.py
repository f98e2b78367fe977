"""Requests as foreign pages and strangers would send them, against the real server: each is refused, nothing happens.

All are harmless: what they ask for is a run of one partition that is there, or a report of an asset that nobody has.
Everything foreign carries the right token, but where the token is what lacks; so each is refused for its own reason.
The same, asked as our own page does, works: page, query, websocket, sign-in, and a run that succeeds.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.drills.dagster_server import Server, wait_for
from pipeline_assets.drills.drill import Drill, DrillError, Journal
from pipeline_assets.drills.verify import Whole
from pipeline_assets.drills.world import World, copy_root
from pipeline_assets.guard.middleware import MAX_BODY_BYTES
from pipeline_assets.guard.policy import SIGN_IN_PATH

_TOKEN: Final = "drill-Rk7_x2-Qp9.Zw4~Lm"  # noqa: S105 - of a server that lives as long as the drill, on loopback
_PATIENCE_SECONDS: Final = 300.0
_FOREIGN: Final = "http://other.example"
_BEARER: Final = {"Authorization": f"Bearer {_TOKEN}"}
_JSON: Final = {"Content-Type": "application/json"}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_WEBSOCKET: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}
_TAG: Final = "drill/asked"
_ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_LAUNCH: Final = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_RUNS: Final = "{ runsOrError(limit: 500) { ... on Runs { results { runId status tags { key value } } } } }"
_ASSETS: Final = "{ assetsOrError { ... on AssetConnection { nodes { key { path } } } } }"
_REPORTED: Final = "reported_by_a_stranger"


@dataclass(frozen=True)
class _Request:
    """A request, and the status with which it is to be answered; without a ``Host`` header the server's own is sent."""

    name: str
    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def _list_foreign(host: str, launch: bytes) -> Iterator[_Request]:
    """Every kind of foreign request; ``launch`` is a mutation as JSON that works where it is allowed to."""
    own = {**_BEARER, **_JSON}
    asked = json.loads(launch)
    query = f"/graphql?{urlencode({**asked, 'variables': json.dumps(asked['variables'])})}"
    port = host.partition(":")[2]
    for name, named in (
        ("a name that was rebound", f"other.example:{port}"),
        ("another port", "127.0.0.1:1"),
        ("no port", "127.0.0.1"),
        ("another address", f"[::1]:{port}"),
        ("a longer name", f"127.0.0.1.other.example:{port}"),
        ("no name", ""),
    ):
        yield _Request(f"host: {name}, page", "GET", "/", 403, {**_BEARER, "Host": named})
        yield _Request(f"host: {name}, mutation", "POST", "/graphql", 403, {**own, "Host": named}, launch)
    for headers in (
        {"Origin": _FOREIGN},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{port}"},
        {"Referer": f"{_FOREIGN}/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
    ):
        name = ", ".join(f"{key} {value}" for key, value in headers.items())
        yield _Request(f"{name}: mutation", "POST", "/graphql", 403, {**own, **headers}, launch)
        yield _Request(f"{name}: debug file", "GET", "/download_debug/none", 403, {**_BEARER, **headers})
        yield _Request(f"{name}: websocket", "GET", "/graphql", 403, {**_BEARER, **_WEBSOCKET, **headers})
    yield _Request("host: websocket", "GET", "/graphql", 403, {**_BEARER, **_WEBSOCKET, "Host": "other.example"})
    for kind in (
        "text/plain",
        "text/plain; application/json",
        "application/graphql",
        "multipart/form-data; boundary=a",
    ):
        yield _Request(f"mutation as {kind}", "POST", "/graphql", 415, {**_BEARER, "Content-Type": kind}, launch)
    yield _Request("mutation as a form", "POST", query, 415, {**_BEARER, **_FORM}, b"query=1")
    yield _Request("mutation without a type", "POST", query, 415, _BEARER, b"")
    yield _Request("mutation by GET", "GET", query, 405, _BEARER)
    yield _Request("mutations in a batch", "POST", "/graphql", 400, own, b"[" + launch + b"," + launch + b"]")
    yield _Request("a body that is no JSON", "POST", "/graphql", 400, own, launch[:-1])
    yield _Request("a body that is too large", "POST", "/graphql", 413, own, launch + b" " * MAX_BODY_BYTES)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        yield _Request(f"{method} of GraphQL", method, "/graphql", 405, own, launch)
    yield from _list_reports()
    yield from _list_unauthorised(launch)
    for path in ("/graphql%0a", "/logs/%2e%2e/dagster.yaml", "/logs/a%5cb.out"):
        yield _Request(f"path {path}", "GET", path, 400, {**_BEARER, "Accept": "text/html"})


def _list_reports() -> Iterator[_Request]:
    """Reports of an asset, which Dagster takes by the address alone, as a form of another site would send them."""
    for what in ("materialization", "check", "observation"):
        path = f"/report_asset_{what}/{_REPORTED}?check_name=a&passed=true"
        yield _Request(f"{what} without a type", "POST", path, 415, _BEARER, b"")
        yield _Request(f"{what} as a form", "POST", path, 415, {**_BEARER, **_FORM}, b"a=b")
        yield _Request(f"{what} by a link", "GET", path, 405, _BEARER)
        yield _Request(f"{what}, foreign", "POST", path, 403, {**_BEARER, **_JSON, "Origin": _FOREIGN}, b"{}")


def _list_unauthorised(launch: bytes) -> Iterator[_Request]:
    """Requests from our own host and of the right form, but without the token."""
    for name, headers in (
        ("no token", {}),
        ("token in another case", {"Authorization": f"Bearer {_TOKEN.swapcase()}"}),
        ("token too short", {"Authorization": f"Bearer {_TOKEN[:-1]}"}),
        ("token as a cookie", {"Cookie": f"pipeline_assets_ui={_TOKEN}"}),
    ):
        yield _Request(f"{name}: page", "GET", "/runs", 401, {**headers, "Accept": "text/html"})
        yield _Request(f"{name}: mutation", "POST", "/graphql", 401, {**_JSON, **headers}, launch)
        yield _Request(f"{name}: logs", "GET", "/logs/none.out", 401, headers)
        yield _Request(f"{name}: server", "GET", "/server_info", 401, headers)
        yield _Request(f"{name}: websocket", "GET", "/graphql", 401, {**_WEBSOCKET, **headers})
        yield _Request(f"{name}: report", "POST", f"/report_asset_check/{_REPORTED}", 401, {**_JSON, **headers}, b"{}")
    yield _Request("sign-in: wrong token", "POST", SIGN_IN_PATH, 401, _FORM, b"token=a")
    yield _Request("sign-in: foreign", "POST", SIGN_IN_PATH, 403, {**_FORM, "Origin": _FOREIGN}, b"token=a")


class _Client:
    """What asks the server, header by header."""

    def __init__(self, server: Server) -> None:
        self.host, self._port = f"127.0.0.1:{server.port}", server.port

    def send(self, request: _Request) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer; of a websocket that is opened, no body."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host=True)
            headers = {"Host": self.host, **request.headers}
            if request.body is not None:
                headers["Content-Length"] = str(len(request.body))
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, b"" if answer.status == 101 else answer.read()
        finally:
            connection.close()


def ask_as_strangers(world: World, journal: Journal) -> None:
    """See the module."""
    folder = world.make_folder("foreign-requests")
    root = copy_root(world.complete, folder / "root")
    log = folder / "server.log"
    with Server(root, world.params_file, log, _TOKEN) as server:
        journal.note("the server is ready")
        client, began = _Client(server), time.monotonic()
        requests = list(_list_foreign(client.host, _make_launch(world, "foreign")))
        for request in requests:
            _expect_refusal(client, request, journal)
        journal.detected((time.monotonic() - began) / len(requests))
        journal.note(f"{len(requests)} foreign requests are answered")
        _check_nothing_happened(server, journal)
        _ask_as_ourselves(client, server, world, journal)
    _check_log(log, journal)
    journal.compare("after the foreign requests and one run", Whole(world.complete).compare(root))


def _make_launch(world: World, who: str) -> bytes:
    """A mutation, as JSON, that launches a run of a partition that is there."""
    selector = {
        "repositoryLocationName": "pipeline_assets",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": [SCORES.name]}],
    }
    tags = [{"key": "dagster/partition", "value": f"{world.daily.day}"}, {"key": _TAG, "value": who}]
    params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
    return json.dumps({"query": _LAUNCH, "variables": {"params": params}}).encode()


def _expect_refusal(client: _Client, request: _Request, journal: Journal) -> None:
    status, headers, body = client.send(request)
    if status != request.status:
        journal.fail(f"{request.name}: expected {request.status}, found {status}: {body[:200]!r}")
        return
    told = body.decode()
    is_told = any(word in told for word in ("refused: ", "Sign in"))
    if not is_told or "access-control-allow-origin" in headers or _TOKEN in told:
        journal.fail(f"{request.name}: refused, but not with a reason for a person: {told[:200]}")
    journal.broke("foreign requests, refused")


def _check_nothing_happened(server: Server, journal: Journal) -> None:
    runs = server.ask(_RUNS)["runsOrError"]["results"]
    n_launched = sum(tag == {"key": _TAG, "value": "foreign"} for run in runs for tag in run["tags"])
    if n_launched:
        journal.fail(f"{n_launched} runs were launched by foreign requests")
    assets = {"/".join(node["key"]["path"]) for node in server.ask(_ASSETS)["assetsOrError"]["nodes"]}
    if _REPORTED in assets:
        journal.fail("a foreign request reported an asset")
    if SCORES.name not in assets:
        journal.fail("the assets that are there are not shown, so nothing is shown of the one that is not")


def _ask_as_ourselves(client: _Client, server: Server, world: World, journal: Journal) -> None:
    """The same that was refused works from our own page, with a session that was opened by the form."""
    page = {"Origin": f"http://{client.host}", "Referer": f"http://{client.host}/runs", "Sec-Fetch-Site": "same-origin"}
    form = urlencode({"token": _TOKEN, "next": "/runs"}).encode()
    status, headers, _ = client.send(_Request("sign-in", "POST", SIGN_IN_PATH, 303, {**_FORM, **page}, form))
    session = {"Cookie": headers.get("set-cookie", "").partition(";")[0]}
    if (status, headers.get("location")) != (303, "/runs"):
        journal.fail(f"sign-in: expected 303 to /runs, found {status} to {headers.get('location')}")
    asks = {**page, **session}
    launch = _make_launch(world, "ourselves")
    for request in (
        _Request("page", "GET", "/runs", 200, {**asks, "Accept": "text/html"}),
        _Request("page by HEAD", "HEAD", "/runs", 200, asks),
        _Request("GraphiQL", "GET", "/graphql", 200, {**asks, "Accept": "text/html"}),
        _Request("server", "GET", "/server_info", 200, asks),
        _Request("query", "POST", "/graphql?op=Version", 200, {**asks, **_JSON}, b'{"query": "{version}"}'),
        _Request("query of a program", "POST", "/graphql", 200, {**_BEARER, **_JSON}, b'{"query": "{version}"}'),
        _Request("websocket", "GET", "/graphql", 101, {**asks, **_WEBSOCKET}),
        _Request("script", "GET", _find_script(client, session), 200, asks),
        _Request("mutation", "POST", "/graphql", 200, {**asks, **_JSON}, launch),
    ):
        status, headers, body = client.send(request)
        journal.count("own requests")
        if status != request.status:
            journal.fail(f"own {request.name}: expected {request.status}, found {status}: {body[:200]!r}")
        elif request.name == "mutation":
            _await_run(server, json.loads(body)["data"]["launchRun"], journal)


def _find_script(client: _Client, session: Mapping[str, str]) -> str:
    """A script that the page loads."""
    _, _, page = client.send(_Request("page", "GET", "/", 200, {**session, "Accept": "text/html"}))
    found = re.search(r'src="(/[^"]+\.js)"', page.decode())
    if found is None:
        raise DrillError("the page loads no script")
    return quote(found[1], safe="/%")


def _await_run(server: Server, launched: Mapping[str, Any], journal: Journal) -> None:
    run_id = launched["run"]["runId"]

    def find_end() -> str | None:
        runs = server.ask(_RUNS)["runsOrError"]["results"]
        return next((one["status"] for one in runs if one["runId"] == run_id and one["status"] in _ENDED), None)

    status = wait_for(find_end, _PATIENCE_SECONDS, "the end of our own run")
    journal.note(f"our own run ended as {status}")
    if status != "SUCCESS":
        journal.fail(f"our own run ended as {status}")


def _check_log(log: Path, journal: Journal) -> None:
    text = log.read_text(errors="replace")
    if _TOKEN in text:
        journal.fail("the server's log holds the token")
    if "refused 'POST' '/graphql'" not in text:
        journal.fail("the server's log does not tell of the refusals")


FOREIGN: Final = Drill(
    "foreign_requests", "foreign pages and strangers ask the server to do and to show something", ask_as_strangers
)
