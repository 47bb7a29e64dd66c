"""Replies to those who asked for one, each with a place from which on its command's effect is there to be read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.outcome import Reply
from foldlog.engine import shortcut
from foldlog.engine.batch import Place, Run
from foldlog.engine.work import Events


class Replying:
    """The replies of one processor, whose effects stand in `log`."""

    def __init__(self, context: str, log: str, partitions: int, codec: Codec) -> None:
        self._topic = topics.replies(context)
        self._log = log
        self._partitions = partitions
        self._codec = codec

    @cached_property
    def _encoded(self) -> Callable[[Reply], bytes]:
        """Made when the first reply is written: by then the schema has its id."""
        return shortcut.encoding(Reply, self._codec)

    def runs(self, replies: Iterable[tuple[int, Reply]], ends: Mapping[Place, int]) -> Iterator[Run]:
        """The records; each reply comes with its command's partition, `ends` are those of the logs after the batch."""
        places = {
            number: f"{log}:{number}:{end - 1}" for (log, number), end in ends.items() if log == self._log and end
        }
        encoded, home, partitions = self._encoded, shortcut.partition_of, self._partitions
        runs: dict[int, Events] = {}
        for number, reply in replies:
            id_, status = reply.command_id, reply.status
            place = places.get(number) if status == "accepted" else None
            key = id_.encode()
            placed = Reply(id_, status, reply.version, place, reply.reason, reply.duplicate)
            runs.setdefault(home(key, partitions), []).append((key, encoded(placed)))
        return (Run(self._topic, number, records) for number, records in runs.items())
