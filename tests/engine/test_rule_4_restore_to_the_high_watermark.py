"""Rule 4: a log ends at its high watermark; what was committed may lie behind a foreign transaction that is open."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition

from foldlog.cluster import Cluster
from foldlog.core.errors import StateError
from foldlog.engine.batch import Place
from foldlog.engine.restoring import LogReader
from tests.engine.rig import Line, Made
from tests.engine.tally import Add, Context, committed, eventually


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path) as fresh:
        yield fresh


class ToTheLastStableOffset(LogReader):
    """Breaks the rule: takes the end that a read_committed reader sees."""

    def watermarks(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        consumer = self._consumer("read_committed")
        try:
            return {
                place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=10, cached=False)
                for place in places
            }
        finally:
            consumer.close()


@pytest.fixture
def foreign(context: Context) -> Producer:
    """Somebody's transaction at the start of the log, open; three commands are committed behind it."""
    producer = context.plain("foreign")
    with Line(context).running() as line:
        eventually(lambda: line.counters.state == "running")
        producer.begin_transaction()
        producer.produce(context.log, b"never committed", b"x", 0)
        assert producer.flush(10) == 0
        _handled(context, 0, 3)
    return producer


def _handled(context: Context, first: int, count: int) -> None:
    """Sends commands and waits until their transactions are acknowledged."""
    context.send(*(Add(context.key(0), amount) for amount in range(first, first + count)))
    eventually(lambda: committed(context).offset == first + count)


def _by_a_new_owner(context: Context, made: Made) -> None:
    """A worker with an empty directory handles two commands more."""
    with Line(context, made, directory="empty").running():
        _handled(context, 3, 2)


def _versions(context: Context) -> list[int]:
    return [meta.version for _, meta in context.events()]


def test_a_new_owner_waits_for_all_that_was_committed(context: Context, foreign: Producer) -> None:
    threading.Timer(3, foreign.abort_transaction, (10,)).start()
    _by_a_new_owner(context, Made())
    assert _versions(context) == [1, 2, 3, 4, 5]


def test_restored_to_the_last_stable_offset_it_gives_out_versions_again(context: Context, foreign: Producer) -> None:
    _by_a_new_owner(context, Made(reader=ToTheLastStableOffset))
    foreign.abort_transaction(10)
    assert Counter(_versions(context)) == {1: 2, 2: 2, 3: 1}


def test_what_the_wait_is_for_is_visible(context: Context, foreign: Producer) -> None:
    """The three commits were acknowledged, and yet a read_committed reader sees an empty log."""
    assert context.amounts(2) == []
    place = (context.log, 0)
    settings, bootstrap = context.settings, context.cluster.bootstrap
    assert ToTheLastStableOffset(bootstrap, settings).watermarks([place])[place][1] == 0
    assert LogReader(bootstrap, settings).watermarks([place])[place][1] > 3
    foreign.abort_transaction(10)
    assert context.amounts() == [0, 1, 2]


def test_a_log_with_a_gap_stops_the_processor(context: Context) -> None:
    with Line(context).running() as line:
        eventually(lambda: line.counters.state == "running")
    producer, record = context.plain("gap"), context.event(1, 2)
    producer.begin_transaction()
    producer.produce(record.topic, record.value, record.key, record.partition)
    producer.commit_transaction()
    other = Line(context, directory="empty")
    with pytest.raises(AssertionError, match="goes from version 0 to 2"), other.running():
        eventually(lambda: bool(other.failures))
    assert [type(failure) for failure in other.failures] == [StateError]
