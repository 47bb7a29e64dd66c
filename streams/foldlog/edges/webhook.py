"""Events out to a webhook: CloudEvents by POST, each aggregate's in order, signed where there is a secret.

The signature is that of https://www.standardwebhooks.com: HMAC-SHA256 of `id.timestamp.body`, in Base64, as `v1,…`.
"""

import base64
import hashlib
import hmac
import time
from urllib.parse import urlsplit

import httpx

from foldlog import __version__
from foldlog.core.errors import ConfigError, RefusedError, UnreachableError
from foldlog.edges.cloudevents import STRUCTURED, CloudEvent, structured

ANSWER_S, CONNECT_S = 15.0, 5.0
MOMENTARY = frozenset({408, 425, 429})  # a timeout, too early, too many: of 4xx those that say "later"
SAID = 200  # characters of an answer that are kept as the reason


class Webhook:
    """A URL that takes events; any answer but 2xx means: not taken."""

    def __init__(self, url: str, secret: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"`{url}` is no URL of a webhook: write http://host/path or https://host/path")
        self._url, self._host, self._key = url, parts.hostname, _key(secret)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None),  # the engine says how many at once
            headers={"User-Agent": f"foldlog/{__version__}"},
            trust_env=False,
        )

    async def tell(self, event: CloudEvent) -> None:
        """Posts one event.

        Raises UnreachableError where there is no connection, RefusedError where the answer is none or not 2xx: for good
        where it is 4xx, but for those that mean a bad moment.
        """
        body = structured(event)
        headers = {"Content-Type": STRUCTURED, "Idempotency-Key": event.id, **self._signed(event.id, body)}
        try:
            answer = await self._client.post(self._url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(f"{self._host}: {str(error) or type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise RefusedError(f"{self._host}: {str(error) or type(error).__name__}") from error
        if not answer.is_success:
            for_good = answer.is_client_error and answer.status_code not in MOMENTARY
            said = f": {answer.text[:SAID]}" if answer.text else ""
            raise RefusedError(f"{self._host} answered {answer.status_code}{said}", for_good)

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

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
