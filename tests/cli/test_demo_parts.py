"""The parts of the demo: what a part of the log comes to, what the logs must satisfy, when nothing is left to do."""

import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from confluent_kafka import Consumer, TopicPartition

from foldlog.cli.demo.cdnow import Purchase
from foldlog.cli.demo.expected import StockRow, expected
from foldlog.cli.demo.interrupts import SIGNALS, Interrupts
from foldlog.cli.demo.readback import Log, compare_logs
from foldlog.cli.demo.settling import Groups, Sagas, Settling
from foldlog.core.contract import Process
from foldlog.core.errors import EngineError
from foldlog.core.meta import Meta
from tests.cli.bank import Open, Transfer
from tests.cli.conftest import Context, commit

LOG = tuple(
    Purchase(str(number), "00001", date(1997, month, 1), 2, Decimal("1.50"))
    for number, month in enumerate((1, 3, 1, 2), 1)
)


def test_a_part_of_the_log_leaves_stock_over() -> None:
    found = expected(LOG[:2], LOG)
    assert found.stock == {
        "1997-01": StockRow(4, 2, 0, 2, 0),
        "1997-02": StockRow(2, 2, 0, 0, 0),
        "1997-03": StockRow(0, 0, 0, 0, 2),
    }
    assert found.events == {"order": 6, "payment": 4, "stock": 2 + 2 + 1}
    assert (found.confirmed.orders, found.sagas) == (1, 2)


def test_a_part_without_the_last_month_cancels_nothing() -> None:
    found = expected(LOG[:1], LOG)
    assert found.cancelled == {}
    assert "1997-03" not in found.stock


def test_the_whole_log_is_a_part_of_itself() -> None:
    assert expected(LOG, LOG) == expected(LOG)


def log_of(*events: tuple[str, int], new: int = 0) -> Log:
    log = Log()
    for number, (id_, version) in enumerate(events):
        meta = Meta(f"order:{id_}@{version}", id_, version, datetime(2026, 1, 1, tzinfo=UTC), "c", "c")
        log.add(meta, new=number >= len(events) - new)
    return log


def test_contiguous_versions_and_unique_ids_pass() -> None:
    found = compare_logs({"order": log_of(("1", 1), ("2", 1), ("1", 2))}, [], complete=False)
    assert found.checks == {"versions contiguous": True, "event ids unique": True, "no dead letters": True}


@pytest.mark.parametrize(
    ("events", "difference"),
    [
        ([("1", 2)], "versions contiguous: order 1: version 2 where 1 must be"),
        ([("1", 1), ("1", 3)], "versions contiguous: order 1: version 3 where 2 must be"),
        ([("1", 1), ("1", 1)], "event ids unique: order:1@1 is there more than once"),
    ],
)
def test_a_gap_and_a_repetition_are_seen(events: list[tuple[str, int]], difference: str) -> None:
    found = compare_logs({"order": log_of(*events)}, [], complete=False)
    assert not found.passed
    assert difference in found.differences


def test_dead_letters_fail_and_the_first_are_shown() -> None:
    found = compare_logs({}, [f"orders.order.commands:0:{n}: malformed: …" for n in range(7)], complete=False)
    assert not found.checks["no dead letters"]
    assert found.differences[0] == "no dead letters: orders.order.commands:0:0: malformed: …"
    assert found.differences[5:] == ("no dead letters: … and 2 more",)


@pytest.mark.parametrize(("new", "right"), [(0, True), (1, False)])
def test_a_run_over_a_complete_log_writes_nothing(new: int, right: bool) -> None:
    found = compare_logs({"order": log_of(("1", 1), ("1", 2), new=new)}, [], complete=True)
    assert found.checks["second run wrote 0 events"] is right


@pytest.fixture
def sagas(context: Context) -> Iterator[Sagas]:
    with closing(Sagas(context.cluster.bootstrap, f"{context.name}.transfer", context.codec)) as sagas:
        yield sagas


def settling(context: Context, sagas: Sagas, stall_s: float) -> Settling:
    groups = Groups(context.cluster.bootstrap, context.topology)
    return Settling(sagas, groups, lambda: None, "worker.log", stall_s)


def test_a_command_that_nobody_reads_is_named(context: Context, sagas: Sagas) -> None:
    context.write(f"{context.name}.account.commands", ("ada", context.codec.encode(Open("ada"))))
    with pytest.raises(EngineError) as failed:
        settling(context, sagas, stall_s=0.5).wait(3, lambda _: None)
    assert str(failed.value).startswith("nothing moved for 0 s: 0 of 3 sagas have ended, ")
    assert f"{context.name}.account has 2 to read in {context.name}.account.commands:" in str(failed.value)
    assert str(failed.value).endswith("; see worker.log")


def test_a_marker_behind_the_last_record_is_nothing_to_read(context: Context, sagas: Sagas) -> None:
    """A commit leaves a marker past the record, so that no group ever stands at the end of its topic."""
    running, ended = Transfer("bob"), Transfer("bob", done=True)
    context.write(f"{context.name}.account.commands", ("bob", context.codec.encode(Open("bob"))))
    context.write(f"{context.name}.transfer", ("t1", context.codec.encode(running, Process(1, False))))
    context.write(f"{context.name}.transfer", ("t2", context.codec.encode(running, Process(1, False))))
    context.write(f"{context.name}.transfer", ("t1", context.codec.encode(ended, Process(2, True))))
    read_all(context, f"{context.name}.account", f"{context.name}.account.commands")
    watched = settling(context, sagas, stall_s=60)
    watched.wait(2, lambda _: None)
    assert (sagas.ended, sagas.open) == ({"t1"}, {"t2"})
    assert watched.ended_at is not None


def read_all(context: Context, group: str, topic: str) -> None:
    """Commits what a worker's processor would: the offset after the last record of each partition."""
    config = {"bootstrap.servers": context.cluster.bootstrap, "group.id": group, "enable.partition.eof": True}
    consumer = Consumer({**config, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    partitions = range(context.topology.partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    offsets: dict[int, int] = {}
    waiting = set(partitions)
    while waiting:
        for message in consumer.consume(100, 0.1):
            if message.error() is None:
                offsets[message.partition() or 0] = (message.offset() or 0) + 1
            else:
                waiting.discard(message.partition() or 0)
    commit(consumer, [TopicPartition(topic, p, o) for p, o in offsets.items()])
    consumer.close()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Gives the signals back to the tests, however a test leaves them."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def configure() -> None:
    """What Kafka's client, written in C, makes of an interrupt that comes while it reads its configuration."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        refuse()


def refuse() -> None:
    raise TypeError("expected configuration property name as type unicode string")


@pytest.mark.usefixtures("handlers")
def test_an_interrupt_that_c_code_reports_as_another_error_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt) as raised, Interrupts().heard():
        configure()
    assert isinstance(raised.value.__cause__, TypeError)


@pytest.mark.usefixtures("handlers")
def test_an_error_without_an_interrupt_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="expected configuration"), Interrupts().heard():
        refuse()
