"""A process that runs readers' statements over copies of the views, within limits that the system holds it to.

`python -m foldlog.query.sandbox FD`: FD is a socket that `protocol` is spoken on. What ends this process ends no more
than it: an allocation that fails in the middle of DuckDB, a kill. It ends with its parent.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from itertools import chain
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path

import duckdb
import pyarrow as pa

from foldlog.core.errors import QueryError
from foldlog.query.confined import bounded, lock
from foldlog.query.formats import chunks, written
from foldlog.query.protocol import READY, WRONG, Ask, Check, Setup
from foldlog.query.results import ERRORS, PORTION, Answer, is_fatal, limited, needs_memory, refusal
from foldlog.query.statements import checked, quoted

_PR_SET_PDEATHSIG = 1
_UNCOUNTED = 256 << 20  # bytes for what DuckDB does not count, beside a quarter of what it may have


def main() -> None:
    """Answers until the parent is gone."""
    _end_with_parent()
    connection = Connection(int(sys.argv[1]))
    with suppress(EOFError, OSError):
        setup: Setup = connection.recv()
        sandbox = _Sandbox(setup)
        _bound_memory(setup.memory_mb)
        connection.send_bytes(READY)
        while True:
            request: Check | Ask = connection.recv()
            views = request.views if isinstance(request, Ask) else ()
            _answer(connection, sandbox, request, {view: recv_handle(connection) for view in views})


def _end_with_parent() -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # elsewhere, and if that came too late, the socket's end tells


def _bound_memory(memory_mb: int) -> None:
    """Lets this process have no more data than it has now, what DuckDB may have and some more; no core is dumped."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    used = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
    most = used + (memory_mb << 20) * 5 // 4 + _UNCOUNTED
    for limit, value in ((resource.RLIMIT_DATA, most), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where the machine has too little, this goes first


def _answer(connection: Connection, sandbox: "_Sandbox", request: Check | Ask, copies: Mapping[str, int]) -> None:
    usable = True
    try:
        parts = sandbox.check(request) if isinstance(request, Check) else sandbox.ask(request, copies)
    except QueryError as error:
        problem = error
    except ERRORS as error:
        problem, usable = refusal(error), not needs_memory(error) and not is_fatal(error)
    except Exception as error:
        problem, usable = QueryError(f"the statement cannot be run: {type(error).__name__}"), False
    else:
        for part in chain([READY], parts, [b""]):
            connection.send_bytes(part)
        return
    connection.send_bytes(WRONG)
    connection.send_bytes(json.dumps([str(problem), problem.status, usable]).encode())


class _Sandbox:
    """A database in memory in which the views have names, but rows only in the connection of one statement."""

    def __init__(self, setup: Setup) -> None:
        self._most = setup.memory_mb << 20
        self._schemas = {name: pa.ipc.read_schema(pa.py_buffer(schema)) for name, schema in setup.schemas.items()}
        self._root = duckdb.connect(":memory:", config=bounded(setup.memory_mb, setup.threads))
        self._root.execute(f"ATTACH ':memory:' AS {quoted(setup.context)}")
        for view, schema in self._schemas.items():
            self._root.register(view, schema.empty_table())
            name = f"{quoted(setup.context)}.main.{quoted(view)}"
            self._root.execute(f"CREATE VIEW {name} AS FROM temp.main.{quoted(view)}")
        lock(self._root)

    def check(self, request: Check) -> Iterator[bytes]:
        """The text of a statement and the tables that it names."""
        statement = checked(self._root, request.sql)
        return iter([json.dumps([statement.sql, sorted(statement.tables)]).encode()])

    def ask(self, request: Ask, copies: Mapping[str, int]) -> Iterator[bytes]:
        """The answer to a statement over these copies."""
        mapped = {view: _mapped(fd) for view, fd in copies.items()}
        with closing(self._root.cursor()) as cursor:
            for view, schema in self._schemas.items():
                cursor.register(view, mapped[view] if view in mapped else _absent(view, schema))
            relation = cursor.sql(request.sql, params=request.parameters or None)
            if relation is None:
                raise QueryError("the statement has no result")
            with relation.to_arrow_reader(PORTION) as reader:
                batches = limited(reader, request.rows, self._most)
                return chunks(written(Answer(reader.schema, batches), request.form))


def _mapped(fd: int) -> pa.Table:
    """A copy of a view's rows, which stay in its file."""
    try:
        data = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        return stream.read_all()


def _absent(view: str, schema: pa.Schema) -> pa.RecordBatchReader:
    """A view that the statement does not name: it has columns, and reading it fails instead of finding nothing."""

    def unread() -> Iterator[pa.RecordBatch]:
        yield from ()
        raise ValueError(f"the statement reads {view} without naming it")

    return pa.RecordBatchReader.from_batches(schema, unread())


if __name__ == "__main__":
    main()
