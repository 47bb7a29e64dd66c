"""Events cached in Redis are those of the store: read through, gone with new ones, and no loss without Redis."""

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal

import pytest
import redis as redis_client

from foldlog.core.errors import AwayError
from foldlog.sinks.event_cache import EventCache
from foldlog.sinks.event_store import PostgresEventStore
from foldlog.sinks.event_tables import Event
from tests.adapters.kept import Place
from tests.cli.bank import Opened, Post, Posted, account, bank

pytestmark = pytest.mark.adapters


class Counted:
    """A store that counts how often it is read; `meanwhile` is called while it is."""

    def __init__(self, store: PostgresEventStore) -> None:
        self.store, self.reads = store, 0
        self.meanwhile: Callable[[], object] = int

    def read(self, aggregate_id: str, from_version: int = 1) -> list[Event]:
        self.reads += 1
        found = self.store.read(aggregate_id, from_version)
        self.meanwhile()
        return found


@pytest.fixture
def store(postgres: str) -> Iterator[Counted]:
    with closing(PostgresEventStore(postgres, bank, account, Place.at(postgres).name)) as store:
        store.append("ada", 0, [Opened("ada"), Posted("ada", Decimal("0.10"), "t")])
        yield Counted(store)


@pytest.fixture
def cache(redis: str) -> Iterator[EventCache]:
    with closing(EventCache(redis, account, ttl_s=60, prefix=Place.at(redis).name)) as cache:
        yield cache


def test_the_store_is_read_once(cache: EventCache, store: Counted) -> None:
    events = cache.read(store, "ada")
    assert events == store.store.read("ada")
    assert cache.read(store, "ada") == events
    assert [meta.version for _, meta in cache.read(store, "ada", 2)] == [2]
    assert store.reads == 1


def test_who_is_not_there_is_cached_too(cache: EventCache, store: Counted) -> None:
    assert (cache.read(store, "bob"), cache.read(store, "bob"), store.reads) == ([], [], 1)


def test_new_events_end_what_is_cached(cache: EventCache, store: Counted) -> None:
    cache.read(store, "ada")
    store.store.append("ada", 2, [Posted("ada", Decimal(1))])
    cache.forget(["ada", "bob"])
    assert len(cache.read(store, "ada")) == 3


def test_new_events_while_the_store_is_read_are_not_hidden_by_what_was_read(cache: EventCache, store: Counted) -> None:
    def meanwhile() -> None:
        store.meanwhile = int
        store.store.append("ada", 2, [Posted("ada", Decimal(1))])
        cache.forget(["ada"])

    store.meanwhile = meanwhile
    assert len(cache.read(store, "ada")) == 2  # as it was when it was asked
    assert len(cache.read(store, "ada")) == 3


def test_a_store_with_a_cache_tells_it(postgres: str, cache: EventCache, store: Counted) -> None:
    place = store.store._session.place.rpartition(" ")[2]
    with closing(PostgresEventStore(postgres, bank, account, place, cache)) as writer:
        assert len(cache.read(writer, "ada")) == 2
        writer.handle(Post("ada", Decimal(1)))
        assert len(cache.read(writer, "ada")) == 3
    with (
        closing(EventCache("redis://127.0.0.1:1/0", account)) as away,
        closing(PostgresEventStore(postgres, bank, account, place, away)) as writer,
    ):
        assert writer.handle(Post("ada", Decimal(1))).version == 4


def test_it_expires(redis: str, cache: EventCache, store: Counted) -> None:
    cache.read(store, "ada")
    with redis_client.Redis.from_url(redis) as client:
        assert 0 < int(client.ttl(cache._key("ada"))) <= 60


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"{}", b'[["Opened",{},{}]]', b'[["Unknown",{},{}]]', b"[[1]]"])
def test_garbage_in_redis_is_read_again_from_the_store(
    redis: str, cache: EventCache, store: Counted, garbage: bytes
) -> None:
    with redis_client.Redis.from_url(redis) as client:
        client.set(cache._key("ada"), garbage)
    assert len(cache.read(store, "ada")) == 2
    assert (len(cache.read(store, "ada")), store.reads) == (2, 1)


def test_without_redis_the_store_answers_and_forgetting_says_so(store: Counted) -> None:
    with closing(EventCache("redis://127.0.0.1:1/0", account)) as cache:
        assert len(cache.read(store, "ada", 2)) == 1
        with pytest.raises(AwayError, match=r"^127\.0\.0\.1:1/0: "):
            cache.forget(["ada"])
