"""RabbitMQ, both ways: nothing is lost, nothing has its effect twice, whatever stops meanwhile."""

import asyncio
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from foldlog import Client
from foldlog.kafka.groups import readers
from tests.adapters.servers import Server
from tests.client.conftest import LONG
from tests.edges.conftest import Start
from tests.edges.process import Edge
from tests.edges.rabbit import bound, command, heard, publish, taken
from tests.engine.bank import Close, Open, Post, Posted
from tests.engine.processes import foldlog
from tests.engine.running import Bank, eventually

pytestmark = pytest.mark.adapters


def causes(bank: Bank, ids: set[str]) -> Counter[str]:
    """How many events each of these commands has caused."""
    return Counter(meta.causation for _, meta in bank.log() if meta.causation in ids)


def test_commands_while_rabbitmq_is_killed_and_the_edge_is_restarted(
    bank: Bank, server: Server, start: Start, id: str
) -> None:
    accounts, queue = [f"{id}-{n}" for n in range(20)], f"in-{id}"
    messages = [command("Open", f"open-{account}", account=account) for account in accounts]
    messages += [command("Post", f"post-{id}-{n}", account=accounts[n % 20], amount="1.00") for n in range(1200)]
    ids = {str(message.message_id) for message in messages}
    edge = start("rabbitmq-in", "--queue", queue)

    async def send_and_disturb() -> None:
        sending = asyncio.ensure_future(publish(server.url, queue, messages))
        for _ in range(2):
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(server.start)
        await sending

    asyncio.run(send_and_disturb())
    edge.process.kill()
    edge.process.wait()
    second = start("rabbitmq-in", "--queue", queue)
    eventually(lambda: causes(bank, ids).keys() == ids, "the event of every command", LONG)
    # Again from the first on, as a sender does that does not know: an account remembers its 61 commands.
    asyncio.run(publish(server.url, queue, messages[:200]))
    asyncio.run(publish(server.url, queue, [command("Close", f"close-{id}", account=accounts[0])]))
    eventually(lambda: causes(bank, {f"close-{id}"}), "what was sent last", LONG)
    assert set(causes(bank, ids).values()) == {1}
    amounts = [event.amount for event, meta in bank.log() if isinstance(event, Posted) and meta.causation in ids]
    assert sum(amounts) == Decimal(1200)
    assert second.stop() == 0, second.output
    assert "Traceback" not in edge.output + second.output


def test_commands_keep_their_order(bank: Bank, server: Server, start: Start, id: str) -> None:
    queue = f"in-{id}"
    messages = [command("Open", f"o-{id}", account=id)]
    messages += [command("Post", f"{n}-{id}", account=id, amount=str(n)) for n in range(1, 200)]
    asyncio.run(publish(server.url, queue, messages))
    edge = start("rabbitmq-in", "--queue", queue)
    events = eventually(lambda: found if len(found := bank.events(id)) == 200 else None, "every event", LONG)
    assert [meta.causation for _, meta in events] == [str(message.message_id) for message in messages]
    assert edge.stop() == 0, edge.output


def test_what_is_no_command_is_put_aside_with_the_reason(bank: Bank, server: Server, start: Start, id: str) -> None:
    queue = f"in-{id}"
    kind = f"{bank.name}.account.Open"
    event = {"specversion": "1.0", "id": f"ce-{id}", "source": "/t", "type": kind, "data": {"account": id}}
    attributes = {"cloudEvents:specversion": "1.0", "cloudEvents:source": "/t", "cloudEvents:type": "Post"}
    good = [
        aio_pika.Message(json.dumps(event).encode(), content_type="application/cloudevents+json"),
        aio_pika.Message(
            json.dumps({"account": id, "amount": 1}).encode(), headers={**attributes, "cloudEvents:id": f"b-{id}"}
        ),
        aio_pika.Message(
            json.dumps({"type": "Post", "data": {"account": id, "amount": 1}}).encode(), message_id=f"i-{id}"
        ),
    ]
    bad: list[tuple[aio_pika.Message, str]] = [
        (aio_pika.Message(b"\x00\xff garbage", message_id="g1"), "not JSON"),
        (aio_pika.Message(b"", message_id="g2"), "not JSON"),
        (command("Nope", "g3", account=id), "`Nope` is no command of bank_"),
        (command("Post", "g4", account=id, amount="much"), "amount: Invalid decimal string"),
        (command("Post", "g5", account=id, amount="0.001"), "0.001 has more than 2 decimal places"),
        (command("Open", "x" * 201, account=id), "id: at most 200"),
        (command("Open", "g6", account=id, owner="x" * (1 << 20)), "too large"),
        (aio_pika.Message(b"{}", headers={"cloudEvents:type": "Open"}, message_id="g7"), "id: a CloudEvent needs it"),
    ]
    asyncio.run(publish(server.url, queue, [good[0], *(message for message, _ in bad), *good[1:]]))
    edge = start("rabbitmq-in", "--queue", queue)
    aside = asyncio.run(taken(server.url, f"{queue}.dead-letters", len(bad)))
    assert [message.body for message in aside] == [message.body for message, _ in bad]
    for message, (_, reason) in zip(aside, bad, strict=True):
        assert reason in str(message.headers["x-foldlog-reason"])
    eventually(lambda: len(bank.events(id)) == 3, "the events of what is a command", LONG)
    assert [meta.causation for _, meta in bank.events(id)] == [f"ce-{id}", f"b-{id}", f"i-{id}"]
    assert edge.stop() == 0, edge.output


