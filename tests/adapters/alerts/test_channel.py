"""Channels that fail in every way: they hold nobody up, raise nothing, and give no credential away."""

import io
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.adapters.alerts import Alerts, parse_channels
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level

if TYPE_CHECKING:
    from .conftest import Receiver

NOW = datetime(2026, 5, 3, 8, 0, tzinfo=UTC)
ALERT = Alert("late/transactions", "no file", "feed transactions", NOW, "ask the sender", Level.ERROR)
OTHER_ALERT = Alert("late/chargebacks", "no file", "feed chargebacks", NOW, "ask the sender", Level.ERROR)
MINUTE = timedelta(minutes=1)


class RawServer:
    """Accepts connections and answers each with the same bytes, or with None never."""

    def __init__(self, answer: bytes | None) -> None:
        self.n_connections = 0
        self._answer = answer
        self._kept: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self._kept.append(connection)
            if not connection.recv(65536):  # nothing is sent by close() only
                return
            self.n_connections += 1
            if self._answer is not None:
                connection.sendall(self._answer)
                connection.close()

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self._listener.getsockname()[1])):
            pass
        self._thread.join()
        for connection in (*self._kept, self._listener):
            connection.close()


@pytest.fixture
def silent() -> Iterator[RawServer]:
    """Takes what it is sent and never answers."""
    server = RawServer(None)
    yield server
    server.close()


@pytest.fixture
def hostile() -> Iterator[RawServer]:
    """Answers with headers that the HTTP library complains of."""
    server = RawServer(b"HTTP/1.1 200 OK\r\n: \xff\r\nbroken header\r\nContent-Length: 0\r\n\r\n")
    yield server
    server.close()


def test_a_channel_that_never_answers_holds_nobody_up_and_is_then_left_alone(
    tmp_path: Path, silent: RawServer, receiver: "Receiver", caplog: pytest.LogCaptureFixture
) -> None:
    channels = [f"json://{silent.address}/?rto=600&cto=600", receiver.url]
    alerts = Alerts(LocalStorage(tmp_path), channels, budget_seconds=0.5)
    assert alerts.open(ALERT, NOW)  # that it comes back at all is the test: the server still has not answered
    assert silent.n_connections == 1
    assert "alert channel 1 of 2 (json://) gave no answer within 0.5 s" in caplog.text
    assert alerts.open(OTHER_ALERT, NOW + MINUTE / 2)
    assert alerts.resolve(ALERT.key, "done", NOW + MINUTE / 2)
    assert alerts.deliver_pending(NOW + MINUTE) == 0  # the first attempt still holds the channel
    assert silent.n_connections == 1
    assert [message["message"].splitlines()[-1] for message in receiver.messages] == [
        "Alert: late/transactions",
        "Alert: late/chargebacks",
        "Alert: late/transactions",
    ]
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).deliver_pending(NOW + MINUTE) == 0


def test_a_channel_that_never_answers_keeps_no_process_from_ending(tmp_path: Path, silent: RawServer) -> None:
    program = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level
