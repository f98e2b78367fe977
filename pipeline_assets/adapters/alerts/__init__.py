"""All alerts of the pipeline: each condition is told once when it begins and once when it is over.

What holds:

- Of all who open, or resolve, the same alert at once, one succeeds, and its message is sent. The messages of one alert
  reach a channel in order; one that a channel did not take is tried again by :meth:`Alerts.deliver_pending`, for about
  a day, and then dropped, which is logged.
- A channel is told at least once: twice where a process ends between the sending and the noting of it, or where an
  answer takes longer than the minute for which others hold back.
- Nothing that a channel or the store does raises. No call waits for the channels longer than its budget.
- All is logged as well (``pipeline_assets.alerts``), so that alerts are seen where there is no channel.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pipeline_assets.adapters.alerts.channel import Channel, parse_channels
from pipeline_assets.adapters.alerts.delivery import Courier
from pipeline_assets.adapters.alerts.ledger import Ledger
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.alerting import Alert, Incident, describe
from pipeline_assets.core.checks import Level

__all__ = ["Alerts", "parse_channels"]

_LOG: Final = logging.getLogger(__name__)
_ALERTS_LOG: Final = logging.getLogger("pipeline_assets.alerts")  # the alerts themselves, and nothing else


class Alerts:
    """The alerts below one storage root, and the channels that are told of them."""

    def __init__(self, storage: Storage, channels: Sequence[str], budget_seconds: float = 5.0) -> None:
        """Use ``storage``, which holds nothing but alerts; nothing is loaded or made yet.

        Keep one for a process: it remembers which channels failed a moment ago. All processes need the same channels:
        a message is settled when those of one process are told. What is opened without any is never sent.

        Args:
            storage: Where it is remembered what is open, what was, and who has been told.
            channels: Apprise URLs.
            budget_seconds: How long one call waits for the channels; what goes on is noted when it is done.
        """
        urls = tuple(dict.fromkeys(channels))
        self._channels = [Channel(url, f"{place} of {len(urls)}") for place, url in enumerate(urls, 1)]
        self._ledger = Ledger(storage)
        self._courier = Courier(self._ledger, self._channels, budget_seconds)
        self._told_without_record: set[str] = set()

    def find_rejected_channels(self) -> list[str]:
        """The channels whose URL cannot be used, each with what is wrong but without the URL; loads apprise."""
        return [f"{channel.label}: {channel.problem}" for channel in self._channels if channel.problem]

    def open(self, alert: Alert, now: datetime) -> bool:
        """Tell that a condition began; False, and nothing is told, where it was open before. Raises nothing.

        What is told is what was known first: opening it again with other texts changes nothing. Where the store
        fails, this object tells the channels once without a record, and again when the alert can be recorded.
        """
        try:
            incident = self._ledger.open(alert, now)
        except Exception as error:
            self._complain(f"{alert.key} could not be recorded", error)
            return self._open_without_record(alert, now)
        if incident is None:
            return False
        self._told_without_record.discard(alert.key)
        _log_incident(incident)
        self._deliver(now, alert.key)
        return True

    def resolve(self, key: str, how: str, now: datetime) -> bool:
        """Tell that a condition is over; False, and nothing is told, where it was not open. Raises nothing.

        Where the store fails, the alert stays open: resolve it again.
        """
        try:
            incident = self._ledger.resolve(key, how, now)
        except Exception as error:
            self._complain(f"{key} could not be resolved, and stays open", error)
            return False
        if incident is None:
            return False
        _log_incident(incident)
        self._deliver(now, key)
        try:
            self._ledger.prune()
        except Exception as error:
            self._complain("what is over could not be pruned", error)
        return True

    def deliver_pending(self, now: datetime) -> int:
        """Try again what a channel did not take and whose time has come; the number of messages that were now taken.

        To be called every minute or so. Raises nothing.
        """
        return self._deliver(now, None)

    def list_open(self) -> list[Incident]:
        """What is open, in the order of its opening. Raises what the storage raises."""
        return [incident for incident in self._ledger.list_incidents() if incident.is_open]

    def list_history(self) -> list[Incident]:
        """What is open, and the last 500 that are over, in the same order. Raises what the storage raises."""
        return self._ledger.list_incidents()

    def _deliver(self, now: datetime, key: str | None) -> int:
        try:
            return self._courier.deliver(now, key)
        except Exception as error:
            self._complain("what is pending could not be delivered, and stays pending", error)
            return 0

    def _open_without_record(self, alert: Alert, now: datetime) -> bool:
        key, incident = alert.key, Incident(alert, alert.since)
        if key in self._told_without_record:
            return False
        self._told_without_record.add(key)
        _log_incident(incident)
        try:
            self._courier.tell(describe(incident), now)
        except Exception as error:
            self._complain(f"{key} could not be told", error)
        return True

    def _complain(self, what: str, error: Exception) -> None:
        _LOG.error("alerts in %s: %s: %s: %.300s", self._ledger.root, what, type(error).__name__, error)


def _log_incident(incident: Incident) -> None:
    message, level = describe(incident), logging.INFO
    if incident.is_open:
        level = logging.ERROR if incident.alert.level is Level.ERROR else logging.WARNING
    _ALERTS_LOG.log(level, "%s; %s", message.title, "; ".join(message.body.splitlines()))
