"""The feed: pauses do not outlive the assignment in which they were made."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from foldlog.cluster import Cluster
from foldlog.core.errors import EngineError
from foldlog.engine import clients
from foldlog.engine.batch import Assignment, Batch
from foldlog.engine.feed import Feed
from foldlog.settings import Settings


class Member:
    """A feed whose work is done by the test, item by item."""

    def __init__(self, cluster: Cluster, topic: str, name: str) -> None:
        self.items: list[Assignment | Batch] = []
        config = clients.member(cluster.bootstrap, topic, name, Settings())
        self.feed = Feed(config, (topic,), Settings(), self.items.append)
        self._thread = threading.Thread(target=self.feed.run)
        self._thread.start()

    def begin_at_the_start(self, assignment: Assignment) -> None:
        """Reads every partition of an assignment from offset 0."""
        self.feed.begin(assignment)
        self.feed.go_on(assignment.epoch, dict.fromkeys(assignment.partitions, 0))
        self.feed.end()

    def wait(self, wanted: Callable[[Assignment | Batch], bool]) -> Assignment | Batch:
        """The first item of a kind, within 90 s."""
        until(lambda: any(wanted(item) for item in list(self.items)))
        return next(item for item in self.items if wanted(item))

    def close(self) -> None:
        self.feed.stop()
        self._thread.join()


def until(true: Callable[[], bool]) -> None:
    """Waits up to 90 s."""
    for _ in range(1800):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("not within 90 s")


def named() -> str:
    return f"feed-{uuid.uuid4().hex[:8]}"


def make(cluster: Cluster, name: str) -> str:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    return name


@pytest.fixture
def topic(cluster: Cluster) -> str:
    return make(cluster, named())


@pytest.fixture
def member(cluster: Cluster, topic: str) -> Iterator[Member]:
    made = Member(cluster, topic, "first")
    yield made
    made.close()


def produce(cluster: Cluster, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for number in range(count):
        producer.produce(topic, b"%d" % number, partition=number % 2)
    assert producer.flush(60) == 0


def test_a_partition_paused_by_long_work_is_read_again_after_a_rebalance(
    cluster: Cluster, topic: str, member: Member
) -> None:
    first = member.wait(lambda item: isinstance(item, Assignment))
    assert isinstance(first, Assignment)
    member.begin_at_the_start(first)
    produce(cluster, topic, 4000)  # more than two batches: the feed runs out of credit and pauses
    batch = member.wait(lambda item: isinstance(item, Batch))
    member.feed.begin(batch)
    time.sleep(2.5)

    other = Member(cluster, topic, "second")  # its joining revokes everything
    try:
        until(lambda: member.feed.epoch != first.epoch)  # the revocation waits for the batch in flight
        for waiting in [item for item in member.items if isinstance(item, Batch)][1:]:
            assert not member.feed.begin(waiting), "its epoch is over"
        member.feed.end()
        again = member.wait(lambda item: isinstance(item, Assignment) and item.epoch > first.epoch)
        assert isinstance(again, Assignment)
        member.begin_at_the_start(again)
        member.wait(lambda item: isinstance(item, Batch) and item.epoch == again.epoch)
    finally:
        for item in list(other.items):
            other.feed.begin(item)
            other.feed.end()
        other.close()


def test_records_read_before_an_abort_are_not_delivered_after_it(cluster: Cluster, topic: str, member: Member) -> None:
    first = member.wait(lambda item: isinstance(item, Assignment))
    assert isinstance(first, Assignment)
    member.begin_at_the_start(first)
    produce(cluster, topic, 10)
    batch = member.wait(lambda item: isinstance(item, Batch))
    assert member.feed.begin(batch)
    member.feed.rewind(batch.epoch)
    member.feed.end()
    assert not member.feed.begin(batch), "a batch of an ended epoch begins"


@pytest.fixture
def lone(cluster: Cluster, topic: str) -> Iterator[Member]:
    """A member that owns both partitions of an empty topic and reads them."""
    member = Member(cluster, topic, "lone")
    try:
        member.begin_at_the_start(member.wait(lambda item: isinstance(item, Assignment)))  # type: ignore[arg-type]
        yield member
    finally:
        member.close()


def ticks(member: Member) -> list[Batch]:
    return [item for item in member.items if isinstance(item, Batch) and not item.messages]


def test_when_something_is_due_a_batch_comes_though_no_record_does(lone: Member) -> None:
    lone.feed.due = due = time.time() + 0.5
    until(lambda: bool(ticks(lone)))
    assert time.time() >= due
    [tick] = ticks(lone)[:1]
    assert tick.epoch == lone.feed.epoch
    assert tick.offsets == {}
    assert tick.group is not None, "the membership of that moment, by which the brokers may refuse it"


def test_while_nothing_is_due_no_empty_batch_comes(lone: Member) -> None:
    lone.feed.due = time.time() + 3600
    time.sleep(0.5)
    assert ticks(lone) == []


def test_ticks_that_are_not_taken_do_not_pile_up(lone: Member) -> None:
    lone.feed.due = 0.0
    until(lambda: len(ticks(lone)) == 1)
    lone.feed.begin(ticks(lone)[0])
    until(lambda: len(ticks(lone)) == 2)
    time.sleep(0.5)
    assert len(ticks(lone)) == 2, "one in work, one waiting"
    lone.feed.end()


def test_after_its_epoch_nothing_comes_though_it_is_due(lone: Member) -> None:
    lone.feed.rewind(lone.feed.epoch)
    before = len(ticks(lone))
    lone.feed.due = 0.0
    time.sleep(0.5)
    assert len(ticks(lone)) == before


def test_a_topic_of_which_the_broker_hears_late_is_read_all_the_same(cluster: Cluster) -> None:
    early = Member(cluster, name := named(), "early")
    try:
        time.sleep(1.5)  # the broker has said that there is none
        make(cluster, name)
        assignment = early.wait(lambda item: isinstance(item, Assignment))
        assert isinstance(assignment, Assignment)
        assert assignment.partitions == ((name, 0), (name, 1))
        early.begin_at_the_start(assignment)
        time.sleep(10)  # the time that a missing topic has
        produce(cluster, name, 10)
        early.wait(lambda item: isinstance(item, Batch) and len(item.messages) > 0)
    finally:
        early.close()


def test_a_topic_that_does_not_come_ends_the_feed_and_is_named(cluster: Cluster) -> None:
    config = clients.member(cluster.bootstrap, name := named(), "alone", Settings())
    with pytest.raises(EngineError, match=f"not available: {name}: .*Unknown topic"):
        Feed(config, (name,), Settings(), lambda item: None).run()
