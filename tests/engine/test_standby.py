"""Standby replicas: what others own is followed, so that whoever takes over has little left to restore."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.core import Decider
from foldlog.engine.deciding import Deciding
from foldlog.engine.partitions import Partitions
from foldlog.engine.shadows import Shadows, WarmPartitions
from foldlog.engine.standby import Standbys
from foldlog.engine.stats import Counters
from tests.engine.bank import Balance, Open, Post
from tests.engine.conftest import Start
from tests.engine.processes import Worker
from tests.engine.rig import Line, Made, count_folds
from tests.engine.running import Bank
from tests.engine.running import eventually as soon
from tests.engine.tally import Add, Added, Context, Tally, eventually, tally

ten = Decimal("10.00")
MANY = 400


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path, partitions=2) as fresh:
        yield fresh


@contextmanager
def warm(
    context: Context, instance: str, decider: Decider[Add, Added, Tally] = tally
) -> Iterator[tuple[Line, Shadows]]:
    """A line with a standby for one member that may go away; `decider` is what the standby folds with."""
    admin = AdminClient({"bootstrap.servers": context.cluster.bootstrap})
    settings = context.settings.model_copy(update={"standbys": 1})
    standbys = Standbys(admin, context.cluster.bootstrap, settings, instance)
    registry = Registry(context.cluster.registry)
    codec = Codec(context.topology, registry)
    kind = Deciding(replace(context.topology, deciders=(decider,)), decider, codec)
    codec.prepare()
    shadows = standbys.shadow(context.group, kind, Partitions(kind, context.home / instance, 1000, Counters()))
    made = Made(partitions=partial(WarmPartitions, shadows=shadows))
    with closing(registry), Line(context, made, instance, directory=instance).running() as line:
        standbys.start()
        try:
            yield line, shadows
        finally:
            standbys.stop()
            standbys.join()


def is_running(line: Line, *numbers: int) -> bool:
    """Whether a line works on exactly these partitions: their stores are opened after its state is "restoring"."""
    assigned = {number for _, number in line.feed.assigned}
    return assigned == line.partitions.rows.keys() == set(numbers) and line.counters.state == "running"


def fill(context: Context) -> None:
    """Many events for one tally of each partition."""
    for number in (0, 1):
        context.send(*(Add(context.key(number), 1) for _ in range(MANY)))
    eventually(lambda: len(context.events()) >= 2 * MANY)


def assert_whole(context: Context, line: Line, each: int) -> None:
    """Versions 1 to `each` for both tallies, and stores as a fold of the log from its start makes them."""
    for number in (0, 1):
        versions = [meta.version for event, meta in context.events() if event.tally == context.key(number)]
        assert versions == list(range(1, each + 1))
    with Line(context, instance="cold", directory="cold").running() as cold:
        eventually(lambda: is_running(cold, 0, 1))
    assert line.rows == cold.rows
    assert len(cold.rows) == 2


def test_who_takes_over_has_only_the_tail_to_restore(context: Context) -> None:
    with warm(context, "b") as (b, shadows):
        with Line(context, instance="a", directory="a").running() as a:
            eventually(lambda: is_running(a, 0) and is_running(b, 1))
            eventually(lambda: shadows.numbers == (0,))
            folded = count_folds(shadows.kind)
            fill(context)
            eventually(lambda: folded() == MANY)  # the lag may be that of before
        eventually(lambda: is_running(b, 0, 1))
        assert shadows.numbers == ()
        assert b.counters.to_restore <= 10, f"of {MANY} events in the partition"
        context.send(*(Add(context.key(number), 1) for number in (0, 1)))
        eventually(lambda: len(context.events()) == 2 * MANY + 2)
    assert_whole(context, b, MANY + 1)


def test_a_partition_that_goes_back_is_kept_warm_again(context: Context) -> None:
    with warm(context, "b") as (b, shadows):
        eventually(lambda: is_running(b, 0, 1))
        fill(context)
        assert shadows.numbers == ()
        for _ in range(2):
            with Line(context, instance="a", directory="a").running() as a:
                eventually(lambda: is_running(a, 0) and is_running(b, 1))
                eventually(lambda: shadows.numbers == (0,) and shadows.lag == 0)
                context.send(Add(context.key(0), 1))
                eventually(lambda: shadows.lag == 0)
            eventually(lambda: is_running(b, 0, 1))
            assert b.counters.to_restore <= 10
        context.send(Add(context.key(1), 1), Add(context.key(1), 1))
        eventually(lambda: len(context.events()) == 2 * MANY + 4)
    assert_whole(context, b, MANY + 2)


def refuse(tally: Tally, event: Added) -> Tally:
    raise ValueError("not today")


def test_a_standby_that_cannot_fold_leaves_its_processor_alone(context: Context) -> None:
    with warm(context, "b", replace(tally, evolve=refuse)) as (b, shadows):
        with Line(context, instance="a", directory="a").running() as a:
            eventually(lambda: is_running(a, 0) and is_running(b, 1))
            eventually(lambda: shadows.numbers == (0,))
            fill(context)
            eventually(lambda: shadows.numbers == ())
        eventually(lambda: is_running(b, 0, 1))
        context.send(*(Add(context.key(number), 1) for number in (0, 1)))
        eventually(lambda: len(context.events()) == 2 * MANY + 2)
    assert_whole(context, b, MANY + 1)


def is_warm(worker: Worker, *processors: str) -> bool:
    """True once a worker says of each processor that it keeps partitions warm, and lacks nothing of them."""
    lines = [line for line in worker.output.splitlines() if "standby=" in line and "standby_lag=0" in line]
    return all(any(re.search(rf"\b{name} ", line) for line in lines) for name in processors)


def test_after_a_kill_the_standby_serves(own_bank: Bank, start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """The session of 6 s is the shortest that a broker allows by default."""
    bank, accounts = own_bank, [own_bank.account_on(number) for number in (0, 1, 2)]
    one, two = (start("account", "balances", instance=name, FOLDLOG_STANDBYS="1") for name in ("one", "two"))
    one.ready()
    two.ready()
    bank.send(*(Open(account, "ada") for account in accounts))
    bank.send(*(Post(account, ten) for _ in range(100) for account in accounts))
    soon(lambda: len(bank.log()) == 303)
    soon(lambda: is_warm(one, "account", "balances") and is_warm(two, "account", "balances"))
    soon(lambda: bank.owners("account") == {"one", "two"}, "offsets of both")

    began = time.monotonic()
    one.process.kill()
    bank.send(*(Post(account, ten) for account in accounts))
    soon(lambda: len(bank.log()) == 306)
    with capsys.disabled():
        sys.stdout.write(f" [SIGKILL: served by the standby {time.monotonic() - began:.2f} s after, session 6 s] ")
    for account in accounts:
        assert [meta.version for _, meta in bank.events(account)] == list(range(1, 103))
        bank.row("balances", account, Balance("ada", 101 * ten, 101))
    assert two.stop() == 0
    assert two.errors == []
    soon(lambda: bank.owners("account") == {"two"}, "offsets of the second alone")
    assert bank.letters() == []
