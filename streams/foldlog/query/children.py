"""The processes that run readers' statements: a few, kept warm, each replaced once it has ended."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.reduction import send_handle
from typing import IO

from foldlog.core.errors import QueryError
from foldlog.query.deadlines import Deadlines
from foldlog.query.formats import spooled
from foldlog.query.protocol import READY, Ask, Check, Setup
from foldlog.query.results import too_long
from foldlog.query.statements import Statement

_START_S = 60.0  # for a process that is to become ready on a machine that is busy


class Child:
    """One process; one thread at a time asks it."""

    def __init__(self, setup: Setup) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "foldlog.query.sandbox", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the service, which ends its children itself
            )
        self._connection.send(setup)
        self.ready, self.usable = False, True

    def wait(self) -> None:
        """Returns once it has started; EOFError where it ended."""
        if not self.ready and not self._connection.poll(_START_S):
            raise EOFError
        self.ready = self.ready or self._connection.recv_bytes() == READY

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def end(self) -> int:
        """Ends it, if it has not ended; its exit code."""
        self._process.kill()
        self._connection.close()
        return self._process.wait()

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: Check | Ask, files: Mapping[str, IO[bytes]]) -> IO[bytes]:
        """What it answers, at its beginning; EOFError or OSError where it ends meanwhile, QueryError what is wrong."""
        self._connection.send(request)
        for view in request.views if isinstance(request, Ask) else ():
            send_handle(self._connection, files[view].fileno(), self._process.pid)
        if self._connection.recv_bytes() != READY:
            detail, status, self.usable = json.loads(self._connection.recv_bytes())
            raise QueryError(detail, status)
        return spooled(self._receive)

    def _receive(self, file: IO[bytes]) -> None:
        while part := self._connection.recv_bytes():
            file.write(part)


class Children:
    """So many processes; as many threads ask them."""

    def __init__(self, setup: Setup, number: int, seconds: float) -> None:
        self._setup, self._number, self._seconds = setup, number, seconds
        self._deadlines = Deadlines()
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._closed = False

    def start(self) -> None:
        """Starts them; who asks before they are ready waits for that."""
        self._idle = [self._started() for _ in range(self._number)]

    def close(self) -> None:
        """Ends them, whatever they do; once more does no harm."""
        with self._lock:
            self._closed = True
            for child in self._all:
                child.kill()
        for child in self._idle:
            child.end()
        self._deadlines.close()

    def check(self, sql: str) -> Statement:
        """The statement of a text; QueryError where it is not one to be answered."""
        with self.ask(Check(sql), {}) as found:
            text, tables = json.loads(found.read())
        return Statement(text, frozenset(tables))

    def ask(self, request: Check | Ask, files: Mapping[str, IO[bytes]]) -> IO[bytes]:
        """The answer to a request, as a file; `files` have the views that a statement names.

        Raises QueryError where the statement is wrong, takes too long, has too many rows, is too large or ends its
        process.
        """
        child, expired = self._taken(), threading.Event()
        try:
            child.wait()
            with self._deadlines.of(child.kill, self._seconds) as expired:
                return child.ask(request, files)
        except (EOFError, OSError) as error:
            code = child.end()
            raise too_long(self._seconds) if expired.is_set() else self._ended(code) from error
        finally:
            self._give_back(child, usable=child.usable and not expired.is_set())

    def _taken(self) -> Child:
        with self._lock:
            child = self._idle.pop() if self._idle else self._started()
        if child.lives:
            return child
        child.end()
        with self._lock:
            self._all.discard(child)
            return self._started()

    def _give_back(self, child: Child, *, usable: bool) -> None:
        """Keeps a process, or ends it and starts another one, so that nobody need wait for that."""
        usable = usable and child.lives and not self._closed
        if not usable:
            child.end()
        with self._lock:
            if not usable:
                self._all.discard(child)
            if not self._closed:
                self._idle.append(child if usable else self._started())

    def _started(self) -> Child:
        if self._closed:
            raise QueryError("the service ends", 503)
        child = Child(self._setup)
        self._all.add(child)
        return child

    def _ended(self, code: int) -> QueryError:
        """Why a process ended in the middle of a statement."""
        if self._closed:
            return QueryError("the service ends", 503)
        if code == -signal.SIGKILL:
            return QueryError("the process that ran the statement was killed from outside: ask again", 503)
        how = signal.strsignal(-code) if code < 0 else f"code {code}"
        return QueryError(
            f"the statement ended its process ({how}): it needs more memory than it may have, or meets a defect of "
            "DuckDB: ask for less, or otherwise",
            422,
        )
