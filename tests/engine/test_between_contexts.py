"""Between contexts only public events travel: published once, and a command once to whoever subscribes."""

import io
import json
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from foldlog.cluster import Cluster
from foldlog.core.partitioning import partition_of
from foldlog.core.repair import ParkedKey
from tests.engine import loyalty, shop
from tests.engine.market import MODULES, Market, fresh_market
from tests.engine.processes import Worker, foldlog
from tests.engine.running import PATIENCE, eventually

SHOP, LOYALTY = MODULES
ten, nothing = Decimal("10.00"), Decimal("0.00")


@pytest.fixture(scope="module")
def quiet_market(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """The two services, whose workers nobody disturbs."""
    with fresh_market(cluster, tmp_path_factory.mktemp("market")) as market:
        workers = [market.start(module).ready() for module in MODULES]
        yield market
        assert [worker.stop() for worker in workers] == [0, 0]


@pytest.fixture
def market(quiet_market: Market) -> Market:
    return quiet_market


def names(count: int) -> list[str]:
    """Names that no other test knows."""
    return [uuid.uuid4().hex for _ in range(count)]


def test_a_public_event_carries_what_is_known_of_the_private_one(market: Market) -> None:
    [sale, customer] = names(2)
    market.sell(shop.Sell(sale, customer, ten), ("command-id", f"c-{sale}"), ("actor", "till 1"))
    [(event, meta)] = eventually(lambda: market.published(sale))
    assert event == shop.SaleMade(customer, ten, sale)
    assert (meta.event_id, meta.aggregate_id, meta.version) == (f"sale:{sale}@1", sale, 1)
    assert (meta.causation, meta.correlation, meta.actor) == (f"c-{sale}", f"c-{sale}", "till 1")


def test_the_public_events_of_an_aggregate_keep_its_order(market: Market) -> None:
    [sale, customer] = names(2)
    for cents in range(1, 30):
        market.sell(shop.Sell(sale, customer, Decimal(cents) / 100))
    eventually(lambda: len(market.published(sale)) == 29)
    assert [meta.version for _, meta in market.published(sale)] == list(range(1, 30))
    assert len({entry.partition for entry in market.entries(market.sales) if entry.key == sale.encode()}) == 1


def test_what_others_need_not_know_is_not_told(market: Market) -> None:
    [sale, customer] = names(2)
    market.sell(shop.Sell(sale, "nobody", ten))
    market.sell(shop.Sell(sale, customer, ten))
    eventually(lambda: market.published(sale))
    assert [event for event, _ in market.published(sale)] == [shop.SaleMade(customer, ten, sale)]


def test_an_event_becomes_a_command_whose_id_follows_from_it(market: Market) -> None:
    [sale, customer] = names(2)
    market.sell(shop.Sell(sale, customer, ten), ("correlation-id", f"visit-{sale}"), ("actor", "till 1"))
    market.awarded(customer, 10)
    [(event, meta)] = market.awards(customer)
    assert event == loyalty.Awarded(customer, 10, f"sale:{sale}@1")
    assert (meta.causation, meta.correlation, meta.actor) == (f"purchases:sale:{sale}@1", f"visit-{sale}", "till 1")


def test_an_event_that_means_nothing_here_passes_by(market: Market) -> None:
    [sale, customer] = names(2)
    market.sell(shop.Sell(sale, customer, nothing))  # GiftMade, of which this subscriber has never heard
    market.sell(shop.Sell(sale, customer, Decimal("0.50")))  # too little for a point
    market.sell(shop.Sell(sale, customer, ten))
    market.awarded(customer, 10)
    assert len(market.published(sale)) == 3
    assert sale.encode() not in b"".join(letter.key or b"" for letter in market.letters(market.loyalty))


def test_what_cannot_be_understood_here_waits_with_all_that_follows_and_others_go_on(market: Market) -> None:
    [bad, good, eve, bob] = names(4)
    for amount in (ten, loyalty.UNBEARABLE, ten):
        market.sell(shop.Sell(bad, eve, amount))
    market.sell(shop.Sell(good, bob, ten))
    market.awarded(bob, 10)
    head = eventually(lambda: (at := market.parked().get(bad)) and at.next == 3 and at, "two sales that wait")
    assert isinstance(head, ParkedKey)
    assert (head.cause, head.reason) == ("fold-failed", "ValueError: no award for this")
    market.sell(shop.Sell(good, bob, ten))
    market.awarded(bob, 20)
    market.awarded(eve, 10)
    assert not [letter for letter in market.letters(market.loyalty) if letter.key == bad.encode()]


def test_who_gives_up_what_cannot_be_understood_has_the_rest_in_order(market: Market) -> None:
    [sale, eve] = names(2)
    for amount in (loyalty.UNBEARABLE, ten, Decimal("20.00")):
        market.sell(shop.Sell(sale, eve, amount))
    eventually(lambda: (at := market.parked().get(sale)) and at.next == 4, "three sales that wait")
    place = f"{market.loyalty.name}.purchases"
    again = foldlog(market, "parked", "retry", place, sale)
    assert (again.returncode, again.stderr) == (1, "asked to retry 1 keys\n0 of 1 keys flow again\n")
    assert foldlog(market, "parked", "drop", place, sale, "--sequence", "1").returncode == 0
    done = foldlog(market, "parked", "retry", place, sale)
    assert (done.returncode, done.stderr) == (0, "asked to retry 1 keys\n1 of 1 keys flow again\n"), done.stdout
    market.awarded(eve, 30)
    assert [event.points for event, _ in market.awards(eve)] == [10, 20]  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", [None, b"\xff\xfe", b"k" * 1025])
def test_an_event_whose_key_has_no_name_is_put_aside_and_those_behind_it_count(
    market: Market, key: bytes | None
) -> None:
    [customer] = names(1)
    for amount in (loyalty.UNBEARABLE, ten):
        market.put(market.sales, key, foreign_sale(market, customer=customer, amount=amount), partition=0)
    market.awarded(customer, 10)
    [letter] = [letter for letter in market.letters(market.loyalty) if customer.encode() in (letter.value or b"")]
    assert (letter.processor, letter.cause, letter.key) == ("purchases", "fold-failed", key)


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (b"", "malformed"),
        (b"{}", "malformed"),
        (b"{not avro}", "malformed"),
        (b"\0\x7f\xff\xff\xffabc", "unknown-schema"),
        (b"\0\0", "malformed"),
    ],
)
def test_garbage_on_the_publishers_topic_is_put_aside_and_events_behind_it_count(
    market: Market, value: bytes, cause: str
) -> None:
    [sale, customer] = names(2)
    market.put(market.sales, sale.encode(), value)
    market.sell(shop.Sell(sale, customer, ten))
    market.awarded(customer, 10)
    [letter] = [letter for letter in market.letters(market.loyalty) if letter.key == sale.encode()]
    assert (letter.processor, letter.cause, letter.value) == ("purchases", cause, value)


