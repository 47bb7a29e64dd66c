"""The metrics of a running worker, as Prometheus reads them."""

import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core.errors import TaintError
from foldlog.engine import clients
from foldlog.engine.batch import Output
from foldlog.engine.metered import Metered
from foldlog.engine.stats import Counters, Histogram
from tests.engine.bank import Balance, Misbehave, Open, Post, Wealth
from tests.engine.conftest import Start
from tests.engine.rig import Member
from tests.engine.running import Bank, eventually
from tests.engine.scraping import FREE_PORT, Scrape, get, scrape, url_of
from tests.engine.tally import Context

EVERY = ("account", "balances", "standing", "tellers", "transfer", "wealth")


@pytest.fixture
def url(start: Start) -> str:
    # In a session that a busy machine does not end: a test counts the assignments.
    return url_of(start(FOLDLOG_SESSION_TIMEOUT_MS="60000", **FREE_PORT).ready())


def settled(url: str, records: int) -> Scrape:
    """A scrape in which the decider has handled so many records, and counted the last of their batches whole."""

    def look() -> bool:
        found = scrape(url)
        handled = {found[name, "account"] for name in ("foldlog_records_total", "foldlog_batch_records_sum")}
        batches = {found[f"foldlog_batch_{what}_count", "account"] for what in ("records", "seconds")}
        return handled == {float(records)} and len(batches) == 1

    eventually(look, f"{records} records")
    return scrape(url)  # the one before may stand with one foot before the end of the batch


def test_what_a_view_looks_up_is_counted_also_where_it_declares_no_room(own_bank: Bank, url: str) -> None:
    account, owner = uuid.uuid4().hex, uuid.uuid4().hex
    own_bank.ask(Open(account, owner))
    for count in range(1, 4):  # one batch each
        own_bank.ask(Post(account, Decimal(5)))
        own_bank.row("balances", account, Balance(owner, Decimal(5 * count), count))
        own_bank.row("wealth", owner, Wealth(Decimal(5 * count), count))
    for name in ("balances", "wealth"):  # a row is there before its batch is counted
        eventually(lambda name=name: at_the_end(url, name), f"{name} at the end")  # type: ignore[misc]
    found = scrape(url)
    assert found["foldlog_cache_hits_total", "balances"] > 0
    assert sum(found[f"foldlog_cache_{name}_total", "wealth"] for name in ("hits", "misses")) == 2


def test_what_was_handled_is_counted(own_bank: Bank, url: str) -> None:
    accounts = [uuid.uuid4().hex for _ in range(10)]
    own_bank.send(*(Open(account) for account in accounts))
    settled(url, 10)
    own_bank.send(*(Post(account, Decimal(5)) for account in accounts))
    own_bank.send(Misbehave(accounts[0], "raise"))
    found = settled(url, 21)
    assert found["foldlog_dead_letters_total", "account"] == 1
    assert found["foldlog_rows", "account"] == 10
    assert found["foldlog_cache_hits_total", "account"] + found["foldlog_cache_misses_total", "account"] > 0
    assert found["foldlog_batch_records_sum", "account"] == 21
    assert 1 <= found["foldlog_batch_records_count", "account"] <= 21
    assert found["foldlog_batch_seconds_count", "account"] == found["foldlog_batch_records_count", "account"]
    # The first transaction of a fresh partition has its offset alone.
    assert found["foldlog_commit_seconds_count", "account"] > found["foldlog_batch_records_count", "account"]
    assert found["foldlog_last_commit_timestamp_seconds", "account"] > 1.7e9
    assert [found[f"foldlog_{name}_total", "account"] for name in ("aborts", "taints", "fences")] == [0, 0, 0]


def test_every_processor_says_what_it_owns_and_how_far_it_is(own_bank: Bank, url: str) -> None:
    own_bank.send(Open(uuid.uuid4().hex))
    settled(url, 1)
    for name in EVERY:
        found = eventually(lambda name=name: at_the_end(url, name), f"{name} at the end")  # type: ignore[misc]
        assert found.state(name) == "running"
        assert found["foldlog_assigned_partitions", name] == 3
        assert found["foldlog_assignments_total", name] == 1
        assert found["foldlog_epoch", name] == 1
        assert found["foldlog_poll_age_seconds", name] < 60