def test_events_while_rabbitmq_is_killed(bank: Bank, server: Server, start: Start, id: str) -> None:
    exchange, queue = f"x-{id}", f"out-{id}"
    accounts = [f"{id}-{n}" for n in range(10)]
    asyncio.run(bound(server.url, exchange, queue, f"{bank.name}.account.*"))
    options = ("--exchange", exchange, "--name", f"out_{id}", "--from", "end")
    edge = start("rabbitmq-out", *options)
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        first = eventually(lambda: probe(client, server, queue, f"{id}-probe"), "the first event", LONG)
        assert first
        client.send_all([Open(account) for account in accounts])
        for _ in range(2):
            client.send_all([Post(account, Decimal(1)) for account in accounts for _ in range(30)])
            server.kill()
            client.send_all([Post(account, Decimal(1)) for account in accounts for _ in range(30)])
            server.start()
        wanted = {f"account:{account}@{version}" for account in accounts for version in range(1, 122)}
        got = heard(asyncio.run(until(server.url, queue, wanted)), id)
        assert {meta.event_id for _, meta in bank.log() if meta.aggregate_id in accounts} == wanted
        order: dict[str, list[int]] = {}
        for event in {event["id"]: event for event in got}.values():
            order.setdefault(event["subject"], []).append(int(event["sequence"]))
        assert {account: order[account] for account in accounts} == {
            account: list(range(1, 122)) for account in accounts
        }
        eventually(lambda: parked(bank, f"out_{id}") == [], "the end of what waited while nobody answered", LONG)
        assert edge.stop() == 0, edge.output
        # Who was stopped in order goes on where it was: nothing comes twice.
        client.send_all([Close(account) for account in accounts])
        second = start("rabbitmq-out", *options, "--batch", "1")
        rest = heard(asyncio.run(taken(server.url, queue, len(accounts))), id)
        assert sorted(event["subject"] for event in rest) == sorted(accounts)
        assert {event["type"] for event in rest} == {f"{bank.name}.account.Closed"}
        assert second.stop() == 0, second.output
        assert "Traceback" not in edge.output + second.output


def parked(bank: Bank, name: str) -> list[dict[str, Any]]:
    """What an operator is told of an edge's parked keys."""
    ran = foldlog(bank, "parked", "list", f"{bank.name}.{name}", "--json")
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_what_a_full_queue_does_not_take_waits_with_those_of_its_aggregate_and_others_flow(
    bank: Bank, server: Server, start: Start, id: str
) -> None:
    exchange, full, free, name = f"x-{id}", f"full-{id}", f"free-{id}", f"out_{id}"
    first, second = f"{id}-1", f"{id}-2"
    asyncio.run(bound(server.url, exchange, full, f"{bank.name}.account.Opened", most=1))
    asyncio.run(bound(server.url, exchange, free, f"{bank.name}.account.Posted"))
    edge = start("rabbitmq-out", "--exchange", exchange, "--name", name, "--from", "end", "--retries", "0")
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        group, topic = f"{bank.name}.{name}", f"{bank.name}.account.events"
        eventually(lambda: group in readers(bank.cluster.bootstrap).get(topic, ()), "where it begins", LONG)
        client.send_all([Open(first)])
        client.send_all([Post(first, Decimal(1))])
        asyncio.run(until(server.url, free, {f"account:{first}@2"}))  # so the queue has the one that it takes
        client.send_all([Open(second), Post(second, Decimal(1)), Post(first, Decimal(2))])
        got = asyncio.run(until(server.url, free, {f"account:{first}@3"}))
        assert [message.message_id for message in got] == [f"account:{first}@3"]
    [head] = eventually(
        lambda: [at for at in parked(bank, name) if at["next"] == 3 and at["due"] is None], "what waits", LONG
    )
    assert head["key"] == second
    assert "did not take it: is a queue full?" in head["reason"]
    asyncio.run(taken(server.url, full, 1, most=1))
    done = foldlog(bank, "parked", "retry", f"{bank.name}.{name}", second, "--wait", f"{LONG:.0f}")
    assert done.returncode == 0, done.stdout
    [opened] = asyncio.run(taken(server.url, full, 1, most=1))
    assert opened.message_id == f"account:{second}@1"
    asyncio.run(until(server.url, free, {f"account:{second}@2"}))
    assert edge.stop() == 0, edge.output
    assert "Traceback" not in edge.output


