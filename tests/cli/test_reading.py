"""Sending, and reading to the end: committed records only, one partition for one key, whatever the end looks like."""

import pytest
from confluent_kafka import KafkaError, Message, Producer

from foldlog.core.errors import ConfigError
from foldlog.core.topics import Topic
from foldlog.kafka.admin import apply
from foldlog.kafka.reading import Entry, latest, read
from foldlog.kafka.sending import CommandProducer
from tests.cli.conftest import Context


def topic_of(context: Context, name: str) -> str:
    """A compacted topic of this test alone."""
    topic = Topic(f"{context.name}.{name}", 3, {"cleanup.policy": "compact"})
    apply(context.cluster.bootstrap, [topic], 1)
    return topic.name


def transactional(context: Context, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": context.cluster.bootstrap, "transactional.id": f"{context.name}.{name}"})
    producer.init_transactions()
    return producer


def test_an_empty_topic_ends_at_once(empty: Context) -> None:
    assert list(read(empty.cluster.bootstrap, topic_of(empty, "empty"))) == []


def test_a_missing_topic_says_what_to_run(empty: Context) -> None:
    with pytest.raises(ConfigError, match=r"^there is no topic shop\.x: run `foldlog topics apply topologies\.shop`$"):
        list(read(empty.cluster.bootstrap, "shop.x"))


def test_committed_records_only_and_the_end_is_found_behind_an_aborted_one(empty: Context) -> None:
    topic, producer = topic_of(empty, "aborted"), transactional(empty, "aborted")
    for value, commit in (("kept", True), ("dropped", False)):
        producer.begin_transaction()
        producer.produce(topic, value, "k")
        producer.flush()
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    assert [entry.value for entry in read(empty.cluster.bootstrap, topic)] == [b"kept"]


def test_an_open_transaction_is_past_the_end(empty: Context) -> None:
    topic, producer = topic_of(empty, "open"), transactional(empty, "open")
    producer.begin_transaction()
    producer.produce(topic, "later", "k")
    producer.flush()
    assert list(read(empty.cluster.bootstrap, topic)) == []
    producer.abort_transaction()


def test_each_record_comes_once_and_progress_reaches_its_end(empty: Context) -> None:
    topic, progress = topic_of(empty, "many"), []
    producer = CommandProducer(empty.cluster.bootstrap)
    for number in range(25_000):
        producer.send(topic, f"k{number % 1000}", str(number).encode(), [("n", b"1")])
    producer.flush()
    assert (producer.sent, producer.delivered) == (25_000, 25_000)
    found = list(read(empty.cluster.bootstrap, topic, progress=lambda done, total: progress.append((done, total))))
    assert sorted(int(entry.value or b"") for entry in found) == list(range(25_000))
    assert {tuple(entry.headers) for entry in found} == {(("n", b"1"),)}
    assert progress[-1] == (25_000, 25_000)
    table = latest(found)
    assert len(table) == 1000
    assert table["k7"].value == b"24007"


def test_with_a_key_only_its_partition_is_read(empty: Context) -> None:
    topic, producer = topic_of(empty, "keyed"), CommandProducer(empty.cluster.bootstrap)
    for number in range(60):
        producer.send(topic, f"k{number}", b"x")
    producer.flush()
    found = list(read(empty.cluster.bootstrap, topic, key="k7"))
    assert len({entry.partition for entry in found}) == 1
    assert b"k7" in [entry.key for entry in found]
    assert len(found) < 60


def test_a_deleted_key_is_not_in_the_table() -> None:
    entries = [Entry(0, 0, b"a", b"1", [], 0), Entry(0, 1, b"b", b"1", [], 0), Entry(0, 2, b"a", None, [], 0)]
    assert list(latest(entries)) == ["b"]


class Interrupted(CommandProducer):
    """Is interrupted where the client would tell it of the first acknowledgement."""

    told = 0

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        self.told += 1
        if self.told == 1:
            raise KeyboardInterrupt
        super()._on_delivery(error, message)


def test_an_interrupt_in_place_of_an_acknowledgement_leaves_none_out(empty: Context) -> None:
    topic, producer = topic_of(empty, "interrupted"), Interrupted(empty.cluster.bootstrap)

    def send() -> None:
        for number in range(20):
            producer.send(topic, "ada", b"%d" % number)
        producer.flush()

    with pytest.raises(KeyboardInterrupt):
        send()
    producer.drain()
    assert producer.delivered == producer.sent == len(list(read(empty.cluster.bootstrap, topic)))
