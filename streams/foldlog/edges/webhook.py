"""Events out to a webhook: CloudEvents by POST, each aggregate's in order, signed where there is a secret.

The signature is that of https://www.standardwebhooks.com: HMAC-SHA256 of `id.timestamp.body`, in Base64, as `v1,…`.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from urllib.parse import urlsplit

import httpx
import structlog

from foldlog import __version__
from foldlog.core.errors import ConfigError
from foldlog.edges.cloudevents import STRUCTURED, CloudEvent, structured
from foldlog.edges.waiting import Patience

log = structlog.get_logger()

ANSWER_S = 15.0
AT_ONCE = 16
TRIES = 3


class Webhook:
    """A URL that takes events; any answer but 2xx means: not taken, tell it again."""

    def __init__(self, url: str, secret: str | None = None, at_once: int = AT_ONCE) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"`{url}` is no URL of a webhook: write http://host/path or https://host/path")
        self._url, self._key = url, _key(secret)
        self._slots = asyncio.Semaphore(at_once)
        self._client = httpx.AsyncClient(
            timeout=ANSWER_S, headers={"User-Agent": f"foldlog/{__version__}"}, trust_env=False
        )

    async def tell(self, events: list[CloudEvent]) -> list[CloudEvent]:
        """Posts the events, those of different aggregates at once; gives back what was not taken, in order.

        After an event that was not taken, those of the same aggregate are not tried.
        """
        chains: dict[str, list[CloudEvent]] = {}
        for event in events:
            chains.setdefault(event.subject or "", []).append(event)
        left = {event.id for chain in await asyncio.gather(*map(self._chain, chains.values())) for event in chain}
        return [event for event in events if event.id in left]

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def _chain(self, events: list[CloudEvent]) -> list[CloudEvent]:
        async with self._slots:
            for number, event in enumerate(events):
                if not await self._told(event):
                    return events[number:]
        return []

    async def _told(self, event: CloudEvent) -> bool:
        """Whether one of a few tries in a row was taken."""
        patience = Patience()
        for left in reversed(range(TRIES)):
            reason = await self._post(event)
            if reason is None:
                return True
            if left:
                await asyncio.sleep(patience.next())
        log.warning("an event was not taken", because=reason, id=event.id, type=event.type)
        return False

    async def _post(self, event: CloudEvent) -> str | None:
        """None where it was taken, else why not."""
        body = structured(event)
        headers = {"Content-Type": STRUCTURED, "Idempotency-Key": event.id, **self._signed(event.id, body)}
        try:
            answer = await self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return None if answer.is_success else f"the answer was {answer.status_code}"

    def _signed(self, id: str, body: bytes) -> dict[str, str]:
        if self._key is None:
            return {}
        moment = str(int(time.time()))
        digest = hmac.new(self._key, f"{id}.{moment}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": id, "webhook-timestamp": moment, "webhook-signature": signature}


def _key(secret: str | None) -> bytes | None:
    """The key of a secret as that standard has it, `whsec_` and Base64; of any other text its bytes."""
    if secret is None:
        return None
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise ConfigError(f"the webhook's secret is no Base64 after whsec_: {error}") from error
