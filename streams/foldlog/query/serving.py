"""The query service as a process: an address, signals, and an end that leaves nothing half done."""

import asyncio
import gc
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from foldlog.query.app import application
from foldlog.query.service import Service
from foldlog.web.listening import Server, configured

_SWITCH_S = 0.0005  # an answer passes through several threads, and each waits so long for one that decodes rows
_GARBAGE = 100_000  # objects between two looks for cycles; rows that are applied make many, and no cycles
_LAST_STATEMENTS = 2  # s for readers' SQL, so that who waits for it is told


class _Server(Server):
    """A server whose answers may have no end of their own."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends the service; a second signal does not wait for answers."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells those who listen to changes, whose answers have no end of their own, then waits for the others."""
        self._service.replica.changes.close()
        asyncio.get_running_loop().call_later(_LAST_STATEMENTS, self._service.end_statements)
        await super().shutdown(sockets)


def run(service: Service, server: socket.socket, on_started: Callable[[], None], *, sql: bool = True) -> None:
    """Answers requests until SIGINT or SIGTERM; closes the service."""
    config = configured(application(service, sql=sql))
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what is there by now stays: the collector need not look at it while people wait
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    try:
        service.start(sql=sql)
        on_started()
        asyncio.run(_Server(config, service).serve(sockets=[server]))
    finally:
        service.close()
        server.close()
