"""Who takes webhooks: an HTTP server that fails or refuses as it is told to, and keeps what it took."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.adapters.programs import free_port


@dataclass
class Receiver:
    """Takes CloudEvents on a port that stays the same; fails as often as it is told to, refuses some subjects."""

    failing: float = 0.0
    port: int = field(default_factory=free_port)
    refused: dict[str, int] = field(default_factory=dict)  # subjects, with the status that they get
    tries: Counter[str] = field(default_factory=Counter)  # of each event
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    one: threading.Lock = field(default_factory=threading.Lock)  # what belongs together stands at the same place

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Answers until the end of the block."""
        receiver, chance = self, random.Random(7)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = json.loads(body)
                with receiver.one:
                    receiver.tries[event["id"]] += 1
                    # Three times in a row at most: the pauses between the tries double, and eight take two minutes.
                    fails = chance.random() < receiver.failing and receiver.tries[event["id"]] % 4 > 0
                    status = receiver.refused.get(event["subject"], 503 if fails else 204)
                    if status == 204:
                        receiver.events.append(event)
                        receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                        receiver.bodies.append(body)
                self.send_response(status)
                self.end_headers()
                if status != 204:
                    self.wfile.write(b"no <thank> you")

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 64
            allow_reuse_address = True

        with Server(("127.0.0.1", self.port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def to(self, subject: str) -> list[str]:
        """The versions that were taken of an aggregate, in the order of arrival."""
        return [event["sequence"] for event in self.events if event["subject"] == subject]
