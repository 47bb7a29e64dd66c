"""Spans of a log in which nothing but the marks of transactions lies."""

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

from foldlog.kafka.marks import Place
from foldlog.kafka.reading import available, is_record

_LOOK = 0.005  # s


def without_records(consumer: Consumer, spans: Mapping[Place, tuple[int, int]], seconds: float) -> set[Place]:
    """The partitions that have no committed record from a first offset to a next one, and never will have one.

    The first thing that a reader hears of a partition tells: a record, or that the partition is stable up to there. One
    that is not heard of in so many seconds is left out. Raises KafkaException where reading fails.
    """
    consumer.assign([TopicPartition(*place, max(0, start)) for place, (start, _) in spans.items()])
    heard: dict[Place, int] = {}
    until = time.monotonic() + seconds
    while heard.keys() != spans.keys() and time.monotonic() < until:
        for message in available(consumer, _LOOK):
            is_record(message)
            place = str(message.topic()), message.partition() or 0
            if place in spans:
                heard.setdefault(place, message.offset() or 0)
    consumer.unassign()
    return {place for place, offset in heard.items() if offset >= spans[place][1]}