def test_an_id_that_is_too_long_for_a_property_stops_nothing(bank: Bank, server: Server, start: Start, id: str) -> None:
    exchange, queue, long = f"x-{id}", f"out-{id}", f"{id}-{'ü' * 200}"
    asyncio.run(bound(server.url, exchange, queue, "#"))
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        client.send(Open(long), correlation="c" * 300)
        client.send(Open(id))
    edge = start("rabbitmq-out", "--exchange", exchange, "--name", f"out_{id}")
    messages = asyncio.run(until(server.url, queue, {f"account:{id}@1"}))
    rest: list[aio_pika.abc.AbstractIncomingMessage] = []
    while not (found := [message for message in (*messages, *rest) if long in message.body.decode()]):
        rest = asyncio.run(taken(server.url, queue, 1))
    event = json.loads(found[0].body)
    assert (event["id"], event["correlationid"]) == (f"account:{long}@1", "c" * 300)
    assert (len(str(found[0].message_id)), len(str(found[0].correlation_id))) == (32, 32)
    assert edge.stop() == 0, edge.output
    assert "Traceback" not in edge.output


def probe(client: Client, server: Server, queue: str, account: str) -> list[Any]:
    """Something to hear, until it is heard: the group starts at the end, whenever it has joined."""
    client.send(Post(account, Decimal(1)))
    return asyncio.run(taken(server.url, queue, 0))


async def until(url: str, queue: str, ids: set[str]) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Everything that a queue gets until it has had these messages."""
    found: list[aio_pika.abc.AbstractIncomingMessage] = []
    async with asyncio.timeout(90):
        while ids - {str(message.message_id) for message in found}:
            found += await taken(url, queue, 1)
    return found


def test_an_event_is_a_cloud_event_routed_by_its_type(bank: Bank, server: Server, start: Start, id: str) -> None:
    exchange, queue = f"x-{id}", f"out-{id}"
    asyncio.run(bound(server.url, exchange, queue, f"{bank.name}.account.Posted"))
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        client.send_all([Open(id, "ada")])
        client.send(Post(id, Decimal("12.50"), "t1"), id=f"c-{id}", actor="joe", correlation="job-7")
    edge = start("rabbitmq-out", "--exchange", exchange, "--event", "Opened", "--event", "Posted")
    messages = asyncio.run(until(server.url, queue, {f"account:{id}@2"}))
    ((message, event),) = [(m, e) for m in messages if (e := json.loads(m.body))["subject"] == id]
    assert (message.message_id, message.content_type) == (f"account:{id}@2", "application/cloudevents+json")
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    del event["time"]
    assert event == {
        "id": f"account:{id}@2",
        "source": f"/{bank.name}/account",
        "type": f"{bank.name}.account.Posted",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": id,
        "sequence": "2",
        "correlationid": "job-7",
        "causationid": f"c-{id}",
        "actor": "joe",
        "data": {"account": id, "owner": "ada", "amount": "12.50", "transfer": "t1"},
    }
    assert edge.stop() == 0, edge.output


def test_wrong_wishes_end_at_once(start: Start, bank: Bank, tmp_path: Path) -> None:
    wrong = start("rabbitmq-out", "--event", "Nope")
    assert wrong.process.wait(60) == 1
    assert "error: `Nope` is no event of bank_" in wrong.output
    nowhere = Edge(bank, tmp_path, "rabbitmq-in", "--url", "http://nowhere")
    assert nowhere.process.wait(60) == 1
    assert "error: --url is no address of RabbitMQ" in nowhere.output


def test_a_second_edge_waits_until_the_first_has_gone(bank: Bank, server: Server, start: Start, id: str) -> None:
    queue = f"in-{id}"
    first = start("rabbitmq-in", "--queue", queue)
    first.said("commands are taken")
    second = start("rabbitmq-in", "--queue", queue)
    second.said("no commands are taken .*exclusive")
    assert first.stop() == 0, first.output
    second.said("commands are taken queue")
    asyncio.run(publish(server.url, queue, [command("Open", f"o-{id}", account=id)]))
    eventually(lambda: bank.events(id), "the event")
    assert second.stop() == 0, second.output
