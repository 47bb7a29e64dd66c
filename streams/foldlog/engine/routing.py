"""Records that belong to another partition: moved there as they are, in the same transaction."""

from foldlog.core.partitioning import partition_of
from foldlog.engine.batch import Output, Received
from foldlog.engine.work import Work, fitting


def moved(message: Received, key: str, to: str, partitions: int, work: Work) -> bool:
    """True where the key's home is another partition; the record is then on its way to topic `to`.

    A record that was already moved is at home. For one aggregate and one key the answer is always the same, so the
    order of an aggregate's events is kept whether they are moved or not. Raises EncodeError where it is too large.
    """
    if message.topic() == to:
        return False
    home = partition_of(key.encode(), partitions)
    if home == message.partition():
        return False
    headers = list(message.headers() or ()) or None
    work.outputs.append(fitting(Output(to, home, key.encode(), message.value(), headers, message.timestamp()[1])))
    return True
