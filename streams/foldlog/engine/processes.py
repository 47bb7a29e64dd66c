"""Several worker processes as one: started, watched, shown together, and ended together.

Each is a program of its own (nothing is forked), in a process group of its own, so that a terminal's Ctrl-C reaches
the parent alone. Parent and child hold the two ends of a socket: the child reports there, and ends when the parent's
end closes, however the parent came to its end.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from foldlog.core.errors import EngineError
from foldlog.engine.reports import merged, received
from foldlog.engine.stats import ProcessorStats
from foldlog.settings import Settings

_LONGEST_END = 60.0  # s: a process that was told to end is killed after this
_LONGEST_SILENCE = 5.0  # s without a report: then `alive` is not touched
_LAST_WORDS = 5.0  # s
_LONGEST_LINE = 1 << 20  # bytes

OnStats = Callable[[list[ProcessorStats]], None]
Say = Callable[[str, str], None]  # a process's name and a line that it printed
Command = Callable[[int], Sequence[str]]


class _Child:
    """One process, its latest stats, and what it last said was wrong."""

    def __init__(self, name: str, environment: Mapping[str, str], say: Say) -> None:
        self.name = name
        self.stats: list[ProcessorStats] = []
        self.reported = float("-inf")
        self._environment = environment
        self._say = say
        self._error = ""

    async def start(self, command: Command) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *command(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=_LONGEST_LINE,
                env=self._environment,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        self._reports, self._channel = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        self.ended = asyncio.ensure_future(self._run())

    def fate(self) -> str:
        """How it ended; the empty text for an end with exit code 0."""
        code = self.ended.result()
        if code < 0:
            return f"process {self.name} was killed by {signal.Signals(-code).name}"
        return f"process {self.name}: {self._error or f'ended with exit code {code}'}" if code else ""

    async def end(self) -> None:
        """Tells it to end, and waits until it has."""
        if not self.ended.done():
            self._process.terminate()
            done, _ = await asyncio.wait({self.ended}, timeout=_LONGEST_END)
            if not done:
                self._process.kill()
        await self.ended

    async def _run(self) -> int:
        """The exit code, once all that it said was read."""
        reading = asyncio.gather(self._lines(self._process.stdout, self._said), self._lines(self._reports, self._told))
        code = await self._process.wait()
        with suppress(TimeoutError):  # somebody whom it has started may hold its output open
            await asyncio.wait_for(reading, _LAST_WORDS)
        self._channel.close()
        return code

    async def _lines(self, reader: asyncio.StreamReader | None, take: Callable[[bytes], None]) -> None:
        assert reader is not None
        while not reader.at_eof():
            with suppress(ValueError, ConnectionError):  # a line that is too long is dropped
                take(await reader.readline())

    def _said(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self._error = _error_in(text) or self._error
        if text:
            self._say(self.name, text)

    def _told(self, line: bytes) -> None:
        stats = received(line)
        if stats is not None:
            self.stats, self.reported = stats, time.monotonic()


def _error_in(line: str) -> str:
    """The error that a line is about, as the command line prints it or as JSON; the empty text where it is none."""
    if line.startswith("error: "):
        return line.removeprefix("error: ")
    with suppress(msgspec.DecodeError):
        told = msgspec.json.decode(line)
        if isinstance(told, dict) and told.get("level") == "error":
            return str(told.get("error", ""))
    return ""


class _Probes:
    """The files of a named parent that probes look at: `alive` while each process reports, `ready` while all run."""

    def __init__(self, settings: Settings) -> None:
        directory = settings.home / "workers" / settings.instance if settings.instance else None
        self._files = (directory / "alive", directory / "ready") if directory else None

    def turn(self, children: Sequence[_Child]) -> None:
        if self._files is None:
            return
        alive, ready = self._files
        alive.parent.mkdir(parents=True, exist_ok=True)
        if all(time.monotonic() - child.reported < _LONGEST_SILENCE for child in children):
            alive.touch()
        if all(child.stats and all(one.state == "running" for one in child.stats) for child in children):
            ready.touch()
        else:
            ready.unlink(missing_ok=True)

    def end(self) -> None:
        for file in self._files or ():
            file.unlink(missing_ok=True)


def run(command: Command, count: int, settings: Settings, on_stats: OnStats, say: Say) -> None:
    """Runs so many worker processes until SIGINT or SIGTERM; when one fails, all end, and EngineError says why.

    `command` makes a process's command line, given the descriptor at which it reports. Where this process has an
    instance's name, theirs are `<name>-0`, `<name>-1`, …; else each takes a free slot. `on_stats` is called about once
    a second with the stats of all together, `say` with each line that one prints. Where a port is set, each serves at
    its own: that port, the next, ….
    """
    children = [_Child(*_named(settings, number), say) for number in range(count)]
    asyncio.run(_run(children, command, _Probes(settings), on_stats))


async def _run(children: list[_Child], command: Command, probes: _Probes, on_stats: OnStats) -> None:
    stop, started = asyncio.Event(), list[_Child]()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        for child in children:
            await child.start(command)
            started.append(child)
        while not stop.is_set() and not any(child.ended.done() for child in started):
            probes.turn(started)
            if stats := merged(child.stats for child in started):
                on_stats(stats)
            waiting = {stopping, *(child.ended for child in started)}
            await asyncio.wait(waiting, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        first = [] if stop.is_set() else [child for child in started if child.ended.done()]
    finally:
        stopping.cancel()
        await asyncio.gather(*(child.end() for child in started))
        probes.end()
        on_stats(merged(child.stats for child in started))
    _judge(first, started)


def _judge(first: list[_Child], all_: list[_Child]) -> None:
    """EngineError where a process ended before it was told to, or otherwise than it should have when it was."""
    for child in first:
        raise EngineError(f"{child.fate() or f'process {child.name} was stopped'}; the others were stopped too")
    for child in all_:
        if (fate := child.fate()) and child.ended.result() != -signal.SIGTERM:  # that is: before it had begun
            raise EngineError(fate)


def _named(settings: Settings, number: int) -> tuple[str, dict[str, str]]:
    """The name of a process and its environment; its output is no terminal's, whatever the parent's is."""
    name = f"{settings.instance}-{number}" if settings.instance else str(number)
    environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    environment["PYTHONUNBUFFERED"] = "1"
    if settings.instance:
        environment["FOLDLOG_INSTANCE"] = name
    if settings.http:
        host, _, port = settings.http.rpartition(":")
        environment["FOLDLOG_HTTP"] = f"{host}:{int(port) + number if int(port) else 0}"
    return name, environment
