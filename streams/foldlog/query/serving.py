"""The query service as a process: an address, signals, and an end that leaves nothing half done."""

import asyncio
import ctypes
import gc
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from foldlog.query.app import application
from foldlog.query.changes import Changes
from foldlog.query.service import Service
from foldlog.web.listening import Server

_SWITCH_S = 0.0005  # an answer passes through several threads, and each waits so long for one that decodes rows
_LAST_ANSWERS = 3  # s for those who still wait for one at the end
_BESIDES = 2 << 30  # bytes for Python, Kafka's client and answers on their way
_RESERVE, _PIECE = 256 << 20, 1 << 20
# glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD: the main heap, of the thread that answers, keeps what it has.
_KEEPING = ((-1, 1 << 30), (-3, 32 << 20))


class _Server(Server):
    """A server whose answers may have no end of their own."""

    def __init__(self, config: uvicorn.Config, changes: Changes) -> None:
        super().__init__(config)
        self._changes = changes

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends the service; a second signal does not wait for answers."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells those who listen to changes, whose answers have no end of their own, then waits for the others."""
        self._changes.close()
        await super().shutdown(sockets)


def run(service: Service, server: socket.socket, on_started: Callable[[], None], *, sql: bool = True) -> None:
    """Answers requests until SIGINT or SIGTERM; closes the service."""
    config = uvicorn.Config(
        application(service, sql=sql),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_LAST_ANSWERS,
        lifespan="off",
    )
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what is there by now stays: the collector need not look at it while people wait
    try:
        service.start()
        on_started()
        asyncio.run(_Server(config, service.replica.changes).serve(sockets=[server]))
    finally:
        service.close()
        server.close()


def bound_memory(memory_mb: int) -> None:
    """Lets this process have no more data than it has now, so much again for rows and queries, and some more.

    DuckDB counts what its operators hold and not every text that a function makes: without this bound, a query that
    makes texts of gigabytes would take the whole machine; with it, the query fails. DuckDB keeps what it was given,
    so the thread that answers has a reserve from the start.
    """
    _reserve()
    used = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmData:")
    )
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + 2 * (memory_mb << 20) + _BESIDES
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def _reserve() -> None:
    """Memory in the main heap that the C library does not give back to the system."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # not glibc
        return
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    for option, value in _KEEPING:
        libc.mallopt(option, value)
    for piece in [libc.malloc(_PIECE) for _ in range(_RESERVE // _PIECE)]:
        libc.free(piece)