def test_a_tombstone_and_a_cut_record_do_no_harm(market: Market) -> None:
    [sale, customer] = names(2)
    market.sell(shop.Sell(sale, customer, ten))
    market.awarded(customer, 10)
    whole = next(entry.value for entry in market.entries(market.sales) if entry.key == sale.encode())
    market.put(market.sales, sale.encode(), None)
    market.put(market.sales, sale.encode(), (whole or b"")[:-20])
    market.sell(shop.Sell(sale, customer, ten))
    market.awarded(customer, 20)
    [letter] = [letter for letter in market.letters(market.loyalty) if letter.key == sale.encode()]
    assert letter.cause == "malformed"


def test_a_publisher_that_knows_nothing_of_meta_is_understood_too(market: Market) -> None:
    """Whatever writes Avro under the publisher's name will do; the id of such an event is its place."""
    [key, customer] = names(2)
    market.put(market.sales, key.encode(), foreign_sale(market, customer=customer, amount=ten))
    market.awarded(customer, 10)
    [(event, meta)] = market.awards(customer)
    assert isinstance(event, loyalty.Awarded)
    assert event.cause.startswith(f"{market.sales}:")
    assert meta.causation == f"purchases:{event.cause}"


def foreign_sale(market: Market, **data: Any) -> bytes:
    """A sale as others write it, by a schema of theirs with these fields."""
    types = {"amount": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}}
    fields = [{"name": name, "type": types.get(name, "string")} for name in data]
    schema = {"type": "record", "name": "SaleMade", "namespace": market.sales, "fields": fields}
    with SchemaRegistryClient({"url": market.cluster.registry}) as registry:
        number = registry.register_schema(f"foreign-{uuid.uuid4().hex}", Schema(json.dumps(schema), "AVRO"))
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, data)
    return bytes([0, *number.to_bytes(4, "big"), *body.getvalue()])


