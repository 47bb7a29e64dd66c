"""A sound bank, of which every checker is quiet, and what is changed about it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from foldlog.core import Record
from foldlog.core.partitioning import partition_of
from tests.chaos.bank import Account, Audited, Balance, Deposited, Holding, Opened, Refunded, Refused, Withdrawn, evolve
from tests.chaos.collected import Collected, Event, Kept, Letter, Step, plain
from tests.chaos.history import Told

OWNER = "owner"


def log(*written: tuple[str, Record]) -> tuple[Event, ...]:
    """Events from the command that caused each and the event itself; versions, ids and places follow."""
    return tuple(_events(written))


def _events(written: tuple[tuple[str, Record], ...]) -> Iterator[Event]:
    versions: dict[str, int] = {}
    for offset, (command, record) in enumerate(written):
        name = str(record.account)  # type: ignore[attr-defined]
        version = versions[name] = versions.get(name, 0) + 1
        where = partition_of(name.encode(), 3), offset, f"{name}@{version}"
        cause = "chaos.account.commands:0:8" if command.startswith("told") else command
        yield Event(*where, f"account:{name}@{version}", name, version, cause, command, record)


def state(*records: Any) -> Account:
    """An account after these events."""
    account = Account()
    for record in records:
        account = evolve(account, record)
    return account


ADA = (Opened("ada", OWNER), Deposited("ada", OWNER, 500), Withdrawn("ada", OWNER, 200, "t1"))
TOLD = state(*ADA)

EVENTS = log(
    ("o1", ADA[0]),
    ("o2", Opened("bob", OWNER)),
    ("d1", ADA[1]),
    ("transfer:t1:1.0", ADA[2]),
    ("transfer:t1:2.0", Deposited("bob", OWNER, 200, "t1")),
    ("transfer:t2:1.0", Withdrawn("bob", OWNER, 50, "t2")),
    ("transfer:t2:2.0", Refused("ghost", "deposit", 50, "t2")),
    ("transfer:t2:3.0", Refunded("bob", OWNER, 50, "t2")),
    ("transfer:t3:1.0", Refused("ghost", "withdraw", 50, "t3")),
    ("a1", Audited("ada", TOLD.owner, TOLD.cents, TOLD.entries, TOLD.trail)),
    ("told1", Refused("ghost", "deposit", 1)),
)

KEPT = Kept(2, state(Opened("bob", OWNER), EVENTS[4].record))  # one event more than it must have

ARRIVED = Counter({"o1": 1, "o2": 1, "d1": 3, "a1": 1, "zero": 2, "told1": 1})

SOUND = Collected(
    told={
        "o1": Told("open", 1, 0, ["c:0:1"], [("accepted", 1, False)]),
        "o2": Told("open", 1, 0, ["c:0:2"], []),
        "d1": Told("deposit", 2, 0, ["c:0:3", "c:0:4"], [("accepted", 2, False), ("accepted", 2, True)]),
        "a1": Told("audit", 1, 0, ["c:0:5"], [("accepted", 4, False)]),
        "lost": Told("deposit", 1),
        "told1": Told("told", 1, 0, ["c:0:8"]),
        "never": Told("deposit", 1, 1),
        "zero": Told("nonsense", 2, 0, ["c:0:6"], [("rejected", 2, False), ("rejected", 2, False)]),
        "t1": Told("transfer", 1, 0, ["s:0:1"]),
        "t2": Told("transfer", 1, 0, ["s:0:2"]),
        "t3": Told("transfer", 1),
        "t4": Told("transfer", 1),
        "g1": Told("garbage", 1, 0, ["c:0:9"]),
        "g2": Told("garbage", 1),
    },
    arrived=ARRIVED,
    events=EVENTS,
    tables={
        "balances": {"ada": plain(Balance(300, 2)), "bob": plain(Balance(200, 3))},
        "holdings": {OWNER: plain(Holding(500, 5))},
    },
    transfers={"t1": Step("done", True), "t2": Step("refunded", True), "t3": Step("refused", True)},
    letters=(Letter("c:0:9", None), Letter("c:0:10", "g2")),
    snapshots={(EVENTS[0].partition, "ada"): Kept(2, state(*ADA[:2])), (EVENTS[1].partition, "bob"): KEPT},
    checkpoints={EVENTS[0].partition: 3, EVENTS[1].partition: 3},
)


def without(*numbers: int) -> tuple[Event, ...]:
    return tuple(event for number, event in enumerate(EVENTS) if number not in numbers)


def told(**changed: Told) -> Collected:
    return replace(SOUND, told={**SOUND.told, **changed})


def changed(number: int, **fields: Any) -> Collected:
    events = list(EVENTS)
    events[number] = events[number]._replace(**fields)
    return replace(SOUND, events=tuple(events))


def kept(event: Event, snapshot: Kept) -> Collected:
    return replace(SOUND, snapshots=SOUND.snapshots | {(event.partition, event.account): snapshot})
