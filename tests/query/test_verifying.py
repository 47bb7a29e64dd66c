"""A view is the fold of its log: `verify` finds each row that is not, and nothing else, while everything runs."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from foldlog.client.connection import Connection
from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Lookup, Meta, Record, Tumbling, topics
from foldlog.core.errors import ConfigError
from foldlog.core.repair import ParkedKey
from foldlog.kafka.admin import apply
from foldlog.query.verifying import Difference, Report, verify
from foldlog.settings import Settings
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually
from tests.query.ledger import Balance, Close, Closed, Earn, Holdings, Post, Posted, Wealth, ledger

ten, EPOCH = Decimal("10.00"), datetime(2026, 1, 2, tzinfo=UTC)
VIEWS = {view.name: view for view in ledger.views}


@contextmanager
def fresh(cluster: Cluster) -> Iterator[Bank]:
    """The ledger under a name that was never used, with topics and schemas."""
    topology = replace(ledger, name=f"ledger_{uuid.uuid4().hex[:10]}")
    with closing(Registry(cluster.registry)) as registry:
        push(topology, registry)
        apply(cluster.bootstrap, topics.topics(topology), 1)
        with closing(Bank(topology, cluster, registry)) as bank:
            yield bank


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> Iterator[Bank]:
    """The ledger that the tests with a worker share."""
    with fresh(cluster) as bank:
        yield bank


@pytest.fixture(scope="module")
def worker(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Its worker."""
    worker = Worker(bank, tmp_path_factory.mktemp("worker"), "w", module="tests.query.ledger")
    try:
        yield worker.ready()
    finally:
        code = worker.stop()
    assert code == 0, worker.output[-5000:]


@pytest.fixture
def own(cluster: Cluster) -> Iterator[Bank]:
    """A ledger for one test, without a worker: its topics say what the test writes."""
    with fresh(cluster) as bank:
        yield bank


def checked(bank: Bank, view: str) -> Report:
    connection = Connection(Settings(), bank.cluster, bank.registry)
    return verify(connection, bank.topology, VIEWS[view], lambda _: nullcontext(lambda *_: None))


