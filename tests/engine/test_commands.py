"""Commands: from any producer, each exactly once."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from foldlog.contracts import files
from foldlog.core import topics
from foldlog.core.outcome import Reply
from foldlog.engine.remembered import REMEMBERED
from tests.engine.bank import Close, Misbehave, Open, Opened, Post, Posted
from tests.engine.processes import Worker
from tests.engine.running import Bank, Headers, eventually

pytestmark = pytest.mark.usefixtures("worker")

ten = Decimal("10.00")


@pytest.fixture
def ada() -> str:
    """An account that no other test knows."""
    return f"ada-{uuid.uuid4().hex}"


class PlainProducer:
    """A client as anybody writes it: the .avsc files, no header, librdkafka's own partitioner."""

    def __init__(self, bank: Bank, registry: SchemaRegistryClient, schemas: Path) -> None:
        files.write(bank.topology, schemas)
        options = {"auto.register.schemas": False, "subject.name.strategy": topic_record_subject_name_strategy}
        self._context = SerializationContext(bank.commands, MessageField.VALUE)
        self._serializers = {
            name: AvroSerializer(registry, (schemas / bank.name / "account" / f"{name}.avsc").read_text(), conf=options)
            for name in ("Open", "Post")
        }
        self._producer = Producer({"bootstrap.servers": bank.cluster.bootstrap, "log_level": 0})
        self._topic = bank.commands
        self.written: dict[str, list[Message]] = {}

    def send(self, kind: str, **fields: Any) -> None:
        """Produces one command."""
        value = self._serializers[kind](fields, self._context)
        self._producer.produce(self._topic, value, fields["account"], on_delivery=self._delivered)

    def flush(self) -> None:
        """Waits for the broker."""
        assert self._producer.flush(30) == 0

    def _delivered(self, error: object, message: Message) -> None:
        assert error is None
        self.written.setdefault((message.key() or b"").decode(), []).append(message)


@pytest.fixture
def plain(bank: Bank, tmp_path: Path) -> Iterator[PlainProducer]:
    """Such a client."""
    with closing(SchemaRegistryClient({"url": bank.cluster.registry})) as registry:
        yield PlainProducer(bank, registry, tmp_path)


def test_a_plain_producers_commands_are_processed_once_whatever_partition_it_chose(
    bank: Bank, plain: PlainProducer
) -> None:
    accounts = [uuid.uuid4().hex for _ in range(12)]
    for account in accounts:
        plain.send("Open", account=account, owner="ada")
        for amount in ("1.00", "2.00"):
            plain.send("Post", account=account, amount=Decimal(amount), transfer=None)
    plain.flush()
    strays = 0
    for account in accounts:
        log = eventually(lambda account=account: found if len(found := bank.events(account)) >= 3 else None)  # type: ignore[misc]
        messages = plain.written[account]
        strays += messages[0].partition() != bank.home(account.encode())
        assert [event for event, _ in log] == [
            Opened(account, "ada"),
            Posted(account, "ada", Decimal("1.00")),
            Posted(account, "ada", Decimal("2.00")),
        ]
        assert [meta.version for _, meta in log] == [1, 2, 3]
        assert [meta.causation for _, meta in log] == [f"{m.topic()}:{m.partition()}:{m.offset()}" for m in messages]
        assert [int(meta.time.timestamp() * 1000) for _, meta in log] == [m.timestamp()[1] for m in messages]
    assert strays > 0, "every command was at home by chance"


def test_the_reply_says_what_became_of_a_command(bank: Bank, ada: str) -> None:
    reply = bank.ask(Open(ada), "open-" + ada)
    last = bank.events(ada)[-1]
    assert reply == Reply("open-" + ada, "accepted", 1, reply.position)
    assert last[1].causation == last[1].correlation == "open-" + ada


def test_a_replys_position_is_at_or_after_the_commands_last_event(bank: Bank, ada: str) -> None:
    bank.send(Open(ada))
    bank.ask(Post(ada, ten))
    position = bank.ask(Post(ada, ten)).position or ""
    topic, partition, offset = position.rsplit(":", 2)
    assert (topic, int(partition)) == (topics.events(bank.name, "account"), bank.home(ada.encode()))
    place = next((e.partition, e.offset) for e in bank.tail(topic).entries() if e.key == f"{ada}@3".encode())
    assert place[0] == int(partition)
    assert place[1] <= int(offset)


