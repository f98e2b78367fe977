"""A real S3 endpoint on loopback, and a way to it on which some headers get lost."""

import http.client
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

OpenProxy = Callable[..., "Proxy"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a real server, ended with the module."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    import urllib.request

    request = urllib.request.Request(f"http://{host}:{port}/lake", method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        pass
    yield "s3://lake/root"
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


class Proxy:
    """A server on loopback that passes requests on to the endpoint, but not some of their headers.

    Attributes:
        url: Where it listens.
        is_broken: Whether it answers that it is busy instead.
        n_requests: How many it was sent.
    """

    def __init__(self, endpoint: str, lost: tuple[str, ...]) -> None:
        self.is_broken, self.n_requests = False, 0
        target = urlsplit(endpoint)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                proxy.n_requests += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.is_broken:
                    self._answer(503, [], b"busy")
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in lost}
                connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
                try:
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                    self._answer(answer.status, answer.getheaders(), content)
                finally:
                    connection.close()

            def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                self.send_response_only(status)
                kept = [pair for pair in headers if pair[0].lower() not in ("content-length", "transfer-encoding")]
                is_head = self.command == "HEAD"
                lengths = [value for name, value in headers if name.lower() == "content-length"]
                for name, value in [
                    *kept,
                    ("Content-Length", lengths[0] if is_head and lengths else f"{len(content)}"),
                ]:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if is_head else content)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815 - as its base class calls them

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def open_proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenProxy]:
    """A function that puts a proxy before the endpoint; named are the headers, in lower case, that it loses."""
    proxies: list[Proxy] = []

    def make(*lost: str) -> Proxy:
        proxy = Proxy(os.environ["AWS_ENDPOINT_URL"], lost)
        proxies.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        return proxy

    yield make
    for proxy in proxies:
        proxy.close()
