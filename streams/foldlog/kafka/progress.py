"""A processor's consumer group as others see it: how far it is, and who is in it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from foldlog.kafka.connection import METADATA_S, admin, reaching
from foldlog.kafka.marks import GroupOffsets
from foldlog.kafka.reading import between, bounds

_NEAR = 5_000  # offsets: then records are told from the marks of transactions, by reading them
_LOOK = 0.2  # s


class Group:
    """The group of a processor; `stages` are the topics that it reads, each behind those that it feeds itself.

    Raises ClusterError where Kafka does not answer, ConfigError where a topic does not exist.
    """

    def __init__(self, bootstrap: str, name: str, stages: Sequence[Sequence[str]]) -> None:
        self.name = name
        self._bootstrap = bootstrap
        self._admin, self._offsets = admin(bootstrap), GroupOffsets(bootstrap)
        self._stages = stages

    def members(self) -> set[str]:
        """The instances that are in the group now."""
        with reaching(self._bootstrap):
            described = self._admin.describe_consumer_groups([self.name], request_timeout=METADATA_S)
            found = _answer(described[self.name])
        return {str(member.group_instance_id) for member in found.members} if found else set()

    def behind(self) -> int:
        """How much it has not handled of what is committed now: records where they are few, else offsets."""
        return sum(self._left(topic, bounds(self._bootstrap, topic)) for stage in self._stages for topic in stage)

    def passes(self, seconds: float) -> bool:
        """Whether in that time it has handled, down to its last stage, all that is committed now."""
        until = time.monotonic() + seconds
        for stage in self._stages:
            marks = {topic: bounds(self._bootstrap, topic) for topic in stage}
            while any(self._left(topic, found) for topic, found in marks.items()):
                if time.monotonic() > until:
                    return False
                time.sleep(_LOOK)
        return True

    def _left(self, topic: str, found: Mapping[int, tuple[int, int]]) -> int:
        with reaching(self._bootstrap):
            committed = self._offsets.of(self.name, [(topic, number) for number in found])
        starts = {number: max(low, committed[topic, number]) for number, (low, _) in found.items()}
        open_ = {number: (starts[number], high) for number, (_, high) in found.items() if starts[number] < high}
        gap = sum(high - start for start, high in open_.values())
        return gap if gap > _NEAR else sum(1 for _ in between(self._bootstrap, topic, open_))


def _answer(asked: Any) -> Any:
    """What the broker says of a group; None where there is no such group yet."""
    try:
        return asked.result(METADATA_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return None
        raise
