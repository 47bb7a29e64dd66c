"""How each of the engine's rules is put to the test: the moment that it is for, brought about on purpose.

Only the accounts' processor runs, of worker `a` and perhaps a successor `b`.
"""

import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from foldlog.core import Topology, topics
from foldlog.kafka import reading
from foldlog.kafka.marks import GroupOffsets
from tests.chaos.bank import Deposit, Open
from tests.chaos.ground import Ground
from tests.chaos.sending import Sender
from tests.chaos.waiting import eventually
from tests.chaos.wire import END_TXN
from tests.chaos.workers import Fleet, Worker

ACCOUNTS = tuple(f"r{number}" for number in range(6))
LATE_S = 4.0
SOCKET_MS = 1000  # what the workers of these scenarios call late


@dataclass
class Scene:
    """A context of its own on a ground; `sent` counts the commands that are to be decided."""

    ground: Ground
    topology: Topology
    fleet: Fleet
    sender: Sender
    hooks: Path
    sent: int = 0

    def begin(self, worker: str = "a") -> None:
        """Starts a worker and waits until it runs."""
        self.fleet.worker(worker, FOLDLOG_SOCKET_TIMEOUT_MS=str(SOCKET_MS)).start()
        self.fleet.await_ready(worker)

    def open_accounts(self) -> None:
        """Every account is open and has something."""
        for name in ACCOUNTS:
            self._send(f"open-{name}", "open", Open(name, "owner"))
        self.deposit("first")

    def deposit(self, tag: str, header: str = "command-id") -> None:
        """A deposit to every account; without an id a command that is decided twice is not known again."""
        for name in ACCOUNTS:
            kind = "deposit" if header == "command-id" else "told"
            self._send(f"{tag}-{name}", kind, Deposit(name, 100), header)
        assert self.sender.flush(20) == 0

    def decided(self) -> None:
        """Waits until the group has committed the offset behind every command that was sent."""
        eventually(lambda: self._committed() >= self.sent, f"{self.sent} commands decided", 90)

    def written(self) -> int:
        """The length of the log, the markers of transactions included."""
        log, consumer = (
            topics.events(self.topology.name, "account"),
            reading.open_consumer(self.ground.direct.bootstrap),
        )
        try:
            return sum(end for _, end in reading.ends(consumer, log, range(self.topology.partitions)).values())
        finally:
            consumer.close()

    def hook(self, name: str) -> Path:
        """The file of a hook; see `broken`."""
        return self.hooks / name

    def _send(self, id: str, kind: str, command: Open | Deposit, header: str = "command-id") -> None:
        self.sent += 1
        self.sender.send(id, kind, command, [(header, id)])

    def _committed(self) -> int:
        commands = topics.commands(self.topology.name, "account")
        places = [(commands, number) for number in range(self.topology.partitions)]
        with closing(GroupOffsets(self.ground.direct.bootstrap)) as offsets:
            return sum(max(0, mark) for mark in offsets.of(f"{self.topology.name}.account", places).values())


def zombie(scene: Scene) -> None:
    """A worker is frozen with a decided batch, loses its partitions to another one, and wakes up (rules 1 and 3)."""
    scene.hook("no-fencing").touch()
    scene.begin()
    scene.open_accounts()
    scene.decided()
    scene.hook("hold-a").touch()
    scene.deposit("held")
    eventually(scene.hook("held-a").exists, "a batch that waits for its transaction")
    old = scene.fleet.all["a"]
    old.signal(signal.SIGSTOP)
    try:
        scene.begin("b")
        scene.decided()
        before = scene.written()
        scene.hook("hold-a").unlink()
    finally:
        old.signal(signal.SIGCONT)
    eventually(lambda: _aborted(old) or scene.written() > before, "the end of the held batch")


def _aborted(worker: Worker) -> bool:
    return any("aborted" in line for line in worker.lines())


def fenced(scene: Scene) -> None:
    """A worker's transactions are aborted under it, again and again, while commands come (rule 2)."""
    scene.begin()
    scene.open_accounts()
    scene.decided()
    for number in range(4):
        config = {"bootstrap.servers": scene.ground.direct.bootstrap, "log_level": 0}
        Producer({**config, "transactional.id": f"{scene.topology.name}.account.a"}).init_transactions(20)
        scene.deposit(f"fenced-{number}")
        time.sleep(1)
        scene.deposit(f"after-{number}")
    scene.decided()


def unstable(scene: Scene) -> None:
    """Commits lie behind somebody's open transaction when a worker without a past takes over (rule 4)."""
    scene.begin()
    config = {"bootstrap.servers": scene.ground.direct.bootstrap, "log_level": 0, "transaction.timeout.ms": 60_000}
    foreign = Producer({**config, "transactional.id": f"{scene.topology.name}-foreign"})
    foreign.init_transactions(20)
    foreign.begin_transaction()
    for number in range(scene.topology.partitions):
        foreign.produce(topics.events(scene.topology.name, "account"), b"never committed", b"x", number)
    assert foreign.flush(20) == 0
    scene.open_accounts()
    scene.decided()
    scene.fleet.all["a"].kill()
    scene.fleet.worker("b").start()
    scene.deposit("behind")
    time.sleep(12)  # the session of the dead one ends, and the new one restores
    foreign.abort_transaction(20)
    scene.decided()


def late(scene: Scene) -> None:
    """A commit arrives after its answer was given up, while the next transaction is open, which is then aborted
    (rule 5).
    """
    scene.begin()
    scene.open_accounts()
    scene.decided()
    proxies = [node.proxy for node in scene.ground.nodes.all]
    for proxy in proxies:
        proxy.late(END_TXN, LATE_S)
    scene.deposit("late", "correlation-id")
    eventually(lambda: any(END_TXN not in proxy.awaited for proxy in proxies), "a commit to be late")
    taken = next(proxy for proxy in proxies if END_TXN not in proxy.awaited)
    for proxy in proxies:
        proxy.on_time(END_TXN)
    scene.hook("abort-a").touch()
    scene.deposit("aborted", "correlation-id")
    eventually(scene.hook("aborting-a").exists, "the next transaction", 30)
    assert taken.delivered.wait(LATE_S + 20)
    time.sleep(0.7)  # the broker ends what it takes for the open transaction
    scene.hook("abort-a").unlink()
    scene.decided()


def repeated(scene: Scene) -> None:
    """Every command comes twice, the second time behind others (rule 6)."""
    scene.begin()
    scene.open_accounts()
    for tag in ("one", "two", "one", "two", "two"):
        scene.deposit(tag)
    scene.decided()


SCENARIOS: dict[str, Callable[[Scene], None]] = {
    "1": zombie,
    "2": fenced,
    "3": zombie,
    "4": unstable,
    "5": late,
    "6": repeated,
}
