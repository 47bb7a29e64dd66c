"""Events: by type, from anywhere, alone or shared, each once as long as nothing breaks."""

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from foldlog import Client
from foldlog.client.subscription import Received, Subscription, Wanted, wanted
from foldlog.core import Record
from foldlog.core.errors import ConfigError, ContractError
from tests.engine.bank import Close, Closed, Open, Opened, Post, Posted
from tests.engine.running import Bank, eventually, fresh_bank
from tests.engine.shop import SaleMade, shop

TEN = Decimal(10)


@pytest.fixture
def posted(client: Client, id: str) -> list[str]:
    """An account with three postings; the positions of its four events."""
    replies = client.send_all([Open(id), *(Post(id, TEN * n) for n in (1, 2, 3))])
    assert [reply.version for reply in replies] == [1, 2, 3, 4]
    everything: Subscription[Record] = client.subscribe(start="beginning", follow=False)
    with everything as found:
        return [meta.position for _, meta in found if meta.aggregate_id == id]


def amounts(found: Iterable[Received[Posted]], id: str) -> list[Decimal]:
    return [event.amount for event, _ in found if event.account == id]


def test_one_type_in_order_with_its_meta(client: Client, posted: list[str], id: str) -> None:
    with client.subscribe(Posted, start="beginning", follow=False) as found:
        mine = [(event, meta) for event, meta in found if event.account == id]
    assert [event.amount for event, _ in mine] == [10, 20, 30]
    assert [meta.version for _, meta in mine] == [2, 3, 4]
    assert [meta.position for _, meta in mine] == posted[1:]


def test_several_types(client: Client, posted: list[str], id: str) -> None:
    client.send(Close(id))
    with client.subscribe(Opened, Closed, start="beginning", follow=False) as found:
        assert [type(event) for event, meta in found if meta.aggregate_id == id] == [Opened, Closed]


def test_after_a_position_the_other_partitions_from_their_beginning(
    client: Client, posted: list[str], bank: Bank, id: str
) -> None:
    home = bank.home(id.encode())
    other = bank.account_on((home + 1) % bank.topology.partitions)
    client.send_all([Open(other), Post(other, TEN)])
    with client.subscribe(Posted, start=[posted[2]], follow=False) as found:
        received = list(found)
    assert (amounts(received, id), amounts(received, other)) == ([Decimal(30)], [TEN])


def test_from_a_time(client: Client, posted: list[str], id: str) -> None:
    now = datetime.now(UTC)
    with client.subscribe(Posted, start=now - timedelta(hours=1), follow=False) as found:
        assert amounts(found, id) == [10, 20, 30]
    with client.subscribe(Posted, start=now + timedelta(hours=1), follow=False) as found:
        assert amounts(found, id) == []


def test_from_the_end_on(client: Client, posted: list[str], id: str) -> None:
    with client.subscribe(Posted) as found:
        client.send(Post(id, TEN * 4))
        assert next(event.amount for event, _ in found if event.account == id) == 40


def test_a_group_goes_on_where_it_was(client: Client, posted: list[str], id: str) -> None:
    def mine(found: Subscription[Posted]) -> Iterator[Decimal]:
        return (event.amount for event, _ in found if event.account == id)

    with client.subscribe(Posted, group=f"audit-{id}", start="beginning") as found:
        amounts = mine(found)
        assert [next(amounts), next(amounts)] == [10, 20]
    # The second was asked for, so the first had been handled; the second had not.
    with client.subscribe(Posted, group=f"audit-{id}", start="beginning") as found:
        amounts = mine(found)
        assert [next(amounts), next(amounts)] == [20, 30]
        found.store()
    with client.subscribe(Posted, group=f"audit-{id}", start="beginning") as found:
        client.send(Post(id, TEN * 4))
        assert next(mine(found)) == 40


def test_what_was_not_handled_is_seen_again(client: Client, posted: list[str], id: str) -> None:
    for _ in range(2):
        with client.subscribe(Posted, group=f"again-{id}", start="beginning") as found:
            assert next(event.amount for event, _ in found if event.account == id) == 10


def test_members_share_the_events(client: Client, bank: Bank, id: str) -> None:
    seen: list[set[int]] = [set(), set()]
    stopping, everything = threading.Event(), set(range(bank.topology.partitions))

    def follow(mine: set[int]) -> None:
        with client.subscribe(Opened, group=f"shared-{id}", start="beginning") as found:
            while not stopping.is_set():
                for _, meta in found.take(0.2):
                    mine.add(int(meta.position.split(":")[1]))
                found.store()

    threads = [threading.Thread(target=follow, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    try:
        # Each new round goes to whoever owns a partition then; in the end both own some.
        def shared() -> bool:
            for partition in range(bank.topology.partitions):
                client.publish(Open(bank.account_on(partition))).result(30)
            return all(seen) and seen[0] | seen[1] == everything

        eventually(shared, "both members' share")
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert seen[0] | seen[1] == everything


def test_wrong_wishes_are_told(client: Client, bank: Bank) -> None:
    with pytest.raises(ConfigError, match="Post is no event of bank_"):
        client.subscribe(Post)
    with pytest.raises(ConfigError, match="is the group of a processor"):
        client.subscribe(Posted, group=f"{bank.name}.balances")
    with pytest.raises(ConfigError, match="neither `beginning` nor `end`"):
        client.subscribe(Posted, start="yesterday")
    with pytest.raises(ConfigError, match="is no partition of what is subscribed to"):
        client.subscribe(Posted, start=["other:0:1"])
    with pytest.raises(ConfigError, match="a group starts at the beginning or at the end"):
        client.subscribe(Posted, group="g", start=[])


def test_an_event_that_is_no_avro_is_told_with_its_place(bank: Bank) -> None:
    with (
        fresh_bank(bank.cluster) as broken,
        Client(broken.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client,
    ):
        place = broken.put(b"ada@1", b"garbage", topic=f"{broken.name}.account.events", partition=0)
        everything: Subscription[Record] = client.subscribe(start="beginning", follow=False)
        with everything, pytest.raises(ContractError, match=place):
            list(everything)


def test_public_events_are_named_by_their_own_types() -> None:
    assert wanted(shop, [SaleMade]) == Wanted((SaleMade,), ("shop.sales",))
    assert SaleMade not in wanted(shop, []).kinds
