"""Between contexts only public events travel: published once, and a command once to whoever subscribes."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core.repair import ParkedKey
from tests.engine import loyalty, shop
from tests.engine.market import MODULES, Market, foreign_sale, fresh_market, names
from tests.engine.processes import Worker, foldlog
from tests.engine.running import eventually

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
    retry = ("parked", "retry", place, sale, "--wait", "90")
    again = foldlog(market, *retry)
    assert (again.returncode, again.stderr) == (1, "asked to retry 1 keys\n0 of 1 keys flow again\n")
    assert foldlog(market, "parked", "drop", place, sale, "--sequence", "1").returncode == 0
    done = foldlog(market, *retry)
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


def test_a_subscription_that_expects_other_partitions_than_there_are_is_refused(market: Market, tmp_path: Path) -> None:
    with fresh_market(market.cluster, tmp_path, partitions=2) as other:
        worker = other.start(LOYALTY, PARTITIONS="2")
        assert worker.ended() == 1
    wanted = f"{other.sales} has 3 partitions, declared are 2: write Subscription(…, partitions=3)"
    assert worker.errors == [f"error: {other.loyalty.name}.purchases: {wanted}"]


def test_a_subscriber_without_its_publishers_topic_says_whose_it_is(market: Market, tmp_path: Path) -> None:
    ours = market.loyalty.name
    worker = Worker(market, tmp_path, "lost", module=LOYALTY, SHOP="nowhere", LOYALTY=ours)
    assert worker.ended() == 1
    assert "purchases subscribes to nowhere.sales, and there is no such topic" in worker.errors[0]
    assert "foldlog topics apply topologies.nowhere" in worker.errors[0]
