"""A channel for alerts: one apprise URL, such as ``slack://…`` or ``mailtos://…``.

Nearly any part of such a URL may be a credential, the host as well, so that only its schema is ever said. For the same
reason, what apprise and the HTTP library log while they send is not shown.
"""

import hashlib
import logging
import re
import threading
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pipeline_assets.core.alerting import Message

if TYPE_CHECKING:
    from apprise import Apprise
    from apprise.result import AppriseResult

THREAD_NAME: Final = "alert-channel"  # of every thread that sends: what is logged there may hold the URL
_LOG: Final = logging.getLogger(__name__)
_HTTP_LOGS: Final = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")  # filters are not inherited
_REJECTED: Final = "apprise does not accept its URL: the service is unknown, or a part is missing or wrong"


def parse_channels(text: str) -> tuple[str, ...]:
    """Split a list of apprise URLs at whitespace, and at each comma that has a new URL after it; each once, in order.

    A part that is no URL is kept, so that it is reported where it is used; apprise's own splitter drops it.
    """
    parts = re.split(r",*\s+,*|,+(?=[\w+-]+://)|^,+|,+$", text)
    return tuple(dict.fromkeys(part for part in parts if part))


class Channel:
    """One apprise URL, which is loaded when it is first used."""

    def __init__(self, url: str, place: str) -> None:
        """Use ``url``; ``place`` says which of all channels it is."""
        self._url = url
        schema = re.match(r"[\w+-]{1,20}://", url)
        self.label = f"alert channel {place} ({schema[0] if schema else 'without a schema'})"
        self.lock = threading.Lock()  # to be held by who sends: apprise's services are not made for several threads

    @cached_property
    def id(self) -> str:
        """The channel's name in storage: as slow to guess from as a stored password, for the URL may hold one."""
        return hashlib.pbkdf2_hmac("sha256", self._url.encode(), b"pipeline-assets alerts", 100_000).hex()[:12]

    @cached_property
    def problem(self) -> str:
        """Why the URL cannot be used; empty where it can."""
        return "" if self._service is not None else _REJECTED

    def load(self) -> None:
        """Load apprise and the URL, so that the time it takes is not the sending's."""
        _ = self.id, self.problem

    def send(self, message: Message) -> str:
        """Say ``message``; what went wrong, for a person, or nothing where it was taken. Raises nothing."""
        if self._service is None:
            return self.problem
        from apprise import NotifyFormat, NotifyType

        try:
            with self._service.notify(
                body=message.body,
                title=message.title,
                notify_type=NotifyType(message.tone.value),
                body_format=NotifyFormat.TEXT.value,
            ) as result:
                return "" if result else _explain(result)
        except Exception as error:  # of a plugin; its text may hold the URL
            return f"apprise raised {type(error).__name__}"

    @cached_property
    def _service(self) -> "Apprise | None":
        try:
            service = _load(self._url)
        except Exception as error:  # its text may hold the URL
            _LOG.error("%s: apprise raised %s when it was loaded", self.label, type(error).__name__)
            return None
        if service is None:
            _LOG.error("%s: %s; correct it in the list of channels", self.label, _REJECTED)
        return service


def _load(url: str) -> "Apprise | None":
    with warnings.catch_warnings():
        # Where warnings are errors, one of apprise's imports fails without this, and with it every channel.
        warnings.filterwarnings("ignore", "'imghdr' is deprecated", DeprecationWarning)
        from apprise import Apprise, AppriseAsset

        logger = logging.getLogger("apprise")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        for name in _HTTP_LOGS:
            logging.getLogger(name).addFilter(_is_of_another_thread)
        # Without a deadline of its own apprise stays in our thread; its own would keep the process from ending.
        asset = AppriseAsset(async_mode=False, service_timeout=0, app_id="pipeline-assets", app_desc="Fraud pipeline")
        service = Apprise.instantiate(url, asset=asset)
    return Apprise(service, asset=asset) if service is not None else None


def _is_of_another_thread(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD_NAME


def _explain(result: "AppriseResult") -> str:
    logged = " ".join(entry.message for entry in result.logs())
    status = re.search(r"error=(\d{3})\b", logged)
    if status:
        return f"it answered HTTP {status[1]}"
    if "onnection error" in logged:
        return "there was no connection, or no answer in time"
    return "it refused the message"
