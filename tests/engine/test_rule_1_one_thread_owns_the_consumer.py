"""Rule 1: only the poll thread touches a consumer, and a batch carries the membership of the moment it was polled."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from confluent_kafka import Consumer, TopicPartition

from foldlog.cluster import Cluster
from foldlog.core.errors import AbortError
from foldlog.engine import clients, feed
from foldlog.engine.batch import Assignment, Batch, Place
from foldlog.engine.feed import Feed
from tests.engine.rig import Line, Made, Member
from tests.engine.tally import Add, Context, eventually


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path, partitions=2) as fresh:
        yield fresh


@contextmanager
def _held_over_a_rebalance(context: Context, old: Member, new: Member) -> Iterator[tuple[Batch, Assignment]]:
    """A batch that `old` polled before it lost a partition to `new`, and what `old` was given afterwards."""
    first = old.assignment()
    old.feed.go_on(first.epoch, dict.fromkeys(first.partitions, 0))
    context.send(*(Add(context.key(partition), 1) for partition in (0, 1)))
    batch = old.batch()
    with new.running():
        mine, theirs = old.assignment(), new.assignment()
        assert {*mine.partitions, *theirs.partitions} == set(first.partitions)
        yield batch, mine


def test_a_batch_held_over_a_rebalance_is_refused(context: Context) -> None:
    old, new, transactions = Member(context, "a"), Member(context, "b"), context.transactions("a")
    with old.running(), _held_over_a_rebalance(context, old, new) as (batch, _):
        with pytest.raises(AbortError, match=r"ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID"):
            transactions.write([context.event(1, 1)], batch.offsets, batch.group)
        transactions.abort()
    assert context.amounts() == []


def test_with_a_membership_taken_later_it_would_be_accepted(context: Context) -> None:
    old, new, transactions = Member(context, "a"), Member(context, "b"), context.transactions("a")
    with old.running(), _held_over_a_rebalance(context, old, new) as (batch, now):
        transactions.write([context.event(1, 1)], batch.offsets, now.group)
    assert context.amounts() == [1]  # written for partitions of which one has another owner


def test_a_batch_without_a_membership_would_be_accepted_by_an_empty_group(context: Context) -> None:
    consumer = Consumer(clients.member(context.cluster.bootstrap, context.group, "a", context.settings))
    without = consumer.consumer_group_metadata()  # as after a session's end, before the callback that tells of it
    consumer.close()
    context.transactions("a").write([context.event(1, 1)], {(context.commands, 0): 1}, without)
    assert context.amounts() == [1]


class LosesItsMembership(Consumer):
    """A consumer whose session has ended, while records wait to be handed out."""

    lost = False

    def memberid(self) -> str:
        return "" if LosesItsMembership.lost else super().memberid()


def test_so_the_feed_hands_none_over(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "Consumer", LosesItsMembership)
    with Member(context, "a").running() as member:
        first = member.assignment()
        member.feed.go_on(first.epoch, dict.fromkeys(first.partitions, 0))
        context.send(Add(context.key(0), 1))
        assert len(member.batch().messages) == 1
        monkeypatch.setattr(LosesItsMembership, "lost", True)
        context.send(Add(context.key(0), 2))
        with pytest.raises(TimeoutError):
            member.batch(seconds=1)


class Witnessed(Consumer):
    """A consumer that notes who calls it."""

    made: ClassVar[list["Witnessed"]] = []
    callers: ClassVar[set[int]] = set()

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        Witnessed.made.append(self)

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            Witnessed.callers.add(threading.get_ident())
        return super().__getattribute__(name)


class AsksFromAnywhere(Feed):
    """Breaks the rule: the process thread asks the consumer itself."""

    def go_on(self, epoch: int, offsets: dict[Place, int]) -> None:
        with suppress(RuntimeError):  # starved by the poll thread, the call may return only when all is closed
            Witnessed.made[0].position([TopicPartition(*place) for place in offsets])
        super().go_on(epoch, offsets)


@pytest.fixture
def witnessed(monkeypatch: pytest.MonkeyPatch) -> type[Witnessed]:
    monkeypatch.setattr(Witnessed, "made", [])
    monkeypatch.setattr(Witnessed, "callers", set())
    monkeypatch.setattr(feed, "Consumer", Witnessed)
    return Witnessed


def test_one_thread_touches_the_consumer(
    context: Context, witnessed: type[Witnessed], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Line(context).running() as line:
        context.send(*(Add(context.key(partition), 1) for partition in (0, 1)))
        eventually(lambda: line.counters.records == 2)
        monkeypatch.setattr(feed, "Consumer", Consumer)
        with Member(context, "b").running() as other:
            other.assignment()
    assert len(witnessed.callers) == 1


def test_a_second_thread_at_the_consumer_is_seen(
    context: Context, witnessed: type[Witnessed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_LAST_CHANCE", 0.5)
    with Line(context, Made(feed=AsksFromAnywhere)).running():
        context.send(*(Add(context.key(partition), 1) for partition in (0, 1)))
        eventually(lambda: len(witnessed.callers) == 2)
    assert len(witnessed.callers) == 2


def test_a_call_from_another_thread_waits_for_the_poll(context: Context) -> None:
    consumer = Consumer(clients.member(context.cluster.bootstrap, context.group, "a", context.settings))
    consumer.subscribe([context.commands])
    # Each partition tells once that the group has no offsets; from then on there is nothing to consume.
    told: set[int | None] = set()

    def both_told() -> bool:
        told.update(each.partition() for each in consumer.consume(1, 0.1))
        return told == {0, 1}

    eventually(both_told)
    polling = threading.Event()

    def consume() -> None:
        polling.set()
        consumer.consume(1, 5)

    poll = threading.Thread(target=consume)
    poll.start()
    assert polling.wait(60)
    time.sleep(0.5)  # from the sign into the call; a slow machine may take some of the rest, too
    started = time.monotonic()
    consumer.assignment()
    waited = time.monotonic() - started
    poll.join()
    consumer.close()
    assert waited > 1.0  # so a rebalance callback that waits for such a thread would wait for ever
