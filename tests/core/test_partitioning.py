"""The partition of a key is the one that Kafka's own producers choose."""

import pytest
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from foldlog.core.partitioning import murmur2, partition_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2, as Java's signed integers.
PUBLISHED = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), PUBLISHED.items(), ids=lambda value: str(value)[:24])
def test_the_hash_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % (1 << 32)


@given(st.binary(max_size=64), st.integers(1, 1000))
def test_a_partition_is_within_the_topic(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_keys_land_where_librdkafka_puts_them() -> None:
    """librdkafka's own partitioner chooses, before the broker that it brings for tests (4 partitions a topic)."""
    keys = [b"", *(str(number).encode() for number in range(1_000)), "Jérémie".encode(), bytes(range(256))]
    assert landed(keys) == {key: partition_of(key, 4) for key in keys}


def landed(keys: list[bytes]) -> dict[bytes, int | None]:
    """The partition that the producer chose for each key."""
    found: dict[bytes, int | None] = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        found[message.key() or b""] = message.partition()

    producer = Producer({"test.mock.num.brokers": 1, "partitioner": "murmur2"})
    for key in keys:
        producer.produce("orders", key=key, value=b"", on_delivery=delivered)
    assert producer.flush(30) == 0
    return found
