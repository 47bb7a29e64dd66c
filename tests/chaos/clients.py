"""Clients: threads that open accounts, move money, repeat themselves, and misroute some of what they send."""

import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

from foldlog.core import Record
from tests.chaos.bank import Deposit, Open, TransferMoney, Withdraw
from tests.chaos.sending import Headers, Replies, Sender

ACCOUNTS, OWNERS, GHOSTS = 12, 5, 3  # accounts a client; owners in all; accounts that nobody opens
PATIENCE_S = 6.0  # a reply that takes longer is unknown
AT_ONCE = 40  # replies waited for
# A repetition is sent only while it is far inside the engine's window of 64, whatever else waits for the account.
NEAR, SOON_S = 16, 8.0


class Sent(NamedTuple):
    """A command that may be sent again."""

    at: float
    before: int  # commands to its account
    id: str
    kind: str
    command: Record
    headers: Headers
    astray: bool


@dataclass
class Pace:
    """Commands a second of one client; 0 pauses it."""

    rate: float


class Client(threading.Thread):
    """One client with accounts of its own; transfers go anywhere."""

    def __init__(self, number: int, seed: int, reach: tuple[Sender, Replies], pace: Pace, counts: Counter[str]) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.repeated = 0
        self._number, self._random = number, random.Random(f"{seed}/{number}")
        (self._sender, self._replies), self._pace, self._counts = reach, pace, counts
        self._sent = 0
        self._recent: deque[Sent] = deque(maxlen=60)
        self._ended = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether its accounts are asked for and it has gone on."""
        return self._sent > 2 * ACCOUNTS

    def stop(self) -> None:
        """Sends nothing more; returns when the fate of each record is known, as far as it ever is."""
        self._ended.set()
        self.join(60)

    def run(self) -> None:
        """Opens its accounts, then goes on until it is stopped."""
        for number in range(ACCOUNTS):
            self._ask("open", Open(f"c{self._number}-{number}", f"owner-{(self._number + number) % OWNERS}"))
            self._ask("deposit", Deposit(f"c{self._number}-{number}", 20_000))
        while not self._ended.is_set():
            self._sender.poll(0)
            if self._pace.rate <= 0 or self._replies.waiting >= AT_ONCE:
                self._ended.wait(0.05)
                continue
            self._act()
            self._ended.wait(self._random.expovariate(self._pace.rate))
        self._sender.flush(30)

    def _act(self) -> None:
        chance, account = self._random.random(), self._own()
        match chance:
            case _ if chance < 0.30:
                self._ask("deposit", Deposit(account, self._cents()))
            case _ if chance < 0.45:
                self._ask("withdraw", Withdraw(account, self._cents()))
            case _ if chance < 0.72:
                self._transfer()
            case _ if chance < 0.84:
                self._repeat()
            case _ if chance < 0.89:
                self._ask("deposit", Deposit(account, self._cents()), astray=True)
            case _ if chance < 0.94:
                self._tell(Deposit(account, self._cents()))
            case _ if chance < 0.97:
                self._ask("nonsense", Deposit(account, 0))
            case _:
                self._ask("open", Open(account, "another"))

    def _ask(self, kind: str, command: Record, astray: bool = False) -> None:
        """A command with an id whose reply is waited for."""
        id_ = self._id(kind)
        headers: Headers = [("command-id", id_), ("reply-to", b"")]
        self._replies.expect(id_, PATIENCE_S)
        self._send(id_, kind, command, headers, astray)

    def _tell(self, command: Record) -> None:
        """A command without an id, as foreign producers send it: its place is its id, known by its correlation."""
        id_ = self._id("told")
        self._count(command)
        self._sender.send(id_, "told", command, [("correlation-id", id_)])

    def _transfer(self) -> None:
        target = f"ghost-{self._random.randrange(GHOSTS)}" if self._random.random() < 0.08 else self._any()
        id_, source = self._id("transfer"), self._any()
        command = TransferMoney(id_, source, target, self._cents())
        self._counts[target] += 1
        self._counts[source] += 2
        self._send(id_, "transfer", command, [("command-id", id_)], self._random.random() < 0.1)

    def _repeat(self) -> None:
        """Sends something of late once more: a copy close behind the first, or behind others that came later."""
        if not self._recent:
            return
        again = self._random.choice(self._recent)
        near = self._counts[self._account(again.command)] - again.before < NEAR
        if near and time.monotonic() - again.at < SOON_S and not again.astray:
            self.repeated += 1
            self._count(again.command)
            self._sender.send(again.id, again.kind, again.command, again.headers)

    def _send(self, id_: str, kind: str, command: Record, headers: Headers, astray: bool) -> None:
        account = self._account(command)
        self._recent.append(Sent(time.monotonic(), self._counts[account], id_, kind, command, headers, astray))
        self._count(command)
        self._sender.send(id_, kind, command, headers, astray)

    def _count(self, command: Record) -> None:
        self._counts[self._account(command)] += 1

    def _account(self, command: Record) -> str:
        return str(getattr(command, "account", "") or getattr(command, "source", ""))

    def _id(self, kind: str) -> str:
        self._sent += 1
        return f"{kind}-{self._number}-{self._sent}"

    def _own(self) -> str:
        return f"c{self._number}-{self._random.randrange(ACCOUNTS)}"

    def _any(self) -> str:
        return f"c{self._random.randrange(3)}-{self._random.randrange(ACCOUNTS)}"

    def _cents(self) -> int:
        return self._random.randint(1, 9_000)
