"""How the suite's clients reach the bank: a producer whose every outcome is noted, and the replies."""

import threading
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.core import Record, Topology, topics
from foldlog.core.errors import ContractError
from foldlog.core.outcome import Reply
from foldlog.core.partitioning import partition_of
from tests.chaos.bank import TransferMoney
from tests.chaos.history import History

Headers = list[tuple[str, str | bytes | None]]

# Errors after which a record is certainly nowhere.
_REFUSED = frozenset({KafkaError.MSG_SIZE_TOO_LARGE})

COMMON: dict[str, Any] = {
    "acks": "all",
    "linger.ms": 5,
    "compression.type": "lz4",
    "message.max.bytes": 32 << 20,
    "socket.timeout.ms": 5000,
    "reconnect.backoff.max.ms": 500,
    "allow.auto.create.topics": False,
    "log_level": 0,
}


class Sender:
    """A producer of one client; `history` gets a line for each record that leaves and for what becomes of it."""

    def __init__(self, topology: Topology, cluster: Cluster, codec: Codec, history: History) -> None:
        config = {**COMMON, "bootstrap.servers": cluster.bootstrap, "enable.idempotence": True}
        self.producer = Producer({**config, "delivery.timeout.ms": 25_000})
        self._topology, self._codec, self._history = topology, codec, history

    def send(self, id: str, kind: str, command: Record, headers: Headers, astray: bool = False) -> None:
        """Sends a command to its partition, or to another one; returns at once."""
        context, count = self._topology.name, self._topology.partitions
        transfer = isinstance(command, TransferMoney)
        key = (
            command.transfer if isinstance(command, TransferMoney) else str(getattr(command, "account", ""))
        ).encode()
        topic = topics.commands(context, "transfer" if transfer else "account")
        partition = (partition_of(key, count) + astray) % count
        self._history.write("invoke", id, kind=kind)
        self.produce(id, (topic, partition), key, self._codec.encode(command), headers)

    def produce(
        self, id: str, place: tuple[str, int], key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Sends a record of any bytes to a topic and partition; its invocation is noted already."""
        topic, partition = place

        def told(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._history.write("delivered", id, place=f"{topic}:{message.partition()}:{message.offset()}")
            elif error.code() in _REFUSED:
                self._history.write("fail", id, why=error.name())
            else:
                self._history.write("unknown", id, why=error.name())

        self.producer.produce(topic, value, key, partition, told, headers=list(headers))

    def poll(self, seconds: float) -> None:
        """Hears what became of records."""
        self.producer.poll(seconds)

    def flush(self, seconds: float) -> int:
        """Waits until all is known; how many records are not."""
        left: int = self.producer.flush(seconds)
        return left


class Replies:
    """Follows the context's replies in a thread of its own."""

    def __init__(self, topology: Topology, cluster: Cluster, codec: Codec, history: History) -> None:
        self._codec, self._history = codec, history
        self._topic, self._partitions = topics.replies(topology.name), topology.partitions
        self._asked: dict[str, float] = {}
        self._heard: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": cluster.bootstrap,
                "group.id": "chaos-replies",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._consumer.assign([TopicPartition(self._topic, number, 0) for number in range(self._partitions)])
        self._thread = threading.Thread(target=self._run, name="replies", daemon=True)
        self._thread.start()

    def expect(self, id: str, seconds: float) -> None:
        """Waits for a reply to this id so long, in the background; then it counts as unknown."""
        with self._lock:
            self._asked[id] = time.monotonic() + seconds

    @property
    def waiting(self) -> int:
        """How many replies are waited for."""
        return len(self._asked)

    def heard(self, id: str) -> bool:
        """Whether any reply to this id has come."""
        return id in self._heard

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join(30)
        self._consumer.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for message in self._consumer.consume(500, 0.1):
                if message.error() is None:
                    self._take(message)
            self._give_up()

    def _take(self, message: Message) -> None:
        try:
            reply = self._codec.decode(message.value() or b"")
        except ContractError:
            return
        if isinstance(reply, Reply):
            id_ = reply.command_id
            self._history.write("ok", id_, status=reply.status, version=reply.version, duplicate=reply.duplicate)
            with self._lock:
                self._heard.add(id_)
                self._asked.pop(id_, None)

    def _give_up(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [id_ for id_, until in self._asked.items() if until < now]
            for id_ in late:
                del self._asked[id_]
        for id_ in late:
            self._history.write("unknown", id_, why="no reply")
