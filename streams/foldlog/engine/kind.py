"""What the kinds of processors have in common: the engine drives them through this."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Generic, TypeVar

from foldlog.contracts.codec import Codec
from foldlog.core.contract import Checkpoint
from foldlog.core.errors import DecodeError, EncodeError, RegistryError, StateError
from foldlog.core.record import Record
from foldlog.engine.batch import Output, Place, Received, Run
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import LONGEST_KEY, Work, fitting, text_of

T = TypeVar("T")


class Kind(ABC):
    """How one kind of processor handles a record.

    `inputs` are the topics it reads; `trims` are inputs that nobody else reads and that are emptied behind the
    committed offset; `output` is a topic that it alone writes, partition by partition.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    trims: tuple[str, ...] = ()
    output = ""
    repairs = ""  # the input with operators' orders, of which a new processor wants only those to come
    patient = False  # whether what is parked is tried again by itself, and a retry only says when
    envelopes = True  # whether it wants to know more of an event than the event
    _codec: Codec

    @abstractmethod
    def handle(self, message: Received, rows: Any, work: Work) -> None:
        """Handles one record; a record that fails is put aside, and only a failing engine raises."""

    def handle_all(self, messages: Sequence[Received], rows: Mapping[int, Any], work: Work) -> None:
        """Handles the records of a batch in their order; `rows` are those of each partition, if the kind has any."""
        handle = self.handle
        for message in messages:
            handle(message, rows.get(message.partition()), work)

    def read(self, message: Received, work: Work) -> tuple[Record, Any] | None:
        """A record and its envelope; None for a tombstone, and for what cannot be read and is put aside."""
        value = message.value()
        if value is None:
            return None
        try:
            return self._codec.decode_with(value) if self.envelopes else (self._codec.decode(value), None)
        except DecodeError as error:
            self.fail(message, work, error.cause, error)
            return None

    def blame(self, message: Received, work: Work, error: BaseException, otherwise: str) -> None:
        """Puts a record aside for a failure on its account, or parks its key; the engine's own trouble is raised again.

        The cause is the error's own where it has one.
        """
        if isinstance(error, RegistryError | StateError):
            raise error
        cause = error.cause if isinstance(error, DecodeError | EncodeError) else otherwise
        self.refuse(message, work, cause, error)

    def refuse(self, message: Received, work: Work, cause: str, error: BaseException) -> None:
        """Parks the key that a failed record is of; where that is not known, or not parked here, puts it aside."""
        if (
            work.home is None
            or work.parking is None
            or not work.parking.park(work.home, message, cause, text_of(error))
        ):
            self.fail(message, work, cause, error)

    def fail(self, message: Received, work: Work, cause: str, error: BaseException) -> None:
        """Puts a record aside whose outcome cannot be written; one that waited for another try goes on waiting."""
        if work.parking is not None and work.parking.retried is not None:
            work.parking.failure = cause, text_of(error)
        else:
            work.dead_letter(message, cause, text_of(error))

    def ring(self, partitions: Mapping[int, Any], work: Work) -> None:  # noqa: B027 — most kinds wait for records only
        """Does what is due now, at the end of a batch; its partitions are noted in `work.rang`."""

    def due(self, partitions: Mapping[int, Any]) -> float:
        """When the kind wants to work though no record comes, in Unix seconds."""
        return inf

    def close(self) -> None:  # noqa: B027 — most kinds hold nothing open
        """Ends what it holds open."""

    def forget(self) -> None:  # noqa: B027 — most kinds do nothing beside their batches
        """Ends what goes on beside the batches: the partitions are those of another assignment, or of nobody."""

    def finish(self, work: Work) -> None:  # noqa: B027 — most kinds have nothing to end
        """Ends the handling of a batch, before its transaction begins."""

    def replies(self, work: Work, ends: Mapping[Place, int]) -> Iterable[Run]:
        """The records that can be made only when the others have their offsets."""
        return ()


class State(ABC, Generic[T]):
    """Rows by key, restored from the topic `log`."""

    log: str
    foresees: bool = False  # whether the rows that records ask for are `wanted` before they are decoded
    forgets: bool = True  # its log has tombstones, which are dropped after a day
    snapshots = ""  # the topic of its snapshots, if its log is not its rows
    count: int  # partitions of its log, and of whatever it follows
    _codec: Codec

    def fingerprint(self) -> str:
        """Of whatever else the rows depend on; stores of another fingerprint are folded again."""
        return ""

    def checkpoint(self, value: bytes) -> Checkpoint | None:
        """The checkpoint in a record of the snapshots topic; None where nobody here has written it."""
        try:
            found = self._codec.decode(value)
        except DecodeError:
            return None
        return found if isinstance(found, Checkpoint) else None

    def wanted(self, messages: Sequence[Received]) -> Mapping[int, list[bytes]]:
        """Keys of the rows that records ask for, by partition, where that is foreseen."""
        return {}

    @abstractmethod
    def rows(self, store: Store, memory: int) -> Rows[T]:
        """The rows of one partition over its store."""

    def outputs(self, packed: Mapping[int, Mapping[bytes, bytes | None]]) -> Iterable[Run]:
        """The records that the changed rows of each partition become."""
        return ()

    @abstractmethod
    def take(self, messages: Sequence[Received], rows: Rows[T], position: int) -> None:
        """Takes records of the log, in their order, into the rows, which are then those at a position.

        Raises StateError where one cannot be.
        """


class Compacted(State[T]):
    """State whose log is its compacted topic: the last record of a key is its row."""

    def outputs(self, packed: Mapping[int, Mapping[bytes, bytes | None]]) -> Iterable[Run]:
        """The changed rows, as records of the topic."""
        return (Run(self.log, number, rows.items()) for number, rows in packed.items())

    def take(self, messages: Sequence[Received], rows: Rows[T], position: int) -> None:
        """Takes rows as they are."""
        rows.load({key: message.value() for message in messages if (key := message.key()) is not None}, position)


class Folding(Kind, State[T]):
    """A kind with state; its inputs have as many partitions as its log."""


class Table(Compacted[T], Folding[T]):
    """A kind whose state is its compacted topic."""

    def fitted(self, packed: bytes) -> bytes:
        """A row that its topic takes, under the longest key; EncodeError otherwise."""
        fitting(Output(self.log, 0, LONGEST_KEY, packed))
        return packed
