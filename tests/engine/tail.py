"""A topic as committed readers see it, followed by one consumer that stays."""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from foldlog.kafka.reading import Entry, entry_of

# A topic that was just made may not have its leaders yet.
_NEW = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}


class Tail:
    """Every committed record of a topic so far, in the order of each partition."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._read: list[Entry] = []
        self._reached = dict.fromkeys(range(partitions), 0)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "log_level": 0,
                "group.id": "tests",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,  # tells of control records that end a partition
                "fetch.wait.max.ms": 10,
                "fetch.queue.backoff.ms": 5,
            }
        )
        self._consumer.assign([TopicPartition(topic, number, 0) for number in self._reached])

    def entries(self) -> list[Entry]:
        """The records up to the last stable offset that each partition has now."""
        ends = {number: self.bounds(number)[1] for number in self._reached}
        while any(self._reached[number] < end for number, end in ends.items()):
            for message in self._consumer.consume(1000, 0.02):
                error, number, offset = message.error(), message.partition() or 0, message.offset() or 0
                assert error is None or error.code() == KafkaError._PARTITION_EOF, error
                if error is None:
                    self._read.append(entry_of(message))
                self._reached[number] = max(self._reached[number], offset + (error is None))
        return list(self._read)

    def bounds(self, number: int) -> tuple[int, int]:
        """The first offset that a partition still has, and the last stable one."""
        while True:
            try:
                return self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=60)
            except KafkaException as error:
                if error.args[0].code() not in _NEW:
                    raise

    def close(self) -> None:
        """Ends it."""
        self._consumer.close()
