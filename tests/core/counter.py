"""A small context that the tests of the core share: a counter, a saga that follows it, a view of it."""

from typing import Any

from foldlog.core import Decider, Meta, Record, Rejected, Saga, Topology, View


class Add(Record):
    counter: str
    amount: int


class Added(Record):
    counter: str
    amount: int


class Other(Record):
    """Something that no processor of the context knows."""

    counter: str


class Total(Record):
    amount: int = 0


class Seen(Record):
    steps: int = 0


class Row(Record):
    total: int = 0
    version: int = 0


def decide(command: Add, total: Total) -> list[Added]:
    if command.amount < 0:
        raise Rejected(f"{command.counter}: add 0 or more, not {command.amount}")
    return [Added(command.counter, command.amount)] if command.amount else []


def evolve(total: Total, event: Added) -> Total:
    return Total(total.amount + event.amount)


def follow(seen: Seen, event: Added) -> list[Add]:
    return [Add("echo", event.amount)] if seen.steps == 0 else []


def step(seen: Seen, event: Added) -> Seen:
    return Seen(seen.steps + 1)


def show(row: Row, event: Added, meta: Meta) -> Row | None:
    return None if event.amount == 13 else Row(row.total + event.amount, meta.version)


counter = Decider("counter", Total(), key=lambda c: c.counter, decide=decide, evolve=evolve)
echo = Saga("echo", counter, Seen(), correlate=lambda e: e.counter, react=follow, evolve=step)
totals = View("totals", counter, Row(), key=lambda e: e.counter, evolve=show)


def make(**parts: Any) -> Topology:
    """The context of these parts, with the counter for its decider where they name no other."""
    return Topology(**{"name": "counting", "deciders": (counter,), **parts})