now = datetime.now(UTC)
alerts = Alerts(LocalStorage(Path(sys.argv[1])), [sys.argv[2]], budget_seconds=0.5)
assert alerts.open(Alert("k", "what", "where", now, "next", Level.WARN), now)
"""
    url = f"json://{silent.address}/?rto=600&cto=600"
    subprocess.run([sys.executable, "-c", program, tmp_path, url], check=True, timeout=120)
    assert silent.n_connections == 1


def test_an_answer_that_comes_too_late_is_noted_and_nothing_more_is_sent_after_it(
    tmp_path: Path, receiver: "Receiver"
) -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url], budget_seconds=0.3)
    receiver.answers = [500]
    assert alerts.open(ALERT, NOW)
    assert alerts.open(OTHER_ALERT, NOW + MINUTE / 2)
    may_answer = threading.Event()
    receiver.before_answer = may_answer.wait
    assert alerts.deliver_pending(NOW + MINUTE) == 0
    assert not list(tmp_path.rglob("*.done"))
    may_answer.set()
    for thread in threading.enumerate():
        if thread.name == "alert-channel":
            thread.join()
    assert len(list(tmp_path.rglob("*.done"))) == 1
    assert len(receiver.messages) == 2
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).deliver_pending(NOW + timedelta(hours=1)) == 1
    assert [message["message"].splitlines()[-1] for message in receiver.messages] == [
        "Alert: late/transactions",
        "Alert: late/transactions",
        "Alert: late/chargebacks",
    ]
    assert len(list(tmp_path.rglob("*.opened.settled.*"))) == 2


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    """All that is shown where every level of every logger is; caplog also hears loggers that do not propagate."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(0)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("answer", ["200", "401", "301", "gone", "hostile", "silent"])
def test_no_log_and_no_object_holds_a_credential_of_a_channel(
    tmp_path: Path, receiver: "Receiver", hostile: RawServer, silent: RawServer, shown: io.StringIO, answer: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"127.0.0.1:{listener.getsockname()[1]}"
    others = {"hostile": hostile.address, "silent": silent.address, "gone": gone}
    address = others.get(answer, receiver.address)
    receiver.answers = [int(answer)] if answer.isdecimal() else []
    patience = 0.3 if answer == "silent" else 10
    url = f"json://SECRET-user:SECRET-password@{address}/SECRET-path?+X-Key=SECRET-header&-key=SECRET-query"
    url += f"&rto={patience}"
    alerts = Alerts(LocalStorage(tmp_path), [url])
    assert alerts.open(ALERT, NOW)
    assert alerts.find_rejected_channels() == []
    assert ("did not take" in shown.getvalue()) == (answer not in {"200", "hostile"})
    assert "SECRET" not in shown.getvalue()
    assert not [path for path in tmp_path.rglob("*") if "SECRET" in path.name]
    assert not [path for path in tmp_path.rglob("*.*") if b"SECRET" in path.read_bytes()]


REJECTED = {
    "slakc://SECRET/SECRET": "slakc://",
    "slack://SECRET": "slack://",
    "json://SECRET:SECRET@": "json://",
    "json://127.0.0.1:SECRET/": "json://",
    "mailtos://SECRET:SECRET@": "mailtos://",
    "file:///SECRET": "file://",
    "SECRET": "without a schema",
    "SECRET/with/a/very/long/start/then://x": "without a schema",
}


@pytest.mark.parametrize("url", REJECTED)
def test_a_wrong_url_is_reported_without_it_and_the_other_channels_are_told(
    tmp_path: Path, receiver: "Receiver", shown: io.StringIO, url: str
) -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url, url])
    problem = f"alert channel 2 of 2 ({REJECTED[url]}): apprise does not accept its URL"
    assert [found.startswith(problem) for found in alerts.find_rejected_channels()] == [True]
    assert alerts.open(ALERT, NOW)
    assert alerts.resolve(ALERT.key, "done", NOW)
    assert len(receiver.messages) == 2
    assert [line.startswith(problem) for line in shown.getvalue().splitlines()].count(True) == 1
    assert "SECRET" not in shown.getvalue()


def test_what_was_opened_while_the_url_was_wrong_is_sent_when_it_is_right(tmp_path: Path, receiver: "Receiver") -> None:
    assert Alerts(LocalStorage(tmp_path), ["jsn://127.0.0.1"]).open(ALERT, NOW)
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).deliver_pending(NOW) == 1


def test_a_name_that_cannot_be_found_raises_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Alerts(LocalStorage(tmp_path), ["json://no-such-host.invalid"]).open(ALERT, NOW)
    assert "no connection, or no answer" in caplog.text


def test_a_plugin_that_raises_is_refusal(
    tmp_path: Path, receiver: "Receiver", caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise import Apprise

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("SECRET")

    with monkeypatch.context() as patch:
        patch.setattr(Apprise, "notify", fail)
        assert Alerts(LocalStorage(tmp_path), [receiver.url]).open(ALERT, NOW)
    assert "apprise raised RuntimeError" in caplog.text
    assert "SECRET" not in caplog.text
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).deliver_pending(NOW + MINUTE) == 1


def test_the_logs_of_other_threads_are_still_seen(tmp_path: Path, receiver: "Receiver", shown: io.StringIO) -> None:
    Alerts(LocalStorage(tmp_path), [receiver.url]).open(ALERT, NOW)
    assert receiver.address.split(":")[1] not in shown.getvalue()
    logging.getLogger("urllib3.connectionpool").debug("of another part of the pipeline")
    assert "of another part of the pipeline" in shown.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" ,\n ", ()),
        ("json://a", ("json://a",)),
        (
            "json://a, mailto://u:p@h?to=x@y,z@y slack://a/b/c\njson://a",
            ("json://a", "mailto://u:p@h?to=x@y,z@y", "slack://a/b/c"),
        ),
        ("json://a,,json://b,", ("json://a", "json://b")),
        ("jsn//a json://b", ("jsn//a", "json://b")),
    ],
)
def test_a_list_of_channels_is_split_and_nothing_of_it_dropped(text: str, expected: tuple[str, ...]) -> None:
    assert parse_channels(text) == expected


URLS = st.from_regex(r"[a-z+-]{1,10}://[A-Za-z0-9:/@?=&%._-]*(,[a-z0-9@.]+)?", fullmatch=True)


@given(st.lists(URLS, unique=True), st.sampled_from([",", " ", ", ", "\n", "\t", " ,"]))
def test_a_list_that_is_joined_is_split_again(urls: list[str], separator: str) -> None:
    assert parse_channels(separator.join(urls)) == tuple(urls)
