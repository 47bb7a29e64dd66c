"""Commands out, replies back: one producer, one reader of replies, a thread for each."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from confluent_kafka import KafkaError, Message

from foldlog.client.commands import Command, Outbox, new_id
from foldlog.client.replies import Replies
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ClusterError, FoldlogError
from foldlog.core.outcome import Reply
from foldlog.core.topics import replies
from foldlog.core.topology import Topology
from foldlog.kafka.sending import CommandProducer

LINGER_MS = 2  # a caller waits for its reply
_TURN = 0.1  # s

T = TypeVar("T")


class Pending(NamedTuple):
    """A command that was sent, with its id, its place once Kafka has it, and the reply that is to come."""

    command: Command
    place: Future[str]
    reply: Future[Reply]


class Sender:
    """Sends commands of a context; what comes of each is a future. Safe to share between threads."""

    def __init__(self, topology: Topology, codec: Codec, bootstrap: str, compression: str) -> None:
        codec.prepare()
        self._outbox = Outbox(topology, codec.encode)
        self._replies = Replies[Future[Reply]](bootstrap, replies(topology.name), codec.decode)
        self._producer = CommandProducer(bootstrap, compression, LINGER_MS)
        self._bootstrap = bootstrap
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(turn,), name=f"foldlog-client-{turn.__name__}", daemon=True)
            for turn in (self._deliveries, self._answers)
        ]
        for thread in self._threads:
            thread.start()

    def publish(self, command: Command, reply: bool) -> Future[str]:
        """Its place in Kafka, `topic:partition:offset`, once every replica has it; with `reply`, one is asked for."""
        place: Future[str] = _running(Future())
        self._send(command, place, None, self._replies.topic if reply else None)
        return place

    def submit(self, command: Command) -> Pending:
        """Sends it and asks for its reply; a command without an id gets one."""
        named = command if command.id else command._replace(id=new_id())
        pending = Pending(named, _running(Future()), _running(Future()))
        self._replies.expect(str(pending.command.id), pending.reply)
        try:
            self._send(pending.command, pending.place, pending.reply, self._replies.topic)
        except BaseException:
            self.forget(pending)
            raise
        return pending

    def forget(self, pending: Pending) -> None:
        """Nobody waits for this reply any more."""
        self._replies.forget(str(pending.command.id), pending.reply)

    def close(self) -> None:
        """Delivers what is queued, and fails whoever still waits for a reply."""
        self._producer.drain()
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._abandon(ClusterError("the client was closed before the reply came"))
        self._replies.close()

    def _send(self, command: Command, place: Future[str], answered: Future[Reply] | None, reply_to: str | None) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                place.set_result(f"{message.topic()}:{message.partition()}:{message.offset()}")
                return
            failure = ClusterError(f"Kafka at {self._bootstrap}: not delivered: {error.str()}")
            place.set_exception(failure)
            if answered is not None and not answered.done():
                answered.set_exception(failure)

        topic, key, value = self._outbox.outgoing(command.record)
        self._producer.send(topic, key, value, command.headers(reply_to), delivered)

    def _loop(self, turn: Callable[[], None]) -> None:
        while not self._closing.is_set():
            try:
                turn()
            except FoldlogError as error:  # a reply that cannot be read: better said than waited for
                self._abandon(error)

    def _abandon(self, error: FoldlogError) -> None:
        for waiting in self._replies.abandon():
            if not waiting.done():
                waiting.set_exception(error)

    def _deliveries(self) -> None:
        self._producer.wait(_TURN)

    def _answers(self) -> None:
        for waiting, reply in self._replies.arrived(_TURN):
            if not waiting.done():
                waiting.set_result(reply)


def _running(future: Future[T]) -> Future[T]:
    """A future that nobody can cancel: the command is on its way."""
    future.set_running_or_notify_cancel()
    return future