def test_samples_name_context_processor_and_kind(own_bank: Bank, url: str) -> None:
    labels = scrape(url).labels("foldlog_records_total")
    assert {each["context"] for each in labels} == {own_bank.name}
    kinds = {each["processor"]: each["kind"] for each in labels}
    assert kinds == dict(zip(EVERY, ("decider", "view", "saga", "reactor", "saga", "view"), strict=True))


def test_a_client_may_ask_for_openmetrics(url: str) -> None:
    _, headers, body = get(f"{url}/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")
    _, headers, body = get(f"{url}/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "process_resident_memory_bytes" in body


def test_a_restore_is_told(own_bank: Bank, start: Start, tmp_path: Path) -> None:
    accounts = [uuid.uuid4().hex for _ in range(30)]
    first = start("account", instance="first", FOLDLOG_SESSION_TIMEOUT_MS="60000", **FREE_PORT)
    url = url_of(first.ready())
    own_bank.send(*(Open(account) for account in accounts))
    settled(url, 30)
    assert first.stop() == 0
    # With stores of its own, which are empty.
    second = start("account", instance="second", FOLDLOG_SESSION_TIMEOUT_MS="60000", **FREE_PORT)
    found = scrape(url_of(second.ready()))
    # The log holds transaction markers too: they are to restore, and never read.
    assert found["foldlog_restored_records", "account"] == 30
    assert found["foldlog_restore_records", "account"] > 30


def at_the_end(url: str, name: str) -> Scrape | None:
    """A scrape in which a processor has handled all that there is."""
    found = scrape(url)
    lags = found["foldlog_lag_records", name], found["foldlog_lag_seconds", name]
    return None if any(lags) else found


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path) as fresh:
        yield fresh


def test_who_was_fenced_counts_it(context: Context) -> None:
    config, counted = clients.transactional(context.cluster.bootstrap, context.settings), (Counters(), Counters())
    old, new = (Metered(config, f"{context.group}.a", 10_000, each) for each in counted)
    member = Member(context, "a")
    with member.running():
        place, group = (context.commands, 0), member.assignment().group
        old.write([context.event(1, 1)], {place: 0}, group)
        new.write([context.event(2, 2)], {place: 0}, group)
        with pytest.raises(TaintError):
            old.write([context.event(3, 3)], {place: 0}, group)
    old.discard()
    new.discard()
    assert context.amounts() == [1, 2]
    assert [(each.aborts, each.taints, each.fences) for each in counted] == [(1, 1, 1), (0, 0, 0)]
    assert [each.commit_seconds.buckets()[-1] for each in counted] == [("+Inf", 1.0), ("+Inf", 1.0)]


def test_a_fence_that_a_refused_record_tells_of_is_counted(context: Context) -> None:
    config, counters = clients.transactional(context.cluster.bootstrap, context.settings), Counters()
    old, new = (Metered(config, f"{context.group}.a", 10_000, each) for each in (counters, Counters()))

    def slowly() -> Iterator[Output]:  # by the third record the client knows that it is fenced
        for version in range(1, 4):
            yield context.event(version, version)
            time.sleep(1)

    member = Member(context, "a")
    with member.running():
        group = member.assignment().group
        old.open()
        new.open()
        with pytest.raises(TaintError, match="fenced by a newer instance"):
            old.write(slowly(), {(context.commands, 0): 0}, group)
    old.discard()
    new.discard()
    assert (counters.aborts, counters.taints, counters.fences) == (1, 1, 1)


def test_a_histogram_counts_below_and_at_each_bound() -> None:
    histogram = Histogram((1, 10))
    for value in (0.5, 1, 1.5, 10, 11):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("10.0", 4.0), ("+Inf", 5.0)]
    assert histogram.sum == 24.0
