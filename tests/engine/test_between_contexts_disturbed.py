"""Between contexts nothing is lost or doubled when services are killed, forget their place or are mended."""

import signal
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial

import pytest
from confluent_kafka.admin import AdminClient

from foldlog.cluster import Cluster
from foldlog.core.partitioning import partition_of
from tests.engine import loyalty, shop
from tests.engine.market import MODULES, Market, foreign_sale, fresh_market, names
from tests.engine.processes import Worker, foldlog
from tests.engine.running import PATIENCE, eventually

SHOP, LOYALTY = MODULES
ten = Decimal("10.00")


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
    done = foldlog(market, "parked", "retry", place, "--cause", "fold-failed", "--wait", "90")
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
