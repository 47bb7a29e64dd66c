"""Records that no worker can handle: each must become one dead letter, or be refused before it is anywhere."""

import random

from confluent_kafka import Producer

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.core import Topology, topics
from foldlog.core.partitioning import partition_of
from tests.chaos.bank import Deposit, Open, account
from tests.chaos.history import History
from tests.chaos.sending import COMMON, Headers, Sender

BIG = 10 << 20


class Vandal(Sender):
    """Sends garbage; a record that is not acknowledged is not sent again, so that it is there once or not at all."""

    def __init__(self, topology: Topology, cluster: Cluster, codec: Codec, history: History, seed: int) -> None:
        super().__init__(topology, cluster, codec, history)
        config = {**COMMON, "bootstrap.servers": cluster.bootstrap, "enable.idempotence": False, "retries": 0}
        self.producer = Producer({**config, "delivery.timeout.ms": 12_000, "linger.ms": 0})
        self._random = random.Random(f"{seed}/garbage")
        self._number = 0

    def litter(self) -> int:
        """Some of every kind of undecodable record; how many were sent."""
        whole = self._codec.encode(Deposit("nobody", 1))
        values = (
            self._random.randbytes(40),
            b"",
            b"\0" + (2**31 - 1).to_bytes(4, "big") + b"unknown schema",
            whole[: len(whole) // 2],
            whole + b"more",
            whole,  # its key is not the account that it names
            None,
        )
        for value in values:
            self._put(value)
        self._put(whole, keyless=True)
        self._put(b"no step of a transfer", processor="transfer")
        self._put(None, processor="transfer")
        return len(values) + 3

    def big(self) -> int:
        """Records of 10 MB: one that Kafka refuses, and two that it takes because they are small when compressed."""
        self._put(self._random.randbytes(BIG))
        self.producer.flush(15)  # a refusal is for a whole batch
        self._put(bytes(BIG))
        number = self._next()
        name = f"garbage-{number}"
        self._put(self._codec.encode(Open(name, "x" * BIG)), key=name)  # its event would be too large
        return 3

    def _put(self, value: bytes | None, processor: str = account.name, keyless: bool = False, key: str = "") -> None:
        id_ = key or f"garbage-{self._next()}"
        name, count = id_.encode(), self._topology.partitions
        headers: Headers = [("garbage", id_)]
        self._history.write("invoke", id_, kind="garbage")
        topic = topics.commands(self._topology.name, processor)
        self.produce(id_, (topic, partition_of(name, count)), None if keyless else name, value, headers)
        self.producer.poll(0)

    def _next(self) -> int:
        self._number += 1
        return self._number
