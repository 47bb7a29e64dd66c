"""Which faults come when: a pure function of seed and seconds.

Kinds are drawn from a shuffled deck, so that each comes about as often as any other; no two faults that would take
more than a cluster of three can bear, or that would undo each other, overlap.
"""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

WORKERS = ("a", "b", "c")
NODES = (1, 2, 3)
CLOCKED = "b"  # the worker whose clock can be moved
SMALL = "c"  # the worker whose state is on a small disk
WARM_UP, LAST_START = 2.0, 0.85  # s before the first fault; the part of the time in which faults begin


@dataclass(frozen=True)
class Kind:
    """A kind of fault: what it holds while it lasts, how long it lasts (s), whom it hits."""

    name: str
    holds: frozenset[str]
    shortest: float
    longest: float
    targets: tuple[str, ...] = ("-",)


def _kind(name: str, holds: str, shortest: float, longest: float, targets: Collection[object] = ("-",)) -> Kind:
    return Kind(name, frozenset(holds.split()), shortest, longest, tuple(map(str, targets)))


# `node` and `network` exclude themselves only: a broker may be lost while another one cannot be reached.
KINDS = (
    _kind("worker-kill", "worker", 0.5, 6, WORKERS),
    _kind("worker-freeze", "worker", 2, 9, WORKERS),
    _kind("broker-kill", "node", 1, 5, NODES),
    _kind("controller-freeze", "node", 4, 6),
    _kind("controller-kill", "node", 2, 5),
    _kind("net-cut", "network", 1, 4, NODES),
    _kind("net-slow", "network", 3, 6, NODES),
    _kind("net-hole", "network", 2, 7, NODES),
    _kind("late-commit", "late", 5, 7),
    _kind("rebalance-storm", "storm", 5, 7),
    _kind("disk-full", "disk worker", 3, 6, (SMALL,)),
    _kind("store-corrupt", "worker", 1, 3, WORKERS),
    _kind("registry-down", "registry", 2, 6),
    _kind("clock-moved", "clock", 11, 13, (CLOCKED,)),
    _kind("big-records", "garbage", 1, 1),
    _kind("garbage", "garbage", 1, 1),
)
NAMES = tuple(kind.name for kind in KINDS)


@dataclass(frozen=True, order=True)
class Fault:
    """One fault: it begins at `at` and lasts `seconds`; `amount` (0 to 1) is for the fault to interpret."""

    at: float
    name: str
    target: str
    seconds: float
    amount: float

    def __str__(self) -> str:
        where = "" if self.target == "-" else f" {self.target}"
        return f"{self.at:6.1f} s  {self.name}{where} for {self.seconds:.1f} s"


def schedule(seed: int, seconds: float, without: Collection[str] = (), only: Collection[str] = ()) -> tuple[Fault, ...]:
    """The faults of a run, in the order of their times; the same for the same arguments.

    Raises ValueError for a kind that there is none of.
    """
    for name in (*without, *only):
        if name not in NAMES:
            raise ValueError(f"there is no fault `{name}`; there are {', '.join(NAMES)}")
    kinds = [kind for kind in KINDS if kind.name not in without and (not only or kind.name in only)]
    return tuple(sorted(_faults(random.Random(seed), seconds, kinds)))


def _faults(random: random.Random, seconds: float, kinds: list[Kind]) -> Iterator[Fault]:
    busy: dict[str, float] = {}
    gap = min(4.0, max(1.5, seconds / (1.3 * len(kinds))))
    at, deck = WARM_UP, list[Kind]()
    while kinds:
        deck = deck or random.sample(kinds, len(kinds))
        free = [kind for kind in deck if all(busy.get(held, 0) <= at for held in kind.holds)]
        if free:
            kind = free[0]
            deck.remove(kind)
            lasts = round(random.uniform(kind.shortest, kind.longest), 1)
            busy |= dict.fromkeys(kind.holds, at + lasts + 2)
            yield Fault(round(at, 1), kind.name, random.choice(kind.targets), lasts, round(random.random(), 3))
        at += random.uniform(0.5, 1.5) * gap if free else 0.5
        if at > seconds * LAST_START:
            return
