"""The small HTTP server beside the work: what it answers, and what cannot hurt it."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest

from foldlog.core.errors import ConfigError
from foldlog.engine.serving import Answer, as_json, serving
from tests.engine.conftest import Start
from tests.engine.running import eventually
from tests.engine.scraping import FREE_PORT, asked, get, url_of


def broken(_: Any) -> Answer:
    raise ZeroDivisionError


ROUTES = {"/yes": lambda _: as_json(200, {"yes": True}), "/broken": broken}


@pytest.fixture
def url() -> Iterator[str]:
    with serving("127.0.0.1:0", ROUTES) as url:
        assert url is not None
        yield url


def said(url: str, request: bytes) -> bytes:
    """What the server answers to these bytes before it closes."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(request)
        with suppress(OSError):  # one that was reset meanwhile is not connected any more, which is no ConnectionError
            connection.shutdown(socket.SHUT_WR)
        while more := connection.recv(4096):
            answer += more
    return answer  # a server that closes with something unread resets the connection


def answered(url: str) -> bool:
    """Whether there was room for a question; a connection beyond the limit is closed."""
    with suppress(OSError):
        return asked(url)[0] == 200
    return False


def test_it_answers_what_it_knows_and_names_it_where_it_does_not(url: str) -> None:
    assert asked(f"{url}/yes?verbose=1") == (200, {"yes": True})
    assert asked(f"{url}/no") == (404, {"error": "not found", "paths": ["/broken", "/yes"]})


def test_a_head_has_no_body(url: str) -> None:
    status, headers, body = get(f"{url}/yes", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len('{"yes": true}\n')), "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(url: str, method: str) -> None:
    status, headers, body = get(f"{url}/yes", method)
    assert (status, headers["Allow"], json.loads(body)) == (405, "GET, HEAD", {"error": "only GET and HEAD"})


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET /yes HTTP/9.9\r\n\r\n", b""])
def test_garbage_is_refused_and_the_next_request_answered(url: str, request_: bytes) -> None:
    assert b'"yes"' not in said(url, request_)
    assert asked(f"{url}/yes")[0] == 200


def test_a_fault_behind_an_answer_is_that_answers_alone(url: str) -> None:
    assert asked(f"{url}/broken") == (500, {"error": "see the worker's log"})
    assert asked(f"{url}/yes")[0] == 200


def test_silent_clients_do_not_keep_others_out_for_long(url: str) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        eventually(lambda: answered(f"{url}/yes"), "an answer while they say nothing")


def test_without_an_address_nothing_is_served() -> None:
    with serving(None, ROUTES) as url:
        assert url is None


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:70000", "at most 65535"), ("999.0.0.1:9180", "choose another address")]
)
def test_an_address_that_cannot_be_is_a_clear_error(address: str, why: str) -> None:
    with (
        pytest.raises(ConfigError, match=f"FOLDLOG_HTTP={address} cannot be listened on: .*{why}"),
        serving(address, {}),
    ):
        pass


def test_a_port_in_use_ends_the_worker_with_one_line(start: Start) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        worker = start(FOLDLOG_HTTP=address)
        assert worker.ended() == 1
        assert worker.errors == [
            f"error: FOLDLOG_HTTP={address} cannot be listened on: Address already in use; choose another address"
        ]


def test_garbage_does_not_end_a_worker(start: Start) -> None:
    worker = start("account", **FREE_PORT)
    url = url_of(worker)
    for request in (b"\0" * 70_000, b"GET /metrics\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        said(url, request)
    worker.ready()
    assert asked(f"{url}/healthz")[0] == 200
    assert worker.stop() == 0, worker.output
