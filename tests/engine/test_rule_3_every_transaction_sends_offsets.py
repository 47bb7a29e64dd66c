"""Rule 3: every transaction sends offsets, because only they are checked against the group's membership."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from foldlog.cluster import Cluster
from foldlog.core.errors import AbortError, EngineError
from foldlog.engine import restoring
from foldlog.engine.batch import Place
from foldlog.engine.restoring import NO_OFFSET
from foldlog.engine.transactions import Transactions
from tests.engine.rig import Line, Made, Member
from tests.engine.tally import Context, committed, eventually


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path) as fresh:
        yield fresh


@pytest.fixture
def lost(context: Context) -> Iterator[Any]:
    """The membership of a member that has lost its partition to another one."""
    old, new = Member(context, "b"), Member(context, "a")
    with old.running():
        membership = old.assignment().group
        with new.running():
            assert new.assignment().partitions == ((context.commands, 0),)
            yield membership


def test_records_of_a_member_without_its_partition_are_refused(context: Context, lost: Any) -> None:
    transactions = context.transactions("b")
    with pytest.raises(AbortError):
        transactions.write([context.event(1, 1)], {(context.commands, 0): 0}, lost)
    transactions.abort()
    assert context.amounts() == []


def test_without_offsets_they_would_be_accepted(context: Context, lost: Any) -> None:
    producer, record = context.plain("b"), context.event(1, 1)
    producer.begin_transaction()
    producer.produce(record.topic, record.value, record.key, record.partition)
    producer.commit_transaction()
    assert context.amounts() == [1]


def test_the_engine_writes_nothing_without_offsets(context: Context) -> None:
    with pytest.raises(EngineError, match="a transaction without offsets is not fenced"):
        context.transactions("a").write([context.event(1, 1)], {}, None)


def test_a_fresh_partition_has_its_offset_and_its_owner_before_anything_is_handled(context: Context) -> None:
    with Line(context).running() as line:
        eventually(lambda: line.counters.state == "running")
        found = committed(context)
    assert (found.offset, found.metadata) == (0, line.transactions.transactional_id)


class BeginsWithoutOffsets(Transactions):
    """Breaks the rule: on a fresh partition there is nothing to write yet, so nothing is."""

    def write(self, outputs: Any, offsets: Mapping[Place, int], group: Any, then: Any = None) -> dict[Place, int]:
        records = list(outputs)
        return super().write(records, offsets, group, then) if records else {}


@pytest.mark.parametrize(("transactions", "ended"), [(Transactions, ["a"]), (BeginsWithoutOffsets, [])])
def test_the_successor_can_end_the_first_transaction_of_an_owner_that_died(
    context: Context, monkeypatch: pytest.MonkeyPatch, transactions: type[Transactions], ended: list[str]
) -> None:
    with Line(context, Made(transactions=transactions)).running() as line:
        eventually(lambda: line.counters.state == "running")
    assert (committed(context).offset == NO_OFFSET) is (not ended)
    fenced: list[str] = []
    monkeypatch.setattr(restoring, "fence", lambda _config, owner: fenced.append(owner))
    context.reach("b").end_predecessors([(context.commands, 0)])
    assert fenced == [f"{context.group}.{instance}" for instance in ended]
