"""Alerts: told once when a condition begins, once when it is over, to every channel, whatever happens in between."""

import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_assets.adapters.alerts import Alerts, ledger
from pipeline_assets.adapters.storage import LocalStorage, Storage, open_storage
from pipeline_assets.core.alerting import MAX_ATTEMPTS, Alert
from pipeline_assets.core.checks import Level

if TYPE_CHECKING:
    from .conftest import Receiver

NOW = datetime(2026, 5, 3, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make_alert(key: str = "late/transactions", level: Level = Level.WARN) -> Alert:
    return Alert(key, f"{key} is wrong", "feed transactions", NOW - timedelta(hours=2), "ask the sender", level)


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
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        with urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/alerts", method="PUT"), timeout=10):
            pass
        yield "s3://alerts"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "alerts"))
    return open_storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def count_pending(alerts: Alerts) -> int:
    return len(alerts._ledger.find_pending(NOW))


def test_a_condition_is_told_once_when_it_begins_and_once_when_it_is_over(
    storage: Storage, receiver: "Receiver"
) -> None:
    alerts = Alerts(storage, [receiver.url])
    key = make_alert().key
    assert not alerts.resolve(key, "it never was", NOW)
    assert alerts.open(make_alert(), NOW)
    assert not alerts.open(make_alert(), NOW + MINUTE)
    assert not Alerts(storage, [receiver.url]).open(make_alert(level=Level.ERROR), NOW + MINUTE)
    assert [incident.alert for incident in alerts.list_open()] == [make_alert()]
    assert alerts.resolve(key, "the file came", NOW + MINUTE)
    assert not alerts.resolve(key, "the file came", NOW + MINUTE)
    assert alerts.list_open() == []
    assert alerts.deliver_pending(NOW + timedelta(days=1)) == 0
    assert receiver.titles == [f"WARN: {key} is wrong", f"RESOLVED: {key} is wrong"]
    assert [message["type"] for message in receiver.messages] == ["warning", "success"]
    assert "the file came" in receiver.messages[1]["message"]
    assert "2 h 1 min" in receiver.messages[1]["message"]


def test_a_condition_that_comes_back_is_told_again(tmp_path: Path, receiver: "Receiver") -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url])
    for hour in range(3):
        assert alerts.open(make_alert(), NOW + timedelta(hours=hour))
        assert alerts.resolve(make_alert().key, "healed", NOW + timedelta(hours=hour, minutes=5))
    assert len(receiver.messages) == 6
    assert [incident.opened_at.hour for incident in alerts.list_history()] == [8, 9, 10]
    assert {incident.how for incident in alerts.list_history()} == {"healed"}


def test_what_is_open_is_listed_in_the_order_of_its_opening(tmp_path: Path) -> None:
    alerts = Alerts(LocalStorage(tmp_path), [])
    for minute, key in enumerate(["b", "c", "a", "failed/daily/2026-05-03"]):
        alerts.open(make_alert(key), NOW + minute // 2 * MINUTE)
    alerts.resolve("c", "done", NOW + MINUTE)
    assert [incident.alert.key for incident in alerts.list_open()] == ["b", "a", "failed/daily/2026-05-03"]
    assert [incident.alert.key for incident in alerts.list_history()] == ["b", "c", "a", "failed/daily/2026-05-03"]


@pytest.mark.parametrize("deed", ["open", "resolve"])
def test_of_many_at_once_one_succeeds_and_one_message_is_sent(
    storage: Storage, receiver: "Receiver", deed: str
) -> None:
    shared = Alerts(storage, [receiver.url])
    if deed == "resolve":
        shared.open(make_alert(), NOW)
    receiver.messages.clear()
    answers: list[bool] = []
    start = threading.Barrier(8)

    def work(alerts: Alerts) -> None:
        start.wait()
        done = alerts.open(make_alert(), NOW) if deed == "open" else alerts.resolve(make_alert().key, "done", NOW)
        answers.append(done)
        alerts.deliver_pending(NOW)

    several = [shared if n < 4 else Alerts(storage, [receiver.url]) for n in range(8)]
    threads = [threading.Thread(target=work, args=(alerts,)) for alerts in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]
    shared.deliver_pending(NOW)
    assert len(receiver.messages) == 1
    assert count_pending(shared) == 0


def test_a_refused_message_is_sent_again_when_its_time_has_come(
    storage: Storage, receiver: "Receiver", caplog: pytest.LogCaptureFixture
) -> None:
    alerts = Alerts(storage, [receiver.url])
    receiver.answers = [500, 503]
    assert alerts.open(make_alert(), NOW)
    assert "did not take" in caplog.text
    assert "HTTP 500" in caplog.text
    for seconds, delivered, sent in ((59, 0, 1), (60, 0, 2), (179, 0, 2), (180, 1, 3), (100_000, 0, 3)):
        assert alerts.deliver_pending(NOW + timedelta(seconds=seconds)) == delivered
        assert len(receiver.messages) == sent
    assert count_pending(alerts) == 0


def test_only_the_channel_that_refused_is_told_again(
    tmp_path: Path, receiver: "Receiver", other_receiver: "Receiver"
) -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url, other_receiver.url])
    receiver.answers = [500]
    alerts.open(make_alert(), NOW)
    assert alerts.deliver_pending(NOW + MINUTE) == 1
    assert (len(receiver.messages), len(other_receiver.messages)) == (2, 1)
    assert count_pending(alerts) == 0


