"""What the run came to, read from Kafka: the views' rows, and every event of every log as any consumer sees it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from foldlog.cli import output
from foldlog.cli.demo.checks import Comparison, comparison
from foldlog.cli.demo.settling import Place
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ContractError, DecodeError
from foldlog.core.meta import Meta
from foldlog.core.topics import dead_letters, events, table
from foldlog.kafka.reading import Entry, latest, read


@dataclass
class Log:
    """One event log as it was read: `events` in all, `written` of them by this run, and what is wrong with it."""

    events: int = 0
    written: int = 0
    versions: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    _version: dict[str, int] = field(default_factory=dict, repr=False)
    _ids: set[str] = field(default_factory=set, repr=False)

    def add(self, meta: Meta, new: bool) -> None:
        """Takes the next event; versions of an aggregate are 1, 2, 3 …, in the log's order."""
        self.events += 1
        self.written += new
        version = self._version.get(meta.aggregate_id, 0) + 1
        if meta.version != version:
            self.versions.append(f"{meta.aggregate_id}: version {meta.version} where {version} must be")
        self._version[meta.aggregate_id] = meta.version
        if meta.event_id in self._ids:
            self.repeated.append(f"{meta.event_id} is there more than once")
        self._ids.add(meta.event_id)


class Readback:
    """Reads the topics of one context from their start; ContractError names the place of a record it cannot read."""

    def __init__(self, bootstrap: str, context: str, codec: Codec) -> None:
        self._bootstrap, self._context, self._codec = bootstrap, context, codec

    def rows(self, view: str) -> dict[str, Mapping[str, Any]]:
        """A view's rows by key."""
        topic = table(self._context, view)
        entries = latest(self._entries(topic))
        return {key: msgspec.structs.asdict(self._decoded(topic, entry)[0]) for key, entry in entries.items()}

    def log(self, decider: str, ends: Mapping[Place, int]) -> Log:
        """A decider's events; `ends` is where the log ended before this run."""
        topic, log = events(self._context, decider), Log()
        for entry in self._entries(topic):
            if entry.value is not None:
                log.add(self._decoded(topic, entry)[1], new=entry.offset >= ends[topic, entry.partition])
        return log

    def dead_letters(self, ends: Mapping[Place, int]) -> tuple[int, list[str]]:
        """How many there are, and this run's, each on a line."""
        topic, new, count = dead_letters(self._context), [], 0
        for entry in self._entries(topic):
            count += 1
            if entry.offset >= ends[topic, entry.partition]:
                letter, _ = self._decoded(topic, entry)
                new.append(f"{letter.topic}:{letter.partition}:{letter.offset}: {letter.cause}: {letter.reason}")
        return count, new

    def _entries(self, topic: str) -> Iterable[Entry]:
        with output.bar(f"reading {topic}") as progress:
            yield from read(self._bootstrap, topic, progress=progress)

    def _decoded(self, topic: str, entry: Entry) -> tuple[Any, Any]:
        try:
            return self._codec.decode_with(entry.value or b"")
        except DecodeError as error:
            raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error


def compare_logs(logs: Mapping[str, Log], letters: list[str], complete: bool) -> Comparison:
    """The laws of any log; where it was complete before the run, that the run wrote nothing."""
    return comparison(_compared(logs, letters, complete))


def _compared(logs: Mapping[str, Log], letters: list[str], complete: bool) -> Iterator[tuple[str, list[str]]]:
    yield "versions contiguous", [f"{name} {line}" for name, log in logs.items() for line in log.versions]
    yield "event ids unique", [line for log in logs.values() for line in log.repeated]
    yield "no dead letters", letters
    if complete:
        more = [f"{log.written} more events of {name}" for name, log in logs.items() if log.written]
        yield "second run wrote 0 events", more
