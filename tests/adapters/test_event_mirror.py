"""An event log mirrored from its topic: what is read there is what was written, once, whatever comes in between."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
import redis as redis_client

from foldlog.core import Meta, Record
from foldlog.core.errors import ConfigError, ContractError, SinkError
from foldlog.sinks.event_cache import EventCache
from foldlog.sinks.event_mirror import PostgresEvents
from foldlog.sinks.event_store import PostgresEventStore
from foldlog.sinks.running import Sink
from foldlog.sinks.source import source_of
from tests.adapters.kept import QUICK, Bank, Place
from tests.cli.bank import Opened, Posted, account
from tests.cli.bank import bank as declared
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]
pytestmark = pytest.mark.adapters
TIME = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@pytest.fixture
def place(postgres: str) -> Place:
    return Place.at(postgres)


@pytest.fixture
def store(place: Place) -> Iterator[PostgresEventStore]:
    """The store that reads what is mirrored."""
    with closing(PostgresEventStore(place.url, declared, account, place.name)) as store:
        yield store


def write(bank: Bank, *events: tuple[int, Record | None], aggregate: str = "ada") -> None:
    """Writes events of an aggregate to the log as the engine does; None erases a version."""
    records: list[tuple[str, bytes | None]] = []
    for version, event in events:
        key = f"{aggregate}@{version}"
        meta = Meta(f"account:{key}", aggregate, version, TIME, "c1", "c0", "bob")
        records.append((key, None if event is None else bank.codec.encode(event, meta)))
    bank.write(f"{bank.name}.account.events", *records, key_of=lambda key: key.rpartition("@")[0])


def mirror(bank: Bank, place: Place, cache: EventCache | None = None) -> Sink:
    source = source_of(bank.cluster.bootstrap, bank.codec, bank.topology, account)
    return Sink(source, PostgresEvents(place.url, place.name, account, cache), QUICK)


def test_the_store_reads_what_the_log_has(bank: Bank, place: Place, store: PostgresEventStore) -> None:
    write(bank, (1, Opened("ada")), (2, Posted("ada", Decimal("12.50"), "t")))
    write(bank, (1, Opened("a@b")), aggregate="a@b")
    sink = mirror(bank, place)
    sink.run(once=True)
    assert store.read("ada") == [
        (Opened("ada"), Meta("account:ada@1", "ada", 1, TIME, "c1", "c0", "bob")),
        (Posted("ada", Decimal("12.50"), "t"), Meta("account:ada@2", "ada", 2, TIME, "c1", "c0", "bob")),
    ]
    assert store.load("ada")[0].balance == Decimal("12.50")
    assert [meta.aggregate_id for _, meta in store.read("a@b")] == ["a@b"]
    write(bank, (3, Posted("ada", Decimal(1))))
    sink.run(once=True)
    assert sink.records == 4
    assert [meta.version for _, meta in store.read("ada", 2)] == [2, 3]


def test_a_version_that_was_rewritten_or_erased_is_so_in_the_mirror(
    bank: Bank, place: Place, store: PostgresEventStore
) -> None:
    write(bank, (1, Opened("eve")), (2, Posted("eve", Decimal(1))), (3, Posted("eve", Decimal(2))), aggregate="eve")
    mirror(bank, place).run(once=True)
    write(bank, (2, Posted("eve", Decimal(7))), (3, None), aggregate="eve")
    mirror(bank, place).run(once=True)
    assert [event for event, _ in store.read("eve")] == [Opened("eve"), Posted("eve", Decimal(7))]


def test_nobody_appends_to_a_mirror_and_nothing_is_mirrored_onto_appended_events(
    bank: Bank, place: Place, store: PostgresEventStore
) -> None:
    store.append("ada", 0, [Opened("ada")])
    write(bank, (1, Opened("bob")), aggregate="bob")
    with pytest.raises(SinkError, match="there are events of no topic already: use another schema"):
        mirror(bank, place).run(once=True)
    store.append("ada", 1, [Posted("ada", Decimal(1))])  # it is no mirror yet
    other = Place.at(place.url)
    mirror(bank, other).run(once=True)
    with (
        closing(PostgresEventStore(other.url, bank.topology, account, other.name)) as mirrored,
        pytest.raises(ConfigError, match="mirrors the topic of account: send commands to Kafka"),
    ):
        mirrored.append("bob", 1, [Posted("bob", Decimal(1))])


def test_garbage_in_the_log_is_an_error_with_its_place(own_bank: Bank, place: Place) -> None:
    log = f"{own_bank.name}.account.events"
    write(own_bank, (1, Opened("ada")))
    for key, value, error, reason in (
        ("ada@2", b"\0garbage", ContractError, rf"^{log}:\d:\d+: "),
        ("ada@2", own_bank.codec.encode(Posted("a", Decimal(1)), Meta("", "a\0", 2, TIME, "", "")), SinkError, "NUL"),
    ):
        own_bank.write(log, (key, value), key_of=lambda key: key.rpartition("@")[0])
        with pytest.raises(error, match=reason):
            mirror(own_bank, place).run(once=True)
        write(own_bank, (2, Posted("ada", Decimal(1))))
        mirror(own_bank, place).run(once=True)


def test_a_key_that_is_no_events_is_named(own_bank: Bank, place: Place) -> None:
    own_bank.write(f"{own_bank.name}.account.events", ("ada", None))
    with pytest.raises(SinkError, match="key 'ada': an event's key is <aggregate id>@<version>"):
        mirror(own_bank, place).run(once=True)


def test_a_cache_forgets_the_aggregates_that_have_new_events(
    bank: Bank, place: Place, redis: str, store: PostgresEventStore
) -> None:
    with closing(EventCache(redis, account, prefix=place.name)) as cache:
        write(bank, (1, Opened("zoe")), aggregate="zoe")
        mirror(bank, place, cache).run(once=True)
        assert len(cache.read(store, "zoe")) == 1
        write(bank, (2, Posted("zoe", Decimal(1))), aggregate="zoe")
        mirror(bank, place, cache).run(once=True)
        assert len(cache.read(store, "zoe")) == 2


def test_the_command(own_bank: Bank, place: Place, redis: str, cli: Cli) -> None:
    write(own_bank, (1, Opened("ada")), (2, Posted("ada", Decimal(1))))
    options = ["--url", place.url, "--schema", place.name, "--cache", redis, "--topology", own_bank.module, "--once"]
    for expected in ("2 records", "0 records"):
        ran = cli("sink", "postgres-events", f"{own_bank.name}.account", *options)
        assert ran.code == 0, ran.err
        assert f"{expected} of {own_bank.name}.account.events in " in ran.err
    ran = cli("sink", "postgres-events", f"{own_bank.name}.account", *options, "--rebuild")
    assert "2 records" in ran.err
    with psycopg.connect(place.url) as connection:
        found = connection.execute(f"SELECT type, version FROM {place.name}.events ORDER BY 2").fetchall()
    assert found == [("Opened", 1), ("Posted", 2)]
    ran = cli("sink", "postgres-events", f"{own_bank.name}.balances", *options)
    assert (ran.code, ran.err) == (
        1,
        f"error: {own_bank.name}.balances is a view, not an aggregate: it has no events of its own\n",
    )
    with redis_client.Redis.from_url(redis) as client:
        assert client.exists("events-turn:ada")
