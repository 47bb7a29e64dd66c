"""Records that belong to another partition: moved there as they are, in the same transaction."""

from foldlog.core.partitioning import partition_of
from foldlog.engine.batch import Output, Received
from foldlog.engine.work import FORWARDED, Work, fitting, headers_in, place_of

Headers = list[tuple[str, bytes | None]]


def forwarded(message: Received) -> Headers:
    """A command's headers with its first place, which stays its id wherever it is moved."""
    headers = headers_in(message)
    if not any(name == FORWARDED for name, _ in headers):
        headers.append((FORWARDED, place_of(message).encode()))
    return headers


def moved(message: Received, key: bytes, to: str, partitions: int, work: Work, *, is_command: bool = False) -> bool:
    """True where the key's home is another partition; the record is then on its way to topic `to`.

    A record that was already moved is at home. For one aggregate and one key the answer is always the same, so the
    order of an aggregate's events is kept whether they are moved or not. Raises EncodeError where it is too large.
    """
    if message.topic() == to:
        return False
    home = partition_of(key, partitions)
    if home == message.partition():
        return False
    headers = forwarded(message) if is_command else headers_in(message) or None
    work.outputs.append(fitting(Output(to, home, key, message.value(), headers, message.timestamp()[1])))
    return True
