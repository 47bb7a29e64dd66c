"""What a worker serves over HTTP: `/metrics`, `/healthz`, `/readyz`; in threads of its own, beside the work."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from foldlog.core.errors import ConfigError

log = structlog.get_logger()

_AT_ONCE = 16  # connections; others are closed unanswered
_PATIENCE = 5.0  # s for a client that says nothing

Answer = tuple[int, str, bytes]  # status, content type, body
Routes = Mapping[str, Callable[[Any], Answer]]  # by path; given the request's headers


def as_json(status: int, value: object) -> Answer:
    """An answer that programs and people can read."""
    return status, "application/json", json.dumps(value).encode() + b"\n"


@contextmanager
def serving(address: str | None, routes: Routes) -> Iterator[str | None]:
    """Answers requests until the end of the block, and gives the URL; nothing where there is no address.

    Port 0 takes a free one. Raises ConfigError where the address cannot be listened on.
    """
    if address is None:
        yield None
        return
    server = _listening(address, routes)
    host, port = server.server_address[:2]
    url = f"http://{host!s}:{port}"
    log.info("serving metrics and health", url=url)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


def _listening(address: str, routes: Routes) -> "_Server":
    host, _, port = address.rpartition(":")
    try:
        return _Server((host, int(port)), routes)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "a port is at most 65535"
        raise ConfigError(f"FOLDLOG_HTTP={address} cannot be listened on: {why}; choose another address") from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], routes: Routes) -> None:
        self.routes = routes
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Binds; without the look-up of the host's name, which may wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers in a thread of its own; connections beyond the limit are closed: they must not starve the worker."""
        if not self._free.acquire(blocking=False):
            return self.shutdown_request(request)
        return super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers, and makes room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a bug here: neither is the worker's trouble."""
        del request, client_address
        log.debug("a request was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    server_version, sys_version = "foldlog", ""

    def do_GET(self) -> None:
        """Answers by path; what the query says does not matter."""
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            return self._answer(*as_json(404, {"error": "not found", "paths": sorted(self.server.routes)}))
        try:
            answer = route(self.headers)
        except Exception:
            log.exception("a request failed", path=self.path)
            answer = as_json(500, {"error": "see the worker's log"})
        return self._answer(*answer)

    do_HEAD = do_GET  # noqa: N815 — the name that the base class looks for

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuses what cannot be parsed, and every method but GET and HEAD."""
        del explain
        if code == HTTPStatus.NOT_IMPLEMENTED:
            code, message = HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD"
        self._answer(*as_json(code, {"error": message or HTTPStatus(code).phrase}))

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
