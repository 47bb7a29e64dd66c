"""A TCP proxy between a Kafka client and its broker that can deliver requests late.

A request on the wire is its length (4 bytes), then api key and version (2 bytes each), then the rest:
https://kafka.apache.org/protocol.html
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

END_TXN = 26
TXN_OFFSET_COMMIT = 28


class Proxy:
    """Forwards connections to 127.0.0.1:`port` of a broker; `late` makes it hold requests back."""

    def __init__(self, upstream: int, port: int) -> None:
        self.delivered = threading.Event()  # the late request is with the broker
        self._upstream = upstream
        self._late: dict[int, float] = {}
        self._now = threading.Event()  # whoever holds a request back need not wait any longer
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)

    def late(self, api_key: int, seconds: float) -> None:
        """The next request with this api key is delivered so much later, whatever its client does meanwhile."""
        self.delivered.clear()
        self._now.clear()
        self._late[api_key] = seconds

    def deliver(self) -> None:
        """Ends the wait of what is held back."""
        self._now.set()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Accepts connections; closes all of them at the end."""
        self._start(self._accept)
        try:
            yield self
        finally:
            for each in [self._listener, *self._sockets]:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            for thread in self._threads:
                thread.join(20)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._upstream))
                self._sockets += [client, broker]
                self._start(self._requests, client, broker)
                self._start(_answers, broker, client)

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        held = False
        with suppress(OSError):
            while (frame := _frame(client)) is not None:
                late = self._late.pop(struct.unpack_from(">h", frame, 4)[0], None)
                if late is not None:
                    held = True
                    self._now.wait(late)
                broker.sendall(frame)
                if late is not None:
                    self.delivered.set()
        if held:
            time.sleep(1)  # a broker drops what it has read from a connection that is closed at once
        with suppress(OSError):
            broker.shutdown(socket.SHUT_RDWR)


def _answers(broker: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while data := broker.recv(65536):
            client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _frame(connection: socket.socket) -> bytes | None:
    """One request with its length; None at the end of the connection."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    body = _exactly(connection, struct.unpack(">i", head)[0])
    return None if body is None else head + body


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return None
        data += more
    return data
