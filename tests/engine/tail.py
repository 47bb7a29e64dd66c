"""A topic as committed readers see it, followed by one consumer that stays."""

from confluent_kafka import Consumer, KafkaError, TopicPartition

from foldlog.kafka.reading import Entry, entry_of


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
        ends = {number: self._end(number) for number in self._reached}
        while any(self._reached[number] < end for number, end in ends.items()):
            for message in self._consumer.consume(1000, 0.02):
                error, number, offset = message.error(), message.partition() or 0, message.offset() or 0
                assert error is None or error.code() == KafkaError._PARTITION_EOF, error
                if error is None:
                    self._read.append(entry_of(message))
                self._reached[number] = max(self._reached[number], offset + (error is None))
        return list(self._read)

    def low(self, number: int) -> int:
        """The first offset that a partition still has."""
        return self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=10)[0]

    def _end(self, number: int) -> int:
        return self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=10)[1]

    def close(self) -> None:
        """Ends it."""
        self._consumer.close()
