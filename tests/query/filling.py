"""Rows of the bank's views, written to their topics in transactions as the engine does."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from confluent_kafka import Producer

from foldlog.core.topics import table, topics
from foldlog.kafka.admin import apply
from tests.engine.bank import Balance
from tests.engine.running import PATIENCE, Bank
from tests.engine.visible import visible

Encoded = tuple[bytes, int, bytes | None]
"""Key, partition and value of a record."""


def balance(number: int) -> Balance:
    """One row of many: a hundred owners, amounts with cents."""
    return Balance(f"owner-{number % 100:02}", Decimal(number) / 100, number)


class Rows:
    """Writes rows of the view `balances`, each call in one transaction."""

    def __init__(self, bank: Bank, topic: str | None = None) -> None:
        self._bank = bank
        self.topic = topic or table(bank.name, "balances")
        self._producer = Producer(
            {
                "bootstrap.servers": bank.cluster.bootstrap,
                "log_level": 0,
                "transactional.id": uuid.uuid4().hex,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._producer.init_transactions(PATIENCE)

    def write(self, rows: Mapping[str, Balance | None] | Iterable[tuple[str, Balance | bytes | None]]) -> None:
        """Commits rows by key; None deletes, bytes are written as they are."""
        self.put(self.encoded(key, row) for key, row in (rows.items() if isinstance(rows, Mapping) else rows))

    def encoded(self, key: str, row: Balance | bytes | None) -> Encoded:
        """A row as it is written."""
        value = self._bank.codec.encode(row) if isinstance(row, Balance) else row
        return key.encode(), self._bank.home(key.encode()), value

    def put(self, rows: Iterable[Encoded]) -> None:
        """Commits rows that are encoded already; returns once everybody sees them."""
        self._producer.begin_transaction()
        for number, (key, partition, value) in enumerate(rows):
            self._producer.produce(self.topic, value, key, partition)
            if number % 1000 == 0:
                self._producer.poll(0)
        self._producer.commit_transaction(PATIENCE)
        visible(self._bank.cluster.bootstrap, self.topic, self._bank.topology.partitions)


def second_generation(bank: Bank) -> str:
    """The topic of the second generation of `balances`, made as it is declared."""
    [declared] = [each for each in topics(bank.topology) if each.name == table(bank.name, "balances")]
    topic = table(bank.name, "balances.g2")
    apply(bank.cluster.bootstrap, [replace(declared, name=topic)], 1)
    return topic
