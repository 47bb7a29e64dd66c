"""A replica: the compacted topics of the views, followed into a file that people can query."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from foldlog.contracts.codec import Codec
from foldlog.core.errors import ClusterError, ConfigError, DecodeError, EngineError, RegistryError
from foldlog.core.record import Record
from foldlog.core.topics import generations, table
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.restoring import topic_ids
from foldlog.kafka.connection import admin, reaching
from foldlog.kafka.generations import resolve
from foldlog.kafka.marks import Place, end_offsets
from foldlog.kafka.reading import available, is_record, open_consumer
from foldlog.query.changes import Change, Changes
from foldlog.query.loading import Loading
from foldlog.query.positions import Positions
from foldlog.query.storage import Source, Storage

log = structlog.get_logger()

_TURN = 0.1  # s that a turn waits for records
_ASK_EVERY = 0.5  # s between two looks at where the topics end
_CHECK_EVERY = 4  # looks between two at whether the topics are still the same
_AGAIN = 1.0  # s before a replica that was thrown off begins again
# A batch costs a look through the whole table, so many small ones become few: between two of them is a rest of so many
# times what the last one took, up to so many s. Who waits for a position is waited with for less.
_REST, _LONGEST_REST = 4.0, 0.2
_SHORT_REST = 0.02
_SILENT = 60.0  # s: a thread that has not turned for so long is dead


class Replica:
    """The views of a topology in a DuckDB file, kept up to date by a thread of its own until it is closed.

    `loaded` is false until everything that was there at the start can be read; `trouble` says why it stands still.
    """

    def __init__(
        self, bootstrap: str, topology: Topology, views: Sequence[View[Any, Any]], codec: Codec, storage: Storage
    ) -> None:
        self.views = {view.name: view for view in views}
        self.storage = storage
        self._resting = 0.0  # until when changes are gathered, of time.monotonic()
        self._refresh = min((view.serving.refresh_ms or 0 for view in views), default=0) / 1000
        self.positions = Positions()
        self.changes = Changes()
        self.unreadable: Counter[str] = Counter()
        self.applied = 0
        self.loaded = threading.Event()
        self.trouble: str | None = "starting"
        self._bootstrap, self._context, self._codec = bootstrap, topology.name, codec
        self._admin = admin(bootstrap)
        self._started = self._turned = time.monotonic()
        self._shown: dict[str, Source] = {}  # what each view's name means now
        self._live: dict[str, Source] = {}  # what it is to mean
        self._begin: dict[Place, int] = {}
        self._until: dict[Place, int] = {}
        self._stopping, self._moved = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run, name in ((self._run, "replica"), (self._watch, "replica-watch"))
        ]

    def start(self) -> None:
        """Begins to follow."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stops after the batch in work, and closes the file."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.storage.close()

    def topic(self, view: str) -> str:
        """The topic whose rows a view's name means now; before the first load that of its first generation."""
        return self._shown[view].topic if view in self._shown else table(self._context, view)

    @property
    def alive(self) -> bool:
        """Whether its thread still turns, over a database that still answers."""
        return (
            self.storage.failure is None and self._threads[0].is_alive() and time.monotonic() - self._turned < _SILENT
        )

    @property
    def loading(self) -> Loading:
        """How far the load is that began last."""
        now = self.positions.at({topic for topic, _ in self._until})
        done = sum(min(now.get(place, 0), end) - self._begin[place] for place, end in self._until.items())
        total = sum(end - self._begin[place] for place, end in self._until.items())
        return Loading(max(0, done), total, time.monotonic() - self._started)

    def changed(self, records: Iterable[Message]) -> dict[str, list[Change]]:
        """The last record of each key, by topic, in the order of partitions and offsets."""
        last: dict[str, dict[bytes, Message]] = {}
        for message in records:
            last.setdefault(str(message.topic()), {})[message.key() or b""] = message
        found: dict[str, list[Change]] = {}
        for topic, by_key in last.items():
            changes = (self._change(message) for message in sorted(by_key.values(), key=_order))
            found[topic] = [change for change in changes if change is not None]
        return found

    def _run(self) -> None:
        while not self._stopping.is_set() and self.storage.failure is None:
            self._turned = time.monotonic()
            try:
                with reaching(self._bootstrap):
                    self._follow()
            except (ClusterError, ConfigError, EngineError, RegistryError, TimeoutError) as error:
                self.trouble = str(error) or type(error).__name__
                log.warning("the replica begins again", because=self.trouble)
                self._stopping.wait(_AGAIN)

    def _follow(self) -> None:
        """Follows the live topics, and until those are loaded what is shown instead; ends where that changes."""
        self._moved.clear()
        self._live = self._sources()
        kept = [each for name, each in self._shown.items() if self._is_kept(each, self._live[name])]
        sources = [*self._live.values(), *kept]
        ends = end_offsets(self._admin, [place for each in sources for place in each.places], committed=True)
        self._begin = self.storage.prepare(sources, ends)
        self._until, self._started = ends, time.monotonic()
        new = {name for name, source in self._live.items() if self._shown.get(name) != source}
        if new - {each.view for each in kept}:
            self.loaded.clear()
        self.positions.begin(self._begin, [self._live[name].topic for name in new])
        consumer = open_consumer(self._bootstrap)
        try:
            consumer.assign([TopicPartition(*place, offset) for place, offset in self._begin.items()])
            self.trouble = None
            while not self._stopping.is_set() and not self._moved.is_set():
                self._turn(consumer)
                if self._shown != self._live and self._show_what_is_loaded() and kept:
                    return  # the next round is without what is not shown any more
        finally:
            consumer.close()

    def _sources(self) -> dict[str, Source]:
        """The live topic of each view; ConfigError or StateError where there is none."""
        live = {name: resolve(self._bootstrap, self._context, name) for name in self.views}
        found = topic_ids(self._admin, live.values())
        return {name: Source(name, topic, *found[topic], self.views[name].row) for name, topic in live.items()}

    def _is_kept(self, shown: Source, live: Source) -> bool:
        """Whether the rows that are shown are to be shown until the live ones are there."""
        if shown.topic == live.topic:
            return False
        try:
            return topic_ids(self._admin, [shown.topic])[shown.topic][0] == shown.topic_id
        except EngineError:  # it is gone
            return False

    def _show_what_is_loaded(self) -> bool:
        """Shows each live topic that has come to where it ended at the start; True where that is all of them."""
        for name, source in self._live.items():
            now = self.positions.at([source.topic])
            if self._shown.get(name) != source and all(now[place] >= self._until[place] for place in source.places):
                self.storage.show(name, source.topic)
                before, self._shown = self._shown.get(name), {**self._shown, name: source}
                if before is not None:
                    self.changes.end(before.topic)
        if self._shown == self._live and not self.loaded.is_set():
            self.loaded.set()
            log.info("the replica is loaded", applied=self.applied, seconds=round(self.loading.seconds, 3))
        return self._shown == self._live

    def _turn(self, consumer: Consumer) -> None:
        self._turned = began = time.monotonic()
        messages = available(consumer, _TURN)
        records = [message for message in messages if is_record(message)]
        reached = {_place(m): (m.offset() or 0) + (m.error() is None) for m in messages}
        if records:
            changes = self.changed(records)
            rows = {topic: {change.key: change.row for change in found} for topic, found in changes.items()}
            self.storage.apply(rows, reached)
            self.applied += sum(map(len, rows.values()))
        self.positions.advance(reached)
        if records:
            self.changes.publish(changes)
        if records and self.loaded.is_set():
            took = time.monotonic() - began
            self._stopping.wait(min(_SHORT_REST, took))
            self._resting = time.monotonic() + max(self._refresh, min(_LONGEST_REST, _REST * took))
        self._rest()

    def _rest(self) -> None:
        """Gathers changes after a batch, as long as is declared, but while nobody waits for them."""
        while (
            (left := self._resting - time.monotonic()) > 0 and not self._stopping.is_set() and not self._moved.is_set()
        ):
            self._turned = time.monotonic()
            if self.positions.rest(min(left, _ASK_EVERY)):
                return

    def _change(self, message: Message) -> Change | None:
        """A record as a change; one that is no row is told of and left out."""
        value, (topic, partition), offset = message.value(), _place(message), message.offset() or 0
        row: Record | None = None
        try:
            if value is not None:
                row = self._codec.decode(value)
        except DecodeError as error:
            self.unreadable[topic] += 1
            log.warning("a row cannot be read", place=f"{topic}:{partition}:{offset}", because=str(error))
            return None
        return Change((message.key() or b"").decode(errors="backslashreplace"), row, partition, offset)

    def _watch(self) -> None:
        """Looks where the topics end, so that the age of an answer is known, and whether they are still the ones."""
        turn, before = 0, None
        while not self._stopping.wait(_ASK_EVERY):
            turn += 1
            try:
                before = self._look(before)
                if turn % _CHECK_EVERY == 0 and self._shown and self._ids() != self._known_ids():
                    self._moved.set()
            except (KafkaException, EngineError, TimeoutError) as error:
                log.debug("the topics are not known", because=str(error))

    def _look(self, before: int | None) -> int | None:
        """One look at the ends; the end of the topic that says which generations are live."""
        moment, places = time.monotonic(), list(self._begin)
        said = (generations(self._context), 0)
        ends = end_offsets(self._admin, [*places, said], committed=True) if places else {}
        now = ends.pop(said, None)
        if ends:
            self.positions.was_asked(moment, ends)
        if before is not None and now != before:
            self._moved.set()
        return now

    def _ids(self) -> dict[str, str]:
        found = topic_ids(self._admin, self._known_ids())
        return {topic: topic_id for topic, (topic_id, _) in found.items()}

    def _known_ids(self) -> dict[str, str]:
        return {source.topic: source.topic_id for source in self._live.values()}


def _place(message: Message) -> Place:
    return str(message.topic()), message.partition() or 0


def _order(message: Message) -> tuple[int, int]:
    return message.partition() or 0, message.offset() or 0
