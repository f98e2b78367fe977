"""Alerts when the store fails, processes are killed, or several come at once: nothing is lost, nothing raises."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_assets.adapters.alerts import Alerts, ledger
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level

if TYPE_CHECKING:
    from .conftest import Receiver

NOW = datetime(2026, 5, 3, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make_alert() -> Alert:
    return Alert("late/transactions", "no file", "feed transactions", NOW, "ask the sender", Level.WARN)


def test_where_the_store_fails_the_alert_is_told_all_the_same_and_recorded_as_soon_as_it_can_be(
    tmp_path: Path, receiver: "Receiver", caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "alerts"
    in_the_way.write_bytes(b"")
    alerts = Alerts(LocalStorage(in_the_way / "store"), [receiver.url])
    assert alerts.open(make_alert(), NOW)
    assert not alerts.open(make_alert(), NOW)
    assert not alerts.resolve(make_alert().key, "done", NOW)
    assert alerts.deliver_pending(NOW) == 0
    assert len(receiver.messages) == 1
    assert "could not be recorded" in caplog.text
    in_the_way.unlink()
    assert alerts.open(make_alert(), NOW)
    assert alerts.resolve(make_alert().key, "done", NOW)
    assert [title.split(":")[0] for title in receiver.titles] == ["WARN", "WARN", "RESOLVED"]


class FullStorage(LocalStorage):
    """A folder on a disk that becomes full after some objects."""

    room = 10**9

    def create(self, path: str, content: bytes) -> bool:
        self.room -= 1
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return super().create(path, content)


def test_what_cannot_be_resolved_for_want_of_room_stays_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = FullStorage(tmp_path)
    alerts = Alerts(storage, [])
    alerts.open(make_alert(), NOW)
    storage.room = 0
    assert not alerts.resolve(make_alert().key, "done", NOW)
    assert "could not be resolved, and stays open: OSError: [Errno 28] No space left on device" in caplog.text
    assert len(alerts.list_open()) == 1


@pytest.mark.parametrize("room", range(9))
def test_a_disk_that_is_full_at_any_point_raises_nothing_and_loses_nothing(
    tmp_path: Path, receiver: "Receiver", caplog: pytest.LogCaptureFixture, room: int
) -> None:
    storage = FullStorage(tmp_path)
    alerts = Alerts(storage, [receiver.url])
    storage.room = room
    assert alerts.open(make_alert(), NOW)
    alerts.resolve(make_alert().key, "done", NOW)
    alerts.deliver_pending(NOW + MINUTE)
    assert ("No space left" in caplog.text) == (room < 8)
    storage.room = 10**9
    later = NOW + timedelta(hours=2)
    alerts.open(make_alert(), later)
    alerts.deliver_pending(later)
    alerts.resolve(make_alert().key, "done", later)
    assert {title.split(":")[0] for title in receiver.titles} == {"WARN", "RESOLVED"}
    assert receiver.titles[-1].startswith("RESOLVED")
    assert not alerts._ledger.find_pending(later)
    assert alerts.list_open() == []


class InterruptedStorage(LocalStorage):
    """A folder that can be reached no more after some deletions."""

    deletions = 0

    def delete(self, path: str) -> None:
        self.deletions -= 1
        if self.deletions < 0:
            raise OSError(107, "Transport endpoint is not connected")
        super().delete(path)


@pytest.mark.parametrize("deletions", range(5))
def test_a_pruning_that_is_interrupted_leaves_nothing_open_and_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deletions: int
) -> None:
    monkeypatch.setattr(ledger, "KEPT_INCIDENTS", 0)
    storage = InterruptedStorage(tmp_path)
    alerts = Alerts(storage, [])
    storage.deletions = deletions
    assert alerts.open(make_alert(), NOW)
    assert alerts.resolve(make_alert().key, "done", NOW)
    assert alerts.list_open() == []
    storage.deletions = 100
    assert not alerts.resolve(make_alert().key, "done", NOW)
    assert alerts.open(make_alert(), NOW)
    assert len(alerts.list_open()) == 1
    assert alerts.resolve(make_alert().key, "done", NOW)
    assert storage.list("") == []


CRASHING = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level

class Mortal(LocalStorage):
    lives = 0
    def create(self, path, content):
        self.lives -= 1
        if self.lives == -1 and BEFORE:
            os._exit(9)
        created = super().create(path, content)
        if self.lives == -1:
            os._exit(9)
        return created

NOW = datetime(2026, 5, 3, 8, 0, tzinfo=UTC)
Alerts(LocalStorage(Path(sys.argv[1], "warm-up")), ["json://"]).find_rejected_channels()
for lives in range(9):
    for BEFORE in (True, False):
        child = os.fork()
        if not child:
            storage = Mortal(Path(sys.argv[1], f"{lives}-{BEFORE}"))
            storage.lives = lives
            alerts = Alerts(storage, [sys.argv[2]])
            alerts.open(Alert(f"{lives}-{BEFORE}", "what", "where", NOW, "next", Level.WARN), NOW)
            alerts.resolve(f"{lives}-{BEFORE}", "done", NOW)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == (9 if lives < 8 else 0), (lives, BEFORE, status)
"""


def test_a_process_that_is_killed_between_any_two_steps_loses_no_message(tmp_path: Path, receiver: "Receiver") -> None:
    subprocess.run([sys.executable, "-c", CRASHING, tmp_path, receiver.url], check=True, timeout=120)
    for root in tmp_path.glob("?-*"):
        storage = LocalStorage(root)
        was_told = any(f"Alert: {root.name}" in message["message"] for message in receiver.messages)
        alerts = Alerts(storage, [receiver.url])
        alerts.deliver_pending(NOW + MINUTE)
        alerts.open(Alert(root.name, "what", "where", NOW, "next", Level.WARN), NOW + MINUTE)
        alerts.resolve(root.name, "done", NOW + 2 * MINUTE)
        told = [message["title"] for message in receiver.messages if f"Alert: {root.name}" in message["message"]]
        assert told[0] == "WARN: what", (root.name, was_told)
        assert told[-1] == "RESOLVED: what", (root.name, was_told)
        assert len(told) <= 5
        assert alerts.list_open() == []
        assert alerts.deliver_pending(NOW + timedelta(days=1)) == 0


RACING = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.core.alerting import Alert
from pipeline_assets.core.checks import Level

NOW = datetime(2026, 5, 3, 8, 0, tzinfo=UTC)
alerts = Alerts(LocalStorage(Path(sys.argv[1])), [sys.argv[2]])
alerts.find_rejected_channels()
ready, start = os.pipe()
children = []
for _ in range(6):
    child = os.fork()
    if not child:
        os.close(start)
        os.read(ready, 1)  # until the parent closes it
        n_opened = sum(alerts.open(Alert(f"k{n}", "what", "where", NOW, "next", Level.WARN), NOW) for n in range(10))
        alerts.deliver_pending(NOW)
        os._exit(n_opened)
    children.append(child)
os.close(start)
print(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_of_several_processes_at_once_one_opens_and_one_sends(tmp_path: Path, receiver: "Receiver") -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACING, tmp_path, receiver.url], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) == 10
    keys = [message["message"].splitlines()[-1] for message in receiver.messages]
    assert sorted(keys) == [f"Alert: k{n}" for n in range(10)]