@contextmanager
def load(bank: Bank) -> Iterator[Callable[[], int]]:
    """Commands to few accounts of fewer owners, as fast as they can be acknowledged; gives how many there were."""
    stop, sent = threading.Event(), 0

    def run() -> None:
        nonlocal sent
        for number in count():
            if stop.is_set():
                break
            some = [f"busy{number * 7 % 40 + each}" for each in range(20)]
            bank.send(*(Post(one, f"owner{len(one) + number % 5}", Decimal(number % 100)) for one in some))
            bank.send(*(Earn(one, f"owner{number % 5}", 1) for one in some))
            if number % 10 == 9:
                bank.send(Close(some[0]))
            sent += 41
            stop.wait(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: sent
    finally:
        stop.set()
        thread.join()


def test_every_kind_of_view_is_right_while_a_worker_is_busy(bank: Bank, worker: Worker) -> None:
    with load(bank) as sent:
        eventually(lambda: all(len(bank.rows(view)) >= 5 for view in VIEWS), "the first rows of each view")
        for view in (*VIEWS, *VIEWS):
            before = sent()
            report = checked(bank, view)
            assert report.differences == []
            assert report.rows >= 5
            assert report.events > 0
            assert sent() > before, "nothing happened meanwhile"
    worker.ready()


def test_a_wrong_row_is_named_with_both_rows_while_a_worker_is_busy(bank: Bank, worker: Worker) -> None:
    bank.send(Post("quiet", "nobody", ten), Post("quiet", "nobody", ten))
    bank.row("balances", "quiet", Balance(2 * ten, 2, 2))
    wrong, table = Balance(ten, 1, 1), topics.table(bank.name, "balances")
    with load(bank):
        place = bank.put(b"quiet", bank.codec.encode(wrong), topic=table)
        try:
            report = checked(bank, "balances")
        finally:
            bank.put(b"quiet", bank.codec.encode(Balance(2 * ten, 2, 2)), topic=table)
    [found] = report.differences
    last = f"{topics.events(bank.name, 'account')}:{bank.home(b'quiet')}:"
    assert (found.last or "").startswith(last)
    assert replace(found, last=None) == Difference("quiet", wrong, Balance(2 * ten, 2, 2), place, None, 2)
    worker.ready()


def test_a_wrong_row_of_a_moved_key_is_named(bank: Bank, worker: Worker) -> None:
    bank.send(*(Post(bank.account_on(number), "rich", ten) for number in range(3)))
    right, wrong = Holdings(3 * ten, 0, 3), Holdings(2 * ten, 0, 2)
    bank.row("holdings", "rich", right)
    table = topics.table(bank.name, "holdings")
    bank.put(b"rich", bank.codec.encode(wrong), topic=table)
    [found] = checked(bank, "holdings").differences
    bank.put(b"rich", bank.codec.encode(right), topic=table)
    assert (found.key, found.live, found.folded) == ("rich", wrong, right)
    worker.ready()


class Log:
    """What a worker would have written, put there by hand."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._version = count(1)

    def event(self, event: Posted | Closed, *, moved_to: bytes | None = None) -> str:
        """Writes an event to the log, or to where it is moved on its way to another key's row; its place."""
        bank, version = self._bank, next(self._version)
        meta = Meta(f"account:{event.account}@{version}", event.account, version, EPOCH, "test", "test")
        topic = topics.events(bank.name, "account")
        value = bank.codec.encode(event, meta)
        place = bank.put(
            b"%b@%d" % (event.account.encode(), version), value, None, topic, bank.home(event.account.encode())
        )
        if moved_to is not None:
            bank.put(moved_to, value, topic=topics.rekeyed(bank.name, "wealth"))
        return place

    def row(self, view: str, key: str, row: Record | bytes | None, partition: int | None = None) -> str:
        """Writes a row; its place."""
        value = self._bank.codec.encode(row) if isinstance(row, Record) else row
        return self._bank.put(key.encode(), value, topic=topics.table(self._bank.name, view), partition=partition)

    def commit(self, view: str, moved: int = 0) -> None:
        """Commits that the view has all events, and so many of those that were moved to each partition."""
        bank, group = self._bank, f"{self._bank.name}.{view}"
        log, rekeyed = topics.events(bank.name, "account"), topics.rekeyed(bank.name, view)
        marks = [TopicPartition(log, n, bank.tail(log).bounds(n)[1]) for n in range(3)]
        marks += [TopicPartition(rekeyed, n, moved) for n in range(3)]
        consumer = Consumer({"bootstrap.servers": bank.cluster.bootstrap, "group.id": group})
        with closing(consumer):
            consumer.commit(offsets=marks, asynchronous=False)


def test_rows_that_miss_or_are_too_many_are_named(own: Bank) -> None:
    log = Log(own)
    last = log.event(Posted("ada", "x", ten))
    log.event(Posted("bob", "x", ten))
    closed = log.event(Closed("bob"))
    extra = log.row("balances", "bob", Balance(ten, 1, 2))
    strange = log.row("balances", "eve", Balance())
    log.commit("balances")
    assert checked(own, "balances").differences == [
        Difference("ada", None, Balance(ten, 1, 1), None, last, 1),
        Difference("bob", Balance(ten, 1, 2), None, extra, closed, 3),
        Difference("eve", Balance(), None, strange, None, None),
    ]


def test_a_row_on_another_partition_than_its_keys_is_a_difference(own: Bank) -> None:
    log = Log(own)
    log.event(Posted("ada", "x", ten))
    log.row("balances", "ada", Balance(ten, 1, 1))
    log.commit("balances")
    assert checked(own, "balances").differences == []
    lost = log.row("balances", "ada", Balance(ten, 1, 1), partition=(own.home(b"ada") + 1) % 3)
    assert checked(own, "balances").differences == [Difference("ada", Balance(ten, 1, 1), None, lost, None, None)]


def test_a_row_that_cannot_be_read_is_a_difference(own: Bank) -> None:
    log = Log(own)
    last = log.event(Posted("ada", "x", ten))
    place = log.row("balances", "ada", b"\x01garbage")
    log.commit("balances")
    reason = "the first byte is 1, not 0: no Confluent framing"
    assert checked(own, "balances").differences == [Difference("ada", None, Balance(ten, 1, 1), place, last, 1, reason)]


def test_an_event_that_cannot_be_folded_is_told(own: Bank) -> None:
    log = Log(own)
    first = log.event(Posted("ada", "x", ten))
    bad = log.event(Posted("ada", "x", Decimal(666)))
    place = log.row("balances", "ada", Balance(ten, 1, 1))
    log.commit("balances")
    row, reason = Balance(ten, 1, 1), f"{bad}: ValueError: an amount that cannot be folded"
    assert checked(own, "balances").differences == [Difference("ada", row, row, place, first, 1, reason)]


def test_a_parked_key_is_told(own: Bank) -> None:
    log = Log(own)
    log.event(Posted("ada", "x", ten))
    second = log.event(Posted("ada", "x", ten))
    place = log.row("balances", "ada", Balance(ten, 1, 1))
    head = ParkedKey("ada", "fold-failed", "a fault that has been mended", EPOCH, 1, 2)
    own.put(b"ada@0", own.codec.encode(head), topic=topics.parked(own.name, "balances"), partition=own.home(b"ada"))
    log.commit("balances")
    reason = "parked: a fault that has been mended"
    assert checked(own, "balances").differences == [
        Difference("ada", Balance(ten, 1, 1), Balance(2 * ten, 2, 2), place, second, 2, reason)
    ]


def test_events_on_their_way_to_another_partition_are_not_missed(own: Bank) -> None:
    log = Log(own)
    away = own.account_on((own.home(b"rich") + 1) % 3)
    log.event(Posted(away, "rich", ten), moved_to=b"rich")
    log.commit("wealth")
    assert checked(own, "wealth") == Report(rows=1, events=0, rounds=1)
    log.commit("wealth", moved=1)
    [found] = checked(own, "wealth").differences
    assert (found.key, found.live, found.folded) == ("rich", None, Wealth(ten, 1))
    log.row("wealth", "rich", Wealth(ten, 1))
    assert checked(own, "wealth") == Report(rows=1, events=1, rounds=1)


def test_garbage_in_the_log_is_passed_over_as_the_engine_does(own: Bank) -> None:
    log, topic = Log(own), topics.events(own.name, "account")
    own.put(b"ada@1", b"garbage", topic=topic)
    own.put(b"ada@1", None, topic=topic)
    own.put(b"ada@2", own.codec.encode(Post("ada", "x", ten)), topic=topic)
    log.event(Posted("ada", "x", ten))
    log.row("balances", "ada", Balance(ten, 1, 1))
    log.commit("balances")
    assert checked(own, "balances").differences == []


def test_a_view_that_has_not_run_is_told(own: Bank) -> None:
    with pytest.raises(ConfigError, match=rf"^{own.name}\.balances has committed no offset yet"):
        checked(own, "balances")
    topology: Any = replace(own.topology, name="nowhere")
    connection = Connection(Settings(), own.cluster, own.registry)
    with pytest.raises(ConfigError, match=r"^there is no topic nowhere\.balances: run `foldlog topics apply"):
        verify(connection, topology, VIEWS["balances"], lambda _: nullcontext(lambda *_: None))


def test_a_view_that_is_no_fold_of_each_keys_events_is_refused(own: Bank) -> None:
    connection = Connection(Settings(), own.cluster, own.registry)
    windowed = replace(VIEWS["balances"], window=Tumbling(timedelta(days=1)))
    joined = replace(VIEWS["balances"], lookup=Lookup(VIEWS["wealth"], key=lambda event: event.account))
    for view, what in ((windowed, "has windows"), (joined, "looks into another view")):
        with pytest.raises(ConfigError, match=rf"\.balances {what}: its rows do not follow from the events"):
            verify(connection, own.topology, view, lambda _: nullcontext())
