"""Commands sent from many threads, and the places of what they wrote."""

import threading
import uuid
from typing import Any

from confluent_kafka import Producer

from foldlog.core import Record
from foldlog.core.topics import commands, replies
from tests.engine.running import PATIENCE, Bank, eventually


class Sender:
    """Sends commands from many threads, and hears of their replies as they come."""

    def __init__(self, bank: Bank, patience: float = PATIENCE) -> None:
        self._bank, self._patience = bank, patience
        self._producer = Producer({"bootstrap.servers": bank.cluster.bootstrap, "log_level": 0, "linger.ms": 1})
        self._positions: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def ask(self, command: Record) -> str:
        """The position of what a command wrote."""
        key, id_ = str(getattr(command, command.__struct_fields__[0])).encode(), uuid.uuid4().hex
        headers: list[Any] = [("command-id", id_.encode()), ("reply-to", b"")]
        topic = commands(self._bank.name, self._bank.codec.contract(type(command)).owner)
        value = self._bank.codec.encode(command)
        self._producer.produce(topic, value, key, self._bank.home(key), headers=headers)
        self._producer.poll(0)
        return eventually(lambda: self._positions.pop(id_, None), f"the reply to {command}", self._patience)

    def close(self) -> None:
        """Hears no more."""
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        tail, seen = self._bank.tail(replies(self._bank.name)), 0
        while not self._stop.wait(0.002):
            entries = tail.entries()
            for entry in entries[seen:]:
                reply: Any = self._bank.codec.decode(entry.value or b"")
                self._positions[reply.command_id] = reply.position
            seen = len(entries)
