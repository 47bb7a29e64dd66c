"""A context whose states are large, whatever its commands and events are."""

import os

from foldlog.core import Decider, Record, Topology

LENGTH = 100_000  # characters


class Write(Record):
    scroll: str
    number: int


class Written(Record):
    scroll: str
    number: int


class Scroll(Record):
    text: str = ""
    number: int = 0


def decide(command: Write, scroll: Scroll) -> list[Written]:
    del scroll
    return [Written(command.scroll, command.number)]


def evolve(scroll: Scroll, event: Written) -> Scroll:
    del scroll
    return Scroll(f"{event.number:0{LENGTH}d}", event.number)


scroll = Decider("scroll", Scroll(), key=lambda command: command.scroll, decide=decide, evolve=evolve)
scrolls = Topology(os.environ.get("BANK", "scrolls"), deciders=(scroll,), partitions=2)
