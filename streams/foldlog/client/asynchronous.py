"""The client for asyncio: the same client, waited for without blocking the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from foldlog.client.client import REPLY_S, ROW_S, Client
from foldlog.client.commands import Command
from foldlog.client.sender import Pending
from foldlog.client.subscription import AT_ONCE, END, TURN, Received, Start, Subscription
from foldlog.contracts.codec import Codec
from foldlog.core.errors import DeadlineError
from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.core.view import View

T = TypeVar("T")
E = TypeVar("E", bound=Record)
Row = TypeVar("Row", bound=Record)


class AsyncClient:
    """A program's door to one context, as Client; close it, or use it in an `async with` block.

    Raises as Client does.
    """

    def __init__(self, topology: Topology, *, bootstrap: str | None = None, registry: str | None = None) -> None:
        self._client = Client(topology, bootstrap=bootstrap, registry=registry)
        self.topology = topology

    @property
    def codec(self) -> Codec:
        """Encodes and decodes the context's records."""
        return self._client.codec

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Delivers what is queued and leaves the cluster."""
        await asyncio.to_thread(self._client.close)

    async def send(
        self,
        record: Record,
        *,
        id: str | None = None,
        actor: str | None = None,
        correlation: str | None = None,
        timeout: float = REPLY_S,  # noqa: ASYNC109 — as the client's
    ) -> Reply:
        """Sends a command and waits for its reply: accepted, rejected with a reason, or failed."""
        return (await self.send_all([Command(record, id, actor, correlation)], timeout))[0]

    async def send_all(
        self,
        commands: Iterable[Record | Command],
        timeout: float = REPLY_S,  # noqa: ASYNC109
    ) -> list[Reply]:
        """Sends many at once and waits for all replies, in the order of the commands."""
        sent = await self._submitted(commands)
        return list(await asyncio.gather(*(self._awaited(pending, timeout) for pending in sent)))

    async def outcomes(
        self,
        commands: Iterable[Record | Command],
        timeout: float = REPLY_S,  # noqa: ASYNC109
    ) -> list[Reply | DeadlineError]:
        """As `send_all`, with the error for each command that has no reply in time."""
        sent = await self._submitted(commands)
        found = await asyncio.gather(*(self._awaited(pending, timeout) for pending in sent), return_exceptions=True)
        outcomes: list[Reply | DeadlineError] = []
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, DeadlineError):
                raise each
            outcomes.append(each)
        return outcomes

    async def publish(self, command: Record | Command, *, reply: bool = False) -> str:
        """Sends a command; its place, once every replica has it. With `reply`, one is asked for."""
        return await asyncio.wrap_future(await asyncio.to_thread(self._client.publish, command, reply=reply))

    async def reply(self, id: str, *, since: datetime | None = None) -> Reply | None:
        """The last reply to a command that was sent `since`, None where there is none; kept for a day."""
        return await asyncio.to_thread(self._client.reply, id, since=since)

    async def prepare(self) -> None:
        """Connects now, and raises now what sending would raise."""
        await asyncio.to_thread(self._client.prepare)

    def subscribe(
        self, *kinds: type[E], start: Start = END, group: str | None = None, follow: bool = True
    ) -> "AsyncSubscription[E]":
        """As Client.subscribe; open it with `async with`, read it with `async for`."""
        return AsyncSubscription(partial(self._client.subscribe, *kinds, start=start, group=group, follow=follow))

    async def row(
        self,
        view: View[Any, Row],
        key: str,
        *,
        after: Reply | str | None = None,
        timeout: float = ROW_S,  # noqa: ASYNC109
    ) -> Row | None:
        """The row of a key, None where there is none; with `after`, it shows what that reply's command did."""
        return await asyncio.to_thread(self._client.row, view, key, after=after, timeout=timeout)

    async def rows(self, view: View[Any, Row], *, timeout: float = ROW_S) -> dict[str, Row]:  # noqa: ASYNC109
        """Every row of a view by its key."""
        return await asyncio.to_thread(self._client.rows, view, timeout=timeout)

    async def _submitted(self, commands: Iterable[Record | Command]) -> list[Pending]:
        return await asyncio.to_thread(lambda: [self._client.submit(command) for command in commands])

    async def _awaited(self, pending: Pending, timeout: float) -> Reply:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.wrap_future(pending.reply)
        except TimeoutError:
            raise self._client.give_up(pending, timeout) from None


class AsyncSubscription(Generic[E]):
    """A subscription that is read without blocking the loop; its consumer lives in one thread of its own."""

    def __init__(self, opened: Callable[[], Subscription[E]]) -> None:
        self._opened = opened
        self._thread = ThreadPoolExecutor(1, "foldlog-subscription")

    async def __aenter__(self) -> "AsyncSubscription[E]":
        try:
            self._inner = await self._run(self._opened)
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._inner.close)
        self._thread.shutdown()

    async def __aiter__(self) -> AsyncIterator[Received[E]]:
        while not self._inner.ended:
            for received in await self.take():
                yield received
                self._inner.handled([received])
            self._inner.store()

    async def take(self, most: int = AT_ONCE) -> list[Received[E]]:
        """At most so many events, as soon as there are any; none after a short while without."""
        return await self._run(partial(self._inner.take, TURN, most))

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
