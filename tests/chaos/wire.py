"""A TCP proxy before one broker that knows where a request begins: it can cut, slow, hold, and deliver one late.

A request on the wire is its length (4 bytes), then api key and version (2 bytes each), then the rest:
https://kafka.apache.org/protocol.html
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from foldlog.cluster.ports import HOST

END_TXN = 26
_LONGEST_FRAME = 128 << 20


class Proxy:
    """Forwards connections to 127.0.0.1:`upstream`.

    A hold is what a network that drops every packet looks like: nothing passes, no connection ends, and what was sent
    meanwhile arrives once it is over. `seen` counts requests by api key, `held` those that had to wait in a hold.
    """

    def __init__(self, upstream: int, port: int) -> None:
        self.port = port
        self.seen: Counter[int] = Counter()
        self.held = self.cut_connections = self.slowed = 0
        self.delivered = threading.Event()  # the late request is with the broker
        self._upstream = upstream
        self._late: dict[int, float] = {}
        self._pause = 0.0
        self._through = threading.Event()
        self._through.set()
        self._refusing = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, port), backlog=256)
        _start(self._accept)

    def late(self, api_key: int, seconds: float) -> None:
        """The next request with this api key is delivered so much later, whatever its client does meanwhile."""
        self.delivered.clear()
        self._late[api_key] = seconds

    @property
    def awaited(self) -> frozenset[int]:
        """The api keys of requests that are to be late and have not come yet."""
        return frozenset(self._late)

    def on_time(self, api_key: int) -> bool:
        """Forgets a request that was to be late; False where it has come already."""
        return self._late.pop(api_key, None) is not None

    def hold(self) -> None:
        """Lets nothing through until `heal`."""
        self._through.clear()

    def slow(self, seconds: float) -> None:
        """Each request and each piece of an answer takes so much longer, until `heal`."""
        self._pause = seconds

    def cut(self) -> None:
        """Ends every connection and refuses new ones until `heal`."""
        self._refusing = True
        self.drop()

    def heal(self) -> None:
        """Lets everything through again."""
        self._refusing, self._pause = False, 0.0
        self._through.set()

    def drop(self) -> None:
        """Ends every connection; new ones may come."""
        with self._lock:
            ends, self._open = list(self._open), set()
        self.cut_connections += len(ends) // 2
        for end in ends:
            _end(end)

    def close(self) -> None:
        """Ends it for good."""
        self._refusing = True
        _end(self._listener)
        self._listener.close()
        self.heal()
        self._refusing = True
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            with suppress(OSError):
                if self._refusing:
                    client.close()
                    continue
                try:
                    broker = socket.create_connection((HOST, self._upstream), 5)
                except OSError:
                    client.close()
                    continue
                for end in (client, broker):
                    end.settimeout(None)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open |= {client, broker}
                _start(self._requests, client, broker)
                _start(self._answers, broker, client)

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        held = False
        with suppress(OSError, ValueError):
            while (request := frame(lambda count: _exactly(client, count))) is not None:
                held = self._request(request, broker)
        if held:
            time.sleep(1)  # a broker drops what it has read from a connection that is closed at once
        self._forget(client, broker)

    def _request(self, request: bytes, broker: socket.socket) -> bool:
        """Delivers one request; True where it was late."""
        api_key: int = struct.unpack_from(">h", request, 4)[0]
        self.seen[api_key] += 1
        late = self._late.pop(api_key, None)
        if late is not None:
            time.sleep(late)
        self._wait(count=True)
        broker.sendall(request)
        if late is not None:
            self.delivered.set()
        return late is not None

    def _answers(self, broker: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := broker.recv(1 << 16):
                self._wait(count=False)
                client.sendall(data)
        self._forget(broker, client)

    def _wait(self, count: bool) -> None:
        if not self._through.is_set():
            self.held += count
            self._through.wait()
        if self._pause:
            self.slowed += count
            time.sleep(self._pause)

    def _forget(self, source: socket.socket, target: socket.socket) -> None:
        """One direction has ended: the other side learns of it, and a side that both are done with is closed."""
        _end(target)
        with self._lock:
            self._open.discard(source)
        source.close()


def frame(read: Callable[[int], bytes | None]) -> bytes | None:
    """One request with its length; None where the bytes end before it does. ValueError for what is no request."""
    head = read(4)
    if head is None:
        return None
    size: int = struct.unpack(">i", head)[0]
    if not 4 <= size <= _LONGEST_FRAME:
        raise ValueError(f"a request of {size} bytes")
    body = read(size)
    return None if body is None else head + body


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts, left = [], count
    while left:
        more = connection.recv(min(left, 1 << 20))
        if not more:
            return None
        parts.append(more)
        left -= len(more)
    return b"".join(parts)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _start(run: Callable[..., None], *ends: socket.socket) -> None:
    threading.Thread(target=run, args=ends, daemon=True).start()