def test_the_messages_of_one_alert_arrive_in_order(tmp_path: Path, receiver: "Receiver") -> None:
    receiver.answers = [500]
    Alerts(LocalStorage(tmp_path), [receiver.url]).open(make_alert(), NOW)
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).resolve(make_alert().key, "done", NOW + MINUTE / 2)
    assert len(receiver.messages) == 1  # the resolving waits for the opening
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).deliver_pending(NOW + MINUTE) == 2
    assert [title.split(":")[0] for title in receiver.titles] == ["WARN", "WARN", "RESOLVED"]


def test_a_message_that_is_always_refused_holds_up_no_other_and_is_dropped_in_the_end(
    tmp_path: Path, receiver: "Receiver", caplog: pytest.LogCaptureFixture
) -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url])
    receiver.answers = [413]
    alerts.open(make_alert("too/large"), NOW)
    assert alerts.open(make_alert("fine"), NOW + MINUTE / 2)  # the channel rests
    receiver.answers = [413]
    assert alerts.deliver_pending(NOW + MINUTE) == 0
    assert alerts.deliver_pending(NOW + 2 * MINUTE) == 1
    receiver.answers = [413] * 100
    for hour in range(1, 40):
        assert alerts.deliver_pending(NOW + timedelta(hours=hour)) == 0
    assert receiver.titles.count("WARN: too/large is wrong") == MAX_ATTEMPTS
    assert receiver.titles.count("WARN: fine is wrong") == 1
    assert caplog.text.count("is now dropped") == 1
    assert count_pending(alerts) == 0
    assert len(alerts.list_open()) == 2


def test_without_a_channel_alerts_are_recorded_and_logged_and_sent_to_none_later(
    tmp_path: Path, receiver: "Receiver", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    alerts = Alerts(LocalStorage(tmp_path), [])
    for level in Level:
        assert alerts.open(make_alert(level.value, level), NOW)
        assert not alerts.open(make_alert(level.value, level), NOW)
        assert alerts.resolve(level.value, "done", NOW)
    logged = [(record.levelname, record.name, record.getMessage()) for record in caplog.records]
    assert [level for level, _, _ in logged] == ["WARNING", "INFO", "ERROR", "INFO"]
    assert {name for _, name, _ in logged} == {"pipeline_assets.alerts"}
    assert all(part in logged[0][2] for part in ("is wrong", "feed transactions", "2026-05-03 06:00", "ask the sender"))
    assert Alerts(LocalStorage(tmp_path), [receiver.url]).deliver_pending(NOW) == 0
    assert receiver.messages == []


def test_the_history_keeps_what_is_open_and_the_last_that_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "KEPT_INCIDENTS", 3)
    alerts = Alerts(LocalStorage(tmp_path), [])
    alerts.open(make_alert("long"), NOW)
    for hour in range(1, 7):
        alerts.open(make_alert(f"key/{hour % 2}"), NOW + timedelta(hours=hour))
        alerts.resolve(f"key/{hour % 2}", "done", NOW + timedelta(hours=hour, minutes=1))
    assert [incident.alert.key for incident in alerts.list_history()] == ["long", "key/0", "key/1", "key/0"]
    assert [incident.opened_at.hour for incident in alerts.list_history()] == [8, 12, 13, 14]
    assert len(LocalStorage(tmp_path).list("")) == 2 + 3 * 4
    assert not alerts.open(make_alert("long"), NOW)


def test_a_damaged_record_is_reported_and_holds_up_nothing(
    tmp_path: Path, receiver: "Receiver", caplog: pytest.LogCaptureFixture
) -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url])
    receiver.answers = [500]
    alerts.open(make_alert("a"), NOW)
    alerts.open(make_alert("b"), NOW)
    record = next(tmp_path.glob("a-*/000001.opened.json"))
    record.write_bytes(b"{")
    assert [incident.alert.key for incident in alerts.list_open()] == ["b"]
    assert f"{record.relative_to(tmp_path)}: expected the record of an incident" in caplog.text
    assert alerts.deliver_pending(NOW + MINUTE) == 1
    caplog.clear()
    assert alerts.deliver_pending(NOW + 2 * MINUTE) == 0
    assert caplog.text == ""
    assert not alerts.resolve("a", "done", NOW)
    assert "delete it, which resolves the alert" in caplog.text
    record.unlink()
    assert alerts.open(make_alert("a"), NOW + 2 * MINUTE)
    assert len(receiver.messages) == 3


def test_foreign_objects_in_the_store_change_nothing(tmp_path: Path, receiver: "Receiver") -> None:
    alerts = Alerts(LocalStorage(tmp_path), [receiver.url])
    alerts.open(make_alert(), NOW)
    folder = next(tmp_path.iterdir())
    for name in ("README", "000002.closed.json", "x.opened.json", "000001.opened.json.bak"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "top").write_bytes(b"x")
    assert not alerts.open(make_alert(), NOW)
    assert alerts.resolve(make_alert().key, "done", NOW)
    assert len(receiver.messages) == 2


def test_nothing_is_loaded_or_written_before_an_alert_is_opened(tmp_path: Path) -> None:
    program = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.storage import LocalStorage
alerts = Alerts(LocalStorage(Path(sys.argv[1])), ["json://127.0.0.1:9"])
alerts.deliver_pending(datetime.now(UTC))
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "x"], capture_output=True, text=True, check=True)
    assert not {"apprise", "requests", "polars", "obstore"} & set(done.stdout.split())
    assert not list(tmp_path.iterdir())
