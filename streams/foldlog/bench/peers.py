"""Other stream processors as measured systems, found in a directory with a `peers.json`.

Each entry has `name`, `command` (a list), and may have `env`, `commands` (the most it is given in a round: slow systems
would hold up the others) and `rounds` (likewise). A peer is told by its environment what to do:

BENCH_BOOTSTRAP  Kafka's address                      BENCH_ID       name of its application or group
BENCH_COMMANDS   topic to read, from its start        BENCH_DATA     directory for its state
BENCH_EVENTS     topic to write, one event a command  BENCH_SCHEMAS  directory of command.avsc and event.avsc
BENCH_STAMPS     directory for one file `<any>-<pid>`, written at the first record that it processes: the epoch's
                 seconds and its CPU seconds until then, with a space between

A peer may write how many seconds it took to restore its state to the file `restored` in BENCH_DATA.
Values are Avro behind Confluent's five bytes (0, then the schema's id: 1 command, 2 event), keys are account ids.
"""

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import fastavro
import msgspec

from foldlog.bench.kafka import Kafka, loading
from foldlog.bench.latency import Watched
from foldlog.bench.process import Launch
from foldlog.bench.rounds import Round, Stage, wanted
from foldlog.bench.throughput import Report, measure
from foldlog.bench.verify import Seen, problems
from foldlog.bench.workload import PARTITIONS, Order, orders
from foldlog.core.errors import ConfigError
from foldlog.core.partitioning import partition_of

MANIFEST = "peers.json"
_COMMAND_FRAME, _FRAME = b"\0\0\0\0\1", 5


class Peer(msgspec.Struct, frozen=True):
    """One entry of the manifest."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = msgspec.field(default_factory=dict)
    commands: int | None = None
    rounds: int | None = None

    def round(self, stage: Stage, report: Report) -> Round:
        """Fresh topics, a backlog, one process."""
        count = min(stage.commands, self.commands or stage.commands)
        there = Place(stage.kafka, self, stage.directory)
        try:
            there.load(orders(count, stage.accounts))
            measured = measure(stage.kafka, [there.launch()], there.events, count, report)
            found = problems(there.seen(), wanted(count, stage.accounts))
        finally:
            there.close()
        return Round(self.name, measured, tuple(found))


def found_in(directory: Path) -> list[Peer]:
    """The peers of a directory; ConfigError where it has no manifest, or one that cannot be read."""
    file = directory / MANIFEST
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Peer])
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; `make bench` makes the peers") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{file}: {error}") from error


@dataclass
class Place:
    """A peer's topics and its directory, under a name of their own."""

    kafka: Kafka
    peer: Peer
    directory: Path
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.kafka.name(self.peer.name)
        self.commands, self.events = f"{self.id}_commands", f"{self.id}_events"
        self.home = self.directory / self.id
        for topic in (self.commands, self.events):
            self.kafka.create(topic, PARTITIONS)

    def load(self, sent: Iterable[Order]) -> None:
        """Sends commands to the partitions of their accounts."""
        with loading(self.kafka.bootstrap) as producer:
            for order in sent:
                self.send(producer, order, 0)

    def send(self, producer: Any, order: Order, sent: int) -> None:
        """Sends one command; `sent` is nanoseconds of the epoch."""
        key = order.account.encode()
        producer.produce(self.commands, encoded(order, sent), key, partition_of(key, PARTITIONS))

    def seen(self) -> Iterator[Seen]:
        """Its events as committed readers see them."""
        for value in self.kafka.values(self.events, PARTITIONS):
            event = decoded(value)
            names = ("event_id", "account_id", "version", "type", "amount", "balance", "command_id")
            yield Seen(*(event[name] for name in names))

    def launch(self) -> Launch:
        """How it is started."""
        env = {
            "BENCH_BOOTSTRAP": self.kafka.bootstrap,
            "BENCH_ID": self.id,
            "BENCH_COMMANDS": self.commands,
            "BENCH_EVENTS": self.events,
            "BENCH_DATA": str(self.home / "data"),
            "BENCH_STAMPS": str(self.home / "stamps"),
            "BENCH_SCHEMAS": str(_schemas()),
        }
        (self.home / "data").mkdir(parents=True, exist_ok=True)
        return Launch(self.peer.name, self.peer.command, {**self.peer.env, **env}, self.home)

    def watched(self) -> tuple[Watched, ...]:
        """Its events, with the time at which the command behind each was sent."""
        return (Watched(self.events, lambda value: int(decoded(value)["sent"])),)

    def told(self) -> float | None:
        """The seconds that its last start took to restore, where it says so."""
        said = self.home / "data" / "restored"
        return float(said.read_text("utf-8").split()[0]) if said.exists() else None

    def forget(self) -> None:
        """Empties its disk."""
        shutil.rmtree(self.home / "data", ignore_errors=True)

    def close(self) -> None:
        """Removes its topics, those that it made itself, its groups and its state; its log stays."""
        self.kafka.remove(self.id)
        self.forget()


@cache
def _schemas() -> Path:
    with as_file(files("foldlog.bench").joinpath("command.avsc")) as path:
        return path.parent


@cache
def _schema(name: str) -> Any:
    return fastavro.parse_schema(json.loads((_schemas() / f"{name}.avsc").read_text("utf-8")))


def encoded(order: Order, sent: int) -> bytes:
    """A command as peers read it."""
    fields: Mapping[str, Any] = {
        "command_id": order.id,
        "account_id": order.account,
        "type": "Withdraw" if order.withdraw else "Deposit",
        "amount": order.amount,
        "sent": sent,
    }
    out = io.BytesIO()
    out.write(_COMMAND_FRAME)
    fastavro.schemaless_writer(out, _schema("command"), fields)
    return out.getvalue()


def decoded(value: bytes) -> dict[str, Any]:
    """An event as peers write it."""
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[_FRAME:]), _schema("event"), None)
    return dict(found)
