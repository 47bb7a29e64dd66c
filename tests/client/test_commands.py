"""Commands and what comes of them."""

import threading
from collections import Counter
from decimal import Decimal

import pytest

from foldlog import Client, Command
from foldlog.core.errors import ClusterError, ConfigError, DeadlineError, EncodeError
from tests.engine.bank import LARGE, Account, Misbehave, Open, Opened, Post, Transfer, TransferMoney
from tests.engine.running import Bank, fresh_bank

TEN = Decimal(10)


def test_an_accepted_command_has_a_version_and_a_position(client: Client, bank: Bank, id: str) -> None:
    reply = client.send(Open(id, "ada"), id=f"open-{id}", actor="joe", correlation="job-7")
    assert (reply.command_id, reply.status, reply.version, reply.duplicate) == (f"open-{id}", "accepted", 1, False)
    assert str(reply.position).startswith(f"{bank.name}.account.events:{bank.home(id.encode())}:")
    with client.subscribe(Opened, start="beginning", follow=False) as found:
        (meta,) = [meta for event, meta in found if event.account == id]
    assert (meta.actor, meta.correlation, meta.causation) == ("joe", "job-7", f"open-{id}")


def test_a_command_under_the_same_id_has_its_effect_once(client: Client, id: str) -> None:
    client.send(Open(id))
    first, second = (client.send(Post(id, TEN), id=f"post-{id}") for _ in range(2))
    assert (first.duplicate, second.duplicate) == (False, True)
    assert (first.version, second.version) == (2, 2)


def test_a_refusal_and_a_failure_are_replies(client: Client, id: str) -> None:
    rejected, failed = client.send_all([Misbehave(id, "reject"), Misbehave(id, "raise")])
    assert (rejected.status, rejected.reason) == ("rejected", "no")
    assert failed.status == "failed"
    assert "ValueError" in str(failed.reason)


def test_many_have_their_replies_in_their_order(client: Client, id: str) -> None:
    commands: list[Open | Post | Command] = [
        Open(id),
        *(Post(id, TEN) for _ in range(500)),
        Command(Post(id, -TEN), "x"),
    ]
    replies = client.send_all(commands)
    assert [reply.version for reply in replies] == list(range(1, 503))
    assert replies[-1].command_id == "x"


def test_a_saga_takes_its_own_commands(client: Client, bank: Bank, id: str) -> None:
    client.publish(TransferMoney(id, "nobody", "nobody else", TEN)).result(30)
    bank.row("transfer", id, Transfer("nobody", "nobody else", "refused"))


def test_publishing_gives_the_place_of_the_command(client: Client, bank: Bank, id: str) -> None:
    place = client.publish(Command(Open(id), "some-id")).result(30)
    assert place.startswith(f"{bank.commands}:{bank.home(id.encode())}:")


def test_threads_share_a_client(client: Client, id: str) -> None:
    client.send(Open(id))
    versions = Counter[int]()

    def post() -> None:
        for _ in range(20):
            versions[client.send(Post(id, TEN)).version] += 1

    threads = [threading.Thread(target=post) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == Counter(range(2, 102))


def test_what_no_context_accepts_is_not_sent(client: Client, id: str) -> None:
    with pytest.raises(ConfigError, match="Opened is no command of bank_"):
        client.send(Opened(id, "ada"))
    with pytest.raises(ConfigError, match="Account is no command of bank_"):
        client.publish(Account())
    with pytest.raises(EncodeError, match=r"amount: 0\.001 has more than 2 decimal places"):
        client.send(Post(id, Decimal("0.001")))
    with pytest.raises(EncodeError, match="account id is empty"):
        client.send(Open(""))
    with pytest.raises(ClusterError, match="Message size too large"):
        client.send(Open(id, LARGE))


def test_without_a_worker_the_wait_ends(bank: Bank) -> None:
    with (
        fresh_bank(bank.cluster) as idle,
        Client(idle.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client,
    ):
        with pytest.raises(DeadlineError, match=r"no reply to Open o1 in 5 s: is `foldlog run` running\?"):
            client.send(Open("a"), id="o1", timeout=5)
        pending = client.submit(Open("b"))
    with pytest.raises(ClusterError, match="closed before the reply came"):
        pending.reply.result(0)


def test_missing_topics_and_a_missing_cluster_are_said(bank: Bank) -> None:
    with fresh_bank(bank.cluster, apply_all=False) as bare:
        client = Client(bare.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry)
        with client, pytest.raises(ConfigError, match=r"there is no topic .* run `foldlog topics apply"):
            client.send(Open("a"))
    with pytest.raises(ConfigError, match="FOLDLOG_BOOTSTRAP is 'nonsense'"):
        Client(bank.topology, bootstrap="nonsense", registry=bank.cluster.registry)
