"""Telling the channels what the ledger holds, all at once, in order, and within a budget of time."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from pipeline_assets.adapters.alerts.channel import THREAD_NAME, Channel
from pipeline_assets.adapters.alerts.ledger import Ledger, Pending, Turn
from pipeline_assets.core.alerting import MAX_ATTEMPTS, Message, describe

_LOG: Final = logging.getLogger(__name__)
_REST: Final = timedelta(minutes=1)  # for which a channel that failed is left alone, lest every alert wait for it


@dataclass
class _Delivery:
    """One call's work, and what the channels' threads have done of it."""

    messages: Sequence[Pending]
    now: datetime
    taken: list[Pending] = field(default_factory=list)
    finished: set[tuple[str, str]] = field(default_factory=set)  # message and channel
    errors: list[Exception] = field(default_factory=list)


class Courier:
    """Brings messages to channels."""

    def __init__(self, ledger: Ledger, channels: Sequence[Channel], budget_seconds: float) -> None:
        """Bring what is in ``ledger`` to ``channels``, and wait for them no longer than ``budget_seconds`` a call."""
        self._ledger = ledger
        self._channels = channels
        self._budget_seconds = budget_seconds
        self._resting: dict[str, datetime] = {}  # until when, by channel

    def deliver(self, now: datetime, key: str | None = None) -> int:
        """Tell the channels what is pending, of one alert or of all; how many messages were taken.

        Without a channel, what is pending of one alert is settled, and of all is left as it is.

        Raises what the storage raises, but not for what it raises for a single message, which stays pending.
        """
        if not self._channels and key is None:
            return 0
        messages = self._ledger.find_pending(now, key)
        if not messages:
            return 0
        delivery = _Delivery(messages, now)
        delivery.finished.update((message.path, channel) for message in messages for channel in message.done)
        self._run(now, partial(self._work_off, delivery))
        for message in messages:
            if all((message.path, channel.id) in delivery.finished for channel in self._channels):
                self._ledger.settle(message.path, now)
        if delivery.errors:
            n_errors, first = len(delivery.errors), delivery.errors[0]
            where = f"alerts in {self._ledger.root}"
            _LOG.error("%s: %d messages stay pending: %s: %.300s", where, n_errors, type(first).__name__, first)
        return len(delivery.taken)

    def tell(self, message: Message, now: datetime) -> None:
        """Tell all channels once, whether they take it or not."""
        self._run(now, lambda channel: self._send(channel, message, now, repr(message.title)))

    def _run(self, now: datetime, work: Callable[[Channel], object]) -> None:
        """Do ``work`` for all channels at once, each in a thread of its own, and wait until the deadline at most."""
        for channel in self._channels:
            channel.load()
        deadline = time.monotonic() + self._budget_seconds
        threads = {}
        for channel in self._channels:
            if not self._is_resting(channel, now):
                job = partial(_hold_and_do, channel, deadline, work)
                # What goes on after the budget does not keep the process from ending.
                threads[channel] = threading.Thread(target=job, name=THREAD_NAME, daemon=True)
                threads[channel].start()
        for channel, thread in threads.items():
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                self._resting[channel.id] = now + _REST
                _LOG.warning("%s gave no answer within %g s", channel.label, self._budget_seconds)

    def _is_resting(self, channel: Channel, now: datetime) -> bool:
        return now < self._resting.get(channel.id, now)

    def _work_off(self, delivery: _Delivery, channel: Channel) -> None:
        waiting: set[str] = set()  # alerts with an earlier message that the channel has yet to take
        for message in delivery.messages:
            key = message.incident.alert.key
            if (message.path, channel.id) in delivery.finished:
                continue
            if key in waiting or not self._finish(channel, message, delivery):
                waiting.add(key)

    def _finish(self, channel: Channel, message: Pending, delivery: _Delivery) -> bool:
        """Do what is left to do for a message and a channel; False where that is not the end of it."""
        try:
            # A channel rests also from the moment on that nobody waits for it: what goes on ends with the message.
            if self._is_resting(channel, delivery.now) or not self._try(channel, message, delivery):
                return False
            self._ledger.finish(message, channel.id)
        except Exception as error:
            delivery.errors.append(error)
            return False
        delivery.finished.add((message.path, channel.id))
        return True

    def _try(self, channel: Channel, message: Pending, delivery: _Delivery) -> bool:
        turn = self._ledger.claim(message, channel.id, delivery.now)
        if turn is Turn.OVER:
            _LOG.error("%s never took %s, which is now dropped", channel.label, message.path)
            return True
        attempt = message.attempts.get(channel.id, 0) + 1
        name = f"{message.path} (attempt {attempt} of {MAX_ATTEMPTS})"
        if turn is Turn.LATER or not self._send(channel, describe(message.incident), delivery.now, name):
            return False
        delivery.taken.append(message)
        return True

    def _send(self, channel: Channel, message: Message, now: datetime, name: str) -> bool:
        refusal = channel.send(message)
        if refusal:
            self._resting[channel.id] = now + _REST
            _LOG.warning("%s did not take %s: %s", channel.label, name, refusal)
        return not refusal


def _hold_and_do(channel: Channel, deadline: float, work: Callable[[Channel], object]) -> None:
    if channel.lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
        try:
            work(channel)
        finally:
            channel.lock.release()
