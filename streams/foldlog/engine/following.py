"""Following a log as it grows, turn after turn, with one consumer."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from foldlog.core.errors import TaintError
from foldlog.engine import clients
from foldlog.engine.batch import Place, Received
from foldlog.engine.restoring import LogReader
from foldlog.settings import Settings

_PORTION = 500  # records folded in one go: the process's own work waits no longer than for these
_LONGEST_LOOK = 0.05  # s that a turn waits for records
_ANSWER = 10.0  # s


class Follower(LogReader):
    """Reads what is committed and there; a turn ends where nothing came, and the next goes on where it ended.

    Used by one thread at a time. It rests after each portion for as long as its folding took, unless `hurry` is set.
    """

    def __init__(self, bootstrap: str, settings: Settings, admin: AdminClient, hurry: threading.Event) -> None:
        super().__init__(bootstrap, settings)
        self._config = clients.follower(bootstrap, settings)
        self._admin = admin
        self._hurry = hurry
        self._reading: Consumer | None = None
        self._next: dict[Place, int] = {}  # where the next record of each partition is expected
        self._reached: dict[Place, int] = {}  # likewise, control records counted

    def watermarks(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """The low and high watermark of each partition; TaintError where no broker answers."""
        marks = [TopicPartition(*place) for place in places]
        if not marks:
            return {}
        try:
            low = self._offsets(marks, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            high = self._offsets(marks, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except (KafkaException, TimeoutError) as error:
            raise TaintError(f"ends of logs: {error}") from error
        return {place: (low[place], high[place]) for place in low}

    def read(
        self,
        starts: Mapping[Place, int],
        ends: Mapping[Place, int],
        go_on: Callable[[], bool],
        stalled: Callable[[], None],
    ) -> Iterator[list[Received]]:
        """What there is from the starts on, in small lists, beyond the ends too; stops where told to."""
        del ends, stalled  # nobody waits for this reader, so it waits for nobody's transaction
        consumer = self._at(starts) if starts else None
        while consumer and go_on():
            found = cast(list[Received], consumer.consume(_PORTION, _LONGEST_LOOK))
            records = [message for message in found if self._passed(message)]
            if not records:
                return
            began = time.monotonic()
            yield records
            self._hurry.wait(time.monotonic() - began)

    def lag(self, marks: Mapping[Place, tuple[int, int]]) -> int:
        """Records between where the reader is and the ends; control records that nothing follows do not count."""
        return sum(max(0, high - self._reached.get(place, low)) for place, (low, high) in marks.items())

    def close(self) -> None:
        """Ends the consumer; the next turn makes another."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        self._next = {}

    def _at(self, starts: Mapping[Place, int]) -> Consumer:
        """The consumer, at these places; it goes on undisturbed where it is there already."""
        if self._reading is None:
            self._reading = Consumer(self._config)
        if self._next != starts:
            self._reading.assign([TopicPartition(*place, start) for place, start in starts.items()])
            self._next, self._reached = dict(starts), dict(starts)
        return self._reading

    def _passed(self, message: Received) -> bool:
        """True for a record; any error but the notice of an end makes the next turn begin from the stores."""
        place, error = (message.topic(), message.partition()), message.error()
        if error is None:
            self._next[place] = self._reached[place] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._reached[place] = message.offset()
        else:
            self._next = {}
        return error is None

    def _offsets(self, marks: list[TopicPartition], spec: Any) -> dict[Place, int]:
        answers = self._admin.list_offsets(
            dict.fromkeys(marks, spec), isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_ANSWER
        )
        return {(mark.topic, mark.partition): answer.result(_ANSWER).offset for mark, answer in answers.items()}
