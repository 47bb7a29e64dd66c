"""Views by key: what was just sent can be read, and what cannot be read is said."""

from dataclasses import replace
from decimal import Decimal

import pytest

from foldlog import Client
from foldlog.client import tables
from foldlog.contracts.codec import Codec
from foldlog.contracts.subjects import push
from foldlog.core.errors import ConfigError, DeadlineError
from foldlog.core.topics import table, topics
from foldlog.core.view import View
from foldlog.kafka.admin import apply
from foldlog.kafka.generations import point
from tests.engine.bank import Balance, Close, Open, Post, Wealth, balances, wealth
from tests.engine.running import Bank, fresh_bank

TEN = Decimal(10)


def test_a_reader_sees_its_own_writes(client: Client, id: str) -> None:
    client.send(Open(id, f"owner of {id}"))
    for number in range(1, 6):
        reply = client.send(Post(id, TEN))
        assert client.row(balances, id, after=reply) == Balance(f"owner of {id}", TEN * number, number)


def test_also_where_the_event_was_moved_to_the_rows_partition(client: Client, bank: Bank, id: str) -> None:
    home = bank.home(id.encode())
    account = bank.account_on((home + 1) % bank.topology.partitions)
    client.send(Open(account, id))
    for number in range(1, 6):
        reply = client.send(Post(account, TEN))
        assert client.row(wealth, id, after=reply) == Wealth(TEN * number, number)


def test_a_row_that_is_deleted_or_was_never_there(client: Client, id: str) -> None:
    client.send(Open(id))
    assert client.row(balances, id, after=client.send(Post(id, TEN)))
    assert client.row(balances, id, after=client.send(Close(id))) is None
    assert client.row(balances, "nobody") is None


def test_all_rows(client: Client, id: str) -> None:
    client.send(Open(id, "ada"))
    assert client.row(balances, id, after=client.send(Post(id, TEN)))
    assert client.rows(balances)[id] == Balance("ada", TEN, 1)


def test_a_position_that_is_not_there_yet_is_waited_for_and_given_up(client: Client, bank: Bank) -> None:
    with pytest.raises(DeadlineError, match=r"balances has not come to .*:0:123456 in time"):
        client.row(balances, "ada", after=f"{bank.name}.account.events:0:123456", timeout=0.3)


@pytest.mark.parametrize("position", ["", "nonsense", "a:b:c", "a:1", "a:1:2:3", "a:-1:2", "a:1:²", "a:1:" + "9" * 30])
def test_garbage_is_no_position(position: str, client: Client) -> None:
    with pytest.raises(ConfigError, match="is no position"):
        client.row(balances, "ada", after=position)


def test_a_log_that_the_view_does_not_read(client: Client) -> None:
    with pytest.raises(ConfigError, match=r"balances does not read other\.log"):
        client.row(balances, "ada", after="other.log:0:1")


def test_a_view_of_another_context(client: Client) -> None:
    other: View[Post, Wealth] = View("other", (), Wealth(), key=lambda post: post.account, evolve=lambda row, _: row)
    with pytest.raises(ConfigError, match="other is no view of bank_"):
        client.row(other, "ada")


def test_a_reader_follows_a_view_to_its_live_generation(bank: Bank, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LOOK_AGAIN_S", 0.0)
    with fresh_bank(bank.cluster) as own:
        second = replace(own.topology, views=(replace(balances, version=2), wealth))
        apply(own.cluster.bootstrap, topics(second), 1)
        push(second, own.registry)
        codec = Codec(second, own.registry)
        codec.prepare()
        home = own.home(id.encode())
        for generation, postings in (("balances", 1), ("balances.g2", 2)):
            row = codec.encode(Balance("ada", TEN, postings))
            own.put(id.encode(), row, topic=table(own.name, generation), partition=home)
        with Client(own.topology, bootstrap=own.cluster.bootstrap, registry=own.cluster.registry) as client:
            assert client.row(balances, id) == Balance("ada", TEN, 1)
            point(own.cluster.bootstrap, own.name, "balances", "balances.g2")
            assert client.row(balances, id) == Balance("ada", TEN, 2)
