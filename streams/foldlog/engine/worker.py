"""A worker process: one Faust agent per processor, each with a poll thread and a process thread of its own.

Faust runs without its own Kafka: with no topics it still joins a group whose rebalances stall the agents.
"""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
import structlog
from confluent_kafka.admin import AdminClient
from faust.app.base import BootStrategy

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.core.errors import EngineError
from foldlog.core.topology import Processor as Declared
from foldlog.core.topology import Topology
from foldlog.engine import observing, shortcut
from foldlog.engine.assembly import Assembly, tracing
from foldlog.engine.housekeeping import Housekeeping
from foldlog.engine.identity import Identity
from foldlog.engine.line import Line
from foldlog.engine.serving import serving
from foldlog.engine.standby import Standbys
from foldlog.engine.stats import ProcessorStats
from foldlog.engine.work import text_of
from foldlog.settings import Settings

log = structlog.get_logger()

_LONGEST_CLOSE = 10.0  # s
# The objects of a batch live as long as it does, so a collector that looks at them every 700 finds nothing, for a
# quarter of all the time. Those of two batches of the default size are fewer than these.
_GARBAGE = 300_000

OnStats = Callable[[list[ProcessorStats]], None]


class _WithoutKafka(BootStrategy):
    enable_kafka = False
    enable_web = False
    enable_sensors = False


class _App(faust.App):
    BootStrategy = _WithoutKafka

    def _create_directories(self) -> None:
        """None: Faust's would lie in the working directory, which may be read-only; nothing is kept in them."""


class Worker:
    """All chosen processors of a topology in this process."""

    def __init__(self, topology: Topology, cluster: Cluster, settings: Settings, only: frozenset[str]) -> None:
        self._topology = topology
        self._cluster = cluster
        self._settings = settings
        self._identity = Identity(settings)
        if settings.compiled and not shortcut.AVAILABLE:
            log.info("foldlog was installed without a C compiler: commands go the long way")
        self._codec = Codec(topology, Registry(cluster.registry))
        self._codec.prepare()
        self._admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        chosen = [topology.processor(name) for name in sorted(only)] or list(topology.processors)
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()
        self._lines: list[Line] = []
        self._standbys = Standbys(self._admin, cluster.bootstrap, settings, self._identity.instance)
        self._app = _App(f"foldlog-{topology.name}", broker="kafka://unused", store="memory://", autodiscover=False)
        self._tracing = tracing(settings.otlp, topology.name, self._identity.instance)
        assembly = Assembly(
            topology, cluster, settings, self._identity, self._codec, self._admin, self._standbys, self._tracing
        )
        for declared in chosen:
            self._add(assembly, declared)

    async def run(self, on_stats: OnStats | None) -> None:
        """Runs until told to stop; raises what made a processor fail."""
        gc.freeze()
        gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        housekeeping = Housekeeping(self._lines, self._admin, self._identity.directory, on_stats)
        routes = observing.routes(
            self._topology.name, self._lines, lambda: housekeeping.turned, self._settings.ready_lag
        )
        with serving(self._settings.http, routes):
            await self._work(loop, housekeeping)
        if self._tracing is not None:
            self._tracing.close()
        if self._failure is not None:
            raise self._failure

    async def _work(self, loop: asyncio.AbstractEventLoop, housekeeping: Housekeeping) -> None:
        await self._app.start()
        self._app.flow_control.resume()
        self._start_feeds(loop)
        try:
            while not self._stop.is_set():
                housekeeping.turn()
                try:
                    await asyncio.wait_for(self._stop.wait(), 1.0)
                except TimeoutError:
                    continue
        finally:
            await self._end(loop)
            housekeeping.end()

    def _add(self, assembly: Assembly, declared: Declared) -> None:
        channel = self._app.channel(maxsize=16)
        line = assembly.line(declared, lambda item: self._hand_over(channel, item))
        self._lines.append(line)
        self._app.agent(channel, name=assembly.group(line.kind))(self._agent(line))

    def _agent(self, line: Line) -> Callable[[Any], Any]:
        async def process(batches: AsyncIterator[Any]) -> None:
            loop = asyncio.get_running_loop()
            async for batch in batches:
                try:
                    await loop.run_in_executor(line.executor, line.take, batch)
                except BaseException as error:
                    # Faust would start the agent again without this batch; the process must end instead.
                    self._fail(line, error)
                    raise

        return process

    def _hand_over(self, channel: Any, item: Any) -> None:
        asyncio.run_coroutine_threadsafe(channel.send(value=item), self._loop)

    def _start_feeds(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for line in self._lines:
            line.thread = threading.Thread(target=self._poll, args=(line,), name=f"poll-{line.kind.name}", daemon=True)
            line.thread.start()
        if self._settings.standbys:
            self._standbys.start()

    def _poll(self, line: Line) -> None:
        try:
            line.poll()
        except BaseException as error:
            self._loop.call_soon_threadsafe(self._fail, line, error)

    def _fail(self, line: Line, error: BaseException) -> None:
        if self._failure is None and not self._stop.is_set():
            log.error("processor failed", processor=line.kind.name, error=text_of(error))
            self._failure = (
                error if isinstance(error, Exception) else EngineError(f"{line.kind.name}: {text_of(error)}")
            )
        self._stop.set()

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Batches in flight end, members leave, stores close; nothing is cut off in the middle."""
        for line in self._lines:
            line.feed.stop()
        self._standbys.stop()
        for line in self._lines:
            if line.thread is not None:
                await loop.run_in_executor(None, line.thread.join, 25)
            await self._close(line, loop)
            line.executor.shutdown()
        self._standbys.join()
        await self._app.stop()
        self._identity.release()

    async def _close(self, line: Line, loop: asyncio.AbstractEventLoop) -> None:
        """A function of the domain that never returns holds its thread: then only the process can end."""
        try:
            await asyncio.wait_for(loop.run_in_executor(line.executor, line.processor.close), _LONGEST_CLOSE)
        except TimeoutError:
            log.warning("the processor does not stop: its batch will be read again", processor=line.kind.name)
            os._exit(1)


def run(
    topology: Topology,
    cluster: Cluster,
    settings: Settings,
    only: frozenset[str] = frozenset(),
    on_stats: OnStats | None = None,
) -> None:
    """Runs a topology's processors until SIGINT or SIGTERM; raises FoldlogError where one cannot go on.

    `only` names the processors, all where it is empty; `on_stats` is called about once a second.
    """
    # Made before the app: Faust's own look-up of a loop warns from Python 3.12 on.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        worker = Worker(topology, cluster, settings, only)
        loop.run_until_complete(worker.run(on_stats))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
