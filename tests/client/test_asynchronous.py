"""The same for asyncio: many commands at once, events in an `async for`, and the loop goes on meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from foldlog import AsyncClient
from foldlog.core.errors import DeadlineError, EncodeError
from tests.engine.bank import Balance, Open, Post, Posted, balances
from tests.engine.processes import Worker
from tests.engine.running import Bank, fresh_bank

TEN = Decimal(10)
Body = Callable[[AsyncClient], Awaitable[None]]


def using(bank: Bank, body: Body) -> None:
    async def run() -> None:
        async with AsyncClient(
            bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry
        ) as client:
            await body(client)

    asyncio.run(run())


def test_commands_events_and_rows(bank: Bank, worker: Worker, id: str) -> None:
    async def body(client: AsyncClient) -> None:
        async with client.subscribe(Posted) as events:
            replies = await client.send_all([Open(id, "ada"), *(Post(id, TEN) for _ in range(99))])
            assert [reply.version for reply in replies] == list(range(1, 101))
            reply = await client.send(Post(id, TEN), id=f"last-{id}")
            assert await client.row(balances, id, after=reply) == Balance("ada", TEN * 100, 100)
            versions = []
            async for event, meta in events:
                if event.account == id:
                    versions.append(meta.version)
                if meta.causation == f"last-{id}":
                    break
        assert versions == list(range(2, 102))
        assert (await client.rows(balances))[id].postings == 100
        assert (await client.publish(Post(id, TEN))).startswith(bank.commands)

    using(bank, body)


def test_the_loop_goes_on_while_something_is_waited_for(worker: Worker, bank: Bank) -> None:
    async def body(client: AsyncClient) -> None:
        waiting = asyncio.ensure_future(client.send(Open("a"), id="o1", timeout=4))
        turns = 0
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0.01)
        with pytest.raises(DeadlineError, match="no reply to Open o1 in 4 s"):
            await waiting
        assert turns > 20
        with pytest.raises(EncodeError):
            await client.send(Post("a", Decimal("0.001")))

    with fresh_bank(bank.cluster) as idle:
        using(idle, body)


def test_a_reader_that_is_cancelled_leaves(bank: Bank, worker: Worker) -> None:
    async def body(client: AsyncClient) -> None:
        async def read() -> None:
            async with client.subscribe(Posted, group="cancelled") as events:
                async for _ in events:
                    pass

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0.5)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    using(bank, body)
