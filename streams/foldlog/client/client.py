"""The client: send commands and await what comes of them, follow events, read views."""

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from foldlog.client.commands import Command
from foldlog.client.connection import connect
from foldlog.client.replies import find
from foldlog.client.sender import Pending, Sender
from foldlog.client.subscription import BEGINNING, END, Start, Subscription, wanted
from foldlog.client.tables import Tables
from foldlog.core.errors import ConfigError, DeadlineError
from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.core.topics import replies
from foldlog.core.topology import Topology
from foldlog.core.view import View

E = TypeVar("E", bound=Record)
Row = TypeVar("Row", bound=Record)

REPLY_S = 30.0
ROW_S = 10.0


class Client:
    """A program's door to one context; close it, or use it in a `with` block. Safe to share between threads.

    Without addresses it finds its cluster as every foldlog command does. Nothing is connected before it is needed.
    Raises ClusterError where there is no cluster, ConfigError where a topic is missing, ContractError where a schema
    is not registered.
    """

    def __init__(self, topology: Topology, *, bootstrap: str | None = None, registry: str | None = None) -> None:
        self.topology = topology
        self._open = ExitStack()
        self._connection = self._open.enter_context(connect(bootstrap, registry))
        self._bootstrap = self._connection.bootstrap
        self.codec = self._connection.codec(topology)
        self._lock = threading.RLock()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delivers what is queued and leaves the cluster."""
        self._open.close()

    def send(
        self,
        record: Record,
        *,
        id: str | None = None,
        actor: str | None = None,
        correlation: str | None = None,
        timeout: float = REPLY_S,
    ) -> Reply:
        """Sends a command and waits for its reply: accepted, rejected with a reason, or failed.

        A command with an `id` may be sent again: it has its effect once. Raises EncodeError where a value does not
        fit, ClusterError where Kafka does not take it, DeadlineError where no reply came in `timeout` seconds.
        """
        return self.send_all([Command(record, id, actor, correlation)], timeout)[0]

    def send_all(self, commands: Iterable[Record | Command], timeout: float = REPLY_S) -> list[Reply]:
        """Sends many at once and waits for all replies, in the order of the commands; raises as `send`."""
        sent = [self.submit(command) for command in commands]
        return [self._awaited(pending, timeout) for pending in sent]

    def submit(self, command: Record | Command) -> Pending:
        """Sends a command without waiting: its reply is a future, so that many can be on their way."""
        return self._sender.submit(as_command(command))

    def publish(self, command: Record | Command, *, reply: bool = False) -> Future[str]:
        """Sends a command; the future is its place once every replica has it. With `reply`, one is asked for."""
        return self._sender.publish(as_command(command), reply)

    def reply(self, id: str, *, since: datetime | None = None) -> Reply | None:
        """The last reply to a command that was sent `since`, None where there is none; kept for a day."""
        return find(self._bootstrap, replies(self.topology.name), self.codec.decode, id, since)

    def prepare(self) -> None:
        """Connects now, and raises now what sending would raise."""
        self._sender  # noqa: B018 — made when it is first asked for

    def subscribe(
        self, *kinds: type[E], start: Start = END, group: str | None = None, follow: bool = True
    ) -> Subscription[E]:
        """The events of some types, of all where none is named, each with its Meta; close it when done.

        Alone it starts at the "beginning", at the "end", at a time, or after positions, one a partition (partitions
        without one from their beginning); with `follow` false it ends at the end of now. With a `group`, members
        share the events, and the group goes on where it was; `start` is for a group that never was.
        """
        reads = wanted(self.topology, kinds)
        if isinstance(start, str) and start not in (BEGINNING, END):
            raise ConfigError(f"start: `{start}` is neither `beginning` nor `end`; positions go into a list")
        if group is None:
            return Subscription.alone(self._bootstrap, reads, self.codec, start, follow)
        if not isinstance(start, str) or not follow:
            raise ConfigError("a group starts at the beginning or at the end, and has no end to stop at")
        if group in {f"{self.topology.name}.{processor.name}" for processor in self.topology.processors}:
            raise ConfigError(f"group: {group} is the group of a processor; take a name of your own")
        return Subscription.member(self._bootstrap, reads, self.codec, group, start)

    def row(
        self, view: View[Any, Row], key: str, *, after: Reply | str | None = None, timeout: float = ROW_S
    ) -> Row | None:
        """The row of a key, None where there is none; with `after`, the row shows what that reply's command did.

        The first read of a view brings its whole topic into memory, later ones only what is new. `after` may be a
        position, too. Raises DeadlineError where the view does not come there in time.
        """
        position = after.position if isinstance(after, Reply) else after
        return self._tables.of(view).row(key, position, timeout)

    def rows(self, view: View[Any, Row], *, timeout: float = ROW_S) -> dict[str, Row]:
        """Every row of a view by its key."""
        return self._tables.of(view).rows(timeout)

    @property
    def _sender(self) -> Sender:
        with self._lock:
            return self._started_sender

    @cached_property
    def _started_sender(self) -> Sender:
        sender = Sender(self.topology, self.codec, self._bootstrap, self._connection.settings.compression)
        self._open.callback(sender.close)
        return sender

    @property
    def _tables(self) -> Tables:
        with self._lock:
            return self._started_tables

    @cached_property
    def _started_tables(self) -> Tables:
        tables = Tables(self._bootstrap, self.topology, self.codec)
        self._open.callback(tables.close)
        return tables

    def _awaited(self, pending: Pending, timeout: float) -> Reply:
        try:
            return pending.reply.result(timeout)
        except TimeoutError:
            raise self.give_up(pending, timeout) from None

    def give_up(self, pending: Pending, timeout: float) -> DeadlineError:
        """Waits no longer for a reply; the error that says so."""
        self._sender.forget(pending)
        sent = pending.place.done() and pending.place.exception() is None
        why = "is `foldlog run` running?" if sent else "Kafka has not acknowledged it."
        return DeadlineError(
            f"no reply to {type(pending.command.record).__name__} {pending.command.id} in {timeout:g} s: {why} "
            "It may be carried out all the same; repeat it under its id",
            sent,
        )


def as_command(command: Record | Command) -> Command:
    """A record with nothing beside it, or a command as it is."""
    return command if isinstance(command, Command) else Command(command)
