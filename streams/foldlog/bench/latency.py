"""Latency at a steady rate: from a command's being handed to a producer to what it caused being visible.

Visible means: delivered to a consumer of committed records. The time of sending travels inside the records.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer

from foldlog.bench.kafka import Kafka, reading
from foldlog.bench.process import Launch, started
from foldlog.bench.throughput import STALL_S, Report
from foldlog.bench.workload import PARTITIONS, Order, orders
from foldlog.core.errors import EngineError
from foldlog.kafka.connection import client_config
from foldlog.kafka.reading import is_record

RATE = 1_000  # commands/s
WARM_S, MEASURED_S = 6.0, 10.0
TICK_S = 0.001

Sent = Callable[[bytes], int]
"""When the command behind a value was sent, in nanoseconds of the epoch."""


@dataclass
class Watched:
    """A topic whose records are awaited, and their latencies in ms by the time of sending."""

    topic: str
    sent: Sent
    found: list[tuple[int, float]] = field(default_factory=list)

    def take(self, value: bytes, now: int) -> None:
        """Takes one record that has just become visible; `now` is in nanoseconds of the epoch."""
        sent = self.sent(value)
        self.found.append((sent, (now - sent) / 1e6))


@dataclass(frozen=True)
class Paced:
    """What is measured: how the system is started, how a command is sent to it, and where its outcome appears."""

    launch: Launch
    send: Callable[[Producer, Order, int], None]
    watched: tuple[Watched, ...]


def percentiles(found: Iterable[tuple[int, float]], since: int) -> dict[str, float]:
    """The median, the 99th percentile and the largest of the latencies (ms) of what was sent from `since` on (ns).

    A percentile is the smallest value that at least so many per cent do not exceed (nearest rank).
    """
    values = sorted(latency for sent, latency in found if sent >= since)
    if not values:
        raise EngineError("no record became visible while latency was measured")
    ranks = {"p50": 50, "p99": 99, "max": 100}
    picked = {name: values[-(-len(values) * rank // 100) - 1] for name, rank in ranks.items()}
    return {name: round(value, 2) for name, value in picked.items()} | {"records": len(values)}


def measure(kafka: Kafka, paced: Paced, report: Report, rate: int = RATE) -> list[dict[str, float]]:
    """Percentiles for each watched topic, in ms; the first seconds, in which everything warms up, do not count."""
    with started(paced.launch) as running:
        with closing(_Eyes(kafka, paced.watched)) as eyes:
            _wake(kafka, paced, running.check)
            since = time.time_ns() + int(WARM_S * 1e9)
            _send(kafka, paced, rate, report)
            eyes.linger()
        running.check()
    return [percentiles(each.found, since) for each in paced.watched]


def _wake(kafka: Kafka, paced: Paced, check: Callable[[], None]) -> None:
    """Sends commands until the system answers: it is up then."""
    deadline = time.monotonic() + STALL_S
    producer = _producer(kafka)
    for order in orders(10_000, seed=0):
        if paced.watched[0].found:
            return
        check()
        if time.monotonic() > deadline:
            raise EngineError(f"{paced.launch.name} made no event in {STALL_S:.0f} s; see {paced.launch.log}")
        paced.send(producer, order, time.time_ns())
        producer.flush(1)
        time.sleep(0.1)


def _send(kafka: Kafka, paced: Paced, rate: int, report: Report) -> None:
    total = int(rate * (WARM_S + MEASURED_S))
    producer, upcoming = _producer(kafka), orders(total)
    began, sent = time.monotonic(), 0
    while sent < total:
        due = min(total, int((time.monotonic() - began) * rate))
        for _ in range(due - sent):
            paced.send(producer, next(upcoming), time.time_ns())
        if due > sent:
            sent = due
            report(sent, total)
        producer.poll(0)
        time.sleep(TICK_S)
    producer.flush(STALL_S)


def _producer(kafka: Kafka) -> Producer:
    return Producer({**client_config(kafka.bootstrap), "linger.ms": 0})


class _Eyes:
    """Consumers of the watched topics, each in a thread of its own."""

    def __init__(self, kafka: Kafka, watched: Iterable[Watched]) -> None:
        self._closed = threading.Event()
        self._threads = []
        for each in watched:
            consumer = reading(kafka.bootstrap, each.topic, PARTITIONS)
            self._threads.append(threading.Thread(target=self._watch, args=(consumer, each), daemon=True))
        for thread in self._threads:
            thread.start()

    def linger(self) -> None:
        """Gives the last records the time to become visible."""
        time.sleep(3.0)

    def close(self) -> None:
        """Ends the threads."""
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, consumer: Consumer, watched: Watched) -> None:
        with closing(consumer):
            while not self._closed.is_set():
                message: Any = consumer.poll(0.05)
                if message is None:
                    continue
                for each in (message, *consumer.consume(500, 0)):
                    if is_record(each) and (value := each.value()) is not None:
                        watched.take(value, time.time_ns())
