"""Positions: a record's place in Kafka as text, `topic:partition:offset`."""

from typing import NamedTuple

from foldlog.core.errors import ConfigError
from foldlog.kafka.marks import Place


class Position(NamedTuple):
    """A record's place."""

    topic: str
    partition: int
    offset: int

    @property
    def place(self) -> Place:
        """The partition that it lies in."""
        return self.topic, self.partition

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


def parse(text: str) -> Position:
    """The position that a text is; ConfigError where it is none."""
    topic, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    numbers = partition, offset
    if not topic or not all(number.isascii() and number.isdecimal() and len(number) < 20 for number in numbers):
        raise ConfigError(f"`{text}` is no position: it is topic:partition:offset, as in a reply")
    return Position(topic, int(partition), int(offset))
