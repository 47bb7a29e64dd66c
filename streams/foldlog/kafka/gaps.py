"""Spans of a log in which nothing but the marks of transactions lies."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from foldlog.kafka.marks import Place
from foldlog.kafka.reading import available, is_record

_LOOK = 0.005  # s


class Gap(NamedTuple):
    """No committed record lies from `start` to before `end`, or ever will; where `sure`, there is one at `end`."""

    start: int
    end: int
    sure: bool


def gaps(consumer: Consumer, starts: Mapping[Place, int], seconds: float) -> dict[Place, Gap]:
    """The gap that begins at an offset of each partition, which may have no length.

    The first thing that a reader hears of a partition tells: a record, or that the partition is stable up to there. One
    that is not heard of in so many seconds is left out. Raises KafkaException where reading fails.
    """
    consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
    heard: dict[Place, Gap] = {}
    until = time.monotonic() + seconds
    while heard.keys() != starts.keys() and time.monotonic() < until:
        for message in available(consumer, _LOOK):
            sure, place = is_record(message), (str(message.topic()), message.partition() or 0)
            if place in starts:
                heard.setdefault(place, Gap(starts[place], message.offset() or 0, sure))
    consumer.unassign()
    return heard
