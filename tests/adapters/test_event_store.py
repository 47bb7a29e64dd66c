"""Deciders on PostgreSQL: expected versions, one winner a version, snapshots, and who may write."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from foldlog.core import Decider, Meta, Record, Rejected, Topology
from foldlog.core.errors import AwayError, ConfigError, ConflictError, ContractError, SinkError
from foldlog.sinks.event_store import SNAPSHOT_EVERY, PostgresEventStore
from tests.adapters.kept import Place
from tests.cli.bank import Open, Opened, Post, Posted, account, bank

pytestmark = pytest.mark.adapters
NAMED = Meta("", "", 0, datetime(2026, 1, 2, tzinfo=UTC), "command-1", "purchase-7", "ada", "shop")


@pytest.fixture
def place(postgres: str) -> Place:
    return Place.at(postgres)


@pytest.fixture
def store(place: Place) -> Iterator[PostgresEventStore]:
    with closing(PostgresEventStore(place.url, bank, account, place.name)) as store:
        yield store


def together(place: Place, count: int, act: Callable[[PostgresEventStore, int], Any]) -> Counter[str]:
    """Does something at the same moment with so many stores of so many threads; how often each outcome came."""
    barrier, outcomes = threading.Barrier(count), list[str]()

    def run(number: int) -> None:
        with closing(PostgresEventStore(place.url, bank, account, place.name)) as own:
            barrier.wait(60)
            try:
                outcomes.append(str(act(own, number)))
            except Exception as error:
                outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return Counter(outcomes)


def fetched(place: Place, statement: str) -> list[Any]:
    with psycopg.connect(place.url) as connection:
        return connection.execute(statement).fetchall()


def test_what_is_appended_is_read(store: PostgresEventStore) -> None:
    events = [Opened("ada"), Posted("ada", Decimal("12.50"), "t1")]
    assert store.append("ada", 0, events, NAMED) == 2
    assert store.append("ada", 2, [Posted("ada", Decimal("-0.05"))]) == 3
    first, second = store.read("ada")[:2]
    assert [event for event, _ in (first, second)] == events
    assert first[1] == Meta("account:ada@1", "ada", 1, NAMED.time, "command-1", "purchase-7", "ada", "shop")
    assert [meta.version for _, meta in store.read("ada", 2)] == [2, 3]
    assert store.read("bob") == []
    assert store.load("ada")[1] == 3


@pytest.mark.parametrize("expected", [0, 1, 3, 100])
def test_an_append_at_another_version_is_a_conflict(store: PostgresEventStore, expected: int) -> None:
    store.append("ada", 0, [Opened("ada"), Posted("ada", Decimal(1))])
    with pytest.raises(ConflictError, match=f"account 'ada' is at version 2, not at {expected}: load it"):
        store.append("ada", expected, [Posted("ada", Decimal(2))])
    assert len(store.read("ada")) == 2


def test_of_50_appends_at_once_exactly_one_wins_each_version(place: Place, store: PostgresEventStore) -> None:
    for version in range(3):

        def act(own: PostgresEventStore, number: int, at: int = version) -> int:
            return own.append("ada", at, [Posted("ada", Decimal(number))])

        outcomes = together(place, 50, act)
        assert outcomes == {str(version + 1): 1, "ConflictError": 49}
    assert [meta.version for _, meta in store.read("ada")] == [1, 2, 3]


def test_appends_of_several_events_never_mix(place: Place, store: PostgresEventStore) -> None:
    def act(own: PostgresEventStore, number: int) -> int:
        return own.append("ada", 0, [Posted("ada", Decimal(number), str(n)) for n in range(3)])

    assert together(place, 20, act) == {"3": 1, "ConflictError": 19}
    assert len({event.amount for event, _ in store.read("ada") if isinstance(event, Posted)}) == 1


def test_commands_at_once_are_each_decided_on_what_came_before(place: Place, store: PostgresEventStore) -> None:
    store.handle(Open("ada"))

    def act(own: PostgresEventStore, _: int) -> str:
        for number in range(10):
            while True:
                try:
                    own.handle(Post("ada", Decimal(number)))
                    break
                except ConflictError:
                    continue
        return "done"

    assert together(place, 5, act) == {"done": 5}
    state, version = store.load("ada")
    assert (state.balance, version) == (Decimal(225), 51)


def test_a_rejected_command_writes_nothing(store: PostgresEventStore) -> None:
    with pytest.raises(Rejected, match="account ada is not open"):
        store.handle(Post("ada", Decimal(1)))
    assert store.read("ada") == []


def test_a_command_without_effect_is_no_version(store: PostgresEventStore) -> None:
    assert store.handle(Open("ada")).version == 1
    assert store.handle(Open("ada")) == ((), 1, False)


def test_a_command_id_has_its_first_outcome_again(place: Place, store: PostgresEventStore) -> None:
    store.handle(Open("ada"))
    first = store.handle(Post("ada", Decimal(5)), "monday-1", actor="bob")
    store.handle(Post("ada", Decimal(7)))
    assert store.handle(Post("ada", Decimal(5)), "monday-1") == (first.events, 2, True)
    (meta,) = (meta for _, meta in store.read("ada") if meta.causation == "monday-1")
    assert (meta.actor, meta.correlation) == ("bob", "monday-1")
    assert together(place, 10, lambda own, _: own.handle(Post("ada", Decimal(1)), "tuesday-1").version) == {"4": 10}
    assert len(store.read("ada")) == 4


def test_an_aggregate_with_many_events_is_loaded_from_its_snapshot(place: Place, store: PostgresEventStore) -> None:
    store.handle(Open("ada"))
    for _ in range(SNAPSHOT_EVERY + 10):
        store.handle(Post("ada", Decimal(1)))
    assert fetched(place, f"SELECT aggregate_id, version FROM {place.name}.snapshots") == [("ada", SNAPSHOT_EVERY)]
    whole = store.load("ada")
    with psycopg.connect(place.url) as connection:  # to show that they are not read
        connection.execute(f"DELETE FROM {place.name}.events WHERE version <= {SNAPSHOT_EVERY}")
    assert store.load("ada") == whole
    assert store.handle(Post("ada", Decimal(1))).version == SNAPSHOT_EVERY + 12


def test_a_snapshot_of_another_class_does_not_count(place: Place, store: PostgresEventStore) -> None:
    store.append("ada", 0, [Opened("ada"), Posted("ada", Decimal(3))], state=account.initial)
    assert store.load("ada") == (account.initial, 2)
    with psycopg.connect(place.url) as connection:
        connection.execute(f"UPDATE {place.name}.snapshots SET shape = 'before'")
    assert store.load("ada")[0].balance == Decimal(3)


def test_the_events_have_three_indexes(place: Place, store: PostgresEventStore) -> None:
    found = fetched(
        place, f"SELECT indexdef FROM pg_indexes WHERE schemaname = '{place.name}' AND tablename = 'events'"
    )
    indexed = {definition.partition(" USING btree ")[2] for (definition,) in found}
    assert indexed == {"(aggregate_type, aggregate_id, version)", "(type)", '("time")'}
    assert sum("UNIQUE" in definition for (definition,) in found) == 1


class Measured(Record):
    id: str
    ratio: float
    text: str = ""


class Measure(Record):
    id: str


class Meter(Record): ...


def decide(command: Measure, state: Meter) -> list[Measured]:
    return []


def evolve(state: Meter, event: Measured) -> Meter:
    return state


meter = Decider("meter", Meter(), key=lambda command: command.id, decide=decide, evolve=evolve)


@pytest.mark.parametrize(
    ("aggregate", "event", "error", "reason"),
    [
        ("a", Measured("a", float("nan")), SinkError, "meter 'a', version 1, Measured.ratio: nan is no number"),
        ("a", Measured("a", 1.0, "x\0"), SinkError, "meter 'a', version 1, Measured.a NUL character"),
        ("a\0", Measured("a", 1.0), SinkError, r"meter 'a\\x00', version 1: an id with a NUL"),
        ("a", Opened("a"), ContractError, "Opened is no event of meter; it has Measured"),
    ],
)
def test_what_cannot_be_held_is_named_and_nothing_is_written(
    place: Place, aggregate: str, event: Record, error: type[Exception], reason: str
) -> None:
    topology = Topology("lab", deciders=(meter,))
    with closing(PostgresEventStore(place.url, topology, meter, place.name)) as store:
        with pytest.raises(error, match=reason):
            store.append(aggregate, 0, [event, Measured("a", 0.5)])
        assert store.read("a") == []
        store.append("a", 0, [Measured("a", 0.5, "'; DROP TABLE events")])
        assert len(store.read("a")) == 1


def test_a_table_of_others_is_left_alone(place: Place) -> None:
    with psycopg.connect(place.url) as connection:
        connection.execute(f"CREATE SCHEMA {place.name}; CREATE TABLE {place.name}.events (ours int)")
    with pytest.raises(SinkError, match="the table events there is none of foldlog's: use another schema"):
        PostgresEventStore(place.url, bank, account, place.name)


def test_a_server_that_is_not_there(place: Place) -> None:
    with pytest.raises(AwayError, match=r"^127\.0\.0\.1:1/x "):
        PostgresEventStore("postgresql://127.0.0.1:1/x", bank, account)
    with pytest.raises(ConfigError):
        PostgresEventStore("nonsense", bank, account)
