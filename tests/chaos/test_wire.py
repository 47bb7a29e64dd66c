"""The proxy before a broker: whole requests, in order, and faults that end."""

import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from foldlog.cluster.ports import HOST
from tests.chaos.waiting import eventually
from tests.chaos.wire import END_TXN, Proxy, frame

PRODUCE = 0


def request(api_key: int, body: bytes = b"") -> bytes:
    """A request as it is on the wire."""
    return struct.pack(">ihh", len(body) + 4, api_key, 9) + body


class Broker:
    """Takes one request after the other and answers each with its own bytes."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while (found := frame(lambda count: reader.read(count) or None)) is not None:
                self.received.append(found)
                connection.sendall(found)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with closing(Broker()) as broker:
        yield broker


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with closing(Proxy(broker.port, port)) as proxy:
        yield proxy


def _client(proxy: Proxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), 30)


def _answer(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := client.recv(count - len(found))):
        found += more
    return found


def test_a_frame_is_read_whole_however_its_bytes_come() -> None:
    stream = io.BytesIO(request(3, b"abc") + request(4))
    assert frame(stream.read) == request(3, b"abc")
    assert frame(stream.read) == request(4)


@pytest.mark.parametrize("size", [3, -1, 1 << 30])
def test_what_cannot_be_a_request_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a request of {size} bytes"):
        frame(io.BytesIO(struct.pack(">i", size) + b"abcd").read)


def test_requests_and_answers_pass_and_are_counted(broker: Broker, proxy: Proxy) -> None:
    with _client(proxy) as client:
        sent = request(PRODUCE, b"x" * 100_000)
        client.sendall(sent[:7])
        client.sendall(sent[7:] + request(END_TXN))
        assert _answer(client, len(sent) + 8) == sent + request(END_TXN)
    assert (proxy.seen[PRODUCE], proxy.seen[END_TXN]) == (1, 1)


def test_a_late_request_comes_although_its_client_has_gone(broker: Broker, proxy: Proxy) -> None:
    proxy.late(END_TXN, 5)  # long enough for another client's request, however busy the machine
    with _client(proxy) as client:
        client.sendall(request(PRODUCE, b"before") + request(END_TXN, b"late"))
        _answer(client, len(request(PRODUCE, b"before")))
        eventually(lambda: not proxy.awaited, "the request that is to be late", 20)  # else the other's would be
    with _client(proxy) as other:
        other.sendall(request(END_TXN, b"again"))
        assert _answer(other, 13) == request(END_TXN, b"again")
    assert not proxy.delivered.is_set()
    assert proxy.delivered.wait(20)
    eventually(lambda: len(broker.received) == 3, "the late request", 20)
    assert broker.received[-1] == request(END_TXN, b"late")


def test_a_request_that_was_not_late_after_all_passes(proxy: Proxy) -> None:
    proxy.late(END_TXN, 60)
    assert proxy.awaited == {END_TXN}
    assert proxy.on_time(END_TXN)
    with _client(proxy) as client:
        client.sendall(request(END_TXN))
        assert _answer(client, 8) == request(END_TXN)
    assert not proxy.on_time(END_TXN)


def test_what_a_hold_keeps_back_comes_when_it_is_over(broker: Broker, proxy: Proxy) -> None:
    with _client(proxy) as client:
        client.sendall(request(PRODUCE, b"1"))
        assert _answer(client, 9) == request(PRODUCE, b"1")
        proxy.hold()
        client.sendall(request(PRODUCE, b"2"))
        eventually(lambda: proxy.held == 1, "the request in the hold", 20)
        assert broker.received == [request(PRODUCE, b"1")]
        proxy.heal()
        assert _answer(client, 9) == request(PRODUCE, b"2")


def test_a_cut_ends_connections_and_lets_none_in_until_it_is_healed(proxy: Proxy) -> None:
    with _client(proxy) as client:
        client.sendall(request(PRODUCE))
        _answer(client, 8)
        proxy.cut()
        assert client.recv(1) == b""
    assert proxy.cut_connections == 1
    with _client(proxy) as refused:
        assert refused.recv(1) == b""
    proxy.heal()
    with _client(proxy) as client:
        client.sendall(request(PRODUCE))
        assert _answer(client, 8) == request(PRODUCE)


def test_a_slow_network_delivers_all_the_same(proxy: Proxy) -> None:
    proxy.slow(0.2)
    with _client(proxy) as client:
        started = time.monotonic()
        client.sendall(request(PRODUCE))
        assert _answer(client, 8) == request(PRODUCE)
        assert time.monotonic() - started >= 0.2  # the fault's own length, never an upper bound
    assert proxy.slowed == 1
