"""Rule 2: a batch belongs to an epoch; after an abort or a rebalance nothing that was read before is handled."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from foldlog.cluster import Cluster
from foldlog.core.errors import AbortError
from foldlog.engine import feed
from foldlog.engine.batch import Assignment, Batch, Place
from foldlog.engine.feed import Feed
from foldlog.engine.processor import Processor
from foldlog.engine.transactions import Transactions
from tests.engine.rig import Line, Made, Member
from tests.engine.tally import Add, Context, committed, eventually

COMMANDS = 40


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path) as fresh:
        yield fresh


class AbortsOnce(Transactions):
    """The second batch of records is written, and then aborted instead of committed, when more has been read."""

    batches = 0
    has_read_ahead: Callable[[], bool]

    def write(self, outputs: Any, offsets: Mapping[Place, int], group: Any, then: Any = None) -> dict[Place, int]:
        records = list(outputs)
        self.batches += bool(records)
        if self.batches != 2:
            return super().write(records, offsets, group, then)
        self.batches += 1
        producer = self._ready()
        self._begin(producer)
        self._produce(producer, records)
        eventually(self.has_read_ahead)
        raise AbortError("made by the test")


class GoesOnAfterAnAbort(Processor):
    """Breaks the rule: the aborted batch is dropped, and the next one is taken as if nothing had happened."""

    def _again(self, epoch: int, error: Exception) -> None:
        del epoch
        self._drop()
        self._recovery.recover(error)


class TakesEveryBatch(Feed):
    """Breaks the rule: what was read ahead of an abort is handled after it, too."""

    def begin(self, item: Assignment | Batch) -> bool:
        super().begin(item)
        self._idle.clear()
        return True


def _log_after_an_abort(context: Context, made: Made) -> list[int]:
    """The amounts in the log when commands 0 … 39 were read in batches of four and one batch was aborted."""
    context.send(*(Add(context.key(0), amount) for amount in range(COMMANDS)))
    line = Line(context, made, batch_records=4)
    assert isinstance(line.transactions, AbortsOnce)
    line.transactions.has_read_ahead = lambda: not line.items.empty()
    with line.running():
        eventually(lambda: committed(context).offset == COMMANDS)
    return context.amounts()


def test_after_an_abort_everything_is_handled_once_and_in_order(context: Context) -> None:
    assert _log_after_an_abort(context, Made(transactions=AbortsOnce)) == list(range(COMMANDS))


def test_without_a_rewind_the_aborted_batch_is_lost(context: Context) -> None:
    amounts = _log_after_an_abort(context, Made(transactions=AbortsOnce, processor=GoesOnAfterAnAbort))
    assert amounts == [amount for amount in range(COMMANDS) if amount not in (4, 5, 6, 7)]


def test_without_epochs_what_was_read_ahead_is_handled_twice(context: Context) -> None:
    amounts = _log_after_an_abort(context, Made(transactions=AbortsOnce, feed=TakesEveryBatch))
    assert len(amounts) > COMMANDS
    assert set(amounts) == set(range(COMMANDS))


def _in_flight(context: Context, member: Member) -> tuple[Assignment, Batch]:
    """The member's assignment and a batch of it whose handling has begun."""
    first = member.assignment()
    member.feed.go_on(first.epoch, dict.fromkeys(first.partitions, 0))
    context.send(Add(context.key(0), 1))
    batch = member.batch()
    assert member.feed.begin(batch)
    return first, batch


def test_a_partition_is_given_away_when_the_batch_in_flight_has_ended(context: Context) -> None:
    old, new, transactions = Member(context, "b"), Member(context, "a"), context.transactions("b")
    with old.running():
        _, batch = _in_flight(context, old)
        with new.running():
            with pytest.raises(TimeoutError):
                new.assignment(seconds=2)
            transactions.write([context.event(1, 1)], batch.offsets, batch.group)
            old.feed.end()
            assert new.assignment().partitions == ((context.commands, 0),)
    assert context.amounts() == [1]


def test_without_that_wait_the_work_in_flight_is_wasted(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_LAST_CHANCE", 0)
    old, new, transactions = Member(context, "b"), Member(context, "a"), context.transactions("b")
    with old.running():
        _, batch = _in_flight(context, old)
        with new.running():
            assert new.assignment().partitions == ((context.commands, 0),)
            with pytest.raises(AbortError):
                transactions.write([context.event(1, 1)], batch.offsets, batch.group)
            transactions.abort()
            old.feed.end()
    assert context.amounts() == []


def test_an_abort_during_a_revocation_does_not_take_the_partitions_back(context: Context) -> None:
    old, new = Member(context, "b"), Member(context, "a")
    with old.running():
        first, batch = _in_flight(context, old)
        with new.running():
            eventually(lambda: not old.feed.is_current(batch.epoch))  # the revocation waits for the batch
            epoch = old.feed.rewind(batch.epoch)
            assert not old.feed.is_current(epoch)
            old.feed.go_on(epoch, dict.fromkeys(first.partitions, 0))
            old.feed.end()
            new.assignment()
            with pytest.raises(TimeoutError):
                old.batch(seconds=2)  # records of a partition that belongs to another member


class RewindsWhateverTheEpoch(Feed):
    """Breaks the rule: an abort begins a new epoch although a revocation has begun one already."""

    def rewind(self, epoch: int) -> int:
        return super().rewind(self.epoch)


def test_with_a_rewind_of_any_epoch_it_would(context: Context) -> None:
    old, new = Member(context, "b", RewindsWhateverTheEpoch), Member(context, "a")
    with old.running():
        first, batch = _in_flight(context, old)
        with new.running():
            eventually(lambda: not old.feed.is_current(batch.epoch))
            epoch = old.feed.rewind(batch.epoch)
            assert old.feed.is_current(epoch)
            old.feed.go_on(epoch, dict.fromkeys(first.partitions, 0))
            old.feed.end()


def test_where_the_place_to_read_is_gone_a_new_epoch_begins(context: Context) -> None:
    place = (context.commands, 0)
    context.send(*(Add(context.key(0), amount) for amount in range(3)))
    admin = AdminClient({"bootstrap.servers": context.cluster.bootstrap})
    admin.delete_records([TopicPartition(*place, 2)])[TopicPartition(*place, 2)].result(60)
    with Member(context, "a").running() as member:
        first = member.assignment()
        member.feed.go_on(first.epoch, {place: 0})  # as one who stood still while another emptied the inbox
        again = member.assignment()
        assert again.partitions == first.partitions
        assert (member.feed.is_current(first.epoch), member.feed.is_current(again.epoch)) == (False, True)
        member.feed.go_on(again.epoch, {place: 2})
        assert member.batch().offsets == {place: 3}
