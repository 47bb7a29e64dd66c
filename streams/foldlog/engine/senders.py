"""Senders: how a reactor's messages leave the process."""

import asyncio
import smtplib
import urllib.request
from email.message import EmailMessage
from urllib.parse import quote, urlsplit

import msgspec
import structlog

from foldlog.core.errors import ConfigError
from foldlog.core.reactor import Message, Sender

log = structlog.get_logger()

_TIMEOUT = 10.0  # s


def sender(target: str) -> Sender:
    """The sender for a setting: `log:`, `smtp://host:port` or an `http(s)://` webhook; ConfigError for others."""
    match urlsplit(target).scheme:
        case "log":
            return _to_log
        case "smtp":
            return _Mail(target)
        case "http" | "https":
            return _Webhook(target)
        case scheme:
            raise ConfigError(f"FOLDLOG_NOTIFY={target!r}: no sender for `{scheme}`; use log:, smtp:// or http(s)://")


async def _to_log(message: Message) -> None:
    log.info("message", to=message.to, subject=message.subject, key=message.idempotency_key)


class _Webhook:
    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, message: Message) -> None:
        await asyncio.to_thread(self._post, message)

    def _post(self, message: Message) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.idempotency_key}
        request = urllib.request.Request(self._url, msgspec.json.encode(message), headers)  # noqa: S310 — scheme checked
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
            response.read()


class _Mail:
    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).hostname or "localhost"
        self._port = urlsplit(url).port or 25

    async def __call__(self, message: Message) -> None:
        await asyncio.to_thread(self._post, message)

    def _post(self, message: Message) -> None:
        mail = EmailMessage()
        mail["To"], mail["Subject"], mail["From"] = message.to, message.subject, "foldlog@localhost"
        id_ = quote(message.idempotency_key, safe="")  # a colon or a second @ would end it early
        mail["Message-ID"] = f"<{id_}@foldlog>"  # receivers drop a repetition by it
        mail.set_content(message.body)
        with smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT) as server:
            server.send_message(mail)
