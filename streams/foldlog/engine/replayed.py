"""A record that was put aside, as it was received: kept in an Avro record, and given back as a consumer gives one."""

from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaError

from foldlog.core.errors import DecodeError
from foldlog.core.outcome import Header
from foldlog.core.repair import Parked
from foldlog.engine.batch import Received
from foldlog.engine.work import headers_in

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CREATED = 1  # the type of a timestamp that the record's producer gave


def kept(message: Received) -> Parked:
    """A record whole, with its place; headers whose names nobody can read are left out."""
    try:
        headers = tuple(Header(name, value) for name, value in headers_in(message))
    except DecodeError:
        headers = ()
    place = message.topic(), message.partition(), message.offset()
    time = _EPOCH + max(0, message.timestamp()[1]) * _MILLISECOND
    return Parked(*place, time, message.key(), message.value(), headers)


class Replayed:
    """What a consumer would give, was the record read again where it stood."""

    def __init__(self, record: Parked) -> None:
        self._record = record

    def topic(self) -> str:
        """Where it stood."""
        return self._record.topic

    def partition(self) -> int:
        """Where it stood."""
        return self._record.partition

    def offset(self) -> int:
        """Where it stood."""
        return self._record.offset

    def key(self) -> bytes | None:
        """As it was written."""
        return self._record.key

    def value(self) -> bytes | None:
        """As it was written."""
        return self._record.value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """As they were written."""
        return [(header.name, header.value) for header in self._record.headers] or None

    def timestamp(self) -> tuple[int, int]:
        """Type and milliseconds."""
        return _CREATED, (self._record.time - _EPOCH) // _MILLISECOND

    def error(self) -> KafkaError | None:
        """None: it was received."""
        return None
