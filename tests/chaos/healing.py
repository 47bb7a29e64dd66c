"""After the last fault: everything up again, everything read, every worker asked what it knows."""

import time
from collections import Counter
from collections.abc import Iterable

from foldlog.cli.demo.settling import Groups, Offsets
from foldlog.core.errors import FoldlogError
from tests.chaos.bank import Audit
from tests.chaos.clients import Client
from tests.chaos.sending import Replies, Sender
from tests.chaos.stage import Stage
from tests.chaos.waiting import NeverCame, eventually

HEAL_S = 120.0


def heal(stage: Stage) -> None:
    """Waits until all nodes are in sync, all workers ready and nothing is left to read."""
    for node in stage.ground.nodes.all:
        node.proxy.heal()
    stage.ground.nodes.await_(stage.ground.nodes.in_sync, "all replicas in sync")
    stage.fleet.await_ready(seconds=HEAL_S)
    drain(stage)


def drain(stage: Stage) -> None:
    """Waits until every processor has read all of its inputs; NeverCame says who has not."""
    groups = Groups(stage.ground.direct.bootstrap, stage.topology)
    before: Offsets | None = None
    deadline = time.monotonic() + HEAL_S
    while True:
        try:
            now = groups.offsets()
            unread = groups.unread(now)
        except FoldlogError as error:  # a broker that has just come back may have no leader yet
            unread, now = {("?", (str(error), 0)): 1}, Offsets({}, {})
        if now == before and not unread:
            return
        before = now
        if time.monotonic() > deadline:
            raise NeverCame(f"after {HEAL_S:.0f} s still unread: {unread}")
        time.sleep(0.2)


def audit(sender: Sender, replies: Replies, accounts: Iterable[str], tag: str) -> None:
    """Asks for the state of every account; returns when each has been told. NeverCame names those that were not."""
    asked = {f"audit-{tag}-{account}": Audit(account) for account in accounts}
    for id_, command in asked.items():
        replies.expect(id_, HEAL_S)
        sender.send(id_, "audit", command, [("command-id", id_), ("reply-to", b"")])
    sender.flush(30)
    eventually(lambda: all(map(replies.heard, asked)), f"the {tag} audit of every account", HEAL_S)


def from_scratch(stage: Stage) -> None:
    """Replaces all workers by one that knows nothing."""
    stage.fleet.await_ready(seconds=HEAL_S)
    stage.fleet.stop()
    for worker in stage.fleet.all.values():
        worker.forget()
    stage.fleet.worker("scratch").start()
    stage.fleet.await_ready("scratch", seconds=HEAL_S)


def stop_clients(clients: Iterable[Client], counts: Counter[str]) -> list[str]:
    """Ends the clients; every account that something was sent to."""
    for client in clients:
        client.stop()
    return sorted(counts)
