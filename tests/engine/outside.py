"""What stands outside: a webhook that can refuse, and a door in front of a server that can be shut."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.adapters.programs import free_port


class Sent(NamedTuple):
    """A message as it arrived."""

    to: str
    subject: str
    body: str
    key: str


class Webhook:
    """Takes messages; refuses those to `to` as many times as `refusals[to]` says, and is as slow as `pauses[to]`, s."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.tries: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.pauses: dict[str, float] = {}
        self.url = ""

    def to(self, account: str) -> list[Sent]:
        """What arrived for an account, in the order of arrival."""
        return [sent for sent in self.sent if sent.to == account]

    def subjects(self, account: str) -> list[str]:
        """What arrived for an account, by what it is about."""
        return [sent.subject for sent in self.to(account)]

    def take(self, body: bytes, key: str) -> int:
        """Takes one message; the HTTP status."""
        message = json.loads(body)
        self.tries[message["to"]] += 1
        began = time.monotonic()
        while time.monotonic() - began < self.pauses.get(message["to"], 0):  # which a test may end before its time
            time.sleep(0.01)
        if self.refusals[message["to"]] > 0:
            self.refusals[message["to"]] -= 1
            return 503
        self.sent.append(Sent(message["to"], message["subject"], message["body"], key))
        return 204


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook on a free port of this machine."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(hook.take(body, self.headers["Idempotency-Key"]))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


class Target:
    """A webhook in a process of its own that fails a third of its calls; what it took is in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/"
        self._process = self._started()

    def got(self) -> list[tuple[str, str, str]]:
        """To whom, about what and under which key, in the order of arrival."""
        lines = self._file.read_text().splitlines(keepends=True)
        return [tuple(line.split()) for line in lines if line.endswith("\n")]  # type: ignore[misc]

    def restart(self) -> None:
        """Kills it, leaves it dead for a second, and starts it again."""
        self.close()
        time.sleep(1)
        self._process = self._started()

    def close(self) -> None:
        """Kills it."""
        self._process.kill()
        self._process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        line = [sys.executable, "-m", "tests.engine.flaky", str(self._port), str(self._file)]
        return subprocess.Popen(line, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL)


@contextmanager
def target(file: Path) -> Iterator[Target]:
    """A target of webhooks that may die."""
    with closing(Target(file)) as started:
        yield started


class Mailbox:
    """Takes mail on a free port of this machine."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.url = ""

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        """One mail."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server."""
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.url = f"smtp://127.0.0.1:{port}"
    try:
        yield box
    finally:
        controller.stop()


class Door:
    """Forwards connections to a server while it is open; shut, it drops them and refuses new ones."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{self._listener.getsockname()[1]}"))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.is_open = True
        self.refused = 0
        self._start(self._accept)

    def shut(self) -> None:
        """Drops what goes through and lets nothing in."""
        self.is_open = False
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it for good."""
        self.shut()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()

    def _start(self, target: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            if not self.is_open:
                self.refused += 1
                inside.close()
                continue
            outside = socket.create_connection(self._target)
            self._open += [inside, outside]
            self._start(_pump, inside, outside)
            self._start(_pump, outside, inside)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
