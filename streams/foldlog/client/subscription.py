"""Events as they come, typed, each with its Meta: alone from any place, or as a member of a group that shares them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from foldlog.client.positions import Position, parse
from foldlog.contracts.codec import Codec
from foldlog.core.contract import contracts
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.topics import events, public
from foldlog.core.topology import Topology
from foldlog.kafka.connection import METADATA_S, client_config, partition_count, reaching
from foldlog.kafka.marks import Place
from foldlog.kafka.reading import ends

E = TypeVar("E", bound=Record)

Start = str | datetime | Collection[str]
BEGINNING, END = "beginning", "end"
AT_ONCE = 1000
TURN = 0.2  # s


class Received(NamedTuple, Generic[E]):
    """An event, and where it comes from; `meta.position` is its place."""

    event: E
    meta: Meta


class Wanted(NamedTuple):
    """What a subscription reads: the record types, and the logs where they are."""

    kinds: tuple[type[Record], ...]
    topics: tuple[str, ...]


def wanted(topology: Topology, kinds: Sequence[type[Record]]) -> Wanted:
    """The topics of some event types, private or public; of every private one where none is named.

    Raises ConfigError where a type is no event of the context.
    """
    named = {"event": events, "public": public}
    known = {each.record: each for each in contracts(topology) if each.part in named}
    for kind in kinds:
        if kind not in known:
            raise ConfigError(f"{kind.__name__} is no event of {topology.name}")
    chosen = tuple(kinds) or tuple(kind for kind, each in known.items() if each.part == "event")
    places = (named[known[kind].part](topology.name, known[kind].owner) for kind in chosen)
    return Wanted(chosen, tuple(dict.fromkeys(places)))


class Subscription(Generic[E]):
    """The events of some types from now on, or from wherever it starts; each partition's in order.

    Iterating hands out one event after the other, for ever; with `follow` false, up to the end that there was at the
    start. What has been handed out counts as handled when the next is asked for: a member of a group that ends, however
    it ends, hands over what comes after that, so an event may be seen twice and none is missed.
    Used by one thread at a time; raises ContractError where an event cannot be decoded.
    """

    def __init__(self, consumer: Consumer, wanted: Wanted, codec: Codec, bootstrap: str, follow: bool) -> None:
        self._consumer, self._codec, self._bootstrap = consumer, codec, bootstrap
        self._kinds, self._follow = frozenset(wanted.kinds), follow
        self._taken: dict[Place, int] = {}
        self._open: set[Place] = set()  # alone: the partitions whose end was not met yet
        self._in_group = False
        self.ended = False

    @classmethod
    def alone(
        cls, bootstrap: str, wanted: Wanted, codec: Codec, start: Start, follow: bool = True
    ) -> "Subscription[E]":
        """Reads every partition itself; nothing is committed."""
        places = [TopicPartition(t, p) for t in wanted.topics for p in range(partition_count(bootstrap, t))]
        consumer = Consumer({**_config(bootstrap), "group.id": "foldlog-subscriber", "enable.auto.commit": False})
        made = cls(consumer, wanted, codec, bootstrap, follow)
        with reaching(bootstrap):
            consumer.assign(_started(consumer, places, start))
        made._open = {(place.topic, place.partition) for place in places}
        return made

    @classmethod
    def member(cls, bootstrap: str, wanted: Wanted, codec: Codec, group: str, start: str) -> "Subscription[E]":
        """Shares the partitions with the other members of a group, which goes on where it has come to."""
        for topic in wanted.topics:
            partition_count(bootstrap, topic)
        reset = {BEGINNING: "earliest", END: "latest"}
        own = {"group.id": group, "enable.auto.offset.store": False, "auto.commit.interval.ms": 1000}
        consumer = Consumer({**_config(bootstrap), **own, "auto.offset.reset": reset[start]})
        made = cls(consumer, wanted, codec, bootstrap, follow=True)
        made._in_group = True
        consumer.subscribe(list(wanted.topics), on_revoke=made._lost, on_lost=made._lost)
        return made

    def __iter__(self) -> Iterator[Received[E]]:
        while not self.ended:
            for received in self.take(TURN):
                yield received
                self.handled([received])
            self.store()

    def take(self, timeout: float, most: int = AT_ONCE) -> list[Received[E]]:
        """At most so many events, as soon as there are any; none after `timeout` seconds without."""
        with reaching(self._bootstrap):
            first = self._consumer.poll(timeout)
            messages = [] if first is None else [first, *self._consumer.consume(most - 1, timeout=0)]
            return [received for message in messages if self._is_new(message) and (received := self._read(message))]

    def handled(self, received: Iterable[Received[E]]) -> None:
        """These need not be seen again."""
        at = [parse(each.meta.position) for each in received]
        self._store({position.place: position.offset + 1 for position in at})

    def store(self) -> None:
        """Nothing that was taken so far need be seen again."""
        self._store(self._taken)

    def close(self) -> None:
        """Leaves the group, or just ends."""
        self._consumer.close()

    def __enter__(self) -> "Subscription[E]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_new(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self._open.discard((str(message.topic()), message.partition() or 0))
            self.ended = not self._follow and not self._open
        elif error.fatal():
            raise KafkaException(error)
        return False  # anything else passes when a broker is back

    def _read(self, message: Message) -> Received[E] | None:
        position = Position(str(message.topic()), message.partition() or 0, message.offset() or 0)
        value = message.value()
        event = None if value is None else self._decoded(value, position)
        self._taken[position.place] = position.offset + 1
        return event

    def _decoded(self, value: bytes, position: Position) -> Received[E] | None:
        try:
            record, meta = self._codec.decode_with(value)
        except DecodeError as error:
            if error.cause == "unexpected-type":  # a type that is younger than this program
                return None
            raise ContractError(f"{position}: {error}") from error
        if type(record) not in self._kinds:
            return None
        found: Any = record
        return Received(found, replace(meta, position=str(position)))

    def _store(self, offsets: dict[Place, int]) -> None:
        if not self._in_group:
            return  # there is nobody to tell
        for place, offset in offsets.items():
            with suppress(KafkaException):  # no longer ours: the next owner sees it again
                self._consumer.store_offsets(offsets=[TopicPartition(*place, offset)])

    def _lost(self, _: Consumer, places: list[TopicPartition]) -> None:
        gone = {(place.topic, place.partition) for place in places}
        self._taken = {place: offset for place, offset in self._taken.items() if place not in gone}


def _config(bootstrap: str) -> dict[str, Any]:
    return {
        **client_config(bootstrap),
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "range",
        "fetch.queue.backoff.ms": 5,
    }


def _started(consumer: Consumer, places: list[TopicPartition], start: Start) -> list[TopicPartition]:
    """The partitions with where to begin; ConfigError where `start` names none of them."""
    if isinstance(start, datetime):
        milliseconds = int(start.timestamp() * 1000)
        asked = [TopicPartition(place.topic, place.partition, milliseconds) for place in places]
        return list(consumer.offsets_for_times(asked, timeout=METADATA_S))
    if start == END:  # looked up now, so that what is sent from now on is seen
        return [TopicPartition(p.topic, p.partition, _end(consumer, p)) for p in places]
    if start == BEGINNING:
        return [TopicPartition(place.topic, place.partition, OFFSET_BEGINNING) for place in places]
    after = {position.place: position.offset + 1 for position in map(parse, start)}
    known = {(place.topic, place.partition) for place in places}
    if unknown := after.keys() - known:
        raise ConfigError(f"start: {':'.join(map(str, min(unknown)))} is no partition of what is subscribed to")
    return [TopicPartition(*place, after.get(place, OFFSET_BEGINNING)) for place in sorted(known)]


def _end(consumer: Consumer, place: TopicPartition) -> int:
    return ends(consumer, place.topic, [place.partition])[place.partition][1]