@pytest.fixture
def own_market(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Two services for one test."""
    with fresh_market(cluster, tmp_path_factory.mktemp("market")) as market:
        yield market


def test_however_often_both_are_killed_each_sale_counts_once(own_market: Market) -> None:
    market, workers, sold = own_market, dict[str, Worker](), Counter[str]()
    for module in MODULES:
        workers[module] = market.start(module).ready()
    for kill in range(4):
        for number in range(150):
            customer = f"c{number % 7}"
            market.sell(shop.Sell(f"s{kill}-{number}", customer, ten))
            sold[customer] += 10
        eventually(lambda kill=kill: len(market.entries(market.sales)) > 150 * kill + 20, "sales")  # type: ignore[misc]
        module = MODULES[kill % 2]
        workers[module].stop(signal.SIGKILL)
        workers[module] = market.start(module)
    for customer, points in sold.items():
        market.awarded(customer, points)
    keys = [entry.key for entry in market.entries(market.sales)]
    assert len(keys) == len(set(keys)) == 600
    assert [worker.ready().stop() for worker in workers.values()] == [0, 0]


@pytest.fixture(scope="module")
def idle_market(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Two services that have done their work and were stopped."""
    with fresh_market(cluster, tmp_path_factory.mktemp("market")) as market:
        workers = [market.start(module) for module in MODULES]
        for number in range(20):
            market.sell(shop.Sell(f"s{number}", "ada", ten))
        market.awarded("ada", 200)
        assert [worker.ready().stop() for worker in workers] == [0, 0]
        yield market


def test_an_event_that_is_read_again_is_a_duplicate(idle_market: Market) -> None:
    """A subscriber that lost its place reads everything again; the ids of its commands say that they are known."""
    market = idle_market
    _forget(market, f"{market.loyalty.name}.purchases")
    subscriber = market.start(LOYALTY)
    eventually(lambda: len(market.entries(market.commands)) == 40, "the commands a second time")
    last = loyalty.Award("ada", 1, "by hand")
    market.put(market.commands, b"ada", market.codecs[market.loyalty.name].encode(last))
    market.awarded("ada", 201)
    assert subscriber.ready().stop() == 0


def test_what_cannot_be_told_waits_with_all_that_follows_until_it_is_mended(idle_market: Market) -> None:
    market, [bad, good] = idle_market, names(2)
    worker = market.start(SHOP)
    for sale, amount in ((bad, ten), (bad, shop.UNLUCKY), (bad, ten), (good, ten)):
        market.sell(shop.Sell(sale, "eve", amount))
    eventually(lambda: market.published(good), "the other sale")
    eventually(lambda: len(market.published(bad)) == 1, "what came before")
    assert worker.ready().stop() == 0
    worker = market.start(SHOP, mended="yes").ready()
    market.sell(shop.Sell(bad, "eve", ten))
    market.retry(bad)
    eventually(lambda: len(market.published(bad)) == 4, "the rest of it")
    assert [meta.version for _, meta in market.published(bad)] == [1, 2, 3, 4]
    assert worker.stop() == 0
    assert market.letters(market.shop) == []


def test_what_could_not_be_understood_is_handled_in_order_once_the_code_is_mended(idle_market: Market) -> None:
    """Also where the publisher has a partitioner of its own, so that the key alone does not tell the partition."""
    market, [bad, alien, gus, ida] = idle_market, names(4)
    sales = [foreign_sale(market, customer=ida, amount=amount) for amount in (loyalty.UNBEARABLE, ten)]
    worker = market.start(LOYALTY)
    for sale in sales:
        market.put(market.sales, alien.encode(), sale, partition=(partition_of(alien.encode(), 3) + 1) % 3)
    publisher = market.start(SHOP)
    for amount in (ten, loyalty.UNBEARABLE, Decimal("20.00")):
        market.sell(shop.Sell(bad, gus, amount))
    eventually(lambda: {key: at.next for key, at in market.parked().items()} == {bad: 3, alien: 3}, "what waits")
    worker.stop(signal.SIGKILL)
    worker = market.start(LOYALTY, mended="yes")
    market.sell(shop.Sell(bad, gus, Decimal("30.00")))
    place = f"{market.loyalty.name}.purchases"
    shown = foldlog(market, "parked", "show", place, alien)
    assert [line.split()[0] for line in shown.stdout.splitlines()[-2:]] == ["1", "2"], shown.stderr
    done = foldlog(market, "parked", "retry", place, "--cause", "fold-failed")
    assert (done.returncode, done.stderr) == (0, "asked to retry 2 keys\n2 of 2 keys flow again\n"), done.stdout
    market.awarded(gus, 10 + 13 + 20 + 30)
    market.awarded(ida, 13 + 10)
    assert [event.points for event, _ in market.awards(gus)] == [10, 13, 20, 30]  # type: ignore[attr-defined]
    assert [each.ready().stop() for each in (worker, publisher)] == [0, 0]


def test_a_retry_decodes_anew_so_that_a_mended_record_takes_what_could_not_be_read(idle_market: Market) -> None:
    market, [sale] = idle_market, names(1)
    worker = market.start(LOYALTY)
    market.put(market.sales, sale.encode(), foreign_sale(market, amount=ten))  # without a customer
    known = partial(market.letters, market.loyalty)
    [letter] = eventually(known, "the dead letter")
    assert (letter.processor, letter.cause) == ("purchases", "unexpected-type")
    place = f"{letter.topic}:{letter.partition}:{letter.offset}"
    assert foldlog(market, "dead-letters", "retry", market.loyalty.name, place).returncode == 0
    eventually(lambda: len(known()) == 2, "what fails again is a new dead letter")
    assert worker.ready().stop() == 0
    worker = market.start(LOYALTY, mended="yes")
    done = foldlog(market, "dead-letters", "retry", market.loyalty.name, "--all", "--why", "strangers may buy")
    assert (done.returncode, done.stderr) == (0, "1 dead letters retried\n")
    market.awarded("stranger", 10)
    shown = foldlog(market, "dead-letters", "show", market.loyalty.name, place).stdout
    assert "strangers may buy" in shown
    assert foldlog(market, "dead-letters", "list", market.loyalty.name).stderr == "0 dead letters\n"
    assert worker.ready().stop() == 0


def test_a_subscription_that_expects_other_partitions_than_there_are_is_refused(market: Market, tmp_path: Path) -> None:
    with fresh_market(market.cluster, tmp_path, partitions=2) as other:
        worker = other.start(LOYALTY, PARTITIONS="2")
        assert worker.ended() == 1
    wanted = f"{other.sales} has 3 partitions, declared are 2: write Subscription(…, partitions=3)"
    assert worker.errors == [f"error: {other.loyalty.name}.purchases: {wanted}"]


def test_a_publisher_that_lost_its_place_publishes_nothing_twice(idle_market: Market) -> None:
    market, before = idle_market, len(idle_market.entries(idle_market.sales))
    _forget(market, f"{market.shop.name}.sales")
    worker = market.start(SHOP, "sales")
    assert worker.ended() == 1
    assert f"group {market.shop.name}.sales has no offset" in worker.errors[0]
    assert len(market.entries(market.sales)) == before > 0


def _forget(market: Market, group: str) -> None:
    """Deletes a group, as brokers do with one that was idle for a week."""
    admin = AdminClient({"bootstrap.servers": market.cluster.bootstrap, "log_level": 0})
    eventually(lambda: not admin.describe_consumer_groups([group])[group].result(PATIENCE).members, "an empty group")
    admin.delete_consumer_groups([group])[group].result(PATIENCE)


def test_a_subscriber_without_its_publishers_topic_says_whose_it_is(market: Market, tmp_path: Path) -> None:
    ours = market.loyalty.name
    worker = Worker(market, tmp_path, "lost", module=LOYALTY, SHOP="nowhere", LOYALTY=ours)
    assert worker.ended() == 1
    assert "purchases subscribes to nowhere.sales, and there is no such topic" in worker.errors[0]
    assert "foldlog topics apply topologies.nowhere" in worker.errors[0]
