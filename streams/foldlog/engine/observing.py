"""What a worker answers about itself, by path."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from foldlog.engine import health
from foldlog.engine.line import Line
from foldlog.engine.serving import Answer, Routes, as_json


def routes(context: str, lines: Sequence[Line], turned: Callable[[], float], most_lag: int) -> Routes:
    """`/metrics` in the format that the client asks for; `/healthz` and `/readyz`: 200, or 503 and what is missing.

    `turned` tells when the event loop last turned, by the monotonic clock.
    """

    def healthz(_: Any) -> Answer:
        found = health.stuck([line.stats() for line in lines], time.monotonic() - turned())
        return as_json(503 if found else 200, {"live": not found, "missing": found})

    def readyz(_: Any) -> Answer:
        found = health.missing([line.stats() for line in lines], most_lag)
        return as_json(503 if found else 200, {"ready": not found, "missing": found})

    def metrics(headers: Any) -> Answer:
        from prometheus_client.exposition import choose_encoder

        from foldlog.engine.metrics import registry

        encode, content_type = choose_encoder(headers.get("Accept", ""))
        return 200, content_type, encode(registry(context, lines))

    return {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}