def test_a_command_without_effect_is_accepted_with_the_version_as_it_is(bank: Bank, ada: str) -> None:
    bank.ask(Open(ada))
    assert bank.ask(Open(ada)).version == 1
    assert len(bank.events(ada)) == 1


def test_a_rejected_command_writes_nothing_but_its_reply(bank: Bank, ada: str) -> None:
    bank.ask(Open(ada))
    reply = bank.ask(Misbehave(ada, "reject"), "no-" + ada)
    assert reply == Reply("no-" + ada, "rejected", 1, reason="no")
    assert len(bank.events(ada)) == 1


def test_nobody_is_answered_who_did_not_ask(bank: Bank, ada: str) -> None:
    bank.put(ada.encode(), bank.codec.encode(Open(ada)), [("command-id", ada.encode())])
    bank.ask(Close(ada))
    assert bank.replies(ada) == []
    assert bank.events(ada)[0][1].causation == ada


def test_actor_and_correlation_of_a_command_are_its_events(bank: Bank, ada: str) -> None:
    headers: Headers = [("actor", b"ops"), ("correlation-id", "Grüße".encode()), ("foreign", b"\xff\xfe")]
    place = bank.put(ada.encode(), bank.codec.encode(Open(ada)), headers)
    (_, meta) = eventually(lambda: bank.events(ada))[0]
    assert (meta.actor, meta.correlation, meta.causation) == ("ops", "Grüße", place)


def test_a_repeated_id_gives_one_event_and_the_same_reply(bank: Bank, ada: str) -> None:
    bank.ask(Open(ada))
    first = bank.ask(Post(ada, ten), "pay-" + ada)
    bank.ask(Post(ada, ten))
    again = bank.ask(Post(ada, ten), "pay-" + ada)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert (again.status, again.version, again.command_id) == (first.status, first.version, first.command_id)
    assert [meta.causation for _, meta in bank.events(ada)].count("pay-" + ada) == 1


def test_a_repeated_id_on_the_wrong_partition_is_known_as_well(bank: Bank, ada: str) -> None:
    bank.ask(Open(ada))
    bank.ask(Post(ada, ten), "pay-" + ada)
    headers: Headers = [("command-id", f"pay-{ada}".encode()), ("reply-to", b"")]
    elsewhere = (bank.home(ada.encode()) + 1) % bank.topology.partitions
    bank.put(ada.encode(), bank.codec.encode(Post(ada, ten)), headers, partition=elsewhere)
    again = eventually(lambda: bank.replies("pay-" + ada)[1:])[0]
    assert again.duplicate
    assert len(bank.events(ada)) == 2


@pytest.mark.parametrize(("others", "events"), [(REMEMBERED - 1, 1), (REMEMBERED, 2)])
def test_an_id_is_remembered_for_64_commands_of_its_account(bank: Bank, ada: str, others: int, events: int) -> None:
    bank.send(Open(ada))
    bank.ask(Post(ada, ten), "pay-" + ada)
    for number in range(others):
        bank.send(Post(ada, ten), id=f"{ada}-{number}")
    bank.ask(Post(ada, ten), "pay-" + ada)
    eventually(lambda: len(bank.replies("pay-" + ada)) == 2)
    assert [meta.causation for _, meta in bank.events(ada)].count("pay-" + ada) == events


def test_a_rejected_commands_id_is_not_remembered(bank: Bank, ada: str) -> None:
    assert bank.ask(Misbehave(ada, "reject"), "try-" + ada).status == "rejected"
    again = bank.ask(Open(ada), "try-" + ada)
    assert (again.status, again.version, again.duplicate) == ("accepted", 1, False)


def test_versions_are_contiguous_whatever_happens_between(bank: Bank, worker: Worker, ada: str) -> None:
    bank.send(Open(ada), Misbehave(ada, "raise"), Post(ada, ten), Misbehave(ada, "large event"), Post(ada, ten))
    bank.ask(Close(ada))
    assert [meta.version for _, meta in bank.events(ada)] == [1, 2, 3, 4]
    worker.ready()
